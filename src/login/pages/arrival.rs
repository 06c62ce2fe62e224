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
    http::{ClientAddress, Problem, Reference, cookies, limits},
    ids::ConnectionId,
    login::{
        attempt::{self, Attempt, BrowserKey},
        complete::{self, Return, SignedIn},
        reason::{Reason, Stop},
    },
    sessions::SessionToken,
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

/// The pages of a connection's client on the base origin, where protocol messages arrive.
pub(super) async fn site_of(app: &App, connection: &ConnectionFacts) -> Result<Site, Problem> {
    let client = app.clients.at_version(&app.db, connection.client_id, 0).await?;
    Ok(Site::on_base(app, &client))
}

/// A sign-in that stopped: the client's page with what to do, or a problem where the machinery failed.
pub(super) fn stopped(site: &Site, stop: Stop, reference: &Reference) -> Answer {
    match stop {
        Stop::Fault(fault) => Err(fault.into()),
        Stop::Refused(reason) => Ok(refusal::page(site, &reason, reference)),
    }
}

/// A sign-in that is refused before anything of it is taken: recorded, so that the reference on the page is found again.
/// Call it after the rate limit.
pub(super) async fn unmatched(app: &App, connection: Arc<ConnectionFacts>, asked: &Asked, reason: Reason) -> Answer {
    let arrival = arrive(app, connection, asked);
    let done = complete::unmatched(app, &arrival, reason).await;
    landed(app, &arrival.connection, &asked.reference, done).await
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
    let client = connection.client_id;
    let taken = async {
        match browser {
            Some(browser) => attempt::take(app, client, connection.id, browser, handle).await,
            None => Ok(None),
        }
    };
    let (admission, taken) = tokio::join!(limits::of_address(app, asked.address), taken);
    let attempt = taken?;
    if let (Err(_), Some(browser), Some(attempt)) = (&admission, browser, &attempt) {
        attempt::remember(app, client, browser, handle, attempt).await?;
    }
    admission?;
    if attempt.is_none() {
        limits::of_client(app, client).await?;
    }
    Ok(attempt)
}

pub(super) fn arrive(app: &App, connection: Arc<ConnectionFacts>, asked: &Asked) -> Return {
    let session = cookies::read(app, &asked.headers, &cookies::session_name(connection.client_id));
    Return {
        replaces: session.and_then(SessionToken::read),
        reference: asked.reference.clone(),
        now: app.clock.now(),
        connection,
    }
}

/// The end of a sign-in: in, or the client's page that says why not.
pub(super) async fn landed(
    app: &App,
    connection: &ConnectionFacts,
    reference: &Reference,
    done: Result<SignedIn, Stop>,
) -> Answer {
    let signed_in = match done {
        Ok(signed_in) => signed_in,
        Err(stop) => return stopped(&site_of(app, connection).await?, stop, reference),
    };
    let name = cookies::session_name(signed_in.site.id);
    let age = chrono::Duration::from_std(signed_in.site.session_absolute).ok();
    let mut response = Redirect::to(&signed_in.return_to).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookies::set(app, &name, signed_in.token.expose(), age));
    Ok(response)
}
