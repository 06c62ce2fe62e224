//! Who may see which sublicense: grants, blocks and seats.
//!
//! | step | where |
//! |---|---|
//! | what a learner holds now | `model.rs`: [`Grant`], [`effective_end`], [`current_access`] |
//! | what a sign-in changes | `sync.rs`: [`plan`], pure |
//! | writing it, with seats | `grant.rs`: [`apply`], inside the caller's transaction |
//! | counting seats | `seats.rs` |
//!
//! Invariants: a limit is never exceeded, whatever the concurrency; `replace` removes only grants whose source is `sso`
//! of this connection; a block is never undone by an automatic source; the effective end of access is the earliest of
//! the grant's, the sublicense's and the client's licence end, and is checked at use.

mod grant;
mod model;
mod seats;
mod store;
mod sync;

pub use grant::{Applied, Occasion, apply};
pub use model::{Access, Grant, Source, SublicenseTerms, current_access, effective_end};
pub use seats::Full;
pub use sync::{Change, Plan, Skipped, Terms, plan};
