//! Where OpenID providers say that a session has ended (OpenID Connect Back-Channel Logout 1.0). No page: servers ask.

use axum::{
    Form, Json, Router,
    extract::{Path, State, rejection::FormRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

use super::arrival::{Answer, find};
use crate::{
    app::App,
    http::{Problem, Reference},
    login::{
        begin, logout,
        oidc::{LogoutTokenError, NotEnded, end_by_token},
    },
};

/// `POST /oidc/{connection}/backchannel-logout`
pub fn routes() -> Router<App> {
    Router::new().route("/oidc/{connection}/backchannel-logout", post(back_channel))
}

async fn back_channel(
    State(app): State<App>,
    Path(id): Path<String>,
    reference: Reference,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Answer {
    let known = find(&app, &id).await?;
    // Never judged by what the connection was a moment ago; and read anew only where it changed, since anybody may ask.
    let connection = begin::as_it_is(&app, known.owner, known.id).await?.ok_or_else(Problem::not_found)?;
    let Some(facts) = &connection.oidc else { return Err(Problem::not_found()) };
    let now = app.clock.now();
    let ended = match token(form) {
        Some(token) => end_by_token(&app, &connection, facts, &token, reference.as_str(), now).await,
        None => Err(LogoutTokenError::Request.into()),
    };
    match ended {
        Ok(sessions) => {
            tracing::info!(connection.id = %connection.id, sessions, "ended by the identity provider");
            // 2.8: 200, also where nobody was signed in; never kept.
            Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
        }
        Err(NotEnded::Fault(fault)) => Err(fault.into()),
        Err(NotEnded::Refused(error)) => {
            logout::refused(&app, &connection, &error.code(), &reference, now).await?;
            Ok(bad(&error))
        }
    }
}

/// The one token of the form (2.5); what stands beside it is ignored.
fn token(form: Result<Form<Vec<(String, String)>>, FormRejection>) -> Option<String> {
    let mut tokens = form.ok()?.0.into_iter().filter(|(name, _)| name == "logout_token").map(|(_, token)| token);
    let token = tokens.next().filter(|token| !token.is_empty())?;
    tokens.next().is_none().then_some(token)
}

/// 2.8: 400 with an error of OAuth.
fn bad(error: &LogoutTokenError) -> Response {
    let body = json!({ "error": "invalid_request", "error_description": error.explanation() });
    (StatusCode::BAD_REQUEST, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
