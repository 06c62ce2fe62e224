//! A provider, our side of the connection, and one whole sign-in over them. No database is asked.

use std::{path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Duration;
use idp_fixtures::oidc::{Faults, OidcOp, Options, jose::Algorithm};
use secrecy::SecretString;
use usher::{
    app::App,
    clock::Clock,
    config::{self, Raw, Settings},
    connections::{IdTokenAlg, discovery::discover},
    entropy::Entropy,
    login::{
        oidc::{
            Callback, ClientAuth, Handshake, OidcError, RelyingParty, ResponseMode, VerifiedOidc, authorization_url,
            complete,
        },
        trail::Trail,
    },
    telemetry,
};

pub struct Setup {
    pub app: App,
    pub op: OidcOp,
    pub party: RelyingParty,
}

/// A gateway's state without its servers: nothing here reaches for them.
pub fn app(clock: Clock, change: impl FnOnce(&mut Raw)) -> App {
    let mut raw = config::load(Some(Path::new("config/dev.toml"))).unwrap();
    raw.database.url = "postgres://nobody@127.0.0.1:9/none".to_owned().into();
    raw.redis.url = "redis://127.0.0.1:9".to_owned().into();
    raw.secrets.sealing_keys =
        vec![SecretString::from(format!("1:{}", STANDARD.encode(Entropy::default().bytes::<32>())))];
    change(&mut raw);
    App::new(Settings::try_from(raw).unwrap(), clock, telemetry::detached_metrics()).unwrap()
}

pub async fn party(app: &App, op: &OidcOp) -> RelyingParty {
    RelyingParty {
        connection: app.entropy.id(app.clock.now()),
        issuer: op.issuer().to_owned(),
        provider: Arc::new(discover(app, op.issuer()).await.unwrap()),
        client_id: "usher".to_owned(),
        redirect_uri: "http://localhost:8080/oidc/con_1/callback".to_owned(),
        auth: ClientAuth::SecretBasic("usher-demo-secret".to_owned().into()),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        prompt: None,
        max_age: None,
        acr_values: None,
        response_mode: ResponseMode::Query,
        userinfo: false,
        id_token_algs: vec![IdTokenAlg::Rs256],
        clock_skew: Duration::seconds(60),
    }
}

impl Setup {
    pub async fn new() -> Self {
        Self::with(Algorithm::Rs256, Clock::system()).await
    }

    pub async fn with(algorithm: Algorithm, clock: Clock) -> Self {
        let app = app(clock, |_| {});
        let op = OidcOp::start(Options { algorithm, ..Options::default() }).await.unwrap();
        let party = party(&app, &op).await;
        Self { app, op, party }
    }

    /// A whole sign-in of Grace with nothing bent but what the provider was told to bend.
    pub async fn sign_in(&self) -> Result<VerifiedOidc, OidcError> {
        self.sign_in_with_trail().await.0
    }

    pub async fn sign_in_with_trail(&self) -> (Result<VerifiedOidc, OidcError>, Trail) {
        let handshake = Handshake::new(&self.app.entropy);
        let parameters = self.parameters(&handshake, "grace");
        self.finish(&handshake, parameters).await
    }

    /// What the browser brings back after this person signed in at the provider.
    pub fn parameters(&self, handshake: &Handshake, who: &str) -> Vec<(String, String)> {
        let url = authorization_url(&self.party, handshake, None).unwrap();
        self.op.sign_in(&url, who).unwrap().parameters
    }

    pub async fn finish(
        &self,
        handshake: &Handshake,
        parameters: Vec<(String, String)>,
    ) -> (Result<VerifiedOidc, OidcError>, Trail) {
        let mut trail = Trail::new();
        let started_at = self.app.clock.now();
        let outcome = match Callback::read(parameters) {
            Ok(callback) => complete(&self.app, &self.party, handshake, &callback, started_at, &mut trail).await,
            Err(error) => Err(error),
        };
        (outcome, trail)
    }

    /// The code of the refusal with these things bent; panics when somebody is let in.
    pub async fn refused(&self, faults: Faults) -> &'static str {
        self.op.fault(faults);
        let (outcome, trail) = self.sign_in_with_trail().await;
        let code = outcome.expect_err("nobody may be let in").code();
        let last = trail.checks().last().expect("something was checked");
        assert!(!last.passed, "the check that failed is the last of the trail");
        self.op.fault(Faults::default());
        code
    }

    /// Grace is let in with these things bent.
    pub async fn let_in(&self, faults: Faults) -> VerifiedOidc {
        self.op.fault(faults);
        let verified = self.sign_in().await.expect("Grace is let in");
        self.op.fault(Faults::default());
        verified
    }
}

/// A fault that takes a member of the ID token's header away.
pub fn without_header(mut faults: Faults, name: &str) -> Faults {
    faults.id_token_header.insert(name.to_owned(), None);
    faults
}
