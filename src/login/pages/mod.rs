//! What a learner sees on the way in and out.
//!
//! | path | where |
//! |---|---|
//! | `GET /{client}` | `landing.rs` |
//! | `GET,POST /{client}/login` | `by_email.rs` |
//! | `GET,POST /{client}/logout` | `logout.rs` |
//! | a refused sign-in, the question before an unsolicited one | `refusal.rs`, `confirm.rs` |

use axum::Router;

use crate::app::App;

pub mod by_email;
pub mod confirm;
pub mod landing;
pub mod logout;
pub mod protocol;
pub mod published;
pub mod refusal;

/// The learner's own pages, and the protocol's addresses.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(landing::routes())
        .merge(by_email::routes())
        .merge(logout::routes())
        .merge(protocol::routes())
        .merge(published::routes())
}
