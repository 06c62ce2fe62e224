//! `SamlIdp`: a small identity provider over HTTP, whose behaviour a test may change between two requests.
//!
//! | path | what |
//! |---|---|
//! | `GET /` | my apps: an unsolicited response to any application that was seen or named |
//! | `GET /metadata` | the entity ID |
//! | `GET, POST /sso` | AuthnRequest by Redirect or POST |
//! | `POST /login` | the sign-in form |
//! | `GET, POST /logout` | ends the session at the IdP and at every application |
//! | `GET, POST /slo`, `/slo/answers` | logout messages of applications (`slo.rs`) |

use super::{
    Attribute, NameId, ReceivedLogout, ResponseBuilder, answer,
    metadata::IdpMetadata,
    request::{AuthnRequest, SpMetadata},
    slo::{Chain, Participant, Slo},
};
use crate::{
    people::{Org, Person},
    serving::{Bound, Running},
    sessions::{IdpSession, Sessions},
    sign::{DataEncryption, KeyKind, KeyPair, KeyTransport, SignatureAlgorithm, Signing, shared},
    xml::random_hex,
};
use anyhow::{Context, Result};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What the IdP signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Response,
    Assertion,
    Both,
    Nothing,
}

/// How an IdP begins.
pub struct Options {
    /// Port on loopback; 0 takes any free one.
    pub port: u16,
    /// Host in its URLs; `localhost` and `127.0.0.1` are different sites to a browser.
    pub host: String,
    /// Entity ID, when it is not the metadata URL (as with the big vendors).
    pub entity_id: Option<String>,
    pub org: Org,
    /// Signing key; by default an RSA-2048 one shared by the process.
    pub key: Option<KeyPair>,
    pub behaviour: Behaviour,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            host: "127.0.0.1".to_owned(),
            entity_id: None,
            org: Org::acme(),
            key: None,
            behaviour: Behaviour::default(),
        }
    }
}

/// Changes the description of a Response before it is signed.
pub type Rewrite = Arc<dyn Fn(ResponseBuilder) -> ResponseBuilder + Send + Sync>;
/// Turns a person into a NameID and attributes.
pub type Describe = Arc<dyn Fn(&Person) -> (NameId, Vec<Attribute>) + Send + Sync>;

/// How the IdP answers; may be changed while it runs.
#[derive(Clone)]
pub struct Behaviour {
    pub sign: Sign,
    /// Signature algorithm; by default SHA-256 with the key's kind.
    pub algorithm: Option<SignatureAlgorithm>,
    /// Encrypts with the certificate in the SP's metadata.
    pub encrypt: Option<(DataEncryption, KeyTransport)>,
    /// How people are described; by default e-mail NameID and `email`, `firstName`, `lastName`, `groups`.
    pub describe: Option<Describe>,
    /// The last word on every Response.
    pub rewrite: Option<Rewrite>,
    /// Refuses unsigned AuthnRequests.
    pub require_signed_requests: bool,
    /// Answers to any ACS URL, not only to this machine's.
    pub any_acs: bool,
    /// Every page waits this long.
    pub delay: Duration,
    /// Every page fails with this status.
    pub fail_with: Option<u16>,
    /// Certificates in the metadata besides the signing one (rollover).
    pub also_published: Vec<KeyPair>,
    /// How it takes part in single logout.
    pub slo: Slo,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            sign: Sign::Assertion,
            algorithm: None,
            encrypt: None,
            describe: None,
            rewrite: None,
            require_signed_requests: false,
            any_acs: false,
            delay: Duration::ZERO,
            fail_with: None,
            also_published: Vec::new(),
            slo: Slo::default(),
        }
    }
}

/// An application that the IdP can open by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub entity_id: String,
    pub acs_url: String,
}

/// The fields that the browser would post to the service provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostForm {
    pub action: String,
    pub saml_response: String,
    pub relay_state: Option<String>,
}

