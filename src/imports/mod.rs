//! Imports: files of thousands of people. A file arrives as a stream, a dry run says what would become of each row, an
//! admin confirms, and a worker does it.
//!
//! ```text
//! receiving ──► checking ──► ready ──confirm──► running ──► done ──undo──► undoing ──► undone
//!     │             └───────────┴───────────────────┴──► failed (what was done stands)
//!     └──► gone (the file did not read, or did not come to its end)
//! ```
//!
//! | step | where |
//! |---|---|
//! | bytes to rows: encoding, delimiter, quotes, bounds | `parse.rs`, pure |
//! | the first row; the cells of the others | `columns.rs`, `cells.rs`, pure |
//! | take the file in, piece by piece | `upload.rs`; over HTTP `upload_api.rs` |
//! | what a row asks for in its client; what is to be done for it | `target.rs`, `plan.rs`, pure |
//! | the dry run, a batch at a time | `check.rs` |
//! | confirm, undo | `confirm.rs`, `undo.rs` |
//! | do it, a batch at a time | `run.rs`, written many at once by `effects.rs` |
//! | who works on which import, and for how long | `work.rs` |
//! | lists, rows, results, the template | `api.rs`, `report.rs` |
//! | remove what is personal after some days | `clean.rs` |
//!
//! **Whom a row means.** An external id finds the learner of the client who has it; an address finds the learner who has
//! *proved* it, or the record that an earlier import made of it. An address that somebody merely typed when signing up
//! finds nobody: an admin's file must not give access to whoever claimed the address first. Nobody found: with
//! `send_invite` an invite, which becomes a learner when it is accepted; without it a new *unclaimed* record.
//!
//! **An import proves no address.** An unclaimed record has an unverified address, no password, no session and no
//! identity, so nobody can sign in as it. Whoever proves the address (single sign-on of a trusted domain, a
//! confirmation, an invite) gets what it holds: [`crate::access::claim`] moves it to them in the transaction of the
//! proof, and removes it.
//!
//! **Cells.** An empty cell changes nothing. `sublicenses` names several, separated by `|` or `;`, by slug, sku or id. A
//! learner's address is never changed: it is theirs to prove. Days of access run once: the same file again changes nothing.
//!
//! Invariants: nothing but its own tables is written before a confirmation; a batch and the note that it is done are one
//! transaction under a lease, so that no row is done twice and none half, whoever dies; a row is refused as a whole or
//! done as a whole; memory does not grow with the file; a client's own token reaches its own client alone, and a file
//! that names other clients is seen by operators alone; a block is never undone unless the upload asked for it; GET
//! changes nothing.

pub mod api;
mod batch;
mod cells;
mod check;
mod clean;
mod columns;
mod confirm;
mod effects;
mod model;
mod parse;
mod plan;
mod problem;
mod report;
mod run;
mod store;
mod store_people;
mod store_rows;
mod store_targets;
mod store_work;
mod target;
mod undo;
mod upload;
mod upload_api;
mod work;

pub use clean::clean;
pub use model::{Action, Choice, Import, ImportOptions, ImportRow, Outcome, State};
pub use work::{Claimed, Step, Worker, run};
