//! Single logout by SAML: the identity provider is asked to end its session, and ours end when it asks. The messages are
//! read and made in `saml/logout/`; here is what follows from them.
//!
//! | the identity provider sends | what follows |
//! |---|---|
//! | a request | the sessions of that subject that it names end, at every client; a signed answer goes back |
//! | a request about a session of somebody else | nothing ends; the answer says so |
//! | an answer | the pending logout is taken, and its learner reads how far it went |
//!
//! Invariants: no cookie is asked for, since the browser may bring none from another site; the keys are those that the
//! connection has now; a request is good once.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use super::{
    begin::{self, Departure},
    identity::LogoutHint,
    logout::{self, Outcome, Request},
    reason::Stop,
    saml::{
        SamlError,
        logout::{
            Kind, LogoutExpectation, LogoutMessage, LogoutRequest, LogoutResponse, LogoutStatus, Reach, Received, Says,
            sign_posted, verify_request, verify_response,
        },
        request_id,
    },
    store,
    trail::Trail,
    verify,
};
use crate::{
    app::App,
    cache::Key,
    connections::{self, Binding, ConnectionFacts, saml_metadata::Endpoint},
    crypto,
    fault::Fault,
    http::Reference,
    sessions::{self, EndOf, IdpSession},
};

/// A connection whose metadata is read anew for an unknown key is tried once more.
const ROUNDS: usize = 2;

/// What follows from a message of the identity provider.
pub enum Heard {
    /// The browser carries our answer back.
    Answer(Departure),
    /// The sessions are over, and the identity provider takes no answer.
    Over,
    /// Our own logout has come back; where its learner reads how it went.
    Back(String),
}

