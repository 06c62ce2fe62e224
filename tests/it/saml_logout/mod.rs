//! Single logout by SAML: the verifier on messages of `idp-fixtures`, and whole logouts over HTTP, both ways and by both
//! bindings.

mod verify;
