//! Where OpenID providers answer, by query or by form.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    routing::get,
};

use super::{
    arrival::{Answer, Asked, admitted, arrive, find, landed, unmatched},
    saml::REPOSTED,
};
use crate::{
    app::App,
    http::{
        Problem, csrf, limits,
        page::{self, Field},
    },
    login::{attempt::BrowserKey, complete, reason::Reason},
};

/// What an authorization response may hold (RFC 6749, 4.1.2; RFC 9207).
const ANSWER: [&str; 5] = ["state", "code", "iss", "error", "error_description"];
/// The longest of its values.
const ANSWER_BYTES: usize = 8 << 10;

/// The redirect URI of a connection.
pub fn routes() -> Router<App> {
    Router::new().route("/oidc/{connection}/callback", get(oidc_query).post(oidc_form))
}

async fn oidc_query(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
    Query(answer): Query<Vec<(String, String)>>,
) -> Answer {
    oidc_callback(&app, &id, &asked, answer).await
}

async fn oidc_form(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
    Form(answer): Form<Vec<(String, String)>>,
) -> Answer {
    // As for SAML: form_post comes from the provider's site, without our cookie. Only what an authorization response
    // may hold is posted once more, each once, so that the page is no larger than an honest one.
    let is_reposted = answer.iter().any(|(name, _)| name == REPOSTED)
        && csrf::is_same_origin(app.settings.server.origin(), &asked.headers);
    if BrowserKey::read(&app, &asked.headers).is_none() && !is_reposted {
        let connection = find(&app, &id).await?;
        if connection.oidc.is_none() {
            return Err(Problem::not_found());
        }
        limits::sign_in(&app, asked.address, connection.owner).await?;
        let known = |wanted: &'static str| {
            let found = answer.iter().find(|(name, _)| name == wanted);
            found.filter(|(_, value)| value.len() <= ANSWER_BYTES).map(|(_, value)| Field { name: wanted, value })
        };
        let mut fields: Vec<Field<'_>> = ANSWER.into_iter().filter_map(known).collect();
        fields.push(Field { name: REPOSTED, value: "1" });
        return Ok(page::repost(&app, &format!("/oidc/{id}/callback"), &fields));
    }
    oidc_callback(&app, &id, &asked, answer).await
}

async fn oidc_callback(app: &App, id: &str, asked: &Asked, answer: Vec<(String, String)>) -> Answer {
    let connection = find(app, id).await?;
    if connection.oidc.is_none() {
        return Err(Problem::not_found());
    }
    let state = answer.iter().find(|(name, _)| name == "state").map(|(_, value)| value.as_str()).unwrap_or_default();
    let browser = BrowserKey::read(app, &asked.headers);
    let attempt = admitted(app, asked, &connection, browser.as_ref(), state).await?;
    let arrival = arrive(app, connection, asked);
    let Some(attempt) = attempt else {
        let reason = if browser.is_none() { Reason::no_cookie() } else { Reason::attempt_unknown() };
        return unmatched(app, &arrival, arrival.connection.owner, reason).await;
    };
    let done = complete::openid(app, &arrival, attempt, answer).await;
    landed(app, &asked.reference, done).await
}
