//! SQL of the audit trail.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::NewEvent;
use crate::{
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, EventId},
};

/// Writes one event. Call it inside the transaction of the change.
pub async fn record(conn: &mut PgConnection, entropy: &Entropy, event: NewEvent<'_>) -> Result<EventId, Fault> {
    let id: EventId = entropy.id(event.at);
    let client = event.client.map_or(Uuid::nil(), ClientId::uuid);
    sqlx::query!(
        "insert into audit_events (client_id, id, at, action, actor_kind, actor_id, target, reason, reference, facts)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        client,
        id.uuid(),
        event.at,
        event.action,
        event.actor.kind(),
        event.actor.id(),
        event.target,
        event.reason,
        event.reference,
        event.facts,
    )
    .execute(&mut *conn)
    .await?;
    if let Some(values) = event.values {
        sqlx::query!(
            "insert into audit_values (client_id, event_id, learner_id, before, after) values ($1, $2, $3, $4, $5)",
            client,
            id.uuid(),
            values.learner.map(|learner| learner.uuid()),
            values.before,
            values.after,
        )
        .execute(conn)
        .await?;
    }
    Ok(id)
}

/// Puts one event in the outbox. Call it inside the transaction that makes it true.
pub async fn announce(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    kind: &'static str,
    payload: Value,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let id: EventId = entropy.id(now);
    sqlx::query!(
        "insert into outbox_events (client_id, id, type, payload, created_at) values ($1, $2, $3, $4, $5)",
        client.uuid(),
        id.uuid(),
        kind,
        payload,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
