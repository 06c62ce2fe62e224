//! `OidcOp`: the provider's state, its handle for tests, discovery and keys.

use super::{
    authorize,
    clients::Client,
    faults::{Endpoint, Failure, Faults, bend},
    jose::{Algorithm, SigningKey},
    logout,
    token::{self, Grant},
};
use crate::{
    pages,
    people::{Org, Person},
    serving::{Bound, Running},
    sessions::Sessions,
    sign::{KeyPair, shared},
};
use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::Body,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How a provider begins.
pub struct Options {
    /// Port on loopback; 0 takes any free one.
    pub port: u16,
    /// Host in its URLs.
    pub host: String,
    pub org: Org,
    pub clients: Vec<Client>,
    pub algorithm: Algorithm,
    /// Signing key; by default one shared by the process.
    pub key: Option<KeyPair>,
    pub behaviour: Behaviour,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            host: "127.0.0.1".to_owned(),
            org: Org::globex(),
            clients: vec![Client::with_secret("usher", "usher-demo-secret"), Client::public("usher-public")],
            algorithm: Algorithm::Rs256,
            key: None,
            behaviour: Behaviour::default(),
        }
    }
}

/// Turns a person into claims beside `sub`.
pub type Describe = Arc<dyn Fn(&Person) -> Map<String, Value> + Send + Sync>;

/// How the provider answers; may be changed while it runs.
#[derive(Clone)]
pub struct Behaviour {
    /// Puts the profile claims into the ID token.
    pub claims_in_id_token: bool,
    /// Puts them into userinfo.
    pub claims_in_userinfo: bool,
    /// Announces and sends the `iss` parameter (RFC 9207).
    pub iss_parameter: bool,
    /// How people are described; by default the standard claims and `groups`.
    pub describe: Option<Describe>,
    /// The `sub` in place of the person's own, for vendors that make it pairwise.
    pub subject: Option<String>,
    pub faults: Faults,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            claims_in_id_token: true,
            claims_in_userinfo: true,
            iss_parameter: true,
            describe: None,
            subject: None,
            faults: Faults::default(),
        }
    }
}

pub(super) struct State {
    pub org: Org,
    pub issuer: String,
    pub clients: Mutex<Vec<Client>>,
    /// Published keys; the last one signs.
    pub keys: Mutex<Vec<SigningKey>>,
    pub behaviour: Mutex<Behaviour>,
    pub sessions: Sessions,
    pub waiting: Mutex<HashMap<String, authorize::Authorization>>,
    pub codes: Mutex<HashMap<String, Grant>>,
    pub access_tokens: Mutex<HashMap<String, Grant>>,
    pub assertions_seen: Mutex<Vec<String>>,
    pub token_auth_methods: Mutex<Vec<&'static str>>,
    /// The relying parties of each session.
    pub parties: Mutex<HashMap<String, Vec<logout::Party>>>,
    /// Sessions by their first sign-in to a relying party.
    pub signed_in: Mutex<Vec<String>>,
    /// What relying parties answered to logout tokens.
    pub told: Mutex<Vec<u16>>,
    hits: Mutex<HashMap<Endpoint, usize>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running OpenID provider; it stops when dropped.
pub struct OidcOp {
    state: Arc<State>,
    running: Running,
}

impl OidcOp {
    /// Starts listening on loopback.
    pub async fn start(options: Options) -> Result<Self> {
        let bound = Bound::loopback(options.port).await?;
        let pair = match options.key {
            Some(pair) => pair,
            None => shared(options.algorithm.key_kind(), "fixture OpenID provider")?,
        };
        let state = Arc::new(State {
            issuer: format!("http://{}:{}", options.host, bound.port()),
            org: options.org,
            clients: Mutex::new(options.clients),
            keys: Mutex::new(vec![SigningKey::new(options.algorithm, pair)?]),
            behaviour: Mutex::new(options.behaviour),
            sessions: Sessions::new(bound.port()),
            waiting: Mutex::default(),
            codes: Mutex::default(),
            access_tokens: Mutex::default(),
            assertions_seen: Mutex::default(),
            token_auth_methods: Mutex::default(),
            parties: Mutex::default(),
            signed_in: Mutex::default(),
            told: Mutex::default(),
            hits: Mutex::default(),
        });
        let running = bound.serve(router(state.clone()));
        Ok(Self { state, running })
    }

