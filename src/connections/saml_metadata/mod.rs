//! What an identity provider publishes about itself, read strictly: where to send people, and which keys to pin.

mod certificate;
pub mod xml;

pub use certificate::{CertificateError, KeyKind, TrustedCertificate};
