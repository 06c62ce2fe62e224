//! Registration codes (one code, many learners) and redemption codes (one code, one learner, in batches).
//!
//! | step | where |
//! |---|---|
//! | a code as typed and as compared, reserved words, drawing | `text.rs` |
//! | what a code is worth to somebody now | `model.rs`, pure; [`check`] for pages, which uses nothing |
//! | redeeming, in one transaction for many | `redeem.rs`; [`redeem_within`] in the caller's transaction |
//! | bringing redemptions of many requests together | `line.rs`: [`redeem`] |
//!
//! Invariants: one namespace of both kinds in a client; a maximum, a single use and seats hold under any concurrency; a
//! code is used up only when it lengthens the learner's access or raises the role; one learner redeems one code once;
//! nobody hears of success before the commit; a redemption leaves its audit event and its outgoing event in the same
//! transaction; the text of a code is in no event and no log.

mod check;
mod line;
mod model;
mod redeem;
mod store_redeem;
mod text;

pub use check::{Checked, Visitor, check, note_refusals};
pub use line::{Line, redeem};
pub use model::{CodeOutcome, CodeResult, CodeState, Hidden, Kind, RedeemOrder, Verdict};
pub use redeem::redeem_within;
pub use text::{CodeText, Malformed};
