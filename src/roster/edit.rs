//! What an admin does to a learner. Each function is called inside a transaction; [`update`] and [`end_sessions`] say
//! whether sessions are to be ended in Redis after the commit.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::{LearnerChange, LearnerRecord},
    store,
};
use crate::{
    admin::{Author, Invalid, difference},
    audit::{self, Values},
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners::LearnerStatus,
};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("there is nothing here")]
    NotFound,
    #[error("{0}")]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Changes a learner; a change that changes nothing leaves no trace. True beside it: the learner was suspended, and
/// their sessions are dead by their epoch.
pub async fn update(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    change: LearnerChange,
) -> Result<(LearnerRecord, bool), RosterError> {
    change.check()?;
    let before = store::lock(conn, client, learner).await?.ok_or(RosterError::NotFound)?;
    let mut after = before.clone();
    change.apply(&mut after)?;
    let Some(difference) = difference(&before, &after)? else { return Ok((before, false)) };
    after.updated_at = author.now;
    store::update(conn, client, &after).await?;
    let is_suspended = before.status == LearnerStatus::Active && after.status == LearnerStatus::Suspended;
    let is_restored = before.status == LearnerStatus::Suspended && after.status == LearnerStatus::Active;
    if is_suspended {
        store::bump_session_epoch(conn, client, learner, author.now).await?;
    }
    let action = match (is_suspended, is_restored) {
        (true, _) => "learner.suspended",
        (_, true) => "learner.restored",
        _ => "learner.updated",
    };
    let facts = json!({ "learner": learner, "fields": difference.fields });
    let values = Values { learner: Some(learner), before: difference.before, after: difference.after };
    author.record(conn, client, action, learner.to_string(), facts.clone(), Some(values)).await?;
    audit::announce(conn, author.entropy, client, action, facts, author.now).await?;
    Ok((after, is_suspended))
}

/// Makes every session of a learner dead at its next page.
pub async fn end_sessions(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
) -> Result<(), RosterError> {
    if !store::bump_session_epoch(conn, client, learner, author.now).await? {
        return Err(RosterError::NotFound);
    }
    author.record(conn, client, "learner.sessions_ended", learner.to_string(), json!({}), None).await?;
    Ok(())
}

/// Removes a learner from a sublicense, named by id or slug: every grant ends, and automatic sources grant it no more.
pub async fn block(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    sublicense: &str,
) -> Result<(), RosterError> {
    store::lock(conn, client, learner).await?.ok_or(RosterError::NotFound)?;
    let sublicense = store::find_sublicense(conn, client, sublicense).await?.ok_or(RosterError::NotFound)?;
    let is_new = store::insert_block(conn, client, learner, sublicense, &author.name(), author.now).await?;
    let ended = store::end_grants(conn, client, learner, sublicense, author.now).await?;
    if is_new || ended > 0 {
        let facts = json!({ "learner": learner, "sublicense": sublicense, "grants_ended": ended });
        author.record(conn, client, "learner.blocked", learner.to_string(), facts.clone(), None).await?;
        audit::announce(conn, author.entropy, client, "learner.blocked", facts, author.now).await?;
    }
    Ok(())
}

/// Clears a block. Nothing is granted by this; the next sign-in, code or invite may.
pub async fn unblock(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    sublicense: &str,
) -> Result<(), RosterError> {
    store::lock(conn, client, learner).await?.ok_or(RosterError::NotFound)?;
    let sublicense = store::find_sublicense(conn, client, sublicense).await?.ok_or(RosterError::NotFound)?;
    if !store::delete_block(conn, client, learner, sublicense).await? {
        return Err(RosterError::NotFound);
    }
    let facts = json!({ "learner": learner, "sublicense": sublicense });
    author.record(conn, client, "learner.unblocked", learner.to_string(), facts.clone(), None).await?;
    audit::announce(conn, author.entropy, client, "learner.unblocked", facts, author.now).await?;
    Ok(())
}
