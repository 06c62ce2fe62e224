//! Where a sign-in comes home to the client's own host: the ticket begins the session there.

use axum::{
    Router,
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Redirect},
    routing::get,
};
use serde::Deserialize;

use super::arrival::{Answer, Asked, arrive, find_for, stopped};
use crate::{
    app::App,
    clients::Site,
    http::limits,
    login::{
        attempt::BrowserKey,
        complete,
        reason::Reason,
        ticket::{self, Redeemed},
    },
    sessions,
};

/// `GET /{client}/login/{connection}/ticket`
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/login/{connection}/ticket", get(come_home))
}

#[derive(Deserialize)]
struct Handle {
    #[serde(default)]
    ticket: String,
}

/// The end of a signed protocol return, on another host: a GET that lets in whoever holds the ticket and the cookie of this
/// host that it was made for.
async fn come_home(
    State(app): State<App>,
    site: Site,
    Path((_, id)): Path<(String, String)>,
    Query(handle): Query<Handle>,
    asked: Asked,
) -> Answer {
    let connection = find_for(&app, site.id, &id).await?;
    let arrival = arrive(&app, connection, &asked);
    let reason = match BrowserKey::read(&app, &asked.headers) {
        None => Reason::no_cookie(),
        Some(browser) => {
            let replaces = arrival.cookie.token(&app, site.id);
            let with = (&browser, replaces.as_ref());
            match ticket::redeem(&app, &site, arrival.connection.id, with, &handle.ticket, arrival.now).await? {
                Redeemed::In(token, address) => {
                    let mut response = Redirect::to(&address).into_response();
                    response.headers_mut().append(header::SET_COOKIE, sessions::set_cookie(&app, &site, &token));
                    return Ok(response);
                }
                Redeemed::Ended => Reason::ended_by_idp(),
                Redeemed::Unknown => Reason::ticket_unknown(),
            }
        }
    };
    limits::sign_in(&app, asked.address, site.id).await?;
    let stop = complete::unmatched(&app, &arrival, reason).await?;
    stopped(&site, stop, &asked.reference)
}