    /// The issuer, which is also the base URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Makes another relying party known (or replaces the one with this id).
    pub fn register(&self, client: Client) {
        let mut clients = lock(&self.state.clients);
        clients.retain(|known| known.id != client.id);
        clients.push(client);
    }

    /// Changes how the provider answers from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.state.behaviour));
    }

    /// Makes these things wrong, and nothing else.
    pub fn fault(&self, faults: Faults) {
        self.behave(|behaviour| behaviour.faults = faults);
    }

    /// Signs with a new key from now on; `keep_old` publishes the former ones beside it.
    pub fn rotate_key(&self, algorithm: Algorithm, keep_old: bool) -> Result<()> {
        let pair = KeyPair::generate(algorithm.key_kind(), "fixture OpenID provider, rotated")?;
        let key = SigningKey::new(algorithm, pair)?;
        let mut keys = lock(&self.state.keys);
        if !keep_old {
            keys.clear();
        }
        keys.push(key);
        Ok(())
    }

    /// The key that signs now, for tokens of a test's own making.
    pub fn signing_key(&self) -> Result<SigningKey> {
        self.state.signing_key()
    }

    /// How often an endpoint was asked.
    #[must_use]
    pub fn hits(&self, endpoint: Endpoint) -> usize {
        lock(&self.state.hits).get(&endpoint).copied().unwrap_or_default()
    }

    /// How clients authenticated at the token endpoint, oldest first, under the names of discovery.
    #[must_use]
    pub fn token_auth_methods(&self) -> Vec<&'static str> {
        lock(&self.state.token_auth_methods).clone()
    }

    /// Answers an authorization URL as if this person had signed in: the callback's address for `query`, or its
    /// address and form fields for `form_post`.
    pub fn sign_in(&self, authorize_url: &str, who: &str) -> Result<Callback> {
        let query = authorize_url.split_once('?').context("the URL has no query")?.1;
        let asked = authorize::Authorization::from_query(query);
        asked.client(&self.state).map_err(anyhow::Error::msg)?;
        let person = self.state.org.person(who).context("nobody was named")?;
        let (session, _) = self.state.sessions.begin(person, crate::clock::now());
        Ok(authorize::callback_of(&self.state, &asked, &session))
    }

    /// Answers an authorization URL as the session of an earlier sign-in does.
    pub fn sign_in_again(&self, authorize_url: &str, sid: &str) -> Result<Callback> {
        let query = authorize_url.split_once('?').context("the URL has no query")?.1;
        let asked = authorize::Authorization::from_query(query);
        let session = self.state.sessions.with_index(sid).context("no such session")?;
        Ok(authorize::callback_of(&self.state, &asked, &session))
    }

    /// The session indexes (`sid`) that have signed somebody in to a relying party, oldest sign-in first.
    #[must_use]
    pub fn sids(&self) -> Vec<String> {
        lock(&self.state.signed_in).clone()
    }

    /// Ends a session at the provider and tells its relying parties; their answers' status codes.
    pub async fn end_session(&self, sid: &str) -> Vec<u16> {
        self.state.sessions.end_index(sid);
        logout::tell_everybody(&self.state, sid).await
    }

    /// A logout token for a client, bent by the faults.
    pub fn logout_token(&self, client_id: &str, sub: Option<&str>, sid: Option<&str>) -> Result<String> {
        logout::token(&self.state, client_id, sub, sid)
    }

    /// What relying parties answered to logout tokens, oldest first.
    #[must_use]
    pub fn told(&self) -> Vec<u16> {
        lock(&self.state.told).clone()
    }

    /// Stops listening; later connections are refused.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// The authorization response as the browser carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub redirect_uri: String,
    pub form_post: bool,
    pub parameters: Vec<(String, String)>,
}

