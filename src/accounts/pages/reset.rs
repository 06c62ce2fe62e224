//! Setting a new password by the link that was mailed.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{Asked, PasswordSite, spent, weak};
use crate::{
    accounts::{
        passwords,
        reset::{self, ResetError},
    },
    app::App,
    clients::Site,
    http::{
        Problem, assets,
        page::{self, Brand},
        text,
    },
};

/// The form, and what is said after it.
#[derive(Template)]
#[template(path = "reset.html", config = "src/http/askama.toml")]
pub struct ResetPage<'a> {
    pub brand: Brand<'a>,
    pub email: &'a str,
    /// Why the password is not taken.
    pub wrong: Option<&'a str>,
    pub is_done: bool,
}

/// The form and its target.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/password/reset/{token}", get(show).post(submit))
}

fn render(site: &Site, status: StatusCode, email: &str, wrong: Option<&str>, is_done: bool) -> Response {
    page::render(status, &ResetPage { brand: site.brand(), email, wrong, is_done })
}

async fn show(
    State(app): State<App>,
    PasswordSite(site): PasswordSite,
    Path((_, token)): Path<(String, String)>,
) -> Result<Response, Problem> {
    Ok(match reset::look(&app, &site, &token, app.clock.now()).await? {
        Ok(opened) => render(&site, StatusCode::OK, opened.email.as_str(), None, false),
        Err(why) => spent(&site, why),
    })
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    password: SecretString,
}

async fn submit(
    State(app): State<App>,
    PasswordSite(site): PasswordSite,
    Path((_, token)): Path<(String, String)>,
    asked: Asked,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    asked.posted(&app, &site).await?;
    let now = app.clock.now();
    // Before anything is hashed: a link that is none costs nothing.
    let opened = match reset::look(&app, &site, &token, now).await? {
        Ok(opened) => opened,
        Err(why) => return Ok(spent(&site, why)),
    };
    let email = opened.email.as_str();
    if let Err(why) = passwords::judged(&app, &typed.password, opened.hints).await? {
        return Ok(render(&site, StatusCode::UNPROCESSABLE_ENTITY, email, Some(weak(why)), false));
    }
    let hash = passwords::hash(&app, typed.password).await?;
    match reset::reset(&app, &site, &token, &hash, asked.reference.as_str(), now).await {
        Ok(()) => Ok(render(&site, StatusCode::OK, email, None, true)),
        Err(ResetError::Spent(why)) => Ok(spent(&site, why)),
        Err(ResetError::Fault(fault)) => Err(fault.into()),
    }
}
