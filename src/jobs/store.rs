//! SQL of the clean-up. Rows that another replica is at are skipped.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::fault::Fault;

/// Empties sealed claims that have expired; says of how many attempts.
pub async fn empty_claims(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "update attempts set claims_sealed = null, claims_expire_at = null
         where (client_id, id) in (
             select client_id, id from attempts where claims_sealed is not null and claims_expire_at <= $1
             order by claims_expire_at limit $2 for update skip locked)",
        now,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes used assertions that would be refused by their age now; says how many.
pub async fn remove_assertions(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "delete from used_assertions
         where (client_id, connection_id, digest) in (
             select client_id, connection_id, digest from used_assertions where expires_at < $1
             order by expires_at limit $2 for update skip locked)",
        now,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
