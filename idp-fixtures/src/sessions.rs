//! The IdP's own sessions: who is signed in at this fixture, by a cookie whose name holds the port, since ports of one
//! host share their cookies.

use crate::{people::Person, xml::random_hex};
use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Someone signed in at the IdP.
#[derive(Clone, Debug)]
pub struct IdpSession {
    pub person: Person,
    pub signed_in_at: DateTime<Utc>,
    /// SAML SessionIndex and OIDC `sid`.
    pub index: String,
}

/// All sessions of one fixture.
pub struct Sessions {
    cookie: String,
    live: Mutex<HashMap<String, IdpSession>>,
}

impl Sessions {
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self { cookie: format!("fixture_idp_{port}"), live: Mutex::default() }
    }

    /// Begins a session and returns it with its `Set-Cookie` value.
    pub fn begin(&self, person: Person, now: DateTime<Utc>) -> (IdpSession, Option<HeaderValue>) {
        let token = random_hex(32);
        let session = IdpSession { person, signed_in_at: now, index: random_hex(16) };
        self.lock().insert(token.clone(), session.clone());
        let cookie = format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", self.cookie);
        (session, HeaderValue::from_str(&cookie).ok())
    }

    /// The session that the request's cookie names.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Option<IdpSession> {
        self.lock().get(&self.token(headers)?).cloned()
    }

    /// Ends it.
    pub fn end(&self, headers: &HeaderMap) -> Option<IdpSession> {
        self.lock().remove(&self.token(headers)?)
    }

    /// The session of this index.
    #[must_use]
    pub fn with_index(&self, index: &str) -> Option<IdpSession> {
        self.lock().values().find(|session| session.index == index).cloned()
    }

    /// Ends the session of this index.
    pub fn end_index(&self, index: &str) {
        self.lock().retain(|_, session| session.index != index);
    }

    fn token(&self, headers: &HeaderMap) -> Option<String> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie)
            .map(|(_, token)| token.to_owned())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, IdpSession>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
