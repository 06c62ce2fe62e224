//! SQL of what was read of an IdP, and of who reads it next.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// The IdP as it was read, on its way into a connection.
#[derive(Debug, Clone)]
pub struct IdpUpdate {
    pub idp: Value,
    pub valid_until: Option<DateTime<Utc>>,
    /// `None`: it is not read again, as its metadata was typed.
    pub refresh_at: Option<DateTime<Utc>>,
}

/// Writes what was read of the IdP. The version is the caller's to raise.
pub async fn set_idp(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    read: Option<&IdpUpdate>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update connections set idp = $3, idp_valid_until = $4, idp_refresh_at = $5, idp_fetched_at = $6, idp_error = null,
                idp_certificate_ends_at =
                    (select min((c ->> 'not_after')::timestamptz) from jsonb_array_elements($3::jsonb -> 'certificates') as c)
         where client_id = $1 and id = $2",
        client.uuid(),
        id.uuid(),
        read.map(|read| &read.idp),
        read.and_then(|read| read.valid_until),
        read.and_then(|read| read.refresh_at),
        read.map(|_| now),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes why the last reading of the IdP failed, unless the settings have changed since.
pub async fn set_idp_error(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    version: i64,
    error: &str,
    again: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update connections set idp_error = $4, idp_refresh_at = $5 where client_id = $1 and id = $2 and version = $3",
        client.uuid(),
        id.uuid(),
        version,
        error,
        again,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the connection as it was at `version`, and raises the version if asked; says whether it still was.
pub async fn touch(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    version: i64,
    raise: bool,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update connections set version = case when $4 then version + 1 else version end,
                updated_at = case when $4 then $5 else updated_at end
         where client_id = $1 and id = $2 and version = $3",
        client.uuid(),
        id.uuid(),
        version,
        raise,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Claims connections whose IdP is to be read again: until `lease` nobody else claims them.
pub async fn claim_due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(ClientId, ConnectionId)>, Fault> {
    let rows = sqlx::query!(
        r#"update connections set idp_refresh_at = $2
           where (client_id, id) in (
               select client_id, id from connections where idp_refresh_at <= $1
               order by idp_refresh_at limit $3 for update skip locked)
           returning client_id as "client: ClientId", id as "id: ConnectionId""#,
        now,
        lease,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.client, row.id)).collect())
}
