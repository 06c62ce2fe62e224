//! Who may see which sublicense: grants, blocks and seats.
//!
//! | step | where |
//! |---|---|
//! | what a learner holds now | `model.rs`: [`Grant`], [`effective_end`], [`current_access`] |
//! | granting and ending, for one or for thousands | `ledger.rs`: [`Ledger`], [`Offer`], [`Answer`] |
//! | what an offer adds to what is held, pure | `held.rs`; what is then written and told: `entries.rs` |
//! | counting seats | `seats.rs`; how many are free, for reports: `store_room.rs` |
//! | seats held for an open invite | `reservation.rs`: [`reserve`], [`release`] |
//! | ending, and merging two records of one person | `end.rs`: [`end`], [`move_grants`] |
//! | what an import wrote down for an address goes to whoever proves it | `claim.rs`: [`claim`] |
//! | what a sign-in changes | `sync.rs`: [`plan`], pure; `grant.rs`: [`apply`] |
//!
//! Invariants: a limit is never exceeded, whatever the concurrency: used and reserved seats together; locks are taken in
//! one order (see `ledger.rs`), so that nobody waits in a circle; `replace` removes only grants whose source is `sso`
//! of this connection; a block is never undone by an automatic source; the effective end of access is the earliest of
//! the grant's, the sublicense's and the client's licence end, and is checked at use.

mod claim;
mod end;
mod entries;
mod grant;
mod held;
mod ledger;
mod model;
mod offer;
mod reservation;
mod seats;
mod store;
mod store_claim;
mod store_room;
mod store_seats;
mod sync;

pub use claim::claim;
pub use end::{end, move_grants};
pub use grant::{Applied, Occasion, apply};
pub use ledger::Ledger;
pub use model::{Access, Grant, Source, SublicenseTerms, current_access, effective_end};
pub use offer::{Answer, By, Ending, Offer};
pub use reservation::{Reservation, release, release_lapsed, release_many, reserve, reserve_many};
pub use seats::Full;
pub use store_room::{Room, room};
pub use sync::{Change, Plan, Skipped, Terms, plan};
