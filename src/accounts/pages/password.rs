//! Signing in with address and password. The page and its answers are the same for every address.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{Asked, PasswordSite, come_back, let_in, seconds};
use crate::{
    accounts::{Attempt, SignInError, sign_in},
    app::App,
    clients::Site,
    http::{
        Problem, assets, limits,
        page::{self, AdvicePage, Brand},
        return_to,
        text::{self, accounts as words},
    },
    learners::EmailAddress,
};

/// What is wrong with what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Not an address.
    Email,
    /// They do not fit; nobody is told which.
    Wrong,
    /// In words, how long to wait.
    Slowed(String),
}

/// The second step of the sign-in, and a page of its own.
#[derive(Template)]
#[template(path = "password.html", config = "src/http/askama.toml")]
pub struct PasswordPage<'a> {
    pub brand: Brand<'a>,
    pub email: &'a str,
    pub trouble: Trouble,
    pub return_to: Option<&'a str>,
    pub all_ways: &'a str,
}

impl PasswordPage<'_> {
    fn is_email_wrong(&self) -> bool {
        self.trouble == Trouble::Email
    }

    fn is_wrong(&self) -> bool {
        self.trouble == Trouble::Wrong
    }

    fn slowed(&self) -> Option<&str> {
        match &self.trouble {
            Trouble::Slowed(words) => Some(words),
            Trouble::None | Trouble::Email | Trouble::Wrong => None,
        }
    }

    /// The first field that is not done yet.
    fn is_email_first(&self) -> bool {
        self.email.is_empty() || self.is_email_wrong()
    }
}

/// The page and its form.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/login/password", get(show).post(submit))
}

#[derive(Deserialize)]
struct Wanted {
    return_to: Option<String>,
}

async fn show(PasswordSite(site): PasswordSite, Query(wanted): Query<Wanted>) -> Response {
    let return_to = site.return_to(wanted.return_to.as_deref());
    ask(&site, "", return_to.as_deref())
}

/// The page for an address whose domain leads to no organisation's sign-in: the same for every address.
pub fn ask(site: &Site, email: &str, return_to: Option<&str>) -> Response {
    render(site, StatusCode::OK, email, Trouble::None, return_to)
}

fn render(site: &Site, status: StatusCode, email: &str, trouble: Trouble, return_to: Option<&str>) -> Response {
    let all_ways = return_to::kept(&site.path(""), return_to);
    page::render(status, &PasswordPage { brand: site.brand(), email, trouble, return_to, all_ways: &all_ways })
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: SecretString,
    return_to: Option<String>,
}

async fn submit(
    State(app): State<App>,
    PasswordSite(site): PasswordSite,
    asked: Asked,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    asked.is_ours(&site)?;
    limits::of_address(&app, asked.address).await?;
    let now = app.clock.now();
    let return_to = site.return_to(typed.return_to.as_deref());
    let again = |status, trouble| render(&site, status, typed.email.trim(), trouble, return_to.as_deref());
    let Some(email) = EmailAddress::parse(&typed.email) else {
        return Ok(again(StatusCode::UNPROCESSABLE_ENTITY, Trouble::Email));
    };
    let visitor = asked.visitor(&app);
    // A flood at a client does not keep out the browsers that its people have used before.
    if !visitor.is_known(&app, &email, now) {
        limits::of_client(&app, site.id).await?;
    }
    let replaces = asked.session(&app, site.id);
    let attempt = Attempt {
        visitor: &visitor,
        email: &email,
        password: &typed.password,
        replaces: replaces.as_ref(),
        reference: asked.reference.as_str(),
    };
    match sign_in(&app, site.client(), &attempt, now).await {
        Ok(signed_in) => {
            let home = return_to.unwrap_or_else(|| site.path("/dashboard"));
            Ok(let_in(&app, &site, &signed_in.session, signed_in.mark.as_deref(), &home))
        }
        Err(SignInError::Wrong) => Ok(again(StatusCode::UNPROCESSABLE_ENTITY, Trouble::Wrong)),
        Err(SignInError::Wait(wait)) => {
            let trouble = Trouble::Slowed(words::slowed(seconds(wait)));
            Ok(come_back(again(StatusCode::TOO_MANY_REQUESTS, trouble), wait))
        }
        Err(SignInError::Suspended) => {
            let (advice, reference) = (&text::refused::SUSPENDED, Some(asked.reference.as_str()));
            let page = AdvicePage { brand: site.brand(), advice, message: None, reference, retry: None };
            Ok(page::render(StatusCode::FORBIDDEN, &page))
        }
        Err(SignInError::Fault(fault)) => Err(fault.into()),
    }
}
