//! The browser's stable cookie, and what Redis remembers for that browser alone: sign-ins in progress, codes that were
//! typed. Several tabs of one browser each have a handle of their own.

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Duration;

use super::cookies;
use crate::{app::App, cache::Key, crypto, ids::ClientId};

/// The browser's stable cookie: it binds what is remembered to the browser, and says nothing else.
#[derive(Debug, Clone)]
pub struct BrowserKey(String);

impl BrowserKey {
    /// The cookie that the browser sent, if it has the form of ours.
    pub fn read(app: &App, headers: &HeaderMap) -> Option<Self> {
        let value = cookies::read(app, headers, cookies::BROWSER)?;
        is_token(value).then(|| Self(value.to_owned()))
    }

    /// A fresh one, and the `Set-Cookie` value that plants it.
    pub fn fresh(app: &App) -> (Self, HeaderValue) {
        let value = app.entropy.token();
        let cookie = cookies::set(app, cookies::BROWSER, &value, Some(Duration::days(400)));
        (Self(value), cookie)
    }

    /// The one that the browser sent, or a fresh one with the cookie that plants it.
    pub fn of(app: &App, headers: &HeaderMap) -> (Self, Option<HeaderValue>) {
        match Self::read(app, headers) {
            Some(key) => (key, None),
            None => {
                let (key, cookie) = Self::fresh(app);
                (key, Some(cookie))
            }
        }
    }

    /// Where something of this browser lies under a handle. The key holds a hash over both: another browser with the same
    /// handle finds, and uses up, nothing.
    pub fn place(&self, client: ClientId, kind: &'static str, handle: &str) -> Key {
        Key::of_client(client, kind, URL_SAFE_NO_PAD.encode(self.digest(handle)))
    }

    /// A hash over the cookie and `what`, for what PostgreSQL remembers of the browser.
    pub fn digest(&self, what: &str) -> [u8; 32] {
        crypto::sha256(format!("{}\n{what}", self.0).as_bytes())
    }
}

/// Whether a text has the form of our 256-bit tokens.
pub fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
