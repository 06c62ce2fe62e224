//! SQL of the audit trail.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::NewEvent;
use crate::{
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, EventId, LearnerId},
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

/// Writes many events at once, in as many statements as one takes. Call it inside the transaction of the changes.
pub async fn record_many(conn: &mut PgConnection, entropy: &Entropy, events: Vec<NewEvent<'_>>) -> Result<(), Fault> {
    let mut rows = EventRows::default();
    for event in events {
        rows.push(entropy.id(event.at), event);
    }
    if rows.ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into audit_events (client_id, id, at, action, actor_kind, actor_id, target, reason, reference, facts)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::text[], $10::jsonb[])",
        &rows.clients,
        &rows.ids,
        &rows.times,
        &rows.actions,
        &rows.actor_kinds,
        &rows.actor_ids as &[Option<String>],
        &rows.targets as &[Option<String>],
        &rows.reasons as &[Option<String>],
        &rows.references as &[Option<String>],
        &rows.facts,
    )
    .execute(&mut *conn)
    .await?;
    let values = rows.values;
    if !values.events.is_empty() {
        sqlx::query!(
            "insert into audit_values (client_id, event_id, learner_id, before, after)
             select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::jsonb[], $5::jsonb[])",
            &values.clients,
            &values.events,
            &values.learners as &[Option<Uuid>],
            &values.before,
            &values.after,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Puts many events of one client in the outbox at once, each a kind and a payload. Call it inside the transaction that
/// makes them true.
pub async fn announce_many(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    events: Vec<(&'static str, Value)>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|_| entropy.id::<EventId>(now).uuid()).collect();
    let (kinds, payloads): (Vec<String>, Vec<Value>) =
        events.into_iter().map(|(kind, payload)| (kind.to_owned(), payload)).unzip();
    sqlx::query!(
        "insert into outbox_events (client_id, id, type, payload, created_at)
         select $1, e.id, e.kind, e.payload, $5
         from unnest($2::uuid[], $3::text[], $4::jsonb[]) as e (id, kind, payload)",
        client.uuid(),
        &ids,
        &kinds,
        &payloads,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Events by column.
#[derive(Default)]
struct EventRows {
    clients: Vec<Uuid>,
    ids: Vec<Uuid>,
    times: Vec<DateTime<Utc>>,
    actions: Vec<String>,
    actor_kinds: Vec<String>,
    actor_ids: Vec<Option<String>>,
    targets: Vec<Option<String>>,
    reasons: Vec<Option<String>>,
    references: Vec<Option<String>>,
    facts: Vec<Value>,
    values: ValueRows,
}

/// Personal values by column.
#[derive(Default)]
struct ValueRows {
    clients: Vec<Uuid>,
    events: Vec<Uuid>,
    learners: Vec<Option<Uuid>>,
    before: Vec<Value>,
    after: Vec<Value>,
}

impl EventRows {
    fn push(&mut self, id: EventId, event: NewEvent<'_>) {
        let client = event.client.map_or(Uuid::nil(), ClientId::uuid);
        if let Some(values) = event.values {
            self.values.clients.push(client);
            self.values.events.push(id.uuid());
            self.values.learners.push(values.learner.map(|learner| learner.uuid()));
            self.values.before.push(values.before);
            self.values.after.push(values.after);
        }
        self.clients.push(client);
        self.ids.push(id.uuid());
        self.times.push(event.at);
        self.actions.push(event.action.to_owned());
        self.actor_kinds.push(event.actor.kind().to_owned());
        self.actor_ids.push(event.actor.id());
        self.targets.push(event.target);
        self.reasons.push(event.reason.map(str::to_owned));
        self.references.push(event.reference.map(str::to_owned));
        self.facts.push(event.facts);
    }
}

/// Hands the personal values of a learner who was merged into another to that one, so that erasure finds them. With
/// nobody to hand them to they are deleted.
pub async fn hand_over_values(
    conn: &mut PgConnection,
    client: ClientId,
    from: LearnerId,
    to: Option<LearnerId>,
) -> Result<(), Fault> {
    match to {
        Some(to) => sqlx::query!(
            "update audit_values set learner_id = $3 where client_id = $1 and learner_id = $2",
            client.uuid(),
            from.uuid(),
            to.uuid(),
        ),
        None => sqlx::query!(
            "delete from audit_values where client_id = $1 and learner_id = $2",
            client.uuid(),
            from.uuid(),
        ),
    }
    .execute(conn)
    .await?;
    Ok(())
}
