//! Signing in: SAML and OpenID Connect, from the first redirect to the session.

pub mod oidc;
pub mod pages;
pub mod saml;
pub mod trail;
