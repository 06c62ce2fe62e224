//! From what arrived to a verified logout request or answer: limits and structure, signature, meaning.

use chrono::{DateTime, Duration, Utc};
use roxmltree::Node;

use super::{
    query,
    received::{Kind, LIMITS, Received, Signed},
    screen::{self, Screened},
};
use crate::{
    connections::saml_metadata::{TrustedCertificate, xml},
    login::{
        saml::{
            checks::{ENTITY, SUCCESS},
            decrypt,
            error::{SamlError, shown},
            keys::DecryptionKey,
            model::{NS_ASSERTION, NS_PROTOCOL, NameId, child, children, status_codes, text_of},
            response::tree_of,
            signature::{self, Trust},
            subject,
            times::{self, Moment},
        },
        trail::Trail,
    },
};

const PARTIAL_LOGOUT: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
/// A logout message is made and sent in one moment; this leaves room for slow chains of applications.
const MAX_AGE: Duration = Duration::minutes(10);
/// A session has one or two.
const MAX_SESSION_INDEXES: usize = 50;
const MAX_SESSION_INDEX_CHARS: usize = 1024;

/// Everything a logout message must agree with. No field is optional by omission.
#[derive(Debug, Clone, Copy)]
pub struct LogoutExpectation<'a> {
    /// The entity ID of the connection's identity provider.
    pub idp_entity_id: &'a str,
    /// The certificates of the connection's configuration, and of nothing else. None of them: refused.
    pub certificates: &'a [TrustedCertificate],
    /// An operator's flag for old identity providers.
    pub allow_sha1: bool,
    /// Destination must be exactly this.
    pub slo_url: &'a str,
    pub decryption_keys: &'a [DecryptionKey],
    pub clock_skew: Duration,
    pub now: DateTime<Utc>,
}

/// A request after every check; read from verified bytes only. Whether it was seen before is for the caller to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutRequest {
    pub id: String,
    /// The identity provider's entity ID.
    pub issuer: String,
    pub name_id: NameId,
    /// Which sessions of the subject end; none means all.
    pub session_indexes: Vec<String>,
    pub issued_at: DateTime<Utc>,
    /// Until then (clock skew included) the same request would be accepted again, so its ID has to be remembered as long.
    pub valid_until: DateTime<Utc>,
}

/// An answer after every check. Whether we asked is for the caller to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutResponse {
    /// The request of ours that it answers.
    pub in_response_to: String,
    pub reach: Reach,
}

/// How far a logout came at the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// There, and at every application that it knows of.
    Everywhere,
    /// There, but not everywhere (SAML core 3.2.2.2, PartialLogout).
    Partly,
    /// It refused; its status codes, for an admin.
    Refused(String),
}

/// Verifies a request for logout. Costs C code where it was posted: not for the async threads.
pub fn verify_request(
    received: &Received,
    expectation: &LogoutExpectation<'_>,
    trail: &mut Trail,
) -> Result<LogoutRequest, SamlError> {
    with_verified(received, Kind::Request, expectation, trail, |message, trail| {
        let (issued_at, latest) = trail.outcome("saml.issue_instant", issue_instant(message, expectation))?;
        let end = trail.outcome("saml.not_on_or_after", not_on_or_after(message, expectation))?;
        Ok(LogoutRequest {
            id: message.attribute("ID").unwrap_or_default().to_owned(),
            issuer: expectation.idp_entity_id.to_owned(),
            name_id: trail.outcome("saml.name_id", name_id(message, expectation))?,
            session_indexes: trail.outcome("saml.session_index", session_indexes(message))?,
            issued_at,
            valid_until: end.map_or(latest, |end| end.min(latest)) + expectation.clock_skew,
        })
    })
}

