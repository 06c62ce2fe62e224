//! Where a sign-in starts.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Redirect},
    routing::get,
};
use serde::Deserialize;

use super::arrival::{Answer, Asked, find, unmatched};
use crate::{
    app::App,
    clients::ClientFacts,
    connections::ConnectionFacts,
    http::{
        Problem, limits,
        page::{self, Brand, Field},
    },
    login::{
        attempt::BrowserKey,
        begin::{self, Departure, Wish},
        reason::Stop,
        return_to,
    },
};

/// `GET /{client}/login/{connection}`
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/login/{connection}", get(start))
}

#[derive(Deserialize)]
struct StartQuery {
    return_to: Option<String>,
    login_hint: Option<String>,
}

async fn start(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(query): Query<StartQuery>,
    asked: Asked,
) -> Answer {
    let client = app.clients.by_slug(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    let connection = find(&app, &id).await?;
    // Another client's connection is no connection here (design, invariant 1).
    if connection.client_id != client.id {
        return Err(Problem::not_found());
    }
    limits::sign_in(&app, asked.address, client.id).await?;
    let return_to = return_to::checked(&client.slug, query.return_to.as_deref());
    let hint = query.login_hint.filter(|hint| hint.len() <= 254 && !hint.chars().any(char::is_control));
    depart(&app, &client, connection, &asked, return_to, hint.as_deref()).await
}

/// Sends the browser to the identity provider, with the cookie that binds the attempt to it.
pub(super) async fn depart(
    app: &App,
    client: &ClientFacts,
    connection: Arc<ConnectionFacts>,
    asked: &Asked,
    return_to: Option<String>,
    login_hint: Option<&str>,
) -> Answer {
    let (browser, cookie) = BrowserKey::of(app, &asked.headers);
    let wish = Wish { return_to, login_hint, now: app.clock.now() };
    let departure = match begin::begin(app, connection.clone(), &browser, wish).await {
        Ok(departure) => departure,
        Err(Stop::Fault(fault)) => return Err(fault.into()),
        Err(Stop::Refused(reason)) => return unmatched(app, connection, asked, reason).await,
    };
    let mut response = match departure {
        Departure::Redirect(url) => Redirect::to(url.as_str()).into_response(),
        Departure::Post { action, fields } => {
            let fields: Vec<Field<'_>> = fields.iter().map(|(name, value)| Field { name, value }).collect();
            page::post_to_idp(app, Brand::of(client), &action, &fields)
        }
    };
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
