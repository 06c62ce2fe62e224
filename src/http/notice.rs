//! What a learner is told once, on the page where they land: what became of their codes, that a mail is on its way. Kept in
//! Redis for a few minutes under a handle that travels in the address, and for one learner: nobody else can read it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::browser_key::is_token;
use crate::{
    app::App,
    cache::Key,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// How long it waits for its page.
const KEPT: Duration = Duration::from_secs(600);

/// How a notice looks, and how urgently it is read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// It went well.
    Good,
    /// Worth knowing.
    Plain,
    /// It did not go well.
    Warn,
}

/// One thing to tell, in words that are ready to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub tone: Tone,
    pub title: String,
    pub text: String,
}

impl Notice {
    pub const fn is_good(&self) -> bool {
        matches!(self.tone, Tone::Good)
    }

    pub const fn is_warning(&self) -> bool {
        matches!(self.tone, Tone::Warn)
    }
}

fn place(client: ClientId, learner: LearnerId, handle: &str) -> Key {
    Key::of_client(client, "notice", format_args!("{learner}:{handle}"))
}

/// Keeps notices for a learner's next page; gives the handle.
pub async fn keep(app: &App, client: ClientId, learner: LearnerId, notices: &[Notice]) -> Result<String, Fault> {
    let handle = app.entropy.token();
    app.cache.put(&place(client, learner, &handle), &serde_json::to_vec(notices)?, KEPT).await?;
    Ok(handle)
}

/// The learner's home, where the notices are shown; below the client's site.
pub fn dashboard(handle: &str) -> String {
    format!("/dashboard?told={handle}")
}

/// Takes the notices of a handle: they are shown once. None where there are none of this learner.
pub async fn take(app: &App, client: ClientId, learner: LearnerId, handle: Option<&str>) -> Result<Vec<Notice>, Fault> {
    let Some(handle) = handle.filter(|handle| is_token(handle)) else { return Ok(Vec::new()) };
    match app.cache.take(&place(client, learner, handle)).await? {
        Some(body) => Ok(serde_json::from_slice(&body)?),
        None => Ok(Vec::new()),
    }
}
