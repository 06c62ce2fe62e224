//! OpenID Connect Core 1.0 as relying party: authorization code flow with PKCE, and nothing else.
//!
//! | step | file |
//! |---|---|
//! | the request that the browser carries to the provider | `request` |
//! | what the browser brings back: state, `iss`, code or error | `callback` |
//! | the code for tokens; how Usher proves itself there | `exchange`, `client_auth` |
//! | the ID token: form, algorithm, key, signature | `jws` |
//! | what it says: issuer, audience, times, nonce, hashes, subject | `checks` |
//! | more claims from userinfo | `userinfo` |
//! | all of it in order | `complete` |
//! | the request that ends the provider's session | `logout` |
//! | the provider's word that a session has ended, and what it must say | `back_channel`, `logout_token` |
//!
//! # Invariants
//!
//! - The payload of an ID token is parsed once, after its signature was verified, and only those bytes are read.
//! - The algorithm must be on the connection's list, which can hold neither `none` nor HMAC; the key is one of those at
//!   the provider's `jwks_uri`, whatever the token's header offers.
//! - Absence never passes: `iss`, `sub`, `aud`, `exp`, `iat` and `nonce` are required.
//! - [`VerifiedOidc`] is made in `complete` alone.
//! - What a provider sends in an error is never shown to a learner, and reaches an admin in harmless characters only.
//!
//! The library parses keys and checks signatures and hashes. Its ID token type is not used: it demands the exact type of
//! every standard claim, and so refuses people of providers that send `"email_verified": "true"` or `"name": null`; and
//! it knows neither clock skew, nor `azp`, nor `nbf`.

mod back_channel;
mod callback;
mod checks;
mod client_auth;
mod complete;
mod error;
mod exchange;
mod json;
mod jws;
mod logout;
mod logout_token;
mod model;
mod request;
mod userinfo;

pub use back_channel::{NotEnded, end_by_token};
pub use callback::Callback;
pub use client_auth::{ClientAuth, ClientKey};
pub use complete::complete;
pub use error::OidcError;
pub use logout::LogoutRequest;
pub use logout_token::LogoutTokenError;
pub use model::{Handshake, RelyingParty, ResponseMode, VerifiedOidc};
pub use request::authorization_url;
