//! Local logout: a button that posts, and the page after it.

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use crate::{
    app::App,
    http::{
        Problem, assets, cookies, csrf,
        page::{self, Brand},
        text,
    },
    sessions::{self, SessionCookie},
};

/// After a local logout, or before it where somebody comes by link: a link ends no session.
#[derive(Template)]
#[template(path = "signed_out.html", config = "src/http/askama.toml")]
pub struct SignedOutPage<'a> {
    pub brand: Brand<'a>,
    pub signed_in: bool,
}

/// The page and the button's target.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/logout", get(show).post(sign_out))
}

async fn show(State(app): State<App>, Path(slug): Path<String>, cookie: SessionCookie) -> Result<Response, Problem> {
    let client = app.clients.by_slug(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    let session = sessions::live(&app, &cookie, client.id, client.session_idle, app.clock.now()).await?;
    let page = SignedOutPage { brand: Brand::of(&client), signed_in: session.is_some() };
    Ok(page::render(StatusCode::OK, &page))
}

async fn sign_out(
    State(app): State<App>,
    Path(slug): Path<String>,
    cookie: SessionCookie,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = app.clients.by_slug(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    if !csrf::is_same_origin(&app, &headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    if let Some(token) = cookie.token(&app, client.id) {
        sessions::end(&app, client.id, &token).await?;
    }
    let gone = [(header::SET_COOKIE, cookies::unset(&app, &cookies::session_name(client.id)))];
    Ok((gone, Redirect::to(&format!("/{}/logout", client.slug))).into_response())
}
