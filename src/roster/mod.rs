//! Learners as an admin sees and changes them: their record, access, blocks and sessions.
//!
//! | step | where |
//! |---|---|
//! | what an admin sees, and what may be changed | `model.rs` |
//! | change, suspend, block, end sessions | `edit.rs` |
//! | over the admin API | `api.rs` |
//!
//! Invariants: suspending grows the learner's session epoch in the transaction of the change, so that it holds where
//! Redis cannot be told; a block ends every grant of its sublicense in the transaction that writes it; an address is
//! never changed here, since it would have to be proved.

pub mod api;
mod edit;
mod model;
mod store;

pub use edit::{RosterError, block, end_sessions, unblock, update};
pub use model::{AccessEntry, Block, LearnerChange, LearnerDetail, LearnerRecord};
