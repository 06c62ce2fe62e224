//! A client's landing page: who this is, the ways to sign in, and the box for a code.

use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::{
    app::App,
    clients::{OpenSite, Site},
    connections::{self, ConnectionSummary},
    http::{
        Problem, assets,
        page::{self, Brand},
        text,
    },
    sessions::{self, SessionCookie},
};

/// One way to sign in.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    pub name: &'a str,
    pub href: String,
}

/// `GET /{client}`
#[derive(Template)]
#[template(path = "landing.html", config = "src/http/askama.toml")]
pub struct LandingPage<'a> {
    pub brand: Brand<'a>,
    pub ways: &'a [Way<'a>],
    /// Where the e-mail-first page is.
    pub by_email: &'a str,
    /// Whether people sign in with a password here, too.
    pub passwords: bool,
    pub signed_in: bool,
    /// What is in the box for codes.
    pub typed: &'a str,
}

impl LandingPage<'_> {
    /// The box stands below the ways to sign in.
    const fn box_is_aside(&self) -> bool {
        true
    }
}

/// The landing page.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}", get(landing))
}

/// What leads back to where the learner wanted to be.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub return_to: Option<String>,
}

async fn landing(
    State(app): State<App>,
    OpenSite(site): OpenSite,
    Query(wanted): Query<Wanted>,
    cookie: SessionCookie,
) -> Result<Response, Problem> {
    let return_to = site.return_to(wanted.return_to.as_deref());
    let active = connections::for_landing(&mut *app.acquire().await?, site.id).await?;
    let ways = ways(&site, &active, return_to.as_deref(), None);
    let by_email = address(&site.path("/login"), &[("return_to", return_to.as_deref())]);
    let session = sessions::live(&app, &cookie, site.id, site.session_idle, app.clock.now()).await?;
    let page = LandingPage {
        brand: site.brand(),
        ways: &ways,
        by_email: &by_email,
        passwords: site.allows_passwords(),
        signed_in: session.is_some(),
        typed: "",
    };
    Ok(page::render(StatusCode::OK, &page))
}

/// Where each connection's sign-in starts.
pub(super) fn ways<'a>(
    site: &Site,
    connections: &'a [ConnectionSummary],
    return_to: Option<&str>,
    login_hint: Option<&str>,
) -> Vec<Way<'a>> {
    let way = |connection: &'a ConnectionSummary| Way {
        name: &connection.name,
        href: start(site, connection, return_to, login_hint),
    };
    connections.iter().map(way).collect()
}

/// The address at which a connection's sign-in starts.
pub(super) fn start(
    site: &Site,
    connection: &ConnectionSummary,
    return_to: Option<&str>,
    login_hint: Option<&str>,
) -> String {
    let path = site.path(&format!("/login/{}", connection.id));
    address(&path, &[("login_hint", login_hint), ("return_to", return_to)])
}

/// A path with those parameters that are there.
pub(super) fn address(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let present = || parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    if present().next().is_none() {
        return path.to_owned();
    }
    format!("{path}?{}", Serializer::new(String::new()).extend_pairs(present()).finish())
}
