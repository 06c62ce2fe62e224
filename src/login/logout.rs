//! Signing out: here first, then at the identity provider where it offers that, and what the learner reads when they are
//! back.
//!
//! | step | where |
//! |---|---|
//! | `POST /{client}/logout` | `pages/logout.rs` → [`begin`]: the session ends, then the request to the identity provider |
//! | the browser comes back | `GET /oidc/{connection}/logged-out`, `/saml/{connection}/slo` → [`take`], [`conclude`] |
//! | `GET /{client}/logout` | [`Outcome`], by the handle in the address or the browser's own |
//! | the identity provider begins | `oidc/back_channel.rs`, `single_logout.rs` → `sessions::end_of_idp`, or [`refused`] |
//!
//! Invariants: our session ends before anybody else is asked, and whatever they answer; what comes back finds a pending
//! logout of its own connection once, and leads to a page of the client that it began at, nowhere else.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{
    attempt::BrowserKey,
    begin::{self, Departure},
    identity::LogoutHint,
    oidc, single_logout,
};
use crate::{
    app::App,
    audit::{self, Actor, NewEvent},
    cache::{Allowance, Key},
    claims::Protocol,
    clients::Site,
    connections::{self, ConnectionFacts},
    fault::Fault,
    http::{Reference, browser_key::is_token},
    ids::{ClientId, ConnectionId},
    sessions::{self, IdpSession, SessionToken},
};

/// How long a logout waits for its answer, and its outcome for its reader.
const KEPT: Duration = Duration::from_secs(600);

/// A learner who signs out.
pub struct SigningOut<'a> {
    pub site: &'a Site,
    pub token: Option<SessionToken>,
    pub browser: &'a BrowserKey,
    pub reference: &'a Reference,
    pub now: DateTime<Utc>,
}

/// What is left to do.
pub enum LoggedOut {
    /// Nothing: no identity provider stands behind the session, or it offers no logout.
    Locally,
    /// The browser goes on to the identity provider, to end its session too.
    Leaving(Departure),
}

/// How far a logout came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Here and at the identity provider.
    Everywhere,
    /// Here; the identity provider could not end everything.
    Partly,
    /// Here; the identity provider was asked and did not say that it did.
    Unanswered,
}

/// A logout that waits for the identity provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    /// Where the learner signed out; the connection may be another client's.
    pub client: ClientId,
    /// The client's own host that they were on.
    pub host: Option<String>,
    pub connection: ConnectionId,
    /// SAML: the id of our LogoutRequest.
    pub request_id: Option<String>,
}

/// How an identity provider is asked to end its session.
pub struct Request {
    pub departure: Departure,
    /// SAML: the id of our LogoutRequest.
    pub request_id: Option<String>,
}

/// Ends the learner's session, and asks its identity provider to end its own, with what hangs on it.
pub async fn begin(app: &App, out: &SigningOut<'_>) -> Result<LoggedOut, Fault> {
    let reference = Some(out.reference.as_str());
    let ended = match &out.token {
        Some(token) => sessions::sign_out(app, out.site.id, token, reference, out.now).await?,
        None => None,
    };
    let left = out.browser.place(out.site.id, "logout-left", "");
    if let Some(session) = ended
        && let Some(idp) = &session.idp
    {
        // Also where the provider is not asked: they may lie in this very browser, on another host of the client.
        sessions::end_siblings(app, idp, reference, out.now).await?;
        let handle = app.entropy.token();
        if let Some(request) = ask(app, idp, &handle, out.now).await? {
            let pending = Pending {
                client: out.site.id,
                host: out.site.host().map(str::to_owned),
                connection: idp.connection,
                request_id: request.request_id,
            };
            let pending = serde_json::to_vec(&pending)?;
            let unanswered = serde_json::to_vec(&Outcome::Unanswered)?;
            let (waits, told) = (pending_place(idp.owner, &handle), outcome_place(out.site.id, &handle));
            tokio::try_join!(
                app.cache.put(&waits, &pending, KEPT),
                app.cache.put(&told, &unanswered, KEPT),
                app.cache.put(&left, handle.as_bytes(), KEPT),
            )?;
            return Ok(LoggedOut::Leaving(request.departure));
        }
    }
    app.cache.remove(&[left]).await?;
    Ok(LoggedOut::Locally)
}

/// The request to the identity provider of a session; none where it offers no logout, or is another one by now.
async fn ask(app: &App, idp: &IdpSession, handle: &str, now: DateTime<Utc>) -> Result<Option<Request>, Fault> {
    let Some(connection) = begin::as_it_is(app, idp.owner, idp.connection).await? else { return Ok(None) };
    let hint = match idp.open_hint(&app.sealer) {
        Ok(Some(hint)) => Some(serde_json::from_slice::<LogoutHint>(&hint)?),
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(%error, connection.id = %idp.connection, "a session's hint does not open");
            None
        }
    };
    match connection.protocol {
        Protocol::Oidc => Ok(openid(app, &connection, idp, hint, handle)?),
        Protocol::Saml => single_logout::ask(app, &connection, idp, hint, handle, now).await,
    }
}

