//! Invites: an offer by e-mail to one address, of a client and some of its sublicenses.
//!
//! ```text
//! pending ──► sent ──► accepted
//!    │  ▲      │  │
//!    │  │      ▼  └──► expired, revoked
//!    └──┼─► bounced          (each of the three on the left may be accepted, expire or be revoked)
//!       └──── a resend makes it pending again, expired ones too
//! ```
//!
//! | step | where |
//! |---|---|
//! | over the admin API | `api.rs`, its bodies in `draft.rs` |
//! | whether somebody is invited and to what, pure | `judge.rs`, from what `store_scene.rs` reads |
//! | making and renewing, one or hundreds: seats, links, mails, events | [`create_many`] in `send.rs` |
//! | resend and revoke one | `change.rs`; revoke many: [`revoke_many`] |
//! | the secret of a link | `link.rs` |
//! | reminders and ends, by jobs | [`remind_due`], [`expire_due`] |
//! | what became of a mail | [`mail_heard`] |
//! | what the link shows, and to whom | `pages/`, from what `meet.rs` reads |
//! | accepting there, with a password or in a session | `enter.rs` |
//! | accepting, within somebody's transaction | [`accept_within`], [`consume_by_address`] |
//!
//! Invariants: a link is in its mail alone, is stored as a hash and used once; a resend kills every earlier link, a
//! reminder adds one; an address has one open invite in a client; whoever accepts has the invited address, verified, or
//! one that the client's setting allows; an open invite reserves the seats that its person does not hold, and its
//! acceptance turns them into the grant in one transaction; a GET changes nothing. Locks: learners, seat counters, then
//! the invite's row, then its mails.

mod accept;
pub mod api;
mod change;
mod draft;
mod due;
mod enter;
mod heard;
mod judge;
mod link;
mod meet;
mod model;
pub mod pages;
mod revoke_many;
mod send;
mod store;
mod store_accept;
mod store_due;
mod store_revoke;
mod store_scene;
mod store_send;

pub use accept::{Accepted, How, NotAccepted, OpenInvite, accept_within, consume_by_address, find_open};
pub use due::{expire_due, remind_due};
pub use heard::mail_heard;
pub use model::{Again, Invite, InviteStatus, NewInvite, Outcome};
pub use revoke_many::revoke_many;
pub use send::{Foreseen, Order, create_many, foresee};
