//! Local logout: a button that posts, and the page after it.

use askama::Template;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use crate::{
    app::App,
    clients::Site,
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

async fn show(State(app): State<App>, site: Site, cookie: SessionCookie) -> Result<Response, Problem> {
    let session = sessions::live(&app, &cookie, site.id, site.session_idle, app.clock.now()).await?;
    let page = SignedOutPage { brand: site.brand(), signed_in: session.is_some() };
    Ok(page::render(StatusCode::OK, &page))
}

async fn sign_out(
    State(app): State<App>,
    site: Site,
    cookie: SessionCookie,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !csrf::is_same_origin(site.origin(), &headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    if let Some(token) = cookie.token(&app, site.id) {
        sessions::end(&app, site.id, &token).await?;
    }
    let gone = [(header::SET_COOKIE, cookies::unset(&app, &cookies::session_name(site.id)))];
    Ok((gone, Redirect::to(&site.path("/logout"))).into_response())
}
