//! The audit trail and the outgoing events.
//!
//! | function | writes |
//! |---|---|
//! | [`record`] | one append-only event of ids and reason codes, and personal values in the side table |
//! | [`announce`] | one event for the outside, to be delivered by webhooks |
//! | [`record_many`], [`announce_many`] | the same for many, in as many statements as one takes |
//!
//! Invariants: all are called inside the transaction that makes them true; neither holds a secret, and personal
//! values stand only in the side table, where erasure finds them.

mod model;
pub(crate) mod store;

pub use model::{Actor, NewEvent, Values};
pub use store::{announce, announce_many, hand_over_values, record, record_many};
