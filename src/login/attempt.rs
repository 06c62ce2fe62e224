//! A sign-in in progress: remembered in Redis for ten minutes, taken once, and only by the browser that began it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::oidc::Handshake;
use crate::{
    app::App,
    cache::Key,
    crypto,
    fault::Fault,
    http::cookies,
    ids::{AttemptId, ClientId, ConnectionId},
};

/// What must be known again when the identity provider answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    pub connection: ConnectionId,
    pub started_at: DateTime<Utc>,
    /// SAML: the id of our AuthnRequest.
    pub request_id: Option<String>,
    /// OIDC: state, nonce and the PKCE verifier.
    pub handshake: Option<Handshake>,
    /// A checked path of the same client.
    pub return_to: Option<String>,
}

/// The browser's stable cookie: it binds attempts to the browser, and says nothing else.
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
}

/// Whether a text has the form of our 256-bit tokens.
pub fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The key holds a hash over handle and browser: another browser with the same handle finds, and uses up, nothing.
fn key(client: ClientId, kind: &'static str, browser: &BrowserKey, handle: &str) -> Key {
    let hash = crypto::sha256(format!("{}\n{handle}", browser.0).as_bytes());
    Key::of_client(client, kind, URL_SAFE_NO_PAD.encode(hash))
}

/// Remembers an attempt under a fresh handle, which travels as `RelayState` or `state`.
pub async fn remember(
    app: &App,
    client: ClientId,
    browser: &BrowserKey,
    handle: &str,
    attempt: &Attempt,
) -> Result<(), Fault> {
    let body = serde_json::to_vec(attempt)?;
    app.cache.put(&key(client, "attempt", browser, handle), &body, app.settings.login.attempt_ttl).await?;
    Ok(())
}

/// Takes an attempt: of two answers, one finds it. `None` where this browser has none pending under the handle, or it
/// was begun with another connection.
pub async fn take(
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    browser: &BrowserKey,
    handle: &str,
) -> Result<Option<Attempt>, Fault> {
    if !is_token(handle) {
        return Ok(None);
    }
    let Some(body) = app.cache.take(&key(client, "attempt", browser, handle)).await? else {
        return Ok(None);
    };
    let attempt: Attempt = serde_json::from_slice(&body)?;
    Ok((attempt.connection == connection).then_some(attempt))
}

/// An unsolicited response that was verified and waits for the learner's yes. The response itself is kept, sealed, and
/// verified again when the yes comes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    pub connection: ConnectionId,
    pub received_at: DateTime<Utc>,
    pub response: Vec<u8>,
    pub return_to: Option<String>,
}

fn pending_place(client: ClientId, handle: &str) -> String {
    format!("redis.pending:{client}:{handle}")
}

/// Keeps a pending response for ten minutes.
pub async fn hold(
    app: &App,
    client: ClientId,
    browser: &BrowserKey,
    handle: &str,
    pending: &Pending,
) -> Result<(), Fault> {
    let sealed = app.sealer.seal(&app.entropy, &pending_place(client, handle), &serde_json::to_vec(pending)?);
    app.cache.put(&key(client, "pending", browser, handle), &sealed, app.settings.login.attempt_ttl).await?;
    Ok(())
}

/// Takes a pending response, once.
pub async fn release(
    app: &App,
    client: ClientId,
    browser: &BrowserKey,
    handle: &str,
) -> Result<Option<Pending>, Fault> {
    if !is_token(handle) {
        return Ok(None);
    }
    let Some(sealed) = app.cache.take(&key(client, "pending", browser, handle)).await? else {
        return Ok(None);
    };
    let plain = app.sealer.open(&pending_place(client, handle), &sealed)?;
    Ok(Some(serde_json::from_slice(&plain)?))
}
