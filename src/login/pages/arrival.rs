//! What the protocols' addresses have in common: what is asked of a request, the attempt that it takes, and how a
//! sign-in ends on the page.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};

use super::refusal;
use crate::{
    app::App,
    clients::Site,
    connections::ConnectionFacts,
    http::{ClientAddress, Problem, Reference, limits},
    ids::{ClientId, ConnectionId},
    login::{
        attempt::{self, Attempt, BrowserKey},
        begin,
        complete::{self, Return, Stopped},
        let_in::SignedIn,
        reason::{Reason, Stop},
    },
    sessions::{self, SessionCookie},
};

/// What every handler here asks of the request.
pub struct Asked {
    pub headers: HeaderMap,
    pub address: ClientAddress,
    pub reference: Reference,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            address: ClientAddress::from_request_parts(parts, state).await?,
            reference: Reference::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
        })
    }
}

/// A page, or a problem where there is no client to show a page of.
pub(super) type Answer = Result<Response, Problem>;

/// The connection of a path, and its client.
pub(super) async fn find(app: &App, id: &str) -> Result<Arc<ConnectionFacts>, Problem> {
    let id: ConnectionId = id.parse().map_err(|_| Problem::not_found())?;
    app.connections.find(app, id).await?.ok_or_else(Problem::not_found)
}

/// The connection of a path, where it signs people in to this client; another client's connection is no connection here
/// (design, invariant 1).
pub(super) async fn find_for(app: &App, client: ClientId, id: &str) -> Result<Arc<ConnectionFacts>, Problem> {
    let connection = find(app, id).await?;
    if connection.serves(client) {
        return Ok(connection);
    }
    // What this replica remembers may be older than the list.
    let fresh = begin::serves(app, &connection, client).await?;
    fresh.ok_or_else(Problem::not_found)
}

/// The pages of a client on the base origin, where protocol messages arrive.
pub(super) async fn site_of(app: &App, client: ClientId) -> Result<Site, Problem> {
    let client = app.clients.now(&app.db, client).await?;
    Ok(Site::on_base(app, &client))
}

/// The client as a refusal shows it on the base origin: its links lead to where the client's people are at home.
async fn shown(app: &App, client: ClientId) -> Result<Site, Problem> {
    let client = app.clients.now(&app.db, client).await?;
    Ok(Site::of(app, &client))
}

/// A sign-in that stopped: the client's page with what to do, or a problem where the machinery failed.
pub(super) fn stopped(site: &Site, stop: Stop, reference: &Reference) -> Answer {
    match stop {
        Stop::Fault(fault) => Err(fault.into()),
        Stop::Refused(reason) => Ok(refusal::page(site, &reason, reference)),
    }
}

/// A sign-in that is refused before anything of it is taken: recorded, so that the reference on the page is found again.
/// Shown as the page of `client`. Call it after the rate limit.
pub(super) async fn unmatched(app: &App, arrival: &Return, client: ClientId, reason: Reason) -> Answer {
    let stop = complete::unmatched(app, arrival, reason).await?;
    stopped(&shown(app, client).await?, stop, &arrival.reference)
}

/// Takes the attempt, in the same round trip in which the rates are counted. One that was taken while a rate was used up
/// is put back: nothing is lost, and the learner tries again.
pub(super) async fn admitted(
    app: &App,
    asked: &Asked,
    connection: &ConnectionFacts,
    browser: Option<&BrowserKey>,
    handle: &str,
) -> Result<Option<Attempt>, Problem> {
    let owner = connection.owner;
    let taken = async {
        match browser {
            Some(browser) => attempt::take(app, owner, connection.id, browser, handle).await,
            None => Ok(None),
        }
    };
    let (admission, taken) = tokio::join!(limits::of_address(app, asked.address), taken);
    let attempt = taken?;
    if let (Err(_), Some(browser), Some(attempt)) = (&admission, browser, &attempt) {
        attempt::remember(app, owner, browser, handle, attempt).await?;
    }
    admission?;
    if attempt.is_none() {
        limits::of_client(app, owner).await?;
    }
    Ok(attempt)
}

pub(super) fn arrive(app: &App, connection: Arc<ConnectionFacts>, asked: &Asked) -> Return {
    Return {
        cookie: SessionCookie::of(&asked.headers),
        browser: BrowserKey::read(app, &asked.headers),
        reference: asked.reference.clone(),
        now: app.clock.now(),
        connection,
    }
}

/// The end of a sign-in: in, or the client's page that says why not.
pub(super) async fn landed(app: &App, reference: &Reference, done: Result<SignedIn, Stopped>) -> Answer {
    let signed_in = match done {
        Ok(signed_in) => signed_in,
        Err(Stopped { client, stop }) => return stopped(&shown(app, client).await?, stop, reference),
    };
    let mut response = Redirect::to(&signed_in.address).into_response();
    if let Some(token) = &signed_in.token {
        response.headers_mut().append(header::SET_COOKIE, sessions::set_cookie(app, &signed_in.site, token));
    }
    Ok(response)
}
