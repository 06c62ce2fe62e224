//! Single logout: what an identity provider sends us, verified, and what we send. Pure functions on bytes, as all of
//! `saml`.
//!
//! | step of a message that arrives | file |
//! |---|---|
//! | the query of a GET as it stands, or the form of a POST | `received` |
//! | structure: one message, one signature at most, in its place | `screen` |
//! | signature of a Redirect, over the raw octets of the query | `query` |
//! | signature of a POST | `saml::signature` |
//! | meaning: issuer, destination, times, whom and which sessions | `verify` |
//!
//! What we send is built in `message`.
//!
//! Invariants: an unsigned message is refused, a request as well as an answer; by Redirect the octets that were signed are
//! the octets that arrived; everything is read from the bytes that the signature covers; absence never passes.

mod message;
mod query;
mod received;
mod screen;
#[cfg(test)]
mod tests;
mod verify;

pub use message::{LogoutMessage, LogoutStatus, Says, sign_posted};
pub use received::{Kind, LIMITS, Received};
pub use verify::{LogoutExpectation, LogoutRequest, LogoutResponse, Reach, verify_request, verify_response};
