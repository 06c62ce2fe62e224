//! Metadata that has been read, in the form in which it is stored and shown, and why metadata is refused.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{certificate::TrustedCertificate, xml::XmlFault};

/// How a message reaches the identity provider. Other bindings are not offered by us and are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    Redirect,
    Post,
}

/// An address of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    pub binding: Binding,
    pub location: String,
    /// Where answers go, when that is another address (single logout).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_location: Option<String>,
}

/// One identity provider as its metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdpMetadata {
    pub entity_id: String,
    pub sso: Vec<Endpoint>,
    #[serde(default)]
    pub slo: Vec<Endpoint>,
    /// The signing certificates, at least one, each once.
    pub certificates: Vec<TrustedCertificate>,
    pub valid_until: Option<DateTime<Utc>>,
    pub cache_duration_s: Option<i64>,
    pub wants_signed_requests: bool,
    #[serde(default)]
    pub name_id_formats: Vec<String>,
    /// Scopes that the identity provider may use in scoped values (Shibboleth), patterns left out.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// As of the time of reading.
    #[serde(default)]
    pub warnings: Vec<MetadataWarning>,
}

impl IdpMetadata {
    /// Where to send a sign-in request by this binding.
    pub fn sso_location(&self, binding: Binding) -> Option<&str> {
        self.sso.iter().find(|e| e.binding == binding).map(|e| e.location.as_str())
    }
}

/// What an admin should know about metadata that is good enough to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum MetadataWarning {
    /// Its signatures are still accepted, since the key is pinned.
    CertificateExpired {
        subject: String,
        fingerprint_sha256: String,
        at: DateTime<Utc>,
    },
    CertificateExpiresSoon {
        subject: String,
        fingerprint_sha256: String,
        at: DateTime<Utc>,
    },
    /// Not used to verify: RSA under 2048 bits, or a kind of key that is not supported.
    CertificateUnusable {
        subject: String,
        fingerprint_sha256: String,
    },
    /// Not an X.509 certificate; left out.
    CertificateUnreadable,
    /// The metadata itself ends soon and has to be published again.
    MetadataExpiresSoon {
        at: DateTime<Utc>,
    },
}

/// Why metadata is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum MetadataError {
    #[error("the metadata was refused before it was read: {0}")]
    Document(#[from] XmlFault),
    #[error("this is XML, but not SAML 2.0 metadata")]
    NotMetadata,
    #[error("the metadata describes {0} identity providers: say which entity ID is meant")]
    SeveralEntities(usize),
    #[error("the metadata does not describe {0:?}")]
    EntityNotFound(String),
    #[error("the entity is no SAML 2.0 identity provider (it has no IDPSSODescriptor, or several)")]
    NotAnIdp,
    #[error("the entity ID is missing or longer than 1024 characters")]
    EntityId,
    #[error("the metadata ended at {0}: ask for a new copy")]
    Expired(DateTime<Utc>),
    #[error("the metadata has no signing certificate that can be used")]
    NoCertificate,
    #[error("the metadata has more than {0} signing certificates")]
    TooManyCertificates(usize),
    #[error("the metadata has no address for sign-in by the Redirect or POST binding")]
    NoSignInAddress,
    #[error("{0:?} is not an https address")]
    Address(String),
    #[error("{0} cannot be read as a time or duration")]
    Time(&'static str),
}

impl MetadataError {
    /// The stable code that the API answers with.
    pub fn code(&self) -> &'static str {
        match self {
            MetadataError::Document(_) => "connections.metadata.document",
            MetadataError::NotMetadata => "connections.metadata.not_metadata",
            MetadataError::SeveralEntities(_) => "connections.metadata.several_entities",
            MetadataError::EntityNotFound(_) => "connections.metadata.entity_not_found",
            MetadataError::NotAnIdp => "connections.metadata.not_an_idp",
            MetadataError::EntityId => "connections.metadata.entity_id",
            MetadataError::Expired(_) => "connections.metadata.expired",
            MetadataError::NoCertificate => "connections.metadata.no_certificate",
            MetadataError::TooManyCertificates(_) => "connections.metadata.too_many_certificates",
            MetadataError::NoSignInAddress => "connections.metadata.no_sign_in_address",
            MetadataError::Address(_) => "connections.metadata.address",
            MetadataError::Time(_) => "connections.metadata.time",
        }
    }
}
