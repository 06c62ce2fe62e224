//! The learner's side of codes.
//!
//! | path | what | where |
//! |---|---|---|
//! | `GET /{client}/{code}` | takes the code out of the address and leads on; never redeems | `link.rs` |
//! | `GET /{client}/redeem` | the box; with codes, what each is worth, and the ways to redeem them | `redeem.rs`, `page.rs` |
//! | `POST /{client}/redeem` | signed in: redeems. Else looks at the codes, or makes the learner and redeems | `redeem.rs`, `account.rs` |
//!
//! Invariants: a GET uses nothing up; no page learns what a code is worth but through `look.rs`; codes stand in forms and
//! in sealed handles, never in an address that we write; whoever signs up lands the same way, whether or not anybody has
//! the address.

use axum::{Router, routing::get};

use crate::app::App;

mod account;
mod link;
pub mod page;
mod redeem;
mod visit;

pub use visit::lead_to_box;

/// The box, the link and what they post to.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/{client}/redeem", get(redeem::show).post(redeem::redeem))
        .route("/{client}/{code}", get(link::follow))
}
