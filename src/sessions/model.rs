//! What a session holds, and how its token is read.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    crypto,
    entropy::Entropy,
    ids::{ConnectionId, LearnerId},
};

/// A session as Redis holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub learner: LearnerId,
    /// The learner's epoch when it began.
    pub epoch: i32,
    pub began_at: DateTime<Utc>,
    /// When it ends at the latest, however busy it is.
    pub ends_at: DateTime<Utc>,
    /// By which connection the learner signed in.
    pub connection: Option<ConnectionId>,
    /// Hash of the IdP's name for its own session: SAML `SessionIndex`, OIDC `sid`.
    pub idp_session: Option<String>,
}

/// The secret in the cookie: 43 characters of base64url.
#[derive(Clone)]
pub struct SessionToken(String);

impl SessionToken {
    /// A fresh one: a session never takes over a token that a browser brought along.
    pub fn fresh(entropy: &Entropy) -> Self {
        Self(entropy.token())
    }

    /// Reads a cookie's value; anything but the exact form is none.
    pub fn read(text: &str) -> Option<Self> {
        let is_form =
            text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_form.then(|| Self(text.to_owned()))
    }

    /// For the cookie alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored in its place.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(crypto::sha256(self.0.as_bytes()))
    }
}
