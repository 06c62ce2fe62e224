//! Keys and certificates over time: the sealing key ring is rolled over while every replica goes on, and the coming end of
//! any certificate is told. What a connection's own keys are is `connections`' business.
//!
//! | step of a new sealing key | where | what |
//! |---|---|---|
//! | `usher keys generate` | the command line | prints an entry for the ring |
//! | it is put first on the ring, replica after replica | `rings.rs` | each replica says every few seconds which keys it holds, and seals with the first one of its ring that all hold: so neither an old replica nor a new one is locked out |
//! | `usher keys rotate` | `rotate.rs`, `reseal.rs` | refuses while a replica lacks the key; then every value is sealed anew, by this command and by every replica's jobs |
//! | `usher keys status` | `status.rs` | what is sealed under which key, and when an old one may leave the ring |
//!
//! | file | what |
//! |---|---|
//! | `model.rs` | the kinds of sealed values, and the rule for when a key may leave |
//! | `parts.rs` | leads to each domain's own statements |
//! | `certificates.rs` | warnings 30, 14 and 3 days before a certificate ends, once each, and metrics |
//! | `store.rs`, `store_warnings.rs` | SQL of what is remembered here |
//!
//! # Invariants
//!
//! - A value is written under a key only when every replica that lives can open it.
//! - A row moves to the new key only if it is still as it was read: a change made meanwhile wins.
//! - The place of a walk is written in the transaction of its rows: killed at any moment, it goes on where it was.
//! - No key leaves a value that it sealed: what does not open is counted, told, and left as it is.

mod certificates;
mod model;
mod parts;
mod reseal;
mod rings;
mod rotate;
mod status;
mod store;
mod store_warnings;

pub use certificates::watch_certificates;
pub use model::{Announced, KeyStatus, Leave, Part, Pass};
pub use reseal::reseal_due;
pub use rings::{agree, announce, leave};
pub use rotate::{Progress, RotateError, Rotated, rotate};
pub use status::{Status, status};
