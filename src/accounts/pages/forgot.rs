//! Asking for a new password. Every address is answered the same, after the same time.

use std::time::Duration;

use askama::Template;
use axum::{Form, Router, extract::State, http::StatusCode, response::Response, routing::get};
use serde::Deserialize;

use super::{Asked, PasswordSite};
use crate::{
    accounts::reset,
    app::App,
    clients::Site,
    http::{
        Problem, assets,
        page::{self, Brand},
        text,
    },
    learners::EmailAddress,
};

/// An answer takes so long at the least: whether a mail was written does not show by the time.
const LEAST: Duration = Duration::from_millis(250);

/// The form, and what is said after it.
#[derive(Template)]
#[template(path = "forgot.html", config = "src/http/askama.toml")]
pub struct ForgotPage<'a> {
    pub brand: Brand<'a>,
    pub email: &'a str,
    pub is_invalid: bool,
    pub is_sent: bool,
}

/// The form and its target.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/password/forgot", get(show).post(submit))
}

fn render(site: &Site, status: StatusCode, email: &str, is_invalid: bool, is_sent: bool) -> Response {
    page::render(status, &ForgotPage { brand: site.brand(), email, is_invalid, is_sent })
}

async fn show(PasswordSite(site): PasswordSite) -> Response {
    render(&site, StatusCode::OK, "", false, false)
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
}

async fn submit(
    State(app): State<App>,
    PasswordSite(site): PasswordSite,
    asked: Asked,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let earliest = tokio::time::Instant::now() + LEAST;
    asked.posted(&app, &site).await?;
    let Some(email) = EmailAddress::parse(&typed.email) else {
        return Ok(render(&site, StatusCode::UNPROCESSABLE_ENTITY, typed.email.trim(), true, false));
    };
    reset::ask(&app, &site, &email, asked.reference.as_str(), app.clock.now()).await?;
    tokio::time::sleep_until(earliest).await;
    Ok(render(&site, StatusCode::OK, email.as_str(), false, true))
}