/// Verifies an answer to a request of ours.
pub fn verify_response(
    received: &Received,
    expectation: &LogoutExpectation<'_>,
    trail: &mut Trail,
) -> Result<LogoutResponse, SamlError> {
    with_verified(received, Kind::Response, expectation, trail, |message, trail| {
        trail.outcome("saml.issue_instant", issue_instant(message, expectation))?;
        let in_response_to = message.attribute("InResponseTo").filter(|id| !id.is_empty()).map(str::to_owned);
        Ok(LogoutResponse {
            in_response_to: trail.outcome("saml.in_response_to", in_response_to.ok_or(SamlError::InResponseTo))?,
            reach: trail.outcome("saml.status", reach(message))?,
        })
    })
}

/// What both have in common, up to the meaning of each.
fn with_verified<T>(
    received: &Received,
    kind: Kind,
    expectation: &LogoutExpectation<'_>,
    trail: &mut Trail,
    read: impl FnOnce(Node<'_, '_>, &mut Trail) -> Result<T, SamlError>,
) -> Result<T, SamlError> {
    if received.kind != kind {
        return Err(SamlError::Structure("it is not the logout message that was expected"));
    }
    let text = trail.outcome("saml.limits", xml::text_of(&received.xml, &LIMITS)).map_err(SamlError::from)?;
    let screened = trail.outcome("saml.structure", screen::screen(text, kind))?;
    let verified = verified_text(received, text, &screened, expectation, trail)?;
    let tree = tree_of(&verified)?;
    let message = tree.root_element();
    // The engine must have digested the very element that was screened; its name was checked there.
    if message.attribute("ID") != Some(screened.id.as_str()) || message.tag_name().namespace() != Some(NS_PROTOCOL) {
        return Err(SamlError::Structure("the signature covers something else than the message"));
    }
    trail.outcome("saml.version", version(message))?;
    trail.outcome("saml.issuer", issuer(message, expectation))?;
    trail.outcome("saml.destination", destination(message, expectation))?;
    read(message, trail)
}

/// The bytes that the signature covers: of a Redirect all that was inflated, of a POST what the engine digested.
fn verified_text(
    received: &Received,
    text: &str,
    screened: &Screened,
    expectation: &LogoutExpectation<'_>,
    trail: &mut Trail,
) -> Result<String, SamlError> {
    let LogoutExpectation { certificates, allow_sha1, now, .. } = *expectation;
    let trust = Trust { certificates, allow_sha1, now };
    match (&received.signed, &screened.signature) {
        // SAML bindings 3.4.4.1: a message by Redirect carries no signature inside.
        (Signed::Query(_), Some(_)) => Err(SamlError::Structure("a message by Redirect is signed inside")),
        (Signed::Query(Some(signature)), None) => {
            trail.passed("saml.signed");
            query::verify(signature, trust, trail)?;
            Ok(text.to_owned())
        }
        (Signed::Document, Some(signature)) => {
            trail.passed("saml.signed");
            signature::verify(text, std::slice::from_ref(signature), trust, trail)
        }
        (Signed::Query(None) | Signed::Document, None) => trail.outcome("saml.signed", Err(SamlError::Unsigned)),
    }
}

fn version(message: Node<'_, '_>) -> Result<(), SamlError> {
    match message.attribute("Version") {
        Some("2.0") => Ok(()),
        found => Err(SamlError::Version { found: shown(found.unwrap_or("none")) }),
    }
}

/// SAML profiles 4.4.4.1 and 4.4.4.2: there, and the connection's identity provider.
fn issuer(message: Node<'_, '_>, expectation: &LogoutExpectation<'_>) -> Result<(), SamlError> {
    let node = child(message, NS_ASSERTION, "Issuer");
    let found = node.map(text_of).unwrap_or_default();
    let right_format = node.and_then(|n| n.attribute("Format")).is_none_or(|format| format == ENTITY);
    if found == expectation.idp_entity_id && right_format {
        return Ok(());
    }
    Err(SamlError::Issuer { expected: expectation.idp_entity_id.to_owned(), found: shown(&found) })
}

