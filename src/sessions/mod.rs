//! Sessions of learners: a 256-bit opaque token in a host-only cookie, its hash the key in Redis, bound to one client.
//!
//! | step | where |
//! |---|---|
//! | what a session holds | `model.rs` |
//! | begin, read, end, end all of a learner | `keep.rs` |
//! | end what an identity provider ends, at every client | `idp.rs`: [`end_of_idp`]; and with a learner who signs out: [`sign_out`], [`end_siblings`] |
//! | a handler asks for the session of its client | `scope.rs`: [`SessionCookie`], [`live`] |
//!
//! Invariants: only the hash of a token is stored; a session of an earlier epoch than the learner's row is dead, even
//! where Redis could not be told; a session that began without single sign-on is dead once the client turns passwords
//! off or requires single sign-on, and one that hangs on a connection is dead once that is not active; what an
//! identity provider has ended neither goes on nor begins; the idle and the absolute limit are both kept; without Redis nobody is let in.

mod idp;
mod keep;
mod model;
mod scope;
mod store;

pub use idp::{EndOf, end_of_idp, end_siblings, is_of_another, sign_out};
pub use keep::{Beginning, begin, end, end_all_of_learner, find};
pub use model::{IdpSession, Session, SessionToken, StartedBy};
pub use scope::{SessionCookie, live, set_cookie};
