//! SQL of what was told of certificates that end.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{fault::Fault, ids::ClientId};

/// Remembers that the end of a certificate within so many days was told; says whether that is new.
pub async fn remember(
    conn: &mut PgConnection,
    client: Option<ClientId>,
    owner: &str,
    certificate: &str,
    within_days: i16,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "insert into certificate_warnings (client_id, owner, certificate, within_days, warned_at)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
        client.map_or(Uuid::nil(), ClientId::uuid),
        owner,
        certificate,
        within_days,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes what was told before then.
pub async fn forget(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<(), Fault> {
    sqlx::query!("delete from certificate_warnings where warned_at < $1", before).execute(conn).await?;
    Ok(())
}
