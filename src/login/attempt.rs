//! A sign-in in progress: remembered in Redis for ten minutes, taken once, and only by the browser that began it. It lies
//! with the connection's owner, whichever client it is for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{brought::Carried, oidc::Handshake, ticket::Home};
use crate::{
    app::App,
    fault::Fault,
    http::browser_key::is_token,
    ids::{AttemptId, ClientId, ConnectionId},
};

pub use crate::http::BrowserKey;

/// What must be known again when the identity provider answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    pub connection: ConnectionId,
    /// The client whose page began it; none where the identity provider did, and the claims are to say.
    pub client: Option<ClientId>,
    pub started_at: DateTime<Utc>,
    /// SAML: the id of our AuthnRequest.
    pub request_id: Option<String>,
    /// OIDC: state, nonce and the PKCE verifier.
    pub handshake: Option<Handshake>,
    /// A checked address of the client's site, without what begins it.
    pub return_to: Option<String>,
    /// Whose page that is.
    pub return_of: Option<ClientId>,
    /// Codes and the invite that come along; only a start by POST puts them here.
    #[serde(default)]
    pub carried: Carried,
    /// The client's own host that it began on, where it ends.
    #[serde(default)]
    pub home: Option<Home>,
}

/// Remembers an attempt under a fresh handle, which travels as `RelayState` or `state`.
pub async fn remember(
    app: &App,
    owner: ClientId,
    browser: &BrowserKey,
    handle: &str,
    attempt: &Attempt,
) -> Result<(), Fault> {
    let body = serde_json::to_vec(attempt)?;
    app.cache.leave(&browser.place(owner, "attempt", handle), &body, app.settings.login.attempt_ttl).await?;
    Ok(())
}

/// Takes an attempt: of two answers, one finds it. `None` where this browser has none pending under the handle, or it
/// was begun with another connection.
pub async fn take(
    app: &App,
    owner: ClientId,
    connection: ConnectionId,
    browser: &BrowserKey,
    handle: &str,
) -> Result<Option<Attempt>, Fault> {
    if !is_token(handle) {
        return Ok(None);
    }
    let Some(body) = app.cache.fetch(&browser.place(owner, "attempt", handle)).await? else {
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
    /// The client that the learner is asked to continue to.
    pub client: ClientId,
    pub received_at: DateTime<Utc>,
    pub response: Vec<u8>,
    pub return_to: Option<String>,
}

fn pending_place(owner: ClientId, handle: &str) -> String {
    format!("redis.pending:{owner}:{handle}")
}

/// Keeps a pending response for ten minutes.
pub async fn hold(
    app: &App,
    owner: ClientId,
    browser: &BrowserKey,
    handle: &str,
    pending: &Pending,
) -> Result<(), Fault> {
    let sealed = app.sealer.seal(&app.entropy, &pending_place(owner, handle), &serde_json::to_vec(pending)?);
    app.cache.leave(&browser.place(owner, "pending", handle), &sealed, app.settings.login.attempt_ttl).await?;
    Ok(())
}

/// Takes a pending response, once.
pub async fn release(app: &App, owner: ClientId, browser: &BrowserKey, handle: &str) -> Result<Option<Pending>, Fault> {
    if !is_token(handle) {
        return Ok(None);
    }
    let Some(sealed) = app.cache.fetch(&browser.place(owner, "pending", handle)).await? else {
        return Ok(None);
    };
    let plain = app.sealer.open(&pending_place(owner, handle), &sealed)?;
    Ok(Some(serde_json::from_slice(&plain)?))
}
