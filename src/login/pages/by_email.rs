//! The e-mail-first login page: the address's domain decides where the learner signs in; where it leads nowhere, a
//! password is asked for.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::landing::{Wanted, Way, address, start, ways};
use crate::{
    accounts,
    app::App,
    claims::email_domain,
    clients::{OpenSite, Site},
    connections,
    http::{
        ClientAddress, Problem, assets, csrf, limits,
        page::{self, Brand},
        text,
    },
};

/// What is wrong with the address that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    Invalid,
    Unknown,
}

impl Trouble {
    fn is_invalid(self) -> bool {
        self == Self::Invalid
    }

    fn is_unknown(self) -> bool {
        self == Self::Unknown
    }
}

/// `GET,POST /{client}/login`
#[derive(Template)]
#[template(path = "login.html", config = "src/http/askama.toml")]
pub struct LoginPage<'a> {
    pub brand: Brand<'a>,
    /// What was typed, to be corrected.
    pub email: &'a str,
    pub trouble: Trouble,
    /// Where the address leads to several ways.
    pub choices: &'a [Way<'a>],
    pub return_to: Option<&'a str>,
    pub all_ways: &'a str,
    /// Where a password is asked for, where the client allows one.
    pub by_password: Option<&'a str>,
}

/// The form and what it leads to.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/login", get(form).post(route))
}

async fn form(State(app): State<App>, OpenSite(site): OpenSite, Query(wanted): Query<Wanted>) -> Response {
    let return_to = site.return_to(wanted.return_to.as_deref());
    show(&app, &site, StatusCode::OK, "", Trouble::None, &[], return_to.as_deref())
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
    return_to: Option<String>,
}

/// Leads to the connection of the address's domain. Says the same for an address that is known here and for one that
/// is not: only the domain counts.
async fn route(
    State(app): State<App>,
    OpenSite(site): OpenSite,
    from: ClientAddress,
    headers: HeaderMap,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    if !csrf::is_same_origin(site.origin(), &headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    limits::sign_in(&app, from, site.id).await?;
    let return_to = site.return_to(typed.return_to.as_deref());
    let return_to = return_to.as_deref();
    let email = typed.email.trim();
    let is_address = email.len() <= 254 && !email.chars().any(char::is_control) && email_domain(email).is_some();
    if !is_address {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(show(&app, &site, unprocessable, email, Trouble::Invalid, &[], return_to));
    }
    let found = connections::for_email(&mut *app.acquire().await?, site.id, email).await?;
    Ok(match found.as_slice() {
        [] if site.allows_passwords() => accounts::pages::password::ask(&site, email, return_to),
        [] => show(&app, &site, StatusCode::OK, email, Trouble::Unknown, &[], return_to),
        [only] => Redirect::to(&start(&site, only, return_to, Some(email))).into_response(),
        several => {
            let choices = ways(&site, several, return_to, Some(email));
            show(&app, &site, StatusCode::OK, email, Trouble::None, &choices, return_to)
        }
    })
}

fn show(
    app: &App,
    site: &Site,
    status: StatusCode,
    email: &str,
    trouble: Trouble,
    choices: &[Way<'_>],
    return_to: Option<&str>,
) -> Response {
    let all_ways = address(&site.path(""), &[("return_to", return_to)]);
    let brand = site.brand();
    let by_password = address(&site.path("/login/password"), &[("return_to", return_to)]);
    let by_password = site.allows_passwords().then_some(by_password.as_str());
    let page = LoginPage { brand, email, trouble, choices, return_to, all_ways: &all_ways, by_password };
    let mut response = page::render(status, &page);
    page::allow_forms_out(app, &mut response);
    response
}
