//! A session that no identity provider stands behind. Begun after the commit of what allows it.

use chrono::{DateTime, Duration, Utc};

use crate::{
    app::App,
    clients::ClientFacts,
    fault::Fault,
    ids::LearnerId,
    sessions::{self, Beginning, Session, SessionToken},
};

/// Begins a session of a learner under a fresh token; the one that the browser brought along ends.
pub async fn begin(
    app: &App,
    client: &ClientFacts,
    learner: LearnerId,
    epoch: i32,
    replaces: Option<&SessionToken>,
    now: DateTime<Utc>,
) -> Result<SessionToken, Fault> {
    let absolute = Duration::from_std(client.session_absolute).unwrap_or(Duration::hours(12));
    let session = Session { learner, epoch, began_at: now, ends_at: now + absolute, idp: None };
    let beginning = Beginning { client: client.id, session: &session, idle: client.session_idle, replaces };
    let token = sessions::begin(app, &beginning, now).await?;
    token.ok_or_else(|| Fault::Corrupt("a session was ended by an identity provider that it does not have".into()))
}
