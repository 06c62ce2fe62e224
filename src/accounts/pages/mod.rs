//! What a learner sees of accounts. Each form says what it does, opening a page does nothing, and nothing that a page
//! answers tells a stranger who exists.
//!
//! | path | where |
//! |---|---|
//! | `GET,POST /{client}/login/password` | `password.rs`; [`password::ask`] is the second step of `/{client}/login` |
//! | `GET,POST /{client}/password/forgot` | `forgot.rs` |
//! | `GET,POST /{client}/password/reset/{token}` | `reset.rs` |
//! | `GET,POST /{client}/confirm/{token}` | `confirm.rs` |
//! | `GET /{client}/account`, `POST …/password`, `…/email`, `…/confirm` | `own.rs` |

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};

use super::{KNOWN_BROWSER, Visitor, Weak, proofs::Spent, throttle};
use crate::{
    app::App,
    clients::{OpenSite, Site},
    http::{
        ClientAddress, Problem, Reference, cookies, csrf, limits,
        page::{self, AdvicePage},
        text::{Advice, accounts as words},
    },
    ids::ClientId,
    sessions::{self, SessionToken},
};

pub mod confirm;
pub mod forgot;
pub mod own;
pub mod password;
pub mod reset;

/// The learner's own pages.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(password::routes())
        .merge(forgot::routes())
        .merge(reset::routes())
        .merge(confirm::routes())
        .merge(own::routes())
}

/// What of a request these pages look at.
pub struct Asked {
    pub headers: HeaderMap,
    pub address: ClientAddress,
    pub reference: Reference,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            address: ClientAddress::from_request_parts(parts, state).await?,
            reference: Reference::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
        })
    }
}

impl Asked {
    /// Where it comes from, and whether the browser is known.
    pub fn visitor(&self, app: &App) -> Visitor {
        let mark = cookies::read(app, &self.headers, KNOWN_BROWSER).map(str::to_owned);
        Visitor { address: self.address, mark }
    }

    /// The session that the browser has with this client.
    pub fn session(&self, app: &App, client: ClientId) -> Option<SessionToken> {
        SessionToken::read(cookies::read(app, &self.headers, &cookies::session_name(client))?)
    }

    /// A form of our own, within the rates of its address and its client.
    async fn posted(&self, app: &App, site: &Site) -> Result<(), Problem> {
        self.is_ours(site)?;
        limits::sign_in(app, self.address, site.id).await
    }

    fn is_ours(&self, site: &Site) -> Result<(), Problem> {
        if csrf::is_same_origin(site.origin(), &self.headers) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."))
    }
}

/// The site of a client where people may use passwords. Everybody else reads what is closed.
struct PasswordSite(Site);

impl FromRequestParts<App> for PasswordSite {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let OpenSite(site) = OpenSite::from_request_parts(parts, app).await?;
        if site.allows_passwords() {
            return Ok(Self(site));
        }
        Err(advice(&site, StatusCode::FORBIDDEN, &words::NO_PASSWORDS, &site.path("")))
    }
}

/// A page that says what happened and what to do.
fn advice(site: &Site, status: StatusCode, advice: &Advice, retry: &str) -> Response {
    let page = AdvicePage { brand: site.brand(), advice, message: None, reference: None, retry: Some(retry) };
    page::render(status, &page)
}

/// Why a link opens nothing.
fn spent(site: &Site, why: Spent) -> Response {
    let (status, words) = match why {
        Spent::Used => (StatusCode::GONE, &words::LINK_USED),
        Spent::Expired => (StatusCode::GONE, &words::LINK_EXPIRED),
        Spent::Unknown => (StatusCode::NOT_FOUND, &words::LINK_UNKNOWN),
    };
    let retry = site.path(if site.allows_passwords() { "/login/password" } else { "" });
    advice(site, status, words, &retry)
}

/// Why a password is not taken, in words.
pub const fn weak(why: Weak) -> &'static str {
    match why {
        Weak::TooShort => words::TOO_SHORT,
        Weak::TooLong => words::TOO_LONG,
        Weak::Guessable => words::GUESSABLE,
    }
}

/// On to `path`, with a fresh session and, where the browser is to be known next time, its mark.
pub fn let_in(app: &App, site: &Site, session: &SessionToken, mark: Option<&str>, path: &str) -> Response {
    let mut response = Redirect::to(path).into_response();
    response.headers_mut().append(header::SET_COOKIE, sessions::set_cookie(app, site, session));
    if let Some(mark) = mark {
        let cookie = cookies::set(app, KNOWN_BROWSER, mark, Some(throttle::KNOWN_FOR));
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Tells when to come back.
fn come_back(mut response: Response, wait: Duration) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
    response
}

const fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}
