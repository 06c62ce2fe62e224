//! Ending sessions by what their identity provider calls them. The indexes lie under the hash tag of the connection's
//! owner, and their members name client and session, so that one word of the provider ends every copy at every client,
//! on every replica.
//!
//! A sign-in may be finishing while the provider ends its session. Two stones keep it from beginning: one in place of
//! the names that were ended, which [`index`] reads after it has written the index; and one in place of each session that
//! was found, over which nothing is stored.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{IdpSession, Session, SessionToken, keep, model::name};
use crate::{
    app::App,
    audit::{self, Actor, NewEvent},
    cache::Key,
    fault::Fault,
    ids::{ClientId, ConnectionId, LearnerId},
};

/// What lies in place of a session that was ended. No session is empty.
pub(super) const STONE: &[u8] = b"";
/// How long stones lie: longer than anything that an identity provider issues for one sign-in is good for.
const LASTING: Duration = Duration::from_secs(20 * 60);

/// Which sessions an identity provider ends: all of the subject, the one of this name, or, with both, those that are
/// both. With neither, none.
#[derive(Debug, Clone, Copy)]
pub struct EndOf<'a> {
    /// The entity ID, or the issuer.
    pub issuer: &'a str,
    /// SAML `NameID`, OIDC `sub`.
    pub subject: Option<&'a str>,
    /// SAML `SessionIndex`, OIDC `sid`.
    pub session: Option<&'a str>,
    /// When the provider said so, by its own clock: what it issues later begins sessions again.
    pub issued_at: DateTime<Utc>,
}

/// When the provider ended something, by its clock and by ours.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Ending {
    issued_at: DateTime<Utc>,
    heard_at: DateTime<Utc>,
}

impl Ending {
    /// Whether it is meant for this session too: what the provider had issued before, or had arrived here before.
    fn covers(&self, session: &Session, idp: &IdpSession) -> bool {
        idp.issued_at < self.issued_at || session.began_at < self.heard_at
    }
}

fn by_subject(owner: ClientId, subject: &str) -> Key {
    Key::of_client(owner, "sessions-of-idp-subject", subject)
}

fn by_session(owner: ClientId, session: &str) -> Key {
    Key::of_client(owner, "sessions-of-idp-session", session)
}

fn by_browser(owner: ClientId, browser: &str) -> Key {
    Key::of_client(owner, "sessions-of-idp-browser", browser)
}

/// Where an ending of this subject, of this session, or of this session of this subject is told.
fn told(owner: ClientId, subject: Option<&str>, session: Option<&str>) -> Key {
    let names = (subject.unwrap_or_default(), session.unwrap_or_default());
    Key::of_client(owner, "ended-by-idp", format_args!("{}:{}", names.0, names.1))
}