fn openid(
    app: &App,
    connection: &ConnectionFacts,
    idp: &IdpSession,
    hint: Option<LogoutHint>,
    handle: &str,
) -> Result<Option<Request>, Fault> {
    let Some(facts) = connection.oidc.as_ref().filter(|facts| idp.is_of(&facts.config.issuer)) else {
        return Ok(None);
    };
    let Some(endpoint) = facts.discovery.end_session_endpoint.as_deref() else { return Ok(None) };
    let endpoint = Url::parse(endpoint).map_err(|_| Fault::Corrupt("an identity provider's endpoint".into()))?;
    let id_token_hint = match &hint {
        Some(LogoutHint::Oidc { id_token }) => Some(id_token.as_str()),
        _ => None,
    };
    let request = oidc::LogoutRequest {
        id_token_hint,
        client_id: &facts.config.client_id,
        post_logout_redirect_uri: &connections::urls::post_logout_redirect_uri(&app.settings, connection.id),
        state: handle,
    };
    Ok(Some(Request { departure: Departure::Redirect(request.url(endpoint)), request_id: None }))
}

fn pending_place(owner: ClientId, handle: &str) -> Key {
    Key::of_client(owner, "logout-pending", handle)
}

fn outcome_place(client: ClientId, handle: &str) -> Key {
    Key::of_client(client, "logout-outcome", handle)
}

/// Takes the pending logout that an answer belongs to, by its `state` or `RelayState`, once.
pub async fn take(app: &App, connection: &ConnectionFacts, handle: &str) -> Result<Option<Pending>, Fault> {
    if !is_token(handle) {
        return Ok(None);
    }
    let Some(body) = app.cache.take(&pending_place(connection.owner, handle)).await? else { return Ok(None) };
    let pending: Pending = serde_json::from_slice(&body)?;
    Ok((pending.connection == connection.id).then_some(pending))
}

/// Keeps how a logout ended, and gives where its learner reads it.
pub async fn conclude(app: &App, pending: &Pending, handle: &str, outcome: Outcome) -> Result<String, Fault> {
    let client = app.clients.now(&app.db, pending.client).await?;
    app.cache.put(&outcome_place(client.id, handle), &serde_json::to_vec(&outcome)?, KEPT).await?;
    let site = Site::back_at(app, &client, pending.host.as_deref()).unwrap_or_else(|| Site::on_base(app, &client));
    Ok(site.path(&format!("/logout?told={handle}")))
}

/// How the last logout went: by the handle in the address, else by what this browser left with. None where only this
/// session had to end.
pub async fn outcome(
    app: &App,
    client: ClientId,
    told: Option<&str>,
    browser: Option<&BrowserKey>,
) -> Result<Option<Outcome>, Fault> {
    let handle = match (told, browser) {
        (Some(handle), _) => Some(handle.to_owned()),
        (None, Some(browser)) => {
            let left = app.cache.get(&browser.place(client, "logout-left", "")).await?;
            left.and_then(|handle| String::from_utf8(handle).ok())
        }
        (None, None) => None,
    };
    let Some(handle) = handle.filter(|handle| is_token(handle)) else { return Ok(None) };
    match app.cache.get(&outcome_place(client, &handle)).await? {
        Some(body) => Ok(Some(serde_json::from_slice(&body)?)),
        None => Ok(None),
    }
}

/// Leaves a trace of a logout that an identity provider, or somebody else, asked for in vain. What nobody authenticated
/// could be sent without end: past the configured rate it is counted and logged, and leaves no row.
pub async fn refused(
    app: &App,
    connection: &ConnectionFacts,
    code: &str,
    reference: &Reference,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    metrics::counter!("usher_logouts_refused", "code" => code.to_owned()).increment(1);
    tracing::info!(connection.id = %connection.id, code, reference = %reference, "logout refused");
    let key = Key::of_client(connection.owner, "logout-refused", connection.id);
    if app.cache.allow(&key, app.settings.limits.refused_records_per_connection).await? != Allowance::Allowed {
        metrics::counter!("usher_refused_records_left_out").increment(1);
        return Ok(());
    }
    let event = NewEvent {
        client: Some(connection.owner),
        at: now,
        action: "logout.refused",
        actor: Actor::Anonymous,
        target: Some(connection.id.to_string()),
        reason: Some(code),
        reference: Some(reference.as_str()),
        facts: json!({ "connection": connection.id }),
        values: None,
    };
    let mut tx = app.begin().await?;
    audit::record(&mut tx, &app.entropy, event).await?;
    app.commit(tx).await
}
