//! What a session holds, and how its token is read.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    crypto::{self, Sealer},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, ConnectionId, LearnerId},
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
    /// The session at the identity provider that it hangs on; none where the learner came in without one.
    pub idp: Option<IdpSession>,
}

/// What is kept of an identity provider's session: enough to find ours when the provider ends it, and to ask the provider
/// to end it. Names nobody to whoever reads Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdpSession {
    /// Whose connection it is; another client than the learner's where a connection serves several.
    pub owner: ClientId,
    pub connection: ConnectionId,
    /// Hash of who the provider is: a connection may be pointed at another one.
    pub issuer: String,
    /// Hash of whom the provider speaks of when it ends sessions: SAML `NameID`, OIDC `sub`.
    pub subject: String,
    /// Hash of the provider's name for its session: SAML `SessionIndex`, OIDC `sid`.
    pub session: Option<String>,
    /// Hash of the subject and the browser that it began in: what one browser holds for one person ends together, also
    /// where the provider names every sign-in anew, or none.
    pub browser: Option<String>,
    /// When the provider issued what the session began with, by its own clock.
    pub issued_at: DateTime<Utc>,
    /// What a request to end the provider's session must name, sealed.
    pub hint: Option<String>,
}

/// What [`IdpSession::seal`] is made of.
#[derive(Debug, Clone, Copy)]
pub struct StartedBy<'a> {
    pub owner: ClientId,
    pub connection: ConnectionId,
    /// The entity ID, or the issuer.
    pub issuer: &'a str,
    pub subject: &'a str,
    pub session: Option<&'a str>,
    /// A digest over the browser's cookie on the base origin, which every sign-in passes.
    pub browser: Option<[u8; 32]>,
    pub issued_at: DateTime<Utc>,
    pub hint: Option<&'a [u8]>,
}

impl IdpSession {
    /// Hashes what names the person and the session, and seals the hint.
    pub fn seal(sealer: &Sealer, entropy: &Entropy, by: &StartedBy<'_>) -> Self {
        let StartedBy { owner, connection, issuer, subject, session, browser, issued_at, hint } = *by;
        let subject = name(connection, issuer, subject);
        let in_browser = |digest: [u8; 32]| format!("{subject}\n{}", URL_SAFE_NO_PAD.encode(digest));
        let browser = browser.map(|digest| name(connection, issuer, &in_browser(digest)));
        let place = hint_place(owner, connection, &subject);
        Self {
            owner,
            connection,
            issuer: name(connection, issuer, ""),
            session: session.map(|session| name(connection, issuer, session)),
            browser,
            issued_at,
            hint: hint.map(|hint| URL_SAFE_NO_PAD.encode(sealer.seal(entropy, &place, hint))),
            subject,
        }
    }

    /// Whether it is this provider's: its entity ID, or its issuer.
    pub fn is_of(&self, issuer: &str) -> bool {
        self.issuer == name(self.connection, issuer, "")
    }

    /// Opens the hint, where there is one.
    pub fn open_hint(&self, sealer: &Sealer) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let Some(text) = &self.hint else { return Ok(None) };
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Corrupt("a session's hint".into()))?;
        Ok(Some(sealer.open(&hint_place(self.owner, self.connection, &self.subject), &sealed)?))
    }
}

fn hint_place(owner: ClientId, connection: ConnectionId, subject: &str) -> String {
    format!("redis.session.hint:{owner}:{connection}:{subject}")
}

/// What an identity provider calls somebody or something, hashed together with who it is and by which connection.
pub(super) fn name(connection: ConnectionId, issuer: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(crypto::sha256(format!("{connection}\n{issuer}\n{text}").as_bytes()))
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
