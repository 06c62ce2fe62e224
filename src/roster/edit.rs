//! What an admin does to a learner. Each function is called inside a transaction; [`update`] and [`end_sessions`] say
//! whether sessions are to be ended in Redis after the commit.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    grant,
    model::{LearnerChange, LearnerRecord, RecordStatus},
    store,
};
use crate::{
    access::{self, Ending, Full},
    accounts,
    admin::{Author, Invalid, difference},
    audit::{self, Values},
    clients,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("there is nothing here")]
    NotFound,
    #[error("{0}")]
    Invalid(#[from] Invalid),
    #[error("a learner of the client has this address already")]
    EmailTaken,
    #[error("the learner was moved to another client; this record is history")]
    Moved,
    #[error("the learner is in this client already")]
    SameClient,
    #[error("no seat is left; raise the limit or end somebody's access first")]
    SeatsFull(Full),
    #[error("the learner is blocked from this sublicense; send clear_block to grant it all the same")]
    Blocked,
    #[error("the sublicense or the client's licence is over, or the access would end before it begins")]
    Ended,
    #[error("no admin granted this access, or it is over; grant it, or change what granted it")]
    NotByHand,
    #[error(transparent)]
    Fault(Fault),
}

impl From<Fault> for RosterError {
    fn from(fault: Fault) -> Self {
        match fault.constraint() {
            Some("learners_verified_email_unique" | "learners_unclaimed_email_unique") => Self::EmailTaken,
            _ => Self::Fault(fault),
        }
    }
}

/// The learner, locked until the transaction ends, unless the record is history.
pub(super) async fn lock_present(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<LearnerRecord, RosterError> {
    let record = store::lock(conn, client, learner).await?.ok_or(RosterError::NotFound)?;
    if record.status == RecordStatus::Moved { Err(RosterError::Moved) } else { Ok(record) }
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
    let before = lock_present(conn, client, learner).await?;
    let mut after = before.clone();
    change.apply(&mut after)?;
    let Some(difference) = difference(&before, &after)? else { return Ok((before, false)) };
    after.updated_at = author.now;
    store::update(conn, client, &after).await?;
    if before.email != after.email {
        // What was mailed to the old address would prove the wrong one.
        accounts::forget_links(conn, client, learner, author.now).await?;
    }
    let is_suspended = before.status == RecordStatus::Active && after.status == RecordStatus::Suspended;
    let is_restored = before.status == RecordStatus::Suspended && after.status == RecordStatus::Active;
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
    lock_present(conn, client, learner).await?;
    let sublicense = clients::sublicense_named(conn, client, sublicense).await?.ok_or(RosterError::NotFound)?;
    let is_new = store::insert_block(conn, client, learner, sublicense, &author.name(), author.now).await?;
    let ending = Ending { learner, sublicense: Some(sublicense), source: None, reason: "admin", by: grant::by(author) };
    let ended = access::end(conn, author.entropy, client, &[ending], author.now).await?;
    let ended: usize = ended.iter().map(Vec::len).sum();
    if is_new || ended > 0 {
        let facts = json!({ "learner": learner, "sublicense": sublicense, "ended": ended > 0 });
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
    let sublicense = clients::sublicense_named(conn, client, sublicense).await?.ok_or(RosterError::NotFound)?;
    if !store::delete_block(conn, client, learner, sublicense).await? {
        return Err(RosterError::NotFound);
    }
    grant::tell_unblocked(conn, author, client, learner, sublicense).await
}
