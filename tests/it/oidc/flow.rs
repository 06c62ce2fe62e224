//! What must work with every honest provider.

use std::sync::Arc;

use axum::{Json, Router, routing::get};
use idp_fixtures::{
    oidc::{
        Client, Faults,
        jose::{Algorithm, SigningKey},
    },
    sign::{KeyKind, shared},
};
use serde_json::json;
use usher::{
    clock::Clock,
    connections::IdTokenAlg,
    login::oidc::{ClientAuth, ClientKey, Handshake, ResponseMode, authorization_url},
};

use super::setup::Setup;

fn ours(algorithm: Algorithm) -> IdTokenAlg {
    match algorithm {
        Algorithm::Rs256 => IdTokenAlg::Rs256,
        Algorithm::Rs384 => IdTokenAlg::Rs384,
        Algorithm::Rs512 => IdTokenAlg::Rs512,
        Algorithm::Ps256 => IdTokenAlg::Ps256,
        Algorithm::Es256 => IdTokenAlg::Es256,
        Algorithm::Es384 => IdTokenAlg::Es384,
        Algorithm::EdDsa => IdTokenAlg::EdDsa,
    }
}

#[tokio::test]
async fn tokens_of_every_algorithm_on_the_list_are_verified_and_of_no_other() {
    use Algorithm::{EdDsa, Es256, Es384, Ps256, Rs256, Rs384, Rs512};
    for algorithm in [Rs256, Rs384, Rs512, Ps256, Es256, Es384, EdDsa] {
        let mut setup = Setup::with(algorithm, Clock::system()).await;
        setup.party.id_token_algs = vec![ours(algorithm)];
        let verified = setup.sign_in().await.unwrap();
        assert_eq!(verified.subject(), "grace-7f3a", "{algorithm:?}");
        setup.party.id_token_algs = [Rs256, Rs384, Rs512, Ps256, Es256, Es384, EdDsa]
            .into_iter()
            .filter(|other| *other != algorithm)
            .map(ours)
            .collect();
        assert_eq!(setup.refused(Faults::default()).await, "login.oidc.algorithm", "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_sign_in_tells_who_it_was_and_every_check_that_was_made() {
    let setup = Setup::new().await;
    let (outcome, trail) = setup.sign_in_with_trail().await;
    let verified = outcome.unwrap();
    assert_eq!(verified.issuer(), setup.op.issuer());
    assert_eq!(verified.claims().first("email"), Some("grace@globex.example"));
    assert_eq!(verified.claims().get("groups").unwrap(), ["engineering", "learning"]);
    assert!(verified.auth_time().is_some() && verified.sid().is_some());
    for of_the_token in ["nonce", "at_hash", "c_hash", "exp", "iat"] {
        assert_eq!(verified.claims().get(of_the_token), None, "{of_the_token}");
    }
    let names: Vec<&str> = trail.checks().iter().map(|check| &*check.name).collect();
    assert!(trail.checks().iter().all(|check| check.passed && check.detail.is_none()));
    insta::assert_json_snapshot!(names, @r#"
    [
      "oidc.provider",
      "oidc.state",
      "oidc.iss_parameter",
      "oidc.client_authentication",
      "oidc.token_request",
      "oidc.token_response",
      "oidc.id_token",
      "oidc.keys",
      "oidc.signature",
      "oidc.issuer",
      "oidc.audience",
      "oidc.authorized_party",
      "oidc.nonce",
      "oidc.times",
      "oidc.auth_time",
      "oidc.acr",
      "oidc.hashes",
      "oidc.subject",
      "oidc.claims"
    ]
    "#);
}

#[tokio::test]
async fn the_request_carries_what_the_connection_asks_for_and_pkce_always() {
    let mut setup = Setup::new().await;
    let handshake = Handshake::new(&setup.app.entropy);
    let query = |url: &str| -> Vec<(String, String)> {
        url::Url::parse(url).unwrap().query_pairs().map(|(name, value)| (name.into(), value.into())).collect()
    };
    let plain = query(&authorization_url(&setup.party, &handshake, None).unwrap());
    let names: Vec<&str> = plain.iter().map(|(name, _)| name.as_str()).collect();
    let always = [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    ];
    assert_eq!(names, always);
    assert!(plain.contains(&("code_challenge_method".into(), "S256".into())));
    assert!(!plain.iter().any(|(_, value)| *value == handshake.code_verifier));

    setup.party.prompt = Some("login consent".into());
    setup.party.max_age = Some(0);
    setup.party.acr_values = Some("urn:fixture:mfa urn:fixture:password".into());
    setup.party.response_mode = ResponseMode::FormPost;
    let rich = query(&authorization_url(&setup.party, &handshake, Some("grace@globex.example & more")).unwrap());
    for (name, value) in [
        ("prompt", "login consent"),
        ("max_age", "0"),
        ("acr_values", "urn:fixture:mfa urn:fixture:password"),
        ("login_hint", "grace@globex.example & more"),
        ("response_mode", "form_post"),
    ] {
        assert!(rich.contains(&(name.into(), value.into())), "{name}");
    }
}

#[tokio::test]
async fn an_authorization_endpoint_keeps_the_query_it_has() {
    let mut setup = Setup::new().await;
    Arc::make_mut(&mut setup.party.provider).authorization_endpoint = "https://idp.example/authorize?p=b2c_1".into();
    let url = authorization_url(&setup.party, &Handshake::new(&setup.app.entropy), None).unwrap();
    assert!(url.starts_with("https://idp.example/authorize?p=b2c_1&response_type=code&"), "{url}");
}

#[tokio::test]
async fn every_way_of_client_authentication_is_spoken() {
    let mut setup = Setup::new().await;
    // Characters that break whoever joins them unencoded.
    let secret = "p+q:r s%2B/ü&=";
    setup.op.register(Client::with_secret("id:with colon", secret));
    setup.party.client_id = "id:with colon".into();
    setup.party.auth = ClientAuth::SecretBasic(secret.to_owned().into());
    setup.sign_in().await.unwrap();
    setup.party.auth = ClientAuth::SecretPost(secret.to_owned().into());
    setup.sign_in().await.unwrap();
    setup.party.client_id = "usher-public".into();
    setup.party.auth = ClientAuth::None;
    setup.sign_in().await.unwrap();
    assert_eq!(setup.op.token_auth_methods(), ["client_secret_basic", "client_secret_post", "none"]);
}

#[tokio::test]
async fn a_wrong_secret_is_told_from_a_wrong_code() {
    let mut setup = Setup::new().await;
    setup.party.auth = ClientAuth::SecretBasic("another".to_owned().into());
    assert_eq!(setup.refused(Faults::default()).await, "login.oidc.client_authentication");
    setup.party.auth = ClientAuth::SecretBasic("usher-demo-secret".to_owned().into());
    let handshake = Handshake::new(&setup.app.entropy);
    let parameters = setup.parameters(&handshake, "grace");
    setup.finish(&handshake, parameters.clone()).await.0.unwrap();
    let (again, _) = setup.finish(&handshake, parameters).await;
    assert_eq!(again.unwrap_err().code(), "login.oidc.token_refused");
}

#[tokio::test]
async fn a_key_of_ours_proves_us_and_another_does_not() {
    let mut setup = Setup::new().await;
    let pair = shared(KeyKind::Rsa2048, "usher client key").unwrap();
    let published = SigningKey::new(Algorithm::Rs256, pair.clone()).unwrap();
    let document = json!({"keys": [published.jwk().unwrap()]});
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jwks_uri = format!("http://{}/jwks", listener.local_addr().unwrap());
    let routes = Router::new().route("/jwks", get(move || async move { Json(document) }));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    setup.op.register(Client::with_keys_at("usher-keys", &jwks_uri));
    setup.party.client_id = "usher-keys".into();
    let key = |pem: &str| ClientAuth::PrivateKeyJwt(ClientKey::rs256(published.kid.clone(), pem).unwrap());
    setup.party.auth = key(&pair.private_key_pem().unwrap());
    // Twice: an assertion that is used again is refused by the provider.
    setup.sign_in().await.unwrap();
    setup.sign_in().await.unwrap();
    assert_eq!(setup.op.token_auth_methods(), ["private_key_jwt", "private_key_jwt"]);

    let other = shared(KeyKind::Rsa2048, "somebody else's key").unwrap();
    setup.party.auth = key(&other.private_key_pem().unwrap());
    assert_eq!(setup.refused(Faults::default()).await, "login.oidc.client_authentication");

    Arc::make_mut(&mut setup.party.provider).token_auth_algs = vec!["ES256".into()];
    assert_eq!(setup.refused(Faults::default()).await, "login.oidc.client_key");
    assert_eq!(ClientKey::rs256("k", "no key").unwrap_err().code(), "login.oidc.client_key");
}

#[tokio::test]
async fn an_answer_by_form_carries_the_same_as_one_by_query() {
    let mut setup = Setup::new().await;
    setup.party.response_mode = ResponseMode::FormPost;
    let handshake = Handshake::new(&setup.app.entropy);
    let url = authorization_url(&setup.party, &handshake, None).unwrap();
    let answer = setup.op.sign_in(&url, "grace").unwrap();
    assert!(answer.form_post);
    setup.finish(&handshake, answer.parameters).await.0.unwrap();
}

#[tokio::test]
async fn userinfo_adds_what_the_id_token_does_not_say() {
    let mut setup = Setup::new().await;
    setup.op.behave(|behaviour| behaviour.claims_in_id_token = false);
    assert_eq!(setup.sign_in().await.unwrap().claims().first("email"), None);
    setup.party.userinfo = true;
    assert_eq!(setup.sign_in().await.unwrap().claims().first("email"), Some("grace@globex.example"));
    // Where both speak, the signed one is right.
    setup.op.behave(|behaviour| behaviour.claims_in_id_token = true);
    let mut faults = Faults::default();
    faults.userinfo_claims.insert("email".into(), Some(json!("boss@globex.example")));
    faults.userinfo_claims.insert("office".into(), Some(json!("Zürich")));
    let verified = setup.let_in(faults).await;
    assert_eq!(verified.claims().first("email"), Some("grace@globex.example"));
    assert_eq!(verified.claims().first("office"), Some("Zürich"));
}

#[tokio::test]
async fn providers_that_send_odd_types_in_claims_nobody_checks_are_understood() {
    let setup = Setup::new().await;
    let faults = Faults::default()
        .claim("email_verified", json!("true"))
        .claim("name", json!(null))
        .claim("amr", json!("pwd"))
        .claim("address", json!("Main Street 1"))
        .claim("updated_at", json!("2026-11-22T10:00:00.000Z"))
        .claim("locale", json!({"country": "CH"}));
    let verified = setup.let_in(faults).await;
    assert_eq!(verified.claims().first("email_verified"), Some("true"));
    assert_eq!(verified.claims().first("locale.country"), Some("CH"));
}

#[tokio::test]
async fn groups_behind_a_link_count_as_missing() {
    let setup = Setup::new().await;
    let faults = Faults::default()
        .without_claim("groups")
        .claim("_claim_names", json!({"groups": "src1"}))
        .claim("_claim_sources", json!({"src1": {"endpoint": "https://graph.example/getMemberObjects"}}));
    let verified = setup.let_in(faults).await;
    assert!(verified.claims().is_overage("groups"));
    assert!(!setup.let_in(Faults::default()).await.claims().is_overage("groups"));
}