impl Callback {
    /// The address with its query.
    #[must_use]
    pub fn url(&self) -> String {
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", self.redirect_uri, self.encoded())
    }

    /// The parameters form-encoded.
    #[must_use]
    pub fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish()
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/login") }))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/login", get(authorize::login_page).post(authorize::login))
        .route("/token", post(token::exchange))
        .route("/userinfo", get(token::userinfo).post(token::userinfo))
        .route("/logout", get(logout::by_query).post(logout::by_form))
        .route("/static/fixture.css", get(|Shared(op): Shared<Arc<State>>| async move { pages::style(&op.org) }))
        .route("/static/submit.js", get(|| async { pages::submit_script() }))
        .with_state(state)
}

impl State {
    pub fn signing_key(&self) -> Result<SigningKey> {
        lock(&self.keys).last().cloned().context("the provider has no key")
    }

    /// Counts a visit and fails in the way that a test asked for.
    pub async fn visit(&self, endpoint: Endpoint) -> Option<Response> {
        *lock(&self.hits).entry(endpoint).or_default() += 1;
        let failure = lock(&self.behaviour).faults.failures.get(&endpoint).cloned()?;
        fail(failure).await
    }

    fn discovery(&self) -> Map<String, Value> {
        let behaviour = lock(&self.behaviour).clone();
        let issuer = &self.issuer;
        let algorithms: Vec<_> = lock(&self.keys).iter().map(|key| key.algorithm.name()).collect();
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "end_session_endpoint": format!("{issuer}/logout"),
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "scopes_supported": ["openid", "profile", "email", "groups"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": ["urn:fixture:password", "urn:fixture:mfa"],
            "claims_supported": ["sub", "email", "email_verified", "name", "given_name", "family_name", "groups"],
            "authorization_response_iss_parameter_supported": behaviour.iss_parameter,
        });
        let mut document = document.as_object().cloned().unwrap_or_default();
        bend(&mut document, &behaviour.faults.discovery);
        document
    }

    fn jwks(&self) -> Result<Value> {
        let faults = lock(&self.behaviour).faults.clone();
        let mut keys = Vec::new();
        for key in lock(&self.keys).iter() {
            keys.push(key.jwk()?);
        }
        for number in 0..faults.decoy_keys {
            let mut decoy = keys.first().cloned().context("the provider has no key")?;
            decoy["kid"] = json!(format!("decoy-{number}"));
            keys.push(decoy);
        }
        if faults.anonymous_keys {
            for key in keys.iter_mut().filter_map(Value::as_object_mut) {
                key.remove("kid");
            }
        }
        Ok(json!({ "keys": keys }))
    }
}

async fn discovery(Shared(op): Shared<Arc<State>>) -> Response {
    match op.visit(Endpoint::Discovery).await {
        Some(failure) => failure,
        None => Json(op.discovery()).into_response(),
    }
}

async fn jwks(Shared(op): Shared<Arc<State>>) -> Response {
    if let Some(failure) = op.visit(Endpoint::Jwks).await {
        return failure;
    }
    match op.jwks() {
        Ok(keys) => Json(keys).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Answers wrongly, or `None` to go on rightly.
async fn fail(failure: Failure) -> Option<Response> {
    let status = |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match failure {
        Failure::Status(code) => Some((status(code), "out of order").into_response()),
        Failure::Body { status: code, content_type, body } => {
            Some((status(code), [(header::CONTENT_TYPE, content_type)], body).into_response())
        }
        Failure::Slow(delay) => {
            tokio::time::sleep(delay).await;
            None
        }
        Failure::Hang => std::future::pending().await,
        Failure::Drip => Some(drip().into_response()),
        Failure::Huge(bytes) => Some(([(header::CONTENT_TYPE, "application/json")], " ".repeat(bytes)).into_response()),
        Failure::Redirect(to) => Some(Redirect::temporary(&to).into_response()),
    }
}

/// A body that sends a space a second and never ends.
fn drip() -> Body {
    Body::from_stream(futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(" "), ()))
    }))
}
