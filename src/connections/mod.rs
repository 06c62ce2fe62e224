//! Connections: the SAML and OpenID Connect identity providers of a client.
//!
//! | file | what |
//! |---|---|
//! | `model.rs`, `settings.rs` | a connection as an admin writes it, and the rules it must keep |
//! | `save.rs` | create, change, delete: read the IdP, make keys, then one transaction |
//! | `read_idp.rs`, `saml_metadata`, `idp.rs` | what the IdP says of itself, and what is kept of it |
//! | `refresh.rs` | reads it again: in the background, and on an unknown key |
//! | `discovery.rs`, `jwks.rs` | an OpenID provider's discovery document, and the keys by which it signs |
//! | `facts.rs`, `directory.rs` | what a sign-in relies on, cached per replica and dropped by version |
//! | `keys.rs`, `key_pair.rs` | our own keys, sealed |
//! | `mapping.rs`, `evaluate.rs` | the versions of the mapping, and its dry run |
//! | `domains.rs` | home-realm discovery by e-mail domain |
//! | `urls.rs` | entity ID, assertion consumer, redirect URI, JWKS |
//! | `api.rs`, `mapping_api.rs` | the admin API |
//!
//! # Invariants
//!
//! - Nothing is half-saved: the IdP is read and keys are made before the transaction, which then writes all or nothing.
//! - A SAML connection never holds metadata without a signing certificate, and an active one never lacks an IdP.
//! - Every change that a sign-in could notice raises `version`, so that no replica goes on with what it had.
//! - `trusted_domains` are verified domains of the client when saved, and are asked again when used.
//! - A client secret goes in and never comes out; private keys never leave the process.

pub mod directory;
pub mod discovery;
pub mod domains;
pub mod facts;
pub mod idp;
pub mod jwks;
mod key_pair;
pub mod keys;
pub mod model;
pub mod saml_metadata;
pub mod settings;
pub(crate) mod store;
pub mod urls;

pub use directory::Directory;
pub use facts::{ConnectionFacts, OidcFacts, SamlFacts};
pub use keys::{KeyUse, SpKey, jwks_document, sp_keys};
pub use model::{Connection, ConnectionSettings, ConnectionSummary, IdpInitiated, Jit, JitUpdate, Status};
pub use saml_metadata::Binding;
pub use settings::{IdTokenAlg, OidcSettings, SamlSettings, TokenAuth};
pub use store::{for_email, for_landing};
