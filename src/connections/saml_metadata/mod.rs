//! What an identity provider publishes about itself, read strictly: where to send people, and which keys to pin.
//!
//! | what | file |
//! |---|---|
//! | the strict look at any foreign XML, shared with `login::saml` | `xml` |
//! | a pinned certificate and what is told about it | `certificate` |
//! | metadata that has been read, as it is stored | `model` |
//! | reading it | `parse` |
//!
//! A signature on metadata is not verified: what is read here has come over TLS from an address that an admin gave,
//! or by their own hand. One identity provider's metadata is expected; federation aggregates beyond [`MAX_BYTES`] are
//! refused.

mod certificate;
mod model;
mod parse;
#[cfg(test)]
mod tests;
pub mod xml;

pub use certificate::{CertificateError, KeyKind, TrustedCertificate};
pub use model::{Binding, Endpoint, IdpMetadata, MetadataError, MetadataWarning};
pub use parse::{MAX_BYTES, MAX_CERTIFICATES, parse};
