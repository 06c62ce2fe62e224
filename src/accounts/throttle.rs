//! Slows the guessing of passwords, in Redis, the same on every replica. A try is counted before the password is looked
//! at, and taken back when it was right. Wrong ones are counted for the address that they are for and for the network
//! address that they come from. A browser in which the person signed in before carries a mark and is counted apart from
//! both, so that nobody who guesses locks the honest learner out of their own browser.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use crate::{
    app::App,
    cache::{Allowance, Key, Slowing},
    fault::Fault,
    http::ClientAddress,
    learners::EmailAddress,
};

/// The cookie with the mark.
pub const KNOWN_BROWSER: &str = "usher_known";
/// How long a browser stays known.
pub(super) const KNOWN_FOR: chrono::Duration = chrono::Duration::days(180);

const PURPOSE: &str = "known browser";
const NONCE: usize = 16;

/// Where a try comes from.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub address: ClientAddress,
    /// The value of the cookie [`KNOWN_BROWSER`].
    pub mark: Option<String>,
}

/// The mark of a browser that is known for one address: when it was made, a nonce, and our tag over both and the
/// address.
fn make_mark(app: &App, email: &EmailAddress, nonce: [u8; NONCE], now: DateTime<Utc>) -> String {
    let mut body = now.timestamp().to_be_bytes().to_vec();
    body.extend_from_slice(&nonce);
    let tag = app.sealer.tag(PURPOSE, &[body.as_slice(), email.key().as_bytes()].concat());
    body.extend_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(body)
}

/// The nonce of a mark that is ours, for this address, and not too old.
fn read_mark(app: &App, mark: &str, email: &EmailAddress, now: DateTime<Utc>) -> Option<[u8; NONCE]> {
    let bytes = URL_SAFE_NO_PAD.decode(mark).ok()?;
    let (body, tag) = bytes.split_at_checked(8 + NONCE)?;
    if !app.sealer.is_tag(PURPOSE, &[body, email.key().as_bytes()].concat(), tag) {
        return None;
    }
    let (time, nonce) = body.split_first_chunk::<8>()?;
    let age = now.timestamp() - i64::from_be_bytes(*time);
    ((0..=KNOWN_FOR.num_seconds()).contains(&age)).then_some(())?;
    nonce.try_into().ok()
}

/// An address as it stands in Redis: by our tag over it. A new sealing key begins such counts anew, once.
pub(super) fn hidden(app: &App, email: &EmailAddress) -> String {
    URL_SAFE_NO_PAD.encode(app.sealer.tag("address", email.key().as_bytes()))
}

fn own_key(app: &App, email: &EmailAddress) -> Key {
    Key::global("tries-for", hidden(app, email))
}

/// Forgets the wrong passwords for an address: its owner has just set a new one.
pub(super) async fn forgive(app: &App, email: &EmailAddress) -> Result<(), Fault> {
    app.cache.remove(&[own_key(app, email)]).await?;
    Ok(())
}

/// A try that was let through.
pub(super) struct Try {
    known: Option<[u8; NONCE]>,
    own: Key,
    from: Option<Key>,
}

/// Counts a try, or says how long to wait.
pub(super) async fn begin(
    app: &App,
    visitor: &Visitor,
    email: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<Result<Try, Duration>, Fault> {
    let settings = &app.settings.accounts;
    let known = visitor.mark.as_deref().and_then(|mark| read_mark(app, mark, email, now));
    let slowing = Slowing {
        free: settings.free_tries,
        first: Duration::from_secs(1),
        most: Duration::from_secs(15 * 60),
        memory: Duration::from_secs(24 * 3600),
    };
    if let Some(nonce) = known {
        let own = Key::global("tries-browser", URL_SAFE_NO_PAD.encode(nonce));
        return Ok(match app.cache.count_try(&own, slowing).await? {
            Allowance::Allowed => Ok(Try { known, own, from: None }),
            Allowance::RetryAfter(wait) => Err(wait),
        });
    }
    let from = Key::global("tries-from", visitor.address.limit_unit());
    let per_address = Slowing {
        free: settings.free_tries_per_address,
        most: Duration::from_secs(5 * 60),
        memory: Duration::from_secs(3600),
        ..slowing
    };
    if let Allowance::RetryAfter(wait) = app.cache.count_try(&from, per_address).await? {
        return Ok(Err(wait));
    }
    let own = own_key(app, email);
    if let Allowance::RetryAfter(wait) = app.cache.count_try(&own, slowing).await? {
        app.cache.take_back_try(&from).await?;
        return Ok(Err(wait));
    }
    Ok(Ok(Try { known, own, from: Some(from) }))
}

impl Try {
    /// The password was right, of somebody who has not proved the address: anybody may sign up with it, so that this
    /// forgives nothing but itself, and makes no browser known.
    pub async fn was_unproved(self, app: &App) -> Result<(), Fault> {
        for counted in std::iter::once(self.own).chain(self.from) {
            app.cache.take_back_try(&counted).await?;
        }
        Ok(())
    }

    /// The password of the address's owner was right: forgets the failures before it, and hands the browser its mark.
    pub async fn went_well(self, app: &App, email: &EmailAddress, now: DateTime<Utc>) -> Result<String, Fault> {
        app.cache.remove(&[self.own]).await?;
        if let Some(from) = self.from {
            app.cache.take_back_try(&from).await?;
        }
        let nonce = self.known.unwrap_or_else(|| app.entropy.bytes());
        Ok(make_mark(app, email, nonce, now))
    }
}

impl Visitor {
    /// Whether the person of this address signed in with this browser before.
    pub fn is_known(&self, app: &App, email: &EmailAddress, now: DateTime<Utc>) -> bool {
        self.mark.as_deref().is_some_and(|mark| read_mark(app, mark, email, now).is_some())
    }
}
