//! Registration codes (one code, many learners) and redemption codes (one code, one learner, in batches).
//!
//! | step | where |
//! |---|---|
//! | a code as typed and as compared, reserved words, drawing | `text.rs` |
//! | what a code is worth to somebody now | `model.rs`, pure; [`check`] for pages, which uses nothing |
//! | redeeming, in one transaction for many | `redeem.rs`; [`redeem_within`] in the caller's transaction |
//! | bringing redemptions of many requests together | `line.rs`: [`redeem`] |
//! | when an address is verified, when two records become one | `waiting.rs`, `merge.rs` |
//! | what an offer says, making and changing it | `terms.rs`, pure; `edit.rs` |
//! | codes by the hundred thousand: generated, or brought by an admin | `fill.rs`, `intake.rs` |
//! | revoking, restoring, undoing one use | `revoke.rs` |
//! | over the admin API | `api.rs`, `batch_api.rs`, `code_api.rs`; what it shows: `view.rs` |
//! | what was typed; codes on their way through a sign-in; looking at them under the limits on guessing | `typed.rs`, `kept.rs`, `look.rs` |
//! | signing up with a code and a password | `sign_up.rs` |
//! | the learner's pages, and their words | `pages/`, `words.rs` |
//!
//! Invariants: one namespace of both kinds in a client; a maximum, a single use and seats hold under any concurrency; a
//! code is used up only when it lengthens the learner's access or raises the role; one learner redeems one code once;
//! nobody hears of success before the commit; a redemption leaves its audit event and its outgoing event in the same
//! transaction; the text of a code is in no event and no log.

pub mod api;
mod batch_api;
mod check;
mod code_api;
mod edit;
mod error;
mod fill;
mod intake;
mod kept;
mod line;
pub mod look;
mod merge;
mod model;
pub mod pages;
mod redeem;
mod revoke;
mod sign_up;
mod store;
mod store_batch;
mod store_person;
mod store_redeem;
mod store_redemptions;
mod store_undo;
mod terms;
mod text;
pub mod typed;
mod view;
mod waiting;
pub mod words;

pub use check::{Checked, Visitor, check, note_refusals};
pub use error::CodeError;
pub use fill::batches_due;
pub use kept::KEPT_FOR;
pub use line::{Line, redeem};
pub use merge::give_back_on_merge;
pub use model::{CodeOutcome, CodeResult, CodeState, Hidden, Kind, RedeemOrder, Verdict};
pub use redeem::redeem_within;
pub use sign_up::forget_sign_ups;
pub use text::{CodeText, Malformed};
pub use waiting::redeem_waiting;