/// Everything behind the IdP's pages.
pub(super) struct State {
    pub org: Org,
    pub base_url: String,
    pub entity_id: String,
    pub key: Mutex<KeyPair>,
    pub behaviour: Mutex<Behaviour>,
    pub sessions: Sessions,
    /// Requests that wait for a sign-in, by the form's flow id.
    pub waiting: Mutex<HashMap<String, AuthnRequest>>,
    pub seen: Mutex<Vec<AuthnRequest>>,
    pub apps: Mutex<BTreeMap<String, App>>,
    /// Who was signed in to what, oldest first.
    pub participants: Mutex<Vec<Participant>>,
    /// Every logout message that has arrived, oldest first.
    pub logouts: Mutex<Vec<ReceivedLogout>>,
    /// Logouts under way, by RelayState.
    pub chains: Mutex<HashMap<String, Chain>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running identity provider; it stops when dropped.
pub struct SamlIdp {
    pub(super) state: Arc<State>,
    running: Running,
}

impl SamlIdp {
    /// Starts listening on loopback.
    pub async fn start(options: Options) -> Result<Self> {
        let bound = Bound::loopback(options.port).await?;
        let base_url = format!("http://{}:{}", options.host, bound.port());
        let key = match options.key {
            Some(key) => key,
            None => shared(KeyKind::Rsa2048, "fixture SAML IdP")?,
        };
        let state = Arc::new(State {
            entity_id: options.entity_id.unwrap_or_else(|| format!("{base_url}/metadata")),
            sessions: Sessions::new(bound.port()),
            base_url,
            org: options.org,
            key: Mutex::new(key),
            behaviour: Mutex::new(options.behaviour),
            waiting: Mutex::default(),
            seen: Mutex::default(),
            apps: Mutex::default(),
            participants: Mutex::default(),
            logouts: Mutex::default(),
            chains: Mutex::default(),
        });
        let running = bound.serve(answer::router(state.clone()));
        Ok(Self { state, running })
    }

    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.state.base_url
    }

    #[must_use]
    pub fn entity_id(&self) -> &str {
        &self.state.entity_id
    }

    #[must_use]
    pub fn metadata_url(&self) -> String {
        format!("{}/metadata", self.state.base_url)
    }

    #[must_use]
    pub fn sso_url(&self) -> String {
        format!("{}/sso", self.state.base_url)
    }

    /// The metadata as it is published now.
    pub fn metadata_xml(&self) -> Result<String> {
        self.state.metadata_xml()
    }

    /// The key that signs now.
    #[must_use]
    pub fn key(&self) -> KeyPair {
        lock(&self.state.key).clone()
    }

    /// Signs with another key from now on, and publishes only that one (see `Behaviour::also_published`).
    pub fn replace_key(&self, key: KeyPair) {
        *lock(&self.state.key) = key;
    }

    /// Changes how the IdP answers from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.state.behaviour));
    }

    /// Every AuthnRequest that has arrived, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<AuthnRequest> {
        lock(&self.state.seen).clone()
    }

    /// Answers a Redirect-binding sign-in URL as if this person had signed in, without a browser.
    pub async fn sign_in(&self, redirect_url: &str, who: &str) -> Result<PostForm> {
        let query = redirect_url.split_once('?').context("the URL has no query")?.1;
        let request = AuthnRequest::from_query(query)?;
        self.state.accept(&request).await?;
        self.state.answer_to(&request, &self.session_of(who)?).await
    }

    /// Makes an unsolicited response to this application.
    pub async fn open_app(&self, app: &App, who: &str, relay_state: Option<&str>) -> Result<PostForm> {
        self.state.unsolicited(app, &self.session_of(who)?, relay_state).await
    }

    /// A correct response to an AuthnRequest with this ID, to be bent further by a test.
    pub fn response(&self, sp: &str, acs_url: &str, in_response_to: &str) -> ResponseBuilder {
        ResponseBuilder::new(self.entity_id(), sp, acs_url, in_response_to, &self.key(), crate::clock::now())
    }

    /// Stops listening; later connections are refused.
    pub async fn stop(self) {
        self.running.stop().await;
    }

    fn session_of(&self, who: &str) -> Result<IdpSession> {
        let person = self.state.org.person(who).context("nobody was named")?;
        Ok(self.state.sessions.begin(person, crate::clock::now()).0)
    }
}

impl State {
    pub fn metadata_xml(&self) -> Result<String> {
        let behaviour = lock(&self.behaviour).clone();
        let mut metadata = IdpMetadata::new(&self.entity_id, &format!("{}/sso", self.base_url), &lock(&self.key));
        metadata.signing.extend(behaviour.also_published);
        metadata.want_signed_requests = behaviour.require_signed_requests;
        behaviour.slo.publish(&mut metadata, &self.base_url);
        metadata.to_xml()
    }

    /// Checks a request and remembers it; an error is a reason for a person to read.
    pub async fn accept(&self, request: &AuthnRequest) -> Result<()> {
        let behaviour = lock(&self.behaviour).clone();
        lock(&self.seen).push(request.clone());
        let acs_url = self.acs_of(request).await?;
        anyhow::ensure!(behaviour.any_acs || crate::fetch::is_loopback(&acs_url), "{acs_url} is not on this machine");
        if request.signature == super::request::RequestSignature::Absent {
            anyhow::ensure!(!behaviour.require_signed_requests, "unsigned requests are refused here");
        } else {
            request.verify_signature(&self.sp_metadata(&request.issuer).await?.signing)?;
        }
        let app = App { entity_id: request.issuer.clone(), acs_url };
        lock(&self.apps).insert(app.entity_id.clone(), app);
        Ok(())
    }

