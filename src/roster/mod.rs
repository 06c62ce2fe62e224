//! Learners as an admin sees and changes them: their record, access, blocks and sessions.
//!
//! | step | where |
//! |---|---|
//! | what an admin sees, and what may be changed | `model.rs`, `access_model.rs` |
//! | list and search | `find.rs`: [`find`]; each statement a bounded range of one index, in `store_find.rs` |
//! | make | `create.rs`: [`create`] |
//! | change, suspend, block, end sessions | `edit.rs` |
//! | grant, change and end access | `grant.rs` |
//! | move to another client | `relocate.rs`: [`relocate`] |
//! | over the admin API | `api.rs`, `access_api.rs` |
//!
//! Invariants: suspending and moving grow the learner's session epoch in the transaction of the change, so that they
//! hold where Redis cannot be told; a block ends every grant of its sublicense in the transaction that writes it; an
//! address that an admin writes is not verified, and no account is read or changed; a record that was moved away is
//! history and is changed no more.

mod access_api;
mod access_model;
pub mod api;
mod create;
mod edit;
mod find;
mod grant;
mod model;
mod relocate;
mod store;
mod store_find;
mod store_move;

pub use access_model::{AccessChange, NewAccess};
pub use create::{NewLearner, create};
pub use edit::{RosterError, block, end_sessions, unblock, update};
pub use find::{FindError, Found, Query, find};
pub use grant::{change_access, end_access, grant};
pub use model::{AccessEntry, Block, LearnerChange, LearnerDetail, LearnerRecord, MovedTo, RecordStatus};
pub use relocate::{Relocation, relocate};
