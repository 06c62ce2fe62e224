//! SQL of the memory of what a POST with an `Idempotency-Key` answered.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{fault::Fault, ids::TokenId};

/// How long an answer is remembered.
pub(crate) const REMEMBERED: Duration = Duration::hours(24);

/// One key of one token on one route.
#[derive(Debug, Clone)]
pub(crate) struct KeyRow {
    pub token: TokenId,
    pub route: String,
    pub key: String,
    pub body_hash: [u8; 32],
}

/// What was remembered.
pub(crate) struct Remembered {
    pub body_hash: Vec<u8>,
    pub status: i32,
    pub response: Value,
}

/// Takes the key, or finds what it answered before. A concurrent duplicate waits here until the first one has
/// committed or rolled back.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    key: &KeyRow,
    now: DateTime<Utc>,
) -> Result<Option<Remembered>, Fault> {
    let taken = sqlx::query_scalar!(
        "insert into idempotency_keys (token_id, route, key, body_hash, status, response, created_at)
         values ($1, $2, $3, $4, 0, 'null', $5)
         on conflict (token_id, route, key) do update
         set body_hash = excluded.body_hash, status = 0, response = 'null', created_at = excluded.created_at
         where idempotency_keys.created_at <= $6
         returning 1 as \"taken!\"",
        key.token.uuid(),
        key.route,
        key.key,
        key.body_hash.as_slice(),
        now,
        now - REMEMBERED,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if taken.is_some() {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        Remembered,
        "select body_hash, status, response from idempotency_keys where token_id = $1 and route = $2 and key = $3",
        key.token.uuid(),
        key.route,
        key.key,
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(row))
}

/// Remembers what was answered.
pub(crate) async fn remember(
    conn: &mut PgConnection,
    key: &KeyRow,
    status: u16,
    response: &Value,
) -> Result<(), Fault> {
    sqlx::query!(
        "update idempotency_keys set status = $4, response = $5 where token_id = $1 and route = $2 and key = $3",
        key.token.uuid(),
        key.route,
        key.key,
        i32::from(status),
        response,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets up to `limit` keys of more than a day ago; says how many.
pub(crate) async fn remove_old(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let outcome = sqlx::query!(
        "delete from idempotency_keys where (token_id, route, key) in
         (select token_id, route, key from idempotency_keys where created_at <= $1 order by created_at limit $2)",
        now - REMEMBERED,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(outcome.rows_affected())
}
