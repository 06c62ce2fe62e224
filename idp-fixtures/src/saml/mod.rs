//! SAML 2.0 from the identity provider's side: messages, metadata and a small IdP that speaks them.

mod answer;
mod idp;
pub mod logout;
pub mod metadata;
mod parts;
pub mod request;
pub mod response;
mod slo;
#[cfg(test)]
mod tests;

pub use idp::{App, Behaviour, Describe, Options, PostForm, Rewrite, SamlIdp, Sign};
pub use logout::{LogoutBuilder, QueryStyle, ReceivedLogout};
pub use request::AuthnRequest;
pub use response::{
    Attribute, AuthnStatement, BuiltResponse, Conditions, Confirmation, NameId, ResponseBuilder, Status, Value,
};
pub use slo::{Participant, Slo};

/// Namespace of assertions.
pub const ASSERTION_NS: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// Namespace of requests and responses.
pub const PROTOCOL_NS: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// Namespace of metadata.
pub const METADATA_NS: &str = "urn:oasis:names:tc:SAML:2.0:metadata";

/// Confirmation by whoever bears the assertion, the only method of web sign-in.
pub const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// Bindings of requests and responses.
pub const REDIRECT_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
pub const POST_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";

/// Formats of a NameID.
pub const EMAIL_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
pub const PERSISTENT_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
pub const TRANSIENT_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
pub const UNSPECIFIED_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// Status codes.
pub const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
pub const RESPONDER: &str = "urn:oasis:names:tc:SAML:2.0:status:Responder";
pub const REQUESTER: &str = "urn:oasis:names:tc:SAML:2.0:status:Requester";
pub const PARTIAL_LOGOUT: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
pub const AUTHN_FAILED: &str = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed";

/// Class of a sign-in by password over a protected channel.
pub const PASSWORD_PROTECTED: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
