//! The way of a sign-in between a client's own host, where it begins and ends, and the base origin, where identity providers
//! answer. Cookies of the one are not sent to the other; what connects them is remembered in Redis for a minute, sealed,
//! taken once, and bound to the browser's cookie on the client's host.
//!
//! | step | on | function |
//! |---|---|---|
//! | somebody leaves for the identity provider | the client's host | [`send_over`], then the base origin's start with `?from=…` |
//! | the attempt begins | the base origin | [`take_over`]; the attempt knows its [`Home`] |
//! | the sign-in is finished | the base origin | [`issue`], then `/login/{connection}/ticket?ticket=…` of the client's host |
//! | the session begins | the client's host | [`redeem`] |
//!
//! Invariants: a ticket opens nothing in another browser than the one that began on that host, where it is also not used
//! up, and nothing at another host, client or connection; it is never sent to a host that is not the client's.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::brought::Carried;
use crate::{
    app::App,
    cache::Key,
    clients::Site,
    crypto,
    fault::Fault,
    http::{BrowserKey, browser_key::is_token},
    ids::{ClientId, ConnectionId},
    sessions::{self, Beginning, Session, SessionToken},
};

/// How long either may take: a redirect.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// The client's own host that a sign-in began on, and a hash over the browser's cookie there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Home {
    pub host: Box<str>,
    browser: String,
}

impl Home {
    /// The host of this site, and this browser there.
    pub fn new(host: &str, browser: &BrowserKey) -> Self {
        Self { host: host.into(), browser: URL_SAFE_NO_PAD.encode(browser.digest("home")) }
    }
}

/// What goes from the client's host to the base origin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handover {
    pub connection: ConnectionId,
    pub home: Home,
    /// A checked address of the client's site, without what begins it.
    pub return_to: Option<String>,
    pub carried: Carried,
    pub login_hint: Option<String>,
}

/// What comes back.
#[derive(Serialize, Deserialize)]
struct Ticket {
    connection: ConnectionId,
    host: Box<str>,
    session: Session,
    return_to: String,
}

/// Remembers what goes over; gives the handle that takes it.
pub async fn send_over(app: &App, client: ClientId, over: &Handover) -> Result<String, Fault> {
    let handle = app.entropy.token();
    put(app, client, "handover", &handle, over).await?;
    Ok(handle)
}

/// Takes what went over, once, where it was for this connection.
pub async fn take_over(
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    handle: &str,
) -> Result<Option<Handover>, Fault> {
    if !is_token(handle) {
        return Ok(None);
    }
    let over: Option<Handover> = take(app, client, "handover", handle).await?;
    Ok(over.filter(|over| over.connection == connection))
}

/// Makes a ticket for a session that is to begin at home; gives the address that takes it. `site` is the client's pages on
/// that host.
pub async fn issue(
    app: &App,
    site: &Site,
    home: &Home,
    (connection, session): (ConnectionId, &Session),
    return_to: &str,
) -> Result<String, Fault> {
    let handle = app.entropy.token();
    let ticket =
        Ticket { connection, host: home.host.clone(), session: session.clone(), return_to: return_to.to_owned() };
    put(app, site.id, "ticket", &bound(&home.browser, &handle), &ticket).await?;
    Ok(site.path(&format!("/login/{connection}/ticket?ticket={handle}")))
}

/// What a ticket opened.
pub enum Redeemed {
    /// A session, and where to go with it.
    In(SessionToken, String),
    /// The identity provider has ended its session meanwhile.
    Ended,
    /// Unknown, too old, used, or of another browser, host or connection.
    Unknown,
}

/// Takes a ticket on the client's host, and begins its session; the one that the browser brought along ends.
pub async fn redeem(
    app: &App,
    site: &Site,
    connection: ConnectionId,
    (browser, replaces): (&BrowserKey, Option<&SessionToken>),
    handle: &str,
    now: DateTime<Utc>,
) -> Result<Redeemed, Fault> {
    let Some(host) = site.host().filter(|_| is_token(handle)) else { return Ok(Redeemed::Unknown) };
    let secret = bound(&Home::new(host, browser).browser, handle);
    let ticket: Option<Ticket> = take(app, site.id, "ticket", &secret).await?;
    let Some(ticket) = ticket.filter(|ticket| *ticket.host == *host && ticket.connection == connection) else {
        return Ok(Redeemed::Unknown);
    };
    let beginning = Beginning { client: site.id, session: &ticket.session, idle: site.session_idle, replaces };
    Ok(match sessions::begin(app, &beginning, now).await? {
        Some(token) => Redeemed::In(token, site.path(&ticket.return_to)),
        None => Redeemed::Ended,
    })
}

/// Another browser with the same handle has another secret: it finds, and uses up, nothing.
fn bound(browser: &str, handle: &str) -> String {
    format!("{browser}\n{handle}")
}

fn place(client: ClientId, kind: &'static str, secret: &str) -> (Key, String) {
    let hash = URL_SAFE_NO_PAD.encode(crypto::sha256(secret.as_bytes()));
    let sealed_for = format!("redis.{kind}:{client}:{hash}");
    (Key::of_client(client, kind, hash), sealed_for)
}

async fn put(
    app: &App,
    client: ClientId,
    kind: &'static str,
    secret: &str,
    what: &impl Serialize,
) -> Result<(), Fault> {
    let (key, sealed_for) = place(client, kind, secret);
    let sealed = app.sealer.seal(&app.entropy, &sealed_for, &serde_json::to_vec(what)?);
    app.cache.leave(&key, &sealed, GOOD_FOR).await?;
    Ok(())
}

async fn take<T: DeserializeOwned>(
    app: &App,
    client: ClientId,
    kind: &'static str,
    secret: &str,
) -> Result<Option<T>, Fault> {
    let (key, sealed_for) = place(client, kind, secret);
    let Some(sealed) = app.cache.fetch(&key).await? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&app.sealer.open(&sealed_for, &sealed)?)?))
}
