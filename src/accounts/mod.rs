//! Local accounts: people who sign in with a password of their own, and the proof that an address is theirs.
//!
//! | step | where |
//! |---|---|
//! | a password is judged, hashed, verified | `passwords.rs`, on a bounded queue |
//! | signs up, unproved: a provisional learner and a mail | `sign_up.rs`: [`sign_up_provisional`]; the same form sent twice: `again.rs` |
//! | an account whose address is proved already becomes a learner | `join.rs`: [`create_proved`], [`join`] |
//! | signs in; guessing is slowed | `sign_in.rs`, `throttle.rs` |
//! | a link is mailed, and is good once | `proofs.rs` |
//! | opens it: the address is proved, the provisional learner merged | `confirm.rs`, `prove.rs`, `merge.rs` |
//! | forgot the password, sets a new one | `reset.rs` |
//! | changes password or address | `change.rs` |
//! | a transaction that lost to another is done again | `retry.rs` |
//! | what nobody claimed is removed; a learner leaves a client | `clean.rs`, `store_leave.rs` |
//! | what the learner sees | `pages/` |
//!
//! Invariants
//! - An account exists only for a proved address, belongs to the person, and is never read or changed for a client.
//! - Proving an address keeps nothing from before: the provisional password, its sessions and every pending link go.
//!   What comes after needs a new password, or the sign-in of the account that the address has.
//! - Whoever asks is answered the same, in bytes, status and time, whether or not an address is known.
//! - A link is good once, until it expires, in the client that mailed it; opening it changes nothing.
//! - A client that forbids passwords is answered so at every door, and sessions that began with one are dead: whoever
//!   requires single sign-on means it at once.
//!
//! Passkeys will be another credential of `accounts`, beside its password; nothing here takes a password for granted
//! in an account's row.

mod again;
mod change;
mod clean;
mod confirm;
mod join;
mod merge;
mod model;
pub mod pages;
pub mod passwords;
mod proofs;
mod prove;
mod reset;
mod retry;
mod session;
mod sign_in;
mod sign_up;
mod store;
mod store_leave;
mod store_proofs;
mod throttle;
mod trail;

pub use again::is_provisional_password;
pub use clean::{Cleaned, clean};
pub use join::{JoinError, Joined, create_proved, join};
pub use merge::{AddressProved, Merging, ProofListeners};
pub use model::{NewPerson, clean_name};
pub use passwords::{PasswordHash, Passwords, Weak};
pub use session::begin as begin_session;
pub use sign_in::{Attempt, CheckError, SignInError, SignedIn, check_password, sign_in};
pub use sign_up::sign_up_provisional;
pub use store::exists;
pub use store_leave::{forget_links, leave};
pub use throttle::{KNOWN_BROWSER, Visitor};
