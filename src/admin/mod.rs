//! Who may call the admin API, and how often a call counts.
//!
//! ```text
//! Authorization: Bearer usher_…  →  token (hash)  →  scope extractor, the permission in its type  →  handler
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `permission.rs` | the permissions, each a value and a type |
//! | `secret.rs` | the form of a token's secret, and its hash |
//! | `scope.rs` | [`OperatorScope`] and [`ClientScope`]: what a handler asks for is what was checked |
//! | `access.rs` | the list of routes with who may call them, and their OpenAPI |
//! | `author.rs`, `invalid.rs` | who makes a change, for its audit event; what of a change does not hold |
//! | `body.rs` | request bodies and queries, read strictly, refused as problems with pointers |
//! | `idempotency.rs` | a POST that is repeated changes nothing twice |
//! | `create_token.rs`, `api.rs` | tokens: made, listed, revoked |
//! | `events_api.rs` | the audit trail, as read by an admin |
//!
//! Invariants: a token is stored as a hash; a token of one client gets for another client the very bytes of a client
//! that never was; an idempotency key is remembered in the transaction of its change, and never a secret with it.

pub mod access;
pub mod api;
mod author;
mod body;
mod create_token;
pub mod events_api;
mod idempotency;
mod invalid;
mod permission;
mod scope;
mod secret;
mod store;
mod store_events;
mod store_idempotency;

pub use access::{ApiRoutes, Route};
pub use author::{Author, Difference, difference};
pub use body::{ApiJson, ApiPath, ApiQuery, Body, Id, Post, parse as parse_body, present};
pub use create_token::{CreateTokenError, CreatedToken, NewToken, create_token};
pub use idempotency::{Claim, Once, Reply, Ticket, forget_old};
pub use invalid::{Invalid, InvalidField};
pub use permission::{
    AttemptsRead, ClientsRead, ClientsWrite, CodesRead, CodesWrite, ConnectionsRead, ConnectionsWrite, ContentRead,
    ContentWrite, EventsRead, Grants, ImportsRead, ImportsWrite, InvitesRead, InvitesWrite, LearnersRead,
    LearnersWrite, MailRead, MailWrite, Permission, TokensRead, TokensWrite,
};
pub use scope::{ClientScope, Denied, OperatorScope, find_client};
pub use secret::TokenSecret;
