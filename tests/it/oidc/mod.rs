//! OpenID Connect against the fixture provider, whose every answer may be bent. Each attack has a twin that differs in
//! the bent thing alone and is let in.
//!
//! | file | what |
//! |---|---|
//! | `setup.rs` | a provider, our side of the connection, and one whole sign-in |
//! | `flow.rs` | what must work: algorithms, ways of authentication, userinfo, response modes |
//! | `token.rs` | the ID token: algorithm, header, key, signature |
//! | `claims.rs` | the ID token's claims |
//! | `browser.rs` | state, nonce, PKCE, injected codes, `iss`, error answers |
//! | `provider.rs` | discovery, keys and their rotation, userinfo, a provider that is slow or answers nonsense |
//! | `peer.rs` | the same against npm oidc-provider |

mod browser;
mod claims;
mod flow;
mod peer;
mod provider;
mod setup;
mod token;