    async fn acs_of(&self, request: &AuthnRequest) -> Result<String> {
        if let Some(url) = &request.acs_url {
            return Ok(url.clone());
        }
        let metadata = self.sp_metadata(&request.issuer).await?;
        metadata.acs_urls.first().cloned().context("the SP metadata names no AssertionConsumerService")
    }

    /// The SP's metadata from its entity ID, which is its metadata URL.
    pub async fn sp_metadata(&self, entity_id: &str) -> Result<SpMetadata> {
        SpMetadata::parse(&crate::fetch::text(entity_id).await?)
    }

    pub async fn answer_to(&self, request: &AuthnRequest, session: &IdpSession) -> Result<PostForm> {
        let acs_url = self.acs_of(request).await?;
        let mut response = self.describe(&request.issuer, &acs_url, &request.id, session);
        if let Some(class) = request.requested_contexts.first() {
            for statement in &mut response.authn_statements {
                statement.class.clone_from(class);
            }
        }
        self.finish(response, &request.issuer, acs_url, request.relay_state.clone()).await
    }

    pub async fn unsolicited(&self, app: &App, session: &IdpSession, relay: Option<&str>) -> Result<PostForm> {
        let response = self.describe(&app.entity_id, &app.acs_url, "", session).unsolicited();
        self.finish(response, &app.entity_id, app.acs_url.clone(), relay.map(str::to_owned)).await
    }

    fn describe(&self, sp: &str, acs_url: &str, in_response_to: &str, session: &IdpSession) -> ResponseBuilder {
        let behaviour = lock(&self.behaviour).clone();
        let key = lock(&self.key).clone();
        let (name_id, attributes) = match &behaviour.describe {
            Some(describe) => describe(&session.person),
            None => plain_description(&session.person),
        };
        lock(&self.participants).push(Participant {
            sp: sp.to_owned(),
            username: session.person.username.clone(),
            name_id: name_id.clone(),
            session_index: session.index.clone(),
        });
        let mut signing = Signing::with(key.clone());
        if let Some(algorithm) = behaviour.algorithm {
            signing = signing.algorithm(algorithm);
        }
        let on_response = matches!(behaviour.sign, Sign::Response | Sign::Both).then(|| signing.clone());
        let on_assertion = matches!(behaviour.sign, Sign::Assertion | Sign::Both).then_some(signing);
        ResponseBuilder::new(&self.entity_id, sp, acs_url, in_response_to, &key, crate::clock::now())
            .about(name_id, attributes)
            .signed(on_response, on_assertion)
            .with(|response| {
                for statement in &mut response.authn_statements {
                    statement.instant = session.signed_in_at;
                    statement.session_index = Some(session.index.clone());
                }
            })
    }

    async fn finish(
        &self,
        mut response: ResponseBuilder,
        sp: &str,
        action: String,
        relay_state: Option<String>,
    ) -> Result<PostForm> {
        let behaviour = lock(&self.behaviour).clone();
        if let Some((data, transport)) = behaviour.encrypt {
            let metadata = self.sp_metadata(sp).await?;
            let recipient = metadata.encryption.first().context("the SP metadata has no key to encrypt for")?;
            let encryption = crate::sign::Encryption::to(recipient.clone()).data(data).key_transport(transport);
            response.encryption = Some(encryption);
        }
        if let Some(rewrite) = behaviour.rewrite {
            response = rewrite(response);
        }
        Ok(PostForm { action, saml_response: response.build()?.base64, relay_state })
    }

    /// Remembers a request until somebody has signed in, under a fresh flow id.
    pub fn wait_for_sign_in(&self, request: AuthnRequest) -> String {
        let flow = random_hex(16);
        lock(&self.waiting).insert(flow.clone(), request);
        flow
    }
}

/// What a freshly configured SAML app sends at many vendors.
fn plain_description(person: &Person) -> (NameId, Vec<Attribute>) {
    let mut attributes = vec![
        Attribute::new("email", [person.email.as_str()]),
        Attribute::new("firstName", [person.first_name.as_str()]),
        Attribute::new("lastName", [person.last_name.as_str()]),
    ];
    if !person.groups.is_empty() {
        attributes.push(Attribute::new("groups", person.groups.iter().map(String::as_str)));
    }
    for (name, value) in &person.extra {
        let values: Vec<&str> = match value {
            serde_json::Value::Array(values) => values.iter().filter_map(serde_json::Value::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        if !values.is_empty() {
            attributes.push(Attribute::new(name, values));
        }
    }
    (NameId::email(&person.email), attributes)
}
