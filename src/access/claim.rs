//! What an import wrote down for an address goes to whoever proves the address: call it in the transaction of the proof.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{end, offer::By, store_claim as store};
use crate::{
    audit::{self, NewEvent},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners,
};

/// Moves the access, the external id and the attributes of the unclaimed record of this address to the learner who has
/// just proved it, and removes the record; what the learner has already stays theirs. One indexed lookup where there is
/// none. An unclaimed record has no password, session or identity, so that nothing from before the proof comes along.
pub async fn claim(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    learner: LearnerId,
    email_key: &str,
    by: &By,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let Some(record) = store::lock_unclaimed(conn, client, email_key).await? else { return Ok(false) };
    if record.id == learner {
        return Ok(false);
    }
    // A record that an admin suspended must not come back by another door.
    if record.is_suspended {
        return Ok(false);
    }
    end::move_grants(conn, entropy, client, record.id, learner, by, now).await?;
    store::fill_in(conn, client, record.id, learner, now).await?;
    audit::hand_over_values(conn, client, record.id, Some(learner)).await?;
    learners::store_local::remove(conn, client, record.id).await?;
    let facts = json!({ "learner": learner, "from": record.id });
    let event = NewEvent {
        client: Some(client),
        at: now,
        action: "learner.merged",
        actor: by.actor,
        target: Some(learner.to_string()),
        reason: Some("imported"),
        reference: by.reference.as_deref(),
        facts: facts.clone(),
        values: None,
    };
    audit::record(conn, entropy, event).await?;
    audit::announce(conn, entropy, client, "learner.merged", facts, now).await?;
    Ok(true)
}
