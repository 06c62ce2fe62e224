//! Learners: a person's record inside one client, and the identities by which single sign-on finds it.
//!
//! | step | where |
//! |---|---|
//! | one comparable spelling of an address | `email.rs` |
//! | what a sign-in makes of the record | `provision.rs`: [`plan`], pure: create, link, update, or refuse and why |
//! | reading and writing it | `store.rs`; for learners with a password of their own `store_local.rs` |
//!
//! Invariants: only (client, connection, issuer, subject) finds a learner; an e-mail address links only inside the
//! client, only when that learner's address is verified and the connection is trusted for its exact domain; only
//! verified addresses are unique.

mod email;
mod model;
mod provision;
pub(crate) mod store;
pub(crate) mod store_local;

pub use email::EmailAddress;
pub use model::{Learner, LearnerStatus, Profile};
pub use provision::{Holder, LinkRules, Provision, Refused, Standing, UpdateRule, plan};
