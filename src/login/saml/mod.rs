//! SAML 2.0 as service provider: pure functions on bytes, without network, database, clock or chance of their own.
//!
//! | step of a response | file |
//! |---|---|
//! | limits, well-formedness, namespaces | `connections::saml_metadata::xml` |
//! | structure: one assertion, signatures in their places, algorithms | `prescreen` |
//! | opening an encrypted assertion | `decrypt` |
//! | signature, by pinned certificates only | `signature` |
//! | meaning: issuer, audience, times, confirmation | `checks`, `subject`, `attributes`, `times` |
//!
//! What we send is built in `request` and `sp_metadata`, through `writer`. Single logout, both ways, is in `logout`.
//!
//! Invariants: identity and claims are read only from the bytes that the signature engine has digested; what is not
//! signed may only refuse; absence never passes; a certificate comes from the connection's configuration, never from
//! the message.

mod attributes;
mod checks;
mod decrypt;
mod error;
mod keys;
pub mod logout;
mod model;
mod peek;
mod prescreen;
mod request;
mod response;
mod signature;
mod sp_metadata;
mod subject;
#[cfg(test)]
mod tests;
mod times;
mod writer;

pub use error::SamlError;
pub use keys::{DecryptionKey, KeyError, SigningKey};
pub use model::{Attribute, Expectation, InResponseTo, NameId, VerifiedAssertion};
pub use peek::answers_a_request;
pub use request::{AuthnRequest, request_id};
pub use response::{decode_form_value, verify_response};
pub use sp_metadata::{SpMetadata, sp_metadata};
pub use subject::MAX_SUBJECT_CHARS;

pub use crate::connections::saml_metadata::{KeyKind, TrustedCertificate};
