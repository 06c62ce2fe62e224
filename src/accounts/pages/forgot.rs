//! Asking for a new password. Every address is answered the same, after the same time.

use std::time::Duration;

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use serde::Deserialize;

use super::{Asked, open};
use crate::{
    accounts::reset,
    app::App,
    clients::ClientFacts,
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

fn render(client: &ClientFacts, status: StatusCode, email: &str, is_invalid: bool, is_sent: bool) -> Response {
    page::render(status, &ForgotPage { brand: Brand::of(client), email, is_invalid, is_sent })
}

async fn show(State(app): State<App>, Path(slug): Path<String>) -> Result<Response, Problem> {
    Ok(match open(&app, &slug).await? {
        Ok(client) => render(&client, StatusCode::OK, "", false, false),
        Err(closed) => closed,
    })
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
}

async fn submit(
    State(app): State<App>,
    Path(slug): Path<String>,
    asked: Asked,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let earliest = tokio::time::Instant::now() + LEAST;
    let client = match open(&app, &slug).await? {
        Ok(client) => client,
        Err(closed) => return Ok(closed),
    };
    asked.posted(&app, &client).await?;
    let Some(email) = EmailAddress::parse(&typed.email) else {
        return Ok(render(&client, StatusCode::UNPROCESSABLE_ENTITY, typed.email.trim(), true, false));
    };
    reset::ask(&app, &client, &email, asked.reference.as_str(), app.clock.now()).await?;
    tokio::time::sleep_until(earliest).await;
    Ok(render(&client, StatusCode::OK, email.as_str(), false, true))
}
