//! OpenID Connect from the provider's side: `OidcOp`, a small provider whose every answer may be made wrong.
//!
//! | path | what |
//! |---|---|
//! | `GET /.well-known/openid-configuration`, `/jwks` | discovery and keys |
//! | `GET, POST /authorize`, `POST /login` | the sign-in form, then the code by query or form_post |
//! | `POST /token` | code for tokens; client_secret_basic, client_secret_post, private_key_jwt, PKCE |
//! | `GET, POST /userinfo` | claims for an access token |
//! | `GET, POST /logout` | ends the session at the provider, tells its relying parties, and sends the browser back |

mod authorize;
mod clients;
mod faults;
pub mod jose;
mod logout;
mod op;
#[cfg(test)]
mod tests;
mod token;

pub use clients::{Client, ClientAuth};
pub use faults::{Endpoint, Failure, Faults, TokenSigning};
pub use op::{Behaviour, Callback, OidcOp, Options};
