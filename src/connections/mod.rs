//! The identity providers of clients.

pub mod saml_metadata;
