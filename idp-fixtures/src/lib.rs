//! Identity providers for demos, tests and attacks.
//!
//! This crate knows SAML 2.0 and OpenID Connect and never the gateway: it shares no code with it, and signs XML by
//! OpenSSL over bergshamra's canonical form, so that a peer of a test is never the library under test.

pub mod attacks;
pub mod clock;
mod fetch;
pub mod oidc;
mod pages;
pub mod people;
pub mod saml;
mod serving;
mod sessions;
pub mod sign;
pub mod vendor;
pub mod xml;