/// Why a message has no effect.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// It is not to be believed, or not any more; a stable code.
    #[error("{0}")]
    Refused(String),
    /// It answers no logout that waits.
    #[error("no logout waits for this answer")]
    NotAwaited,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Stop> for Unheard {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(reason) => Self::Refused(reason.code.replacen("login.", "logout.", 1)),
            Stop::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<SamlError> for Unheard {
    fn from(error: SamlError) -> Self {
        Self::Refused(error.logout_code())
    }
}

impl From<crate::cache::CacheError> for Unheard {
    fn from(error: crate::cache::CacheError) -> Self {
        Self::Fault(error.into())
    }
}

/// The request to the identity provider of a session that ended here; none where it offers no single logout, or is another
/// one by now, or never said whom its session is of.
pub(super) async fn ask(
    app: &App,
    connection: &ConnectionFacts,
    idp: &IdpSession,
    hint: Option<LogoutHint>,
    handle: &str,
    now: DateTime<Utc>,
) -> Result<Option<Request>, Fault> {
    let Some(LogoutHint::Saml { name_id, session_index }) = hint else { return Ok(None) };
    let Some(facts) = connection.saml.as_ref().filter(|facts| idp.is_of(&facts.idp.entity_id)) else {
        return Ok(None);
    };
    let Some(endpoint) = endpoint(&facts.idp.slo, facts.config.binding) else { return Ok(None) };
    let id = request_id(&app.entropy.bytes());
    let says = Says::Request { name_id: &name_id, session_index: session_index.as_deref() };
    let to = (endpoint.binding, endpoint.location.as_str());
    let departure = depart(app, connection, to, (&id, says), Some(handle), now).await?;
    Ok(Some(Request { departure, request_id: Some(id) }))
}

/// Takes a message that arrived at a connection's address for logouts.
pub async fn hear(
    app: &App,
    connection: &ConnectionFacts,
    received: Received,
    reference: &Reference,
    now: DateTime<Utc>,
) -> Result<Heard, Unheard> {
    let (kind, relay_state) = (received.kind, received.relay_state.clone());
    let binding = if received.is_redirect() { Binding::Redirect } else { Binding::Post };
    let received = Arc::new(received);
    match kind {
        Kind::Request => {
            let (request, connection) = verified(app, connection, received, verify_request, (reference, now)).await?;
            let status = match end(app, &connection, &request, reference, now).await {
                Ok(status) => status,
                // A chain of logouts must not break here: the identity provider tells its user that not all are over.
                Err(Unheard::Fault(fault)) => {
                    tracing::error!(error = %fault, connection.id = %connection.id, "sessions could not be ended");
                    LogoutStatus::Failed
                }
                Err(refused) => return Err(refused),
            };
            answer(app, &connection, &request, status, (binding, relay_state.as_deref()), now).await
        }
        Kind::Response => {
            let (response, connection) = verified(app, connection, received, verify_response, (reference, now)).await?;
            back(app, &connection, &response, relay_state.as_deref()).await
        }
    }
}

/// Verifies on a blocking thread, against the connection as PostgreSQL has it now.
async fn verified<T: Send + 'static>(
    app: &App,
    connection: &ConnectionFacts,
    received: Arc<Received>,
    verify: fn(&Received, &LogoutExpectation<'_>, &mut Trail) -> Result<T, SamlError>,
    (reference, now): (&Reference, DateTime<Utc>),
) -> Result<(T, Arc<ConnectionFacts>), Unheard> {
    let gone = || Unheard::Refused("logout.connection.closed".to_owned());
    let version = store::version(&app.db, connection.owner, connection.id).await?.ok_or_else(gone)?;
    let mut connection = app.connections.at_version(app, connection.id, version).await?.ok_or_else(gone)?;
    for round in 1..=ROUNDS {
        if connection.is_metadata_expired(now) {
            return Err(Unheard::Refused("logout.saml.metadata_expired".to_owned()));
        }
        let decryption_keys = match received.is_encrypted() {
            true => verify::decryption_keys(app, &connection).await?,
            false => Vec::new(),
        };
        let slo_url = connections::urls::slo(&app.settings, connection.id);
        let (facts, message) = (connection.clone(), received.clone());
        let work = move || {
            let saml = facts.saml.as_ref()?;
            let expectation = LogoutExpectation {
                idp_entity_id: &saml.idp.entity_id,
                certificates: saml.certificates(),
                allow_sha1: saml.config.allow_sha1,
                slo_url: &slo_url,
                decryption_keys: &decryption_keys,
                clock_skew: facts.clock_skew,
                now,
            };
            Some(verify(&message, &expectation, &mut Trail::new()))
        };
        let error = match app.verify.run(work).await?.ok_or_else(gone)? {
            Ok(verified) => return Ok((verified, connection)),
            Err(error) => error,
        };
        match verify::reread(app, &connection, error.code(), now).await? {
            Some(fresh) if round < ROUNDS => connection = fresh,
            _ => {
                tracing::info!(connection.id = %connection.id, reference = %reference, %error, "logout message refused");
                return Err(error.into());
            }
        }
    }
    Err(gone())
}

/// Ends what a verified request names. The same request again is refused (SAML profiles 4.4.4.1 leaves the defence to us).
async fn end(
    app: &App,
    connection: &ConnectionFacts,
    request: &LogoutRequest,
    reference: &Reference,
    now: DateTime<Utc>,
) -> Result<LogoutStatus, Unheard> {
    let (owner, id) = (connection.owner, connection.id);
    let digest = URL_SAFE_NO_PAD.encode(crypto::sha256(request.id.as_bytes()));
    let seen = Key::of_client(owner, "logout-request", format_args!("{id}:{digest}"));
    let left = (request.valid_until - now).to_std().unwrap_or_default().max(std::time::Duration::from_secs(1));
    if !app.cache.put_new(&seen, b"1", left).await? {
        return Err(Unheard::Refused("logout.saml.replayed".to_owned()));
    }
    let (issuer, subject) = (request.issuer.as_str(), request.name_id.value.as_str());
    // By value alone, as an identity is found: products leave out qualifiers that they had sent, or send more.
    let end_of = |session| EndOf { issuer, subject: Some(subject), session, issued_at: request.issued_at };
    for session in &request.session_indexes {
        if sessions::is_of_another(app, owner, id, &end_of(Some(session.as_str()))).await? {
            logout::refused(app, connection, "logout.saml.unknown_principal", reference, now).await?;
            return Ok(LogoutStatus::UnknownPrincipal);
        }
    }
    let reference = Some(reference.as_str());
    if request.session_indexes.is_empty() {
        sessions::end_of_idp(app, owner, id, &end_of(None), reference, now).await?;
    }
    for session in &request.session_indexes {
        sessions::end_of_idp(app, owner, id, &end_of(Some(session.as_str())), reference, now).await?;
    }
    Ok(LogoutStatus::Success)
}

/// Our answer, by the binding by which the request came where the identity provider takes answers so (SAML metadata 2.2.2:
/// at the ResponseLocation, where it names one).
async fn answer(
    app: &App,
    connection: &ConnectionFacts,
    request: &LogoutRequest,
    status: LogoutStatus,
    (binding, relay_state): (Binding, Option<&str>),
    now: DateTime<Utc>,
) -> Result<Heard, Unheard> {
    let offered = connection.saml.as_ref().map(|facts| facts.idp.slo.as_slice()).unwrap_or_default();
    let Some(endpoint) = endpoint(offered, binding) else { return Ok(Heard::Over) };
    let location = endpoint.response_location.as_ref().unwrap_or(&endpoint.location);
    let id = request_id(&app.entropy.bytes());
    let says = Says::Response { in_response_to: &request.id, status };
    let departure = depart(app, connection, (endpoint.binding, location), (&id, says), relay_state, now).await?;
    Ok(Heard::Answer(departure))
}

/// The answer to a request of ours.
async fn back(
    app: &App,
    connection: &ConnectionFacts,
    response: &LogoutResponse,
    handle: Option<&str>,
) -> Result<Heard, Unheard> {
    let handle = handle.ok_or(Unheard::NotAwaited)?;
    let pending = logout::take(app, connection, handle).await?.ok_or(Unheard::NotAwaited)?;
    if pending.request_id.as_deref() != Some(response.in_response_to.as_str()) {
        return Err(SamlError::InResponseTo.into());
    }
    let outcome = match &response.reach {
        Reach::Everywhere => Outcome::Everywhere,
        Reach::Partly => Outcome::Partly,
        Reach::Refused(status) => {
            tracing::info!(connection.id = %connection.id, status, "the identity provider refused a logout");
            Outcome::Unanswered
        }
    };
    Ok(Heard::Back(logout::conclude(app, &pending, handle, outcome).await?))
}

/// The endpoint for the wanted binding, or the other one where the identity provider offers only that.
fn endpoint(offered: &[Endpoint], wanted: Binding) -> Option<&Endpoint> {
    offered.iter().find(|endpoint| endpoint.binding == wanted).or_else(|| offered.first())
}

/// Sends a message of ours, always signed.
async fn depart(
    app: &App,
    connection: &ConnectionFacts,
    (binding, location): (Binding, &str),
    (id, says): (&str, Says<'_>),
    relay_state: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Departure, Fault> {
    let key = begin::signing_key(app, connection).await?;
    let sp_entity_id = connections::urls::entity_id(&app.settings, connection.id);
    let message = LogoutMessage { id, issue_instant: now, destination: location, sp_entity_id: &sp_entity_id, says };
    let unusable = |_| Fault::Corrupt("a signing key does not sign".into());
    match binding {
        Binding::Redirect => {
            let url = message.redirect_url(relay_state, &key).map_err(unusable)?;
            Ok(Departure::Redirect(begin::parse(&url)?))
        }
        Binding::Post => {
            let template = message.template();
            let value = app.verify.run(move || sign_posted(&template, &key)).await?.map_err(unusable)?;
            let mut fields = vec![(message.parameter(), value)];
            fields.extend(relay_state.map(|state| ("RelayState", state.to_owned())));
            Ok(Departure::Post { action: begin::parse(location)?, fields })
        }
    }
}
