//! Local logout: this browser's session with this client ends.

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
    routing::post,
};

use super::{brand_of, landing::SignedOutPage};
use crate::{
    app::App,
    http::{Problem, cookies, csrf, page},
    sessions::{self, SessionCookie},
};

/// `POST /{client}/logout`
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/logout", post(log_out))
}

/// A form of another site ends nothing. Without a session it says the same: a second click is no error.
async fn log_out(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    cookie: SessionCookie,
) -> Result<Response, Problem> {
    let client = app.clients.by_slug(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    if !csrf::is_same_origin(&app, &headers) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "The form came from another site. Nothing was done.",
        ));
    }
    if let Some(token) = cookie.token(&app, client.id) {
        sessions::end(&app, client.id, &token).await?;
    }
    let mut response = page::render(StatusCode::OK, &SignedOutPage { brand: brand_of(&client) });
    let removal = cookies::unset(&app, &cookies::session_name(client.id));
    response.headers_mut().append(header::SET_COOKIE, removal);
    Ok(response)
}
