//! SQL of seat counters and reservations. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// One counter, locked until the transaction ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct CounterRow {
    pub scope: Uuid,
    pub used: i32,
    pub reserved: i32,
    /// When `used` was last the truth.
    pub counted_at: DateTime<Utc>,
}

/// The limits of the client and of these sublicenses, and what else of them decides about access.
pub(super) struct TermsRow {
    pub id: Uuid,
    pub seat_limit: Option<i32>,
    pub access_days: Option<i32>,
    pub ends_at: Option<DateTime<Utc>>,
    pub client_limit: Option<i32>,
    pub license_ends_at: Option<DateTime<Utc>>,
}

/// Reads the terms and holds them until the transaction ends: a limit that is set meanwhile waits, and then counts what
/// this transaction did. The client's row is locked first, then sublicenses in the order of their ids.
pub(super) async fn terms(
    conn: &mut PgConnection,
    client: ClientId,
    sublicenses: &[SublicenseId],
) -> Result<Vec<TermsRow>, Fault> {
    let ids: Vec<Uuid> = sublicenses.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        TermsRow,
        "select s.id, s.seat_limit, s.access_days, s.ends_at, c.seat_limit as client_limit, c.license_ends_at
         from clients c join sublicenses s on s.client_id = c.id
         where c.id = $1 and s.id = any($2) order by s.id for share of c, s",
        client.uuid(),
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Which of these have no counter yet, in the order of the locks.
pub(super) async fn missing(conn: &mut PgConnection, client: ClientId, scopes: &[Uuid]) -> Result<Vec<Uuid>, Fault> {
    let rows = sqlx::query_scalar!(
        r#"select wanted.scope as "scope!" from unnest($2::uuid[]) wanted (scope)
           where not exists (select from seat_counters k where k.client_id = $1 and k.scope_id = wanted.scope)
           order by wanted.scope <> $1, wanted.scope"#,
        client.uuid(),
        scopes,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// A counter begins at the truth; one that somebody else has just made stays.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    scope: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let used = count(conn, client, scope, now).await?;
    sqlx::query!(
        "insert into seat_counters (client_id, scope_id, used, reserved, counted_at)
         values ($1, $2, $3, (select count(*)::int from seat_reservations where client_id = $1 and scope_id = $2), $4)
         on conflict on constraint seat_counters_pkey do nothing",
        client.uuid(),
        scope,
        used,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks counters: the client's first, then sublicenses' in the order of their ids.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, scopes: &[Uuid]) -> Result<Vec<CounterRow>, Fault> {
    let rows = sqlx::query_as!(
        CounterRow,
        "select scope_id as scope, used, reserved, counted_at from seat_counters
         where client_id = $1 and scope_id = any($2) order by scope_id <> client_id, scope_id for update",
        client.uuid(),
        scopes,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Writes counters that are locked.
pub(super) async fn update(conn: &mut PgConnection, client: ClientId, rows: &[CounterRow]) -> Result<(), Fault> {
    let scopes: Vec<Uuid> = rows.iter().map(|row| row.scope).collect();
    let used: Vec<i32> = rows.iter().map(|row| row.used).collect();
    let reserved: Vec<i32> = rows.iter().map(|row| row.reserved).collect();
    let counted: Vec<DateTime<Utc>> = rows.iter().map(|row| row.counted_at).collect();
    sqlx::query!(
        "update seat_counters k set used = t.used, reserved = t.reserved, counted_at = t.counted_at
         from unnest($2::uuid[], $3::int[], $4::int[], $5::timestamptz[]) t (scope_id, used, reserved, counted_at)
         where k.client_id = $1 and k.scope_id = t.scope_id",
        client.uuid(),
        &scopes,
        &used,
        &reserved,
        &counted,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many learners hold a seat in the scope: lapsed grants do not count.
pub(super) async fn count(
    conn: &mut PgConnection,
    client: ClientId,
    scope: Uuid,
    now: DateTime<Utc>,
) -> Result<i32, Fault> {
    let count = sqlx::query_scalar!(
        r#"select count(distinct g.learner_id)::int as "count!"
           from access_grants g join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
           where g.client_id = $1 and ($2::uuid = $1 or g.sublicense_id = $2)
             and (g.ends_at is null or g.ends_at > $3) and (s.ends_at is null or s.ends_at > $3)"#,
        client.uuid(),
        scope,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

/// Whether anything in the scope has lapsed since it was counted, so that counting again may find a seat.
pub(super) async fn has_lapsed(
    conn: &mut PgConnection,
    client: ClientId,
    scope: Uuid,
    counted_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from access_grants where client_id = $1 and ($2::uuid = $1 or sublicense_id = $2)
                            and ends_at > $3 and ends_at <= $4)
               or exists (select from sublicenses where client_id = $1 and ($2::uuid = $1 or id = $2)
                            and ends_at > $3 and ends_at <= $4) as "found!""#,
        client.uuid(),
        scope,
        counted_at,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// Removes reservations that have lapsed; how many of each scope.
pub(super) async fn drop_lapsed(
    conn: &mut PgConnection,
    client: ClientId,
    scopes: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<(Uuid, i32)>, Fault> {
    let rows = sqlx::query!(
        r#"with gone as (
             delete from seat_reservations where client_id = $1 and scope_id = any($2) and expires_at <= $3 returning scope_id
           ) select scope_id, count(*)::int as "count!" from gone group by scope_id"#,
        client.uuid(),
        scopes,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.scope_id, row.count)).collect())
}

/// One reserved seat.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReservationRow {
    pub scope: Uuid,
    pub holder: Uuid,
    pub expires_at: DateTime<Utc>,
}

/// The seats that these holders have reserved, lapsed ones too.
pub(super) async fn reservations(
    conn: &mut PgConnection,
    client: ClientId,
    holders: &[Uuid],
) -> Result<Vec<ReservationRow>, Fault> {
    let rows = sqlx::query_as!(
        ReservationRow,
        "select scope_id as scope, holder, expires_at from seat_reservations
         where client_id = $1 and holder = any($2) order by scope_id, holder",
        client.uuid(),
        holders,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Writes reservations; a holder's earlier one of the same scope gets the new end.
pub(super) async fn upsert_reservations(
    conn: &mut PgConnection,
    client: ClientId,
    rows: &[ReservationRow],
) -> Result<(), Fault> {
    let scopes: Vec<Uuid> = rows.iter().map(|row| row.scope).collect();
    let holders: Vec<Uuid> = rows.iter().map(|row| row.holder).collect();
    let ends: Vec<DateTime<Utc>> = rows.iter().map(|row| row.expires_at).collect();
    sqlx::query!(
        "insert into seat_reservations (client_id, scope_id, holder, expires_at)
         select $1, t.scope_id, t.holder, t.expires_at
         from unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) t (scope_id, holder, expires_at)
         on conflict on constraint seat_reservations_pkey do update set expires_at = excluded.expires_at",
        client.uuid(),
        &scopes,
        &holders,
        &ends,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes what these holders have reserved. Counters in `locked` are written by the caller; others follow here.
pub(super) async fn delete_reservations(
    conn: &mut PgConnection,
    client: ClientId,
    holders: &[Uuid],
    locked: &[Uuid],
) -> Result<(), Fault> {
    sqlx::query!(
        "with gone as (
             delete from seat_reservations where client_id = $1 and holder = any($2) returning scope_id
         ), others as (
             select scope_id, count(*)::int as count from gone where scope_id <> all($3) group by scope_id
         )
         update seat_counters k set reserved = greatest(0, k.reserved - others.count)
         from others where k.client_id = $1 and k.scope_id = others.scope_id",
        client.uuid(),
        holders,
        locked,
    )
    .execute(conn)
    .await?;
    Ok(())
}
