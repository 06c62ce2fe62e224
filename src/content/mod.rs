//! Content: references into the learning platform, granted to a client or to some of its sublicenses.
//!
//! | step | where |
//! |---|---|
//! | what an item is, and whether a change of it holds | `model.rs` |
//! | make, change, delete | `edit.rs` |
//! | over the admin API | `api.rs` |
//! | the learner's home, `GET /{client}/dashboard` | `pages.rs`, and its one query in `store_home.rs` |
//!
//! Invariants: an item names sublicenses exactly when its audience is `sublicenses`; an address is https, and in
//! development http on loopback; a learner sees what is shown to the whole client and to the sublicenses they hold now,
//! and nothing else; whether access runs is decided when the page is asked for, by the earliest of the grant's, the
//! sublicense's and the licence's end; who holds nothing sees nothing.

pub mod api;
mod edit;
mod model;
pub mod pages;
mod store;
mod store_home;

pub use edit::{ContentError, create, delete, find_by_external_id, update};
pub use model::{Audience, ContentChange, ContentItem, NewContent};
