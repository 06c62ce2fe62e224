//! Who stands before the redeem page, and how codes travel to it.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};

use crate::{
    app::App,
    clients::{self, Place, Site},
    codes::{kept::Kept, look::Asker, store_person},
    http::{BrowserKey, ClientAddress, Problem, Reference, guessing::Source},
    ids::LearnerId,
    learners::EmailAddress,
    sessions::{SessionCookie, SessionToken},
};

/// What the handlers here ask of a request.
pub struct Asked {
    pub headers: HeaderMap,
    pub address: ClientAddress,
    pub reference: Reference,
    pub cookie: SessionCookie,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            address: ClientAddress::from_request_parts(parts, state).await?,
            reference: Reference::from_request_parts(parts, state).await?,
            cookie: SessionCookie::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
        })
    }
}

/// Who is signed in.
pub(super) struct Person {
    pub learner: LearnerId,
    pub name: String,
    pub verified_email: Option<EmailAddress>,
}

/// One request at one open client.
pub(super) struct Visit {
    pub site: Site,
    pub person: Option<Person>,
    pub asked: Asked,
    pub now: DateTime<Utc>,
}

/// Finds client and session: for a learner who is signed in, one round trip to Redis and one to PostgreSQL. The inner
/// error is the page of a client that is closed.
pub(super) async fn enter(app: &App, place: &Place, asked: Asked) -> Result<Result<Visit, Response>, Problem> {
    let now = app.clock.now();
    let met = place.met(app).await?;
    let session = asked.cookie.session(app, met.id, met.session_idle, now).await?;
    let row = match &session {
        Some(session) => store_person::person(&app.db, met.id, session.learner, session.idp.as_ref()).await?,
        None => None,
    };
    let found = session.zip(row).filter(|(session, row)| session.epoch == row.session_epoch);
    let site = match &found {
        Some((_, row)) => place.at_version(app, met, row.client_version).await?,
        None => place.now(app).await?,
    };
    if !site.is_live(now) {
        return Ok(Err(clients::pages::closed(&site)));
    }
    let found = found.filter(|(session, _)| session.idp.is_some() || site.allows_passwords());
    let person = found.map(|(session, row)| {
        let name = format!("{} {}", row.first_name, row.last_name);
        let own = Some(name.trim()).filter(|name| !name.is_empty()).or(row.email.as_deref());
        Person {
            learner: session.learner,
            name: own.unwrap_or(crate::http::text::dashboard::NO_NAME).to_owned(),
            verified_email: row.email.as_deref().filter(|_| row.email_verified).and_then(EmailAddress::parse),
        }
    });
    Ok(Ok(Visit { site, person, asked, now }))
}

impl Visit {
    /// By whom guesses are counted.
    pub fn source(&self) -> Source {
        Source {
            client: self.site.id,
            learner: self.person.as_ref().map(|person| person.learner),
            address: self.asked.address,
        }
    }

    pub fn asker(&self) -> Asker<'_> {
        Asker {
            source: self.source(),
            verified_email: self.person.as_ref().and_then(|person| person.verified_email.as_ref()),
            reference: self.asked.reference.as_str(),
        }
    }

    /// The token of the session that the browser brought, live or not: it ends when another begins.
    pub fn session_token(&self, app: &App) -> Option<SessionToken> {
        self.asked.cookie.token(app, self.site.id)
    }
}

/// The redeem page with these codes, whose text does not stand in its address.
pub(super) fn box_with(app: &App, site: &Site, browser: &BrowserKey, kept: &Kept) -> String {
    match kept.seal(app, site.id, browser) {
        Some(handle) => site.path(&format!("/redeem?h={handle}")),
        None => site.path("/redeem"),
    }
}

/// Leads the browser to the redeem page with what was typed.
pub fn lead_to_box(
    app: &App,
    site: &Site,
    headers: &HeaderMap,
    typed: &str,
    is_counted: bool,
    now: DateTime<Utc>,
) -> Response {
    let (browser, cookie) = BrowserKey::of(app, headers);
    let kept = Kept::new(typed.to_owned(), is_counted, now);
    let mut response = Redirect::to(&box_with(app, site, &browser, &kept)).into_response();
    plant(&mut response, cookie);
    response
}

/// Sets the browser's cookie where it had none.
pub(super) fn plant(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
