//! Mail: an outbox that is written in the transaction that makes a mail due, and a worker that sends it over SMTP.
//!
//! ```text
//! queued ──► claimed (a lease) ──► sent ──► bounced, when a server says so later
//!    ▲           │  server busy or away: back to queued, later each time
//!    └───────────┤
//!                ├─► bounced    the server does not know the recipient
//!                └─► dead       refused for another reason, or tried too often; can be sent again by an admin
//! withdrawn      what a queued mail was about is over before it was sent
//! ```
//!
//! | step | where |
//! |---|---|
//! | put one mail or thousands in the outbox, take them out again | [`queue`], [`queue_many`], [`withdraw`] in `queue.rs` |
//! | kinds, states, what a mail says | `model.rs` |
//! | claim what is due, say what became of it | `deliver.rs` |
//! | write it out in the client's look | `letter.rs`, `http/text/mail.rs`, `templates/mail.html` |
//! | the dialogue with the server | `smtp.rs` |
//! | a dead letter again; a bounce that comes later | `resend.rs`, `bounce.rs` |
//! | over the admin API | `api.rs` |
//!
//! Invariants: a mail is sent at least once and its Message-ID is the same every time, so that nothing is lost when a
//! worker or a server dies and a mail that came twice is known as one; a link is sealed while it waits and wiped as
//! soon as no server has to be told it any more; what a mail became is told to [`Listener`] in the transaction that
//! says so; no address and no link is ever logged.

pub mod api;
mod bounce;
mod deliver;
mod letter;
mod model;
mod queue;
mod resend;
mod smtp;
mod store;
mod store_admin;
pub mod store_sealed;
mod store_send;

pub use bounce::{BounceType, Bounced, report};
pub use deliver::{deliver_due, run, tidy_up};
pub use model::{Listener, MailKind, MailOutcome, MailStatus, MailValues, MailView, NewMail};
pub use queue::{queue, queue_many, withdraw};
pub use resend::{ResendError, resend};
pub use smtp::Carrier;