/// A signed message names where it was sent (SAML bindings 3.4.5.2 and 3.5.5.2).
fn destination(message: Node<'_, '_>, expectation: &LogoutExpectation<'_>) -> Result<(), SamlError> {
    match message.attribute("Destination") {
        Some(found) if found == expectation.slo_url => Ok(()),
        found => Err(SamlError::Destination {
            expected: expectation.slo_url.to_owned(),
            found: shown(found.unwrap_or("none")),
        }),
    }
}

fn moment(expectation: &LogoutExpectation<'_>) -> Moment {
    Moment { now: expectation.now, clock_skew: expectation.clock_skew }
}

/// When it was issued, and when it is too old.
fn issue_instant(
    message: Node<'_, '_>,
    expectation: &LogoutExpectation<'_>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), SamlError> {
    let what = "the logout message was issued at";
    let at = times::required(message.attribute("IssueInstant"), "IssueInstant")?;
    moment(expectation).not_future(what, at)?;
    let latest = at + MAX_AGE;
    if expectation.now > latest + expectation.clock_skew {
        return Err(moment(expectation).expired(what, at));
    }
    Ok((at, latest))
}

/// Optional (SAML core 3.7.1), and never past.
fn not_on_or_after(
    message: Node<'_, '_>,
    expectation: &LogoutExpectation<'_>,
) -> Result<Option<DateTime<Utc>>, SamlError> {
    let end = times::optional(message.attribute("NotOnOrAfter"), "NotOnOrAfter")?;
    if let Some(end) = end {
        moment(expectation).not_over("the logout request ended at", end)?;
    }
    Ok(end)
}

fn name_id(message: Node<'_, '_>, expectation: &LogoutExpectation<'_>) -> Result<NameId, SamlError> {
    if let Some(plain) = child(message, NS_ASSERTION, "NameID") {
        return subject::name_id(plain);
    }
    let encrypted = child(message, NS_ASSERTION, "EncryptedID").ok_or(SamlError::NameId("there is no NameID"))?;
    // The request around it is signed, so that even CBC cannot be played with.
    let opened = decrypt::open(encrypted, expectation.decryption_keys, true)?;
    let text = xml::text_of(&opened.plaintext, &LIMITS).map_err(|_| SamlError::Decryption)?;
    let needed = xml::walk(text, &LIMITS, &opened.around, &mut xml::FormOnly)?;
    let alone = decrypt::standing_alone(text, &needed);
    let tree = tree_of(&alone)?;
    let node = tree.root_element();
    if !node.has_tag_name((NS_ASSERTION, "NameID")) {
        return Err(SamlError::NameId("what was encrypted is not a NameID"));
    }
    subject::name_id(node)
}

fn session_indexes(message: Node<'_, '_>) -> Result<Vec<String>, SamlError> {
    let found: Vec<String> = children(message, NS_PROTOCOL, "SessionIndex").map(text_of).collect();
    if found.len() > MAX_SESSION_INDEXES {
        return Err(SamlError::NameId("there are more than 50 session indexes"));
    }
    // An empty one must not turn "this session" into "every session".
    if found.iter().any(|index| index.is_empty() || index.chars().count() > MAX_SESSION_INDEX_CHARS) {
        return Err(SamlError::NameId("a session index is empty or longer than 1024 characters"));
    }
    Ok(found)
}

fn reach(message: Node<'_, '_>) -> Result<Reach, SamlError> {
    let status = child(message, NS_PROTOCOL, "Status").ok_or(SamlError::Structure("the answer has no Status"))?;
    let codes = status_codes(status);
    if codes.iter().any(|code| code == PARTIAL_LOGOUT) {
        return Ok(Reach::Partly);
    }
    if codes.first().is_some_and(|code| code == SUCCESS) {
        return Ok(Reach::Everywhere);
    }
    let short = |code: &String| shown(code.rsplit(':').next().unwrap_or_default());
    Ok(Reach::Refused(codes.iter().map(short).collect::<Vec<_>>().join("/")))
}
