//! What a learner sees on the way in and out.
//!
//! | path | where |
//! |---|---|
//! | `GET /{client}` | `landing.rs` |
//! | `GET,POST /{client}/login` | `by_email.rs` |
//! | `GET,POST /{client}/logout`, `GET /oidc/{connection}/logged-out` | `logout.rs` |
//! | `GET /{client}/login/{connection}` | `start.rs` |
//! | `POST /saml/{connection}/acs`, `POST /{client}/login/{connection}/continue` | `saml.rs` |
//! | `GET,POST /saml/{connection}/slo` | `slo.rs` |
//! | `GET,POST /oidc/{connection}/callback` | `oidc.rs` |
//! | `POST /oidc/{connection}/backchannel-logout` | `back_channel.rs` |
//! | `GET /{client}/login/{connection}/ticket` | `ticket.rs` |
//! | what these have in common | `arrival.rs` |
//! | a refused sign-in, the question before an unsolicited one | `refusal.rs`, `elsewhere.rs`, `confirm.rs` |

use axum::Router;

use crate::app::App;

mod arrival;
mod back_channel;
pub mod by_email;
pub mod confirm;
pub mod elsewhere;
pub mod landing;
pub mod logout;
mod oidc;
pub mod published;
pub mod refusal;
mod saml;
mod slo;
mod start;
mod ticket;

/// The learner's own pages, and the protocol's addresses.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(landing::routes())
        .merge(by_email::routes())
        .merge(logout::routes())
        .merge(start::routes())
        .merge(ticket::routes())
        .merge(saml::routes())
        .merge(slo::routes())
        .merge(oidc::routes())
        .merge(back_channel::routes())
        .merge(published::routes())
}