/// Indexes a session by what its provider calls it, and says whether the provider has ended it already.
pub(super) async fn index(
    app: &App,
    client: ClientId,
    session: &Session,
    idp: &IdpSession,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let (subject, of_session) = (Some(idp.subject.as_str()), idp.session.as_deref());
    let mut indexes = vec![by_subject(idp.owner, &idp.subject)];
    let mut stones = vec![told(idp.owner, subject, None)];
    if let Some(name) = of_session {
        indexes.push(by_session(idp.owner, name));
        stones.extend([told(idp.owner, None, of_session), told(idp.owner, subject, of_session)]);
    }
    indexes.extend(idp.browser.as_deref().map(|browser| by_browser(idp.owner, browser)));
    let (ends, left) = (session.ends_at.timestamp(), (session.ends_at - now).to_std().unwrap_or_default());
    let member = format!("{client}:{hash}");
    let found = app.cache.index_and_read(&indexes, &member, ends, now.timestamp(), left, &stones).await?;
    for stone in found.into_iter().flatten() {
        let ending: Ending = serde_json::from_slice(&stone)?;
        if ending.covers(session, idp) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ends the sessions that an identity provider says are over, at every client that its connection serves; says how many
/// were alive. Leaves one audit event and one outgoing event for each learner.
pub async fn end_of_idp(
    app: &App,
    owner: ClientId,
    connection: ConnectionId,
    end: &EndOf<'_>,
    reference: Option<&str>,
    now: DateTime<Utc>,
) -> Result<usize, Fault> {
    let subject = end.subject.map(|subject| name(connection, end.issuer, subject));
    let session = end.session.map(|session| name(connection, end.issuer, session));
    let ending = Ending { issued_at: end.issued_at, heard_at: now };
    let ended = end_named(app, owner, subject.as_deref(), session.as_deref(), Some(ending)).await?;
    record(app, Some(connection), By::Idp, &ended, reference, now).await?;
    Ok(ended.len())
}

/// Ends the session of a learner who signs out, and gives what it was. Leaves an audit event and an outgoing event.
pub async fn sign_out(
    app: &App,
    client: ClientId,
    token: &SessionToken,
    reference: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Session>, Fault> {
    let Some(session) = keep::end(app, client, token).await? else { return Ok(None) };
    let connection = session.idp.as_ref().map(|idp| idp.connection);
    record(app, connection, By::Themselves, &[(client, session.learner)], reference, now).await?;
    Ok(Some(session))
}

/// Ends the other sessions that hang on the same session at the identity provider as one of a learner who signs out, and
/// those that the same browser holds for the same person, on other hosts and at other clients; says how many were alive.
pub async fn end_siblings(
    app: &App,
    idp: &IdpSession,
    reference: Option<&str>,
    now: DateTime<Utc>,
) -> Result<usize, Fault> {
    let mut ended = Vec::new();
    if let Some(session) = &idp.session {
        ended = end_named(app, idp.owner, Some(&idp.subject), Some(session), None).await?;
    }
    if let Some(browser) = &idp.browser {
        ended.extend(end_listed(app, None, &[by_browser(idp.owner, browser)]).await?);
    }
    record(app, Some(idp.connection), By::Themselves, &ended, reference, now).await?;
    Ok(ended.len())
}

/// Whose session ended.
type Ended = (ClientId, LearnerId);

/// Whether the session that is named here is alive, and is somebody else's than the subject that is named with it.
pub async fn is_of_another(
    app: &App,
    owner: ClientId,
    connection: ConnectionId,
    end: &EndOf<'_>,
) -> Result<bool, Fault> {
    let (Some(subject), Some(session)) = (end.subject, end.session) else { return Ok(false) };
    let subject = by_subject(owner, &name(connection, end.issuer, subject));
    let session = by_session(owner, &name(connection, end.issuer, session));
    let mut listed = app.cache.put_and_indexed(None, &[session, subject]).await?.into_iter();
    let (of_session, of_subject) = (listed.next().unwrap_or_default(), listed.next().unwrap_or_default());
    Ok(!of_session.is_empty() && !of_session.iter().any(|member| of_subject.contains(member)))
}

async fn end_named(
    app: &App,
    owner: ClientId,
    subject: Option<&str>,
    session: Option<&str>,
    ending: Option<Ending>,
) -> Result<Vec<Ended>, Fault> {
    let subject_index = subject.map(|name| by_subject(owner, name));
    let session_index = session.map(|name| by_session(owner, name));
    let indexes: Vec<Key> = subject_index.into_iter().chain(session_index).collect();
    if indexes.is_empty() {
        return Ok(Vec::new());
    }
    let stone = match ending {
        Some(ending) => Some((told(owner, subject, session), serde_json::to_vec(&ending)?)),
        None => None,
    };
    end_listed(app, stone.as_ref().map(|(key, body)| (key, body.as_slice(), LASTING)), &indexes).await
}

/// Ends what stands in all of the indexes.
async fn end_listed(app: &App, stone: Option<(&Key, &[u8], Duration)>, indexes: &[Key]) -> Result<Vec<Ended>, Fault> {
    // The stone lies before the indexes are read: a session that is in none of them yet finds it.
    let mut listed = app.cache.put_and_indexed(stone, indexes).await?.into_iter();
    let mut members = listed.next().unwrap_or_default();
    for others in listed {
        members.retain(|member| others.contains(member));
    }
    let endings = members.iter().filter_map(|member| member.split_once(':')).map(|(client, hash)| async move {
        let Ok(client) = client.parse::<ClientId>() else { return Ok(None) };
        let body = app.cache.swap(&keep::session_key(client, hash), STONE, LASTING).await?;
        let session = body.map(|body| keep::read(&body)).transpose()?.flatten();
        Ok::<_, Fault>(session.map(|session| (client, session.learner)))
    });
    let ended = futures_util::future::try_join_all(endings).await?;
    app.cache.unindex(indexes, &members).await?;
    Ok(ended.into_iter().flatten().collect())
}

/// Who ended sessions. Somebody who signs out is another learner in each client, and no trail names one of another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Idp,
    Themselves,
}

async fn record(
    app: &App,
    connection: Option<ConnectionId>,
    by: By,
    ended: &[Ended],
    reference: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut learners: BTreeMap<Ended, usize> = BTreeMap::new();
    for one in ended {
        *learners.entry(*one).or_default() += 1;
    }
    let mut tx = app.begin().await?;
    for ((client, learner), sessions) in learners {
        let facts = json!({ "learner": learner, "connection": connection, "sessions": sessions });
        let actor = match connection {
            Some(connection) if by == By::Idp => Actor::Idp(connection),
            _ => Actor::Learner(learner),
        };
        audit::record(&mut tx, &app.entropy, ended_event(client, learner, actor, facts.clone(), reference, now))
            .await?;
        audit::announce(&mut tx, &app.entropy, client, "session.ended", facts, now).await?;
    }
    app.commit(tx).await
}

fn ended_event<'a>(
    client: ClientId,
    learner: LearnerId,
    actor: Actor,
    facts: serde_json::Value,
    reference: Option<&'a str>,
    now: DateTime<Utc>,
) -> NewEvent<'a> {
    NewEvent {
        client: Some(client),
        at: now,
        action: "session.ended",
        actor,
        target: Some(learner.to_string()),
        reason: None,
        reference,
        facts,
        values: None,
    }
}
