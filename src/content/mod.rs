//! Content: references into the learning platform, granted to a client or to some of its sublicenses.
//!
//! | step | where |
//! |---|---|
//! | what an item is, and whether a change of it holds | `model.rs` |
//! | make, change, delete | `edit.rs` |
//! | over the admin API | `api.rs` |
//! | what a learner sees | [`visible`], shown by `pages.rs` |
//!
//! Invariants: an item names sublicenses exactly when its audience is `sublicenses`; a learner who may see no
//! sublicense sees no content; an address is https, and in development http on loopback.

pub mod api;
mod edit;
mod model;
pub mod pages;
mod store;

pub use edit::{ContentError, create, delete, find_by_external_id, update};
pub use model::{Audience, ContentChange, ContentItem, NewContent};
pub use store::{Tile, visible};
