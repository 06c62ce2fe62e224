//! Codes on their way through redirects and sign-ins, out of the address bar: sealed in the handle itself, which opens
//! only for this client and only in the browser whose cookie it was made for. So two tabs never overwrite each other, the
//! back button works, nothing piles up in Redis when somebody calls a million links, and a handle that leaks says nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{app::App, http::BrowserKey, ids::ClientId};

/// How long a handle opens.
pub const KEPT_FOR: Duration = Duration::hours(2);
/// The longest handle: what fits an address everywhere.
const LONGEST: usize = 2000;

/// What was typed, and whether it was counted against guessing already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub typed: String,
    /// It was looked at once: showing it again tells nobody anything new.
    pub is_counted: bool,
    at: DateTime<Utc>,
}

impl Kept {
    pub const fn new(typed: String, is_counted: bool, now: DateTime<Utc>) -> Self {
        Self { typed, is_counted, at: now }
    }

    /// The handle. `None` where so much was typed that it fits no address.
    pub fn seal(&self, app: &App, client: ClientId, browser: &BrowserKey) -> Option<String> {
        let plain = serde_json::to_vec(self).ok()?;
        let handle = URL_SAFE_NO_PAD.encode(app.sealer.seal(&app.entropy, &place(client, browser), &plain));
        (handle.len() <= LONGEST).then_some(handle)
    }

    /// What a handle keeps, in the browser that it was made for.
    pub fn open(app: &App, client: ClientId, browser: &BrowserKey, handle: &str, now: DateTime<Utc>) -> Option<Self> {
        if handle.len() > LONGEST {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(handle).ok()?;
        let plain = app.sealer.open(&place(client, browser), &sealed).ok()?;
        let kept: Self = serde_json::from_slice(&plain).ok()?;
        (kept.at <= now && now - kept.at < KEPT_FOR).then_some(kept)
    }
}

fn place(client: ClientId, browser: &BrowserKey) -> String {
    format!("kept codes:{client}:{}", URL_SAFE_NO_PAD.encode(browser.digest("kept codes")))
}
