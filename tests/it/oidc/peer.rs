//! The same against a provider that nobody here wrote: npm oidc-provider.

use std::sync::Arc;

use chrono::Duration;
use idp_fixtures::{
    oidc::jose::{Algorithm, SigningKey},
    sign::{KeyKind, shared},
};
use serde_json::{Value, json};
use usher::{
    app::App,
    clock::Clock,
    connections::{IdTokenAlg, discovery::discover},
    login::{
        oidc::{
            Callback, ClientAuth, ClientKey, Handshake, OidcError, RelyingParty, ResponseMode, VerifiedOidc,
            authorization_url, complete,
        },
        trail::Trail,
    },
};

use super::setup::app;
use crate::support::{Browser, Peer};

const REDIRECT_URI: &str = "http://localhost:8080/oidc/con_1/callback";
const SECRET: &str = "a secret: with + and %20";

/// The provider with one client for each way of authentication.
async fn provider(alg: &str, client_keys: &Value) -> Peer {
    let client = |id: &str, method: &str| {
        json!({
            "client_id": id, "client_secret": SECRET, "token_endpoint_auth_method": method,
            "redirect_uris": [REDIRECT_URI], "id_token_signed_response_alg": alg,
        })
    };
    let mut keys = client("keys", "private_key_jwt");
    keys["jwks"] = json!({"keys": [client_keys]});
    let mut public = client("public", "none");
    for without_secret in [&mut keys, &mut public] {
        without_secret.as_object_mut().unwrap().remove("client_secret");
    }
    Peer::oidc_provider(&json!({
        "alg": alg,
        "claimsOnlyInUserinfo": true,
        "clients": [client("basic", "client_secret_basic"), client("post", "client_secret_post"), keys, public],
        "accounts": {"grace": {"email": "grace@globex.example", "email_verified": true, "groups": ["engineering", "learning"]}},
    }))
    .await
}

async fn party(app: &App, peer: &Peer, client_id: &str, auth: ClientAuth, alg: IdTokenAlg) -> RelyingParty {
    let provider = discover(app, peer.text("issuer")).await.unwrap();
    RelyingParty {
        connection: app.entropy.id(app.clock.now()),
        issuer: peer.text("issuer").to_owned(),
        provider: Arc::new(provider),
        client_id: client_id.to_owned(),
        redirect_uri: REDIRECT_URI.to_owned(),
        auth,
        scopes: ["openid", "email", "groups"].map(str::to_owned).to_vec(),
        prompt: None,
        max_age: Some(300),
        acr_values: None,
        response_mode: ResponseMode::Query,
        userinfo: true,
        id_token_algs: vec![alg],
        clock_skew: Duration::seconds(5),
    }
}

/// Signs Grace in at the provider's own pages.
async fn sign_in(app: &App, party: &RelyingParty) -> Result<VerifiedOidc, OidcError> {
    let (handshake, started_at) = (Handshake::new(&app.entropy), app.clock.now());
    let browser = Browser::new();
    let login = browser.visit(authorization_url(party, &handshake, None)?).await;
    let mut page = browser.submit(&login.form().fill("username", "grace")).await;
    while page.status.is_redirection() && !page.location().as_str().starts_with(REDIRECT_URI) {
        page = browser.follow(&page).await;
    }
    let parameters = if page.status.is_redirection() {
        page.location().query_pairs().into_owned().collect()
    } else {
        page.form().fields
    };
    let callback = Callback::read(parameters)?;
    complete(app, party, &handshake, &callback, started_at, &mut Trail::new()).await
}

#[tokio::test]
async fn a_foreign_provider_is_understood_with_each_algorithm_and_way_of_authentication() {
    let app = app(Clock::system(), |_| {});
    let pair = shared(KeyKind::Rsa2048, "usher client key").unwrap();
    let published = SigningKey::new(Algorithm::Rs256, pair.clone()).unwrap();
    let key = ClientKey::rs256(published.kid.clone(), &pair.private_key_pem().unwrap()).unwrap();
    let secret = || SECRET.to_owned().into();
    for (name, alg, client_id, auth, response_mode) in [
        ("RS256", IdTokenAlg::Rs256, "basic", ClientAuth::SecretBasic(secret()), ResponseMode::Query),
        ("PS256", IdTokenAlg::Ps256, "post", ClientAuth::SecretPost(secret()), ResponseMode::FormPost),
        ("ES256", IdTokenAlg::Es256, "keys", ClientAuth::PrivateKeyJwt(key), ResponseMode::Query),
        ("EdDSA", IdTokenAlg::EdDsa, "public", ClientAuth::None, ResponseMode::FormPost),
    ] {
        let peer = provider(name, &published.jwk().unwrap()).await;
        let mut party = party(&app, &peer, client_id, auth, alg).await;
        party.response_mode = response_mode;
        let verified = sign_in(&app, &party).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((verified.subject(), verified.issuer()), ("grace", peer.text("issuer")), "{name}");
        assert_eq!(verified.claims().first("email"), Some("grace@globex.example"), "{name}");
        assert_eq!(verified.claims().get("groups").unwrap(), ["engineering", "learning"], "{name}");
        assert!(verified.auth_time().is_some(), "{name}");
        party.id_token_algs = vec![IdTokenAlg::Es384];
        assert_eq!(sign_in(&app, &party).await.unwrap_err().code(), "login.oidc.algorithm", "{name}");
    }
}
