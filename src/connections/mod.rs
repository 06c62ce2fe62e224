//! Connections: the SAML and OpenID Connect identity providers of a client.
//!
//! | file | what |
//! |---|---|
//! | `model.rs`, `settings.rs` | a connection as an admin writes it, and the rules it must keep |
//! | `save.rs` | create, change, delete: read the IdP, make keys, then one transaction |
//! | `share.rs` | the clients that one connection serves: listed by an operator, taken off with all that it gave there |
//! | `read_idp.rs`, `saml_metadata`, `idp.rs` | what the IdP says of itself, and what is kept of it |
//! | `refresh.rs` | reads it again: in the background, and on an unknown key |
//! | `discovery.rs`, `jwks.rs` | an OpenID provider's discovery document, and the keys by which it signs |
//! | `facts.rs`, `directory.rs` | what a sign-in relies on, cached per replica and dropped by version |
//! | `keys.rs`, `key_pair.rs` | our own keys, sealed |
//! | `roll_keys.rs`, `keys_api.rs` | the next key, the current one, and those before: made, promoted, deleted |
//! | `store_sealed.rs`, `store_certificates.rs` | sealed values, for a new sealing key; certificates that end soon |
//! | `save_mapping.rs` | the versions of the mapping (its dry run is `login::evaluate`) |
//! | `domains.rs` | home-realm discovery by e-mail domain |
//! | `urls.rs` | entity ID, assertion consumer, redirect URI, JWKS |
//! | `ready.rs`, `view.rs`, `api.rs`, `mapping_api.rs` | the admin API, and what it tells of an IdP |
//!
//! # Invariants
//!
//! - Nothing is half-saved: the IdP is read and keys are made before the transaction, which then writes all or nothing.
//! - A SAML connection never holds metadata without a signing certificate, and an active one never lacks an IdP.
//! - Every change that a sign-in could notice raises `version`, so that no replica goes on with what it had.
//! - `trusted_domains` are verified domains of the client when saved, and are asked again when used.
//! - A client secret goes in and never comes out; private keys never leave the process.

mod api;
pub mod directory;
pub mod discovery;
pub mod domains;
pub mod facts;
pub mod idp;
pub mod jwks;
mod key_pair;
pub mod keys;
mod keys_api;
mod mapping_api;
pub mod model;
mod read_idp;
pub mod ready;
pub mod refresh;
mod roll_keys;
pub mod saml_metadata;
pub mod save;
pub mod save_mapping;
pub mod settings;
mod share;
pub(crate) mod store;
pub mod store_certificates;
mod store_clients;
mod store_idp;
mod store_keys;
mod store_mappings;
pub mod store_sealed;
pub mod urls;
mod view;

pub use api::routes;
pub use directory::Directory;
pub use facts::{ConnectionFacts, OidcFacts, SamlFacts};
pub use keys::{KeyState, KeyUse, SpKey, jwks_document, sp_keys};
pub use mapping_api::invalid_mapping;
pub use model::{Connection, ConnectionSettings, ConnectionSummary, IdpInitiated, Jit, JitUpdate, Status};
pub use read_idp::IdpError;
pub use refresh::{RefreshError, Refreshed, refresh, refresh_due, refresh_soon};
pub use roll_keys::prepare_next_keys;
pub use saml_metadata::Binding;
pub use save::{By, SaveError, change, create, delete};
pub use save_mapping::{MappingSaveError, read_mapping, save_mapping};
pub use settings::{IdTokenAlg, OidcSettings, SamlSettings, TokenAuth};
pub use share::operators_if_shared;
pub use store::{for_email, for_landing};
