//! Why a SAML message was refused, a response or a logout message: one variant for each thing that somebody can put right.
//! The texts are for admins; a learner is shown a reference and what to do.

use thiserror::Error;

use crate::{connections::saml_metadata::xml::XmlFault, login::trail::FixSide};

/// Why a SAML message was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SamlError {
    #[error("the message is not base64")]
    Base64,
    #[error("the address or form is not built as SAML's bindings have it: {0}")]
    Binding(&'static str),
    #[error("the message was refused before it was read: {0}")]
    Document(#[from] XmlFault),
    #[error("the message is not built as SAML 2.0 has it: {0}")]
    Structure(&'static str),
    #[error("the identity provider answered {status} instead of Success{message}: look in its own log for the reason")]
    Status { status: String, message: String },
    #[error("the response holds no assertion")]
    NoAssertion,
    #[error("the connection has no usable certificate: add the identity provider's metadata or signing certificate")]
    NoCertificate,
    #[error(
        "nothing in the message is signed: let the identity provider sign the assertion or the response, and every logout message"
    )]
    Unsigned,
    #[error(
        "the signature uses {0}, which this connection does not allow: let the identity provider sign by RSA or ECDSA with SHA-256 or better"
    )]
    SignatureAlgorithm(String),
    #[error(
        "no certificate of the connection has the kind of key that made the signature: the identity provider probably changed its key, so load its metadata again"
    )]
    KeyKind,
    #[error(
        "the only certificates that fit the signature have keys that are too weak (RSA under 2048 bits): let the identity provider make a new one"
    )]
    WeakKey,
    #[error(
        "no certificate of the connection verifies the signature: the identity provider probably changed its key, so load its metadata again; or the message was altered on its way"
    )]
    Signature,
    #[error("the assertion is encrypted and the connection has no decryption key")]
    NoDecryptionKey,
    #[error(
        "the assertion is encrypted by {0}, which is not accepted: use AES-GCM (or AES-CBC in a signed response) with RSA-OAEP"
    )]
    EncryptionAlgorithm(String),
    #[error(
        "the assertion is encrypted by AES-CBC in an unsigned response: use AES-GCM, sign the response, or allow it in the connection's settings"
    )]
    CbcUnsigned,
    #[error(
        "the encrypted assertion could not be opened: the identity provider probably encrypts for a key that is no longer ours, so give it our metadata again"
    )]
    Decryption,
    #[error("SAML version {found:?}; only 2.0 is spoken")]
    Version { found: String },
    #[error("issued by {found:?}, but the connection expects {expected:?}")]
    Issuer { expected: String, found: String },
    #[error("Destination is {found:?}, but this address is {expected:?}: correct our address at the identity provider")]
    Destination { expected: String, found: String },
    #[error(
        "Recipient is {found:?}, but this address is {expected:?}: correct the assertion consumer URL at the identity provider"
    )]
    Recipient { expected: String, found: String },
    #[error("the response does not answer the request that this browser made")]
    InResponseTo,
    #[error("an unsolicited response claims to answer a request")]
    UnexpectedInResponseTo,
    #[error("{what} {at}, and it is {now} here: the clocks differ, or the message is old")]
    Expired { what: &'static str, at: String, now: String },
    #[error("{what} {at}, and it is {now} here: the identity provider's clock is probably ahead")]
    NotYetValid { what: &'static str, at: String, now: String },
    #[error("the message gives a time that cannot be read or is missing: {0}")]
    Time(&'static str),
    #[error(
        "meant for {found}, but this service is {expected:?}: correct the audience (entity ID) at the identity provider"
    )]
    Audience { expected: String, found: String },
    #[error("the conditions of the assertion cannot be accepted: {0}")]
    Conditions(&'static str),
    #[error("the subject confirmation cannot be accepted: {0}")]
    SubjectConfirmation(&'static str),
    #[error("the authentication statement cannot be accepted: {0}")]
    AuthnStatement(&'static str),
    #[error("signed in by {found:?}, which is not among the authentication contexts that the connection asks for")]
    AuthnContext { found: String },
    #[error("the connection asks for a fresh sign-in, and the identity provider answered from an older session")]
    NotFresh,
    #[error("the subject cannot be accepted: {0}")]
    NameId(&'static str),
    #[error(
        "the NameID is transient and different every time: let the identity provider send a persistent one, or name a subject attribute in the connection's settings"
    )]
    TransientSubject,
    #[error("the subject attribute {0:?} must come exactly once with exactly one value")]
    SubjectAttribute(String),
    #[error("the attributes cannot be read: {0}")]
    Attributes(&'static str),
    #[error("the signature engine failed")]
    Engine,
}

impl SamlError {
    /// The stable code that logs, attempts and documentation use.
    pub fn code(&self) -> &'static str {
        match self {
            SamlError::Base64 => "login.saml.base64",
            SamlError::Binding(_) => "login.saml.binding",
            SamlError::Document(_) => "login.saml.document",
            SamlError::Structure(_) => "login.saml.structure",
            SamlError::Status { .. } => "login.saml.status",
            SamlError::NoAssertion => "login.saml.no_assertion",
            SamlError::NoCertificate => "login.saml.no_certificate",
            SamlError::Unsigned => "login.saml.unsigned",
            SamlError::SignatureAlgorithm(_) => "login.saml.signature_algorithm",
            SamlError::KeyKind => "login.saml.key_kind",
            SamlError::WeakKey => "login.saml.weak_key",
            SamlError::Signature => "login.saml.signature",
            SamlError::NoDecryptionKey => "login.saml.no_decryption_key",
            SamlError::EncryptionAlgorithm(_) => "login.saml.encryption_algorithm",
            SamlError::CbcUnsigned => "login.saml.cbc_unsigned",
            SamlError::Decryption => "login.saml.decryption",
            SamlError::Version { .. } => "login.saml.version",
            SamlError::Issuer { .. } => "login.saml.issuer",
            SamlError::Destination { .. } => "login.saml.destination",
            SamlError::Recipient { .. } => "login.saml.recipient",
            SamlError::InResponseTo => "login.saml.in_response_to",
            SamlError::UnexpectedInResponseTo => "login.saml.unexpected_in_response_to",
            SamlError::Expired { .. } => "login.saml.expired",
            SamlError::NotYetValid { .. } => "login.saml.not_yet_valid",
            SamlError::Time(_) => "login.saml.time",
            SamlError::Audience { .. } => "login.saml.audience",
            SamlError::Conditions(_) => "login.saml.conditions",
            SamlError::SubjectConfirmation(_) => "login.saml.subject_confirmation",
            SamlError::AuthnStatement(_) => "login.saml.authn_statement",
            SamlError::AuthnContext { .. } => "login.saml.authn_context",
            SamlError::NotFresh => "login.saml.not_fresh",
            SamlError::NameId(_) => "login.saml.name_id",
            SamlError::TransientSubject => "login.saml.transient_subject",
            SamlError::SubjectAttribute(_) => "login.saml.subject_attribute",
            SamlError::Attributes(_) => "login.saml.attributes",
            SamlError::Engine => "login.saml.engine",
        }
    }

    /// The same for a logout message.
    pub fn logout_code(&self) -> String {
        self.code().replacen("login.", "logout.", 1)
    }

    /// Which side must fix it.
    pub fn fix_side(&self) -> FixSide {
        match self {
            SamlError::NoCertificate | SamlError::KeyKind | SamlError::Signature | SamlError::TransientSubject => {
                FixSide::Admin
            }
            SamlError::InResponseTo | SamlError::UnexpectedInResponseTo | SamlError::NotFresh => FixSide::Learner,
            SamlError::NoDecryptionKey | SamlError::Engine => FixSide::Ours,
            SamlError::Base64
            | SamlError::Binding(_)
            | SamlError::Document(_)
            | SamlError::Structure(_)
            | SamlError::Status { .. }
            | SamlError::NoAssertion
            | SamlError::Unsigned
            | SamlError::SignatureAlgorithm(_)
            | SamlError::WeakKey
            | SamlError::EncryptionAlgorithm(_)
            | SamlError::CbcUnsigned
            | SamlError::Decryption
            | SamlError::Version { .. }
            | SamlError::Issuer { .. }
            | SamlError::Destination { .. }
            | SamlError::Recipient { .. }
            | SamlError::Expired { .. }
            | SamlError::NotYetValid { .. }
            | SamlError::Time(_)
            | SamlError::Audience { .. }
            | SamlError::Conditions(_)
            | SamlError::SubjectConfirmation(_)
            | SamlError::AuthnStatement(_)
            | SamlError::AuthnContext { .. }
            | SamlError::NameId(_)
            | SamlError::SubjectAttribute(_)
            | SamlError::Attributes(_) => FixSide::Idp,
        }
    }
}

/// Foreign text fit to be shown: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
