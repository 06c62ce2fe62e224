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
    let session =
        Session { learner, epoch, began_at: now, ends_at: now + absolute, connection: None, idp_session: None };
    let beginning = Beginning { client: client.id, session: &session, idle: client.session_idle, replaces };
    sessions::begin(app, &beginning, now).await
}
