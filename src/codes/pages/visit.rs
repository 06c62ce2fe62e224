//! Who stands before the redeem page, and how codes travel to it.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};

use crate::{
    app::App,
    clients::{self, ClientFacts},
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
    pub client: Arc<ClientFacts>,
    pub person: Option<Person>,
    pub asked: Asked,
    pub now: DateTime<Utc>,
}

/// Finds client and session: for a learner who is signed in, one round trip to Redis and one to PostgreSQL. The inner
/// error is the page of a client that is closed.
pub(super) async fn enter(app: &App, slug: &str, asked: Asked) -> Result<Result<Visit, Response>, Problem> {
    let now = app.clock.now();
    let met = app.clients.met(&app.db, slug).await?.ok_or_else(Problem::not_found)?;
    let session = asked.cookie.session(app, met.id, met.session_idle, now).await?;
    let row = match &session {
        Some(session) => store_person::person(&app.db, met.id, session.learner, session.idp.as_ref()).await?,
        None => None,
    };
    let found = session.zip(row).filter(|(session, row)| session.epoch == row.session_epoch);
    let client = match &found {
        Some((_, row)) => app.clients.at_version(&app.db, met.id, row.client_version).await?,
        None => app.clients.by_slug(&app.db, slug).await?.ok_or_else(Problem::not_found)?,
    };
    if !client.is_live(now) {
        return Ok(Err(clients::pages::closed(&client)));
    }
    let found = found.filter(|(session, _)| session.idp.is_some() || client.allows_passwords());
    let person = found.map(|(session, row)| {
        let name = format!("{} {}", row.first_name, row.last_name);
        let own = Some(name.trim()).filter(|name| !name.is_empty()).or(row.email.as_deref());
        Person {
            learner: session.learner,
            name: own.unwrap_or(crate::http::text::dashboard::NO_NAME).to_owned(),
            verified_email: row.email.as_deref().filter(|_| row.email_verified).and_then(EmailAddress::parse),
        }
    });
    Ok(Ok(Visit { client, person, asked, now }))
}

impl Visit {
    /// By whom guesses are counted.
    pub fn source(&self) -> Source {
        Source {
            client: self.client.id,
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
        self.asked.cookie.token(app, self.client.id)
    }
}

/// The redeem page with these codes, whose text does not stand in its address.
pub(super) fn box_with(app: &App, client: &ClientFacts, browser: &BrowserKey, kept: &Kept) -> String {
    match kept.seal(app, client.id, browser) {
        Some(handle) => format!("/{}/redeem?h={handle}", client.slug),
        None => format!("/{}/redeem", client.slug),
    }
}

/// Leads the browser to the redeem page with what was typed.
pub fn lead_to_box(
    app: &App,
    client: &ClientFacts,
    headers: &HeaderMap,
    typed: &str,
    is_counted: bool,
    now: DateTime<Utc>,
) -> Response {
    let (browser, cookie) = BrowserKey::of(app, headers);
    let kept = Kept::new(typed.to_owned(), is_counted, now);
    let mut response = Redirect::to(&box_with(app, client, &browser, &kept)).into_response();
    plant(&mut response, cookie);
    response
}

/// Sets the browser's cookie where it had none.
pub(super) fn plant(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
