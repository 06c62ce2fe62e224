//! Signing in: SAML and OpenID Connect, from the first redirect to the session.
//!
//! | step | where |
//! |---|---|
//! | `GET /{client}/login/{connection}` | `pages/start.rs` → [`begin`]: the request, and the attempt in Redis |
//! | the identity provider answers | `pages/{saml,oidc}.rs` → [`attempt`]: taken once, by the browser that began it |
//! | verify | [`complete`] → `saml` or `oidc` → [`identity::VerifiedIdentity`], which only those two can make |
//! | whose it is | `choice.rs`: on a shared connection the claims choose the client, inside the list |
//! | plan | [`plan`]: pure; what becomes of the learner and their access, and why |
//! | write | `scene.rs`, [`finish`], `enroll.rs`: one transaction, or, with nothing changed, the grouped records of [`record`] |
//! | what comes along | `brought.rs`: codes and an invite, carried there and back by the attempt, used in the same transaction |
//! | dry run | [`evaluate`]: all of it but the protocol, rolled back |
//! | on a client's own host | [`ticket`]: over to the base origin, and home again |
//! | out again | [`logout`] |
//! | let in | [`let_in`]: the session, then the redirect to the checked `http::return_to`; or a ticket to the own host |
//!
//! Invariants: nothing is taken without the browser's cookie; the connection's status is read from PostgreSQL with the
//! identity at every return; commit, then session, then reply; learners, records and audit are the chosen client's, and until the claims have chosen
//! one the connection's owner's; every end leaves one attempt with each check and, when
//! refused, one [`reason::Reason`].

pub mod attempt;
pub mod attempts_api;
pub mod begin;
mod brought;
mod choice;
pub mod complete;
mod enroll;
pub mod evaluate;
pub mod evaluate_api;
pub mod finish;
pub mod identity;
pub mod journey;
pub mod let_in;
pub mod logout;
pub mod oidc;
pub mod pages;
mod party;
pub mod plan;
pub mod reason;
pub mod record;
pub mod saml;
mod scene;
pub mod single_logout;
pub mod sp;
mod store;
mod store_choice;
mod store_attempts;
pub mod store_sealed;
pub mod ticket;
pub mod trail;
mod verify;

pub use crate::http::return_to;
