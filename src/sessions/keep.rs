//! Beginning, finding and ending sessions in Redis. Each is one round trip, but for ending every session of a learner,
//! which is two.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Session, SessionToken, idp};
use crate::{
    app::App,
    cache::Key,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

pub(super) fn session_key(client: ClientId, hash: &str) -> Key {
    Key::of_client(client, "session", hash)
}

fn learner_index(client: ClientId, learner: LearnerId) -> Key {
    Key::of_client(client, "sessions-of-learner", learner)
}

/// What a new session needs to be told.
pub struct Beginning<'a> {
    pub client: ClientId,
    pub session: &'a Session,
    /// How long it may lie unused.
    pub idle: Duration,
    /// The token that the browser brought along; that session ends here.
    pub replaces: Option<&'a SessionToken>,
}

/// Stores a session under a fresh token and indexes it by learner and by what the identity provider calls it. `None`
/// where the identity provider has ended it before it could begin.
pub async fn begin(app: &App, beginning: &Beginning<'_>, now: DateTime<Utc>) -> Result<Option<SessionToken>, Fault> {
    let Beginning { client, session, idle, replaces } = *beginning;
    let token = SessionToken::fresh(&app.entropy);
    let hash = token.hash();
    let body = serde_json::to_vec(session)?;
    let left = (session.ends_at - now).to_std().unwrap_or_default();
    let (ends, moment) = (session.ends_at.timestamp(), now.timestamp());
    let (key, by_learner) = (session_key(client, &hash), learner_index(client, session.learner));
    // Not over what is there: a stone may lie in its place already.
    let stored = async { Ok::<_, Fault>(app.cache.put_new(&key, &body, idle.min(left)).await?) };
    let by_learner = async { Ok::<_, Fault>(app.cache.index(&by_learner, &hash, ends, moment, left).await?) };
    let by_idp = async {
        match &session.idp {
            Some(idp) => idp::index(app, client, session, idp, &hash, now).await,
            None => Ok(false),
        }
    };
    let replaced = async {
        match replaces {
            Some(old) => Ok::<_, Fault>(app.cache.remove(&[session_key(client, &old.hash())]).await.map(drop)?),
            None => Ok(()),
        }
    };
    let (is_stored, (), is_over, ()) = tokio::try_join!(stored, by_learner, by_idp, replaced)?;
    if is_stored && !is_over {
        return Ok(Some(token));
    }
    app.cache.remove(&[key]).await?;
    Ok(None)
}

/// Finds a session and lets it live on for `idle`. What is past its absolute end is none.
pub async fn find(
    app: &App,
    client: ClientId,
    token: &SessionToken,
    idle: Duration,
    now: DateTime<Utc>,
) -> Result<Option<Session>, Fault> {
    let Some(body) = app.cache.touch(&session_key(client, &token.hash()), idle).await? else {
        return Ok(None);
    };
    let Some(session) = read(&body)? else { return Ok(None) };
    Ok((now < session.ends_at).then_some(session))
}

/// Ends one session, and gives what it was. Ending what is over already is no error.
pub async fn end(app: &App, client: ClientId, token: &SessionToken) -> Result<Option<Session>, Fault> {
    match app.cache.take(&session_key(client, &token.hash())).await? {
        Some(body) => read(&body),
        None => Ok(None),
    }
}

/// Ends every session of a learner; says how many were alive. Bump the learner's epoch first, so that it holds where
/// Redis cannot be told.
pub async fn end_all_of_learner(app: &App, client: ClientId, learner: LearnerId) -> Result<usize, Fault> {
    let index = learner_index(client, learner);
    let keys: Vec<Key> = app.cache.indexed(&index).await?.iter().map(|hash| session_key(client, hash)).collect();
    let ended = app.cache.remove(&keys).await?;
    app.cache.remove(&[index]).await?;
    Ok(ended)
}

/// What is stored: a session, or the stone in its place.
pub(super) fn read(body: &[u8]) -> Result<Option<Session>, Fault> {
    if body == idp::STONE { Ok(None) } else { Ok(Some(serde_json::from_slice(body)?)) }
}
