//! SQL of grants, blocks and seats. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Source;
use crate::{
    claims::Role,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
};

/// The limits that one grant must keep to.
pub(super) struct SeatLimits {
    pub client: Option<i32>,
    pub sublicense: Option<i32>,
}

/// A counter, locked until the transaction ends.
pub(super) struct Counter {
    pub used: i32,
    pub reserved: i32,
}

/// The word of a source in the schema.
pub(super) const fn source_word(source: Source) -> &'static str {
    match source {
        Source::Sso => "sso",
        Source::RegistrationCode => "registration_code",
        Source::RedemptionCode => "redemption_code",
        Source::Invite => "invite",
        Source::Admin => "admin",
        Source::Import => "import",
        Source::Scim => "scim",
    }
}

/// A grant's key within its client.
#[derive(Clone, Copy)]
pub(super) struct GrantKey<'a> {
    pub learner: LearnerId,
    pub sublicense: SublicenseId,
    pub source: Source,
    pub source_ref: &'a str,
}

/// The limits, held until the transaction ends: a limit that is set meanwhile waits, and then counts this grant too.
pub(super) async fn seat_limits(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: SublicenseId,
) -> Result<SeatLimits, Fault> {
    let row = sqlx::query!(
        "select c.seat_limit as client_limit, s.seat_limit as sublicense_limit
         from clients c join sublicenses s on s.client_id = c.id and s.id = $2 where c.id = $1 for share of c, s",
        client.uuid(),
        sublicense.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(SeatLimits { client: row.client_limit, sublicense: row.sublicense_limit })
}

fn scope_of(client: ClientId, sublicense: Option<SublicenseId>) -> Uuid {
    sublicense.map_or(client.uuid(), SublicenseId::uuid)
}

/// Locks the counter; one that is not there yet begins at the truth.
pub(super) async fn lock_counter(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: Option<SublicenseId>,
    now: DateTime<Utc>,
) -> Result<Counter, Fault> {
    loop {
        let found = sqlx::query_as!(
            Counter,
            "select used, reserved from seat_counters where client_id = $1 and scope_id = $2 for update",
            client.uuid(),
            scope_of(client, sublicense),
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(counter) = found {
            return Ok(counter);
        }
        let used = count_seats(conn, client, sublicense, now).await?;
        sqlx::query!(
            "insert into seat_counters (client_id, scope_id, used) values ($1, $2, $3) on conflict do nothing",
            client.uuid(),
            scope_of(client, sublicense),
            used,
        )
        .execute(&mut *conn)
        .await?;
    }
}

pub(super) async fn set_counter(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: Option<SublicenseId>,
    used: i32,
) -> Result<(), Fault> {
    sqlx::query!(
        "update seat_counters set used = $3 where client_id = $1 and scope_id = $2",
        client.uuid(),
        scope_of(client, sublicense),
        used,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a running grant of the learner holds a seat in the scope already.
pub(super) async fn holds_seat(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: Option<SublicenseId>,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let held = sqlx::query_scalar!(
        r#"select exists (
            select from access_grants g join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
            where g.client_id = $1 and g.learner_id = $2 and ($3::uuid is null or g.sublicense_id = $3)
              and (g.ends_at is null or g.ends_at > $4) and (s.ends_at is null or s.ends_at > $4)
        ) as "held!""#,
        client.uuid(),
        learner.uuid(),
        sublicense.map(SublicenseId::uuid),
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(held)
}

/// How many learners hold a seat in the scope: lapsed grants do not count.
pub(super) async fn count_seats(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: Option<SublicenseId>,
    now: DateTime<Utc>,
) -> Result<i32, Fault> {
    let count = sqlx::query_scalar!(
        r#"select count(distinct g.learner_id)::int as "count!"
           from access_grants g join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
           where g.client_id = $1 and ($2::uuid is null or g.sublicense_id = $2)
             and (g.ends_at is null or g.ends_at > $3) and (s.ends_at is null or s.ends_at > $3)"#,
        client.uuid(),
        sublicense.map(SublicenseId::uuid),
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

/// Writes a grant; one that had ended under the same key runs again, from where it first began.
pub(super) async fn upsert_grant(
    conn: &mut PgConnection,
    client: ClientId,
    key: GrantKey<'_>,
    role: Role,
    ends_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, role, starts_at, ends_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $7)
         on conflict on constraint access_grants_pkey
         do update set role = excluded.role, ends_at = excluded.ends_at, end_reason = null",
        client.uuid(),
        key.learner.uuid(),
        key.sublicense.uuid(),
        source_word(key.source),
        key.source_ref,
        role.as_str(),
        now,
        ends_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn set_role(
    conn: &mut PgConnection,
    client: ClientId,
    key: GrantKey<'_>,
    role: Role,
) -> Result<(), Fault> {
    sqlx::query!(
        "update access_grants set role = $6
         where client_id = $1 and learner_id = $2 and sublicense_id = $3 and source = $4 and source_ref = $5",
        client.uuid(),
        key.learner.uuid(),
        key.sublicense.uuid(),
        source_word(key.source),
        key.source_ref,
        role.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn end_grant(
    conn: &mut PgConnection,
    client: ClientId,
    key: GrantKey<'_>,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update access_grants set ends_at = greatest(starts_at, $6), end_reason = $7
         where client_id = $1 and learner_id = $2 and sublicense_id = $3 and source = $4 and source_ref = $5
           and (ends_at is null or ends_at > $6)",
        client.uuid(),
        key.learner.uuid(),
        key.sublicense.uuid(),
        source_word(key.source),
        key.source_ref,
        now,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}
