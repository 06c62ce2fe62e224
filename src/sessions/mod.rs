//! Sessions of learners: a 256-bit opaque token in a host-only cookie, its hash the key in Redis, bound to one client.
//!
//! | step | where |
//! |---|---|
//! | what a session holds | `model.rs` |
//! | begin, read, end, end all of a learner | `keep.rs` |
//! | a handler asks for the session of its client | `scope.rs`: [`SessionCookie`], [`live`] |
//!
//! Invariants: only the hash of a token is stored; a session of an earlier epoch than the learner's row is dead, even
//! where Redis could not be told; a session that began without single sign-on is dead once the client turns passwords
//! off or requires single sign-on; the idle and the absolute limit are both kept; without Redis nobody is let in.

mod keep;
mod model;
mod scope;
mod store;

pub use keep::{Beginning, begin, end, end_all_of_learner, find};
pub use model::{Session, SessionToken};
pub use scope::{SessionCookie, live, set_cookie};
