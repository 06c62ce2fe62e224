//! How a handler asks who is signed in.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, request::Parts},
};
use chrono::{DateTime, Utc};

use super::{Session, SessionToken, keep, store};
use crate::{app::App, clients::ClientFacts, fault::Fault, http::cookies, ids::ClientId};

/// The headers that may carry a session; which client's is known only once the path is read.
#[derive(Debug, Clone)]
pub struct SessionCookie(HeaderMap);

impl SessionCookie {
    pub fn of(headers: &HeaderMap) -> Self {
        Self(headers.clone())
    }

    /// The token that the browser sent for this client.
    pub fn token(&self, app: &App, client: ClientId) -> Option<SessionToken> {
        SessionToken::read(cookies::read(app, &self.0, &cookies::session_name(client))?)
    }

    /// The session in Redis, if it is there. The caller compares its epoch with the learner's row before showing
    /// anything; [`live`] does both.
    pub async fn session(
        &self,
        app: &App,
        client: ClientId,
        idle: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Fault> {
        match self.token(app, client) {
            Some(token) => keep::find(app, client, &token, idle, now).await,
            None => Ok(None),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for SessionCookie {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.clone()))
    }
}

/// The `Set-Cookie` value that gives a session to the browser.
pub fn set_cookie(app: &App, client: &ClientFacts, token: &SessionToken) -> HeaderValue {
    let age = chrono::Duration::from_std(client.session_absolute).ok();
    cookies::set(app, &cookies::session_name(client.id), token.expose(), age)
}

/// The session, when it is in Redis and the learner's row still agrees with it: same epoch, learner and client active,
/// the way in is still open, and the client still lets people in by it.
pub async fn live(
    app: &App,
    cookie: &SessionCookie,
    client: ClientId,
    idle: Duration,
    now: DateTime<Utc>,
) -> Result<Option<Session>, Fault> {
    let Some(session) = cookie.session(app, client, idle, now).await? else {
        return Ok(None);
    };
    let epoch = store::live_epoch(&app.db, client, session.learner, session.idp.as_ref()).await?;
    Ok((epoch == Some(session.epoch)).then_some(session))
}
