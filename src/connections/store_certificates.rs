//! SQL of certificates that end: those by which IdPs sign, and our own, of active connections.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::keys::KeyUse;
use crate::{
    fault::Fault,
    ids::{ClientId, ConnectionId, KeyId},
};

/// A certificate of a connection that ends soon, or has ended.
#[derive(Debug, Clone)]
pub struct Ending {
    pub client: ClientId,
    pub connection: ConnectionId,
    /// Its SHA-256 in hexadecimal; for one of ours the id of its key.
    pub certificate: String,
    /// What our key is for; `None` for the IdP's.
    pub key_use: Option<KeyUse>,
    pub ends_at: DateTime<Utc>,
    /// Whether another one that lasts longer is known already.
    pub has_successor: bool,
}

/// Signing certificates of IdPs that end before `by`.
pub async fn of_idps(conn: &mut PgConnection, by: DateTime<Utc>) -> Result<Vec<Ending>, Fault> {
    let rows = sqlx::query!(
        r#"select c.client_id as "client: ClientId", c.id as "connection: ConnectionId",
                  e.certificate ->> 'fingerprint_sha256' as "fingerprint!",
                  (e.certificate ->> 'not_after')::timestamptz as "ends_at!",
                  exists (select from jsonb_array_elements(c.idp -> 'certificates') as other
                          where (other ->> 'not_after')::timestamptz > $1) as "has_successor!"
           from connections c cross join lateral jsonb_array_elements(c.idp -> 'certificates') as e (certificate)
           where c.status = 'active' and c.idp_certificate_ends_at <= $1
                 and (e.certificate ->> 'not_after')::timestamptz <= $1"#,
        by,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| Ending {
        client: row.client,
        connection: row.connection,
        certificate: row.fingerprint,
        key_use: None,
        ends_at: row.ends_at,
        has_successor: row.has_successor,
    });
    Ok(read.collect())
}

/// Keys of ours in use that end before `by`.
pub async fn of_ours(conn: &mut PgConnection, by: DateTime<Utc>) -> Result<Vec<Ending>, Fault> {
    let rows = sqlx::query!(
        r#"select k.client_id as "client: ClientId", k.connection_id as "connection: ConnectionId", k.id as "id: KeyId",
                  k.use as "key_use", k.not_after,
                  exists (select from connection_keys n
                          where n.client_id = k.client_id and n.connection_id = k.connection_id and n.use = k.use
                                and n.state = 'next') as "has_successor!"
           from connection_keys k
           join connections c on c.client_id = k.client_id and c.id = k.connection_id and c.status = 'active'
           where k.state = 'current' and k.not_after <= $1"#,
        by,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(Ending {
            client: row.client,
            connection: row.connection,
            certificate: row.id.to_string(),
            key_use: Some(row.key_use.parse()?),
            ends_at: row.not_after,
            has_successor: row.has_successor,
        })
    });
    read.collect()
}

/// When the first certificate of an IdP and the first key of ours end that have not ended yet.
pub async fn soonest(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>), Fault> {
    let row = sqlx::query!(
        "select (select min(idp_certificate_ends_at) from connections
                 where status = 'active' and idp_certificate_ends_at > $1) as idps,
                (select min(k.not_after) from connection_keys k
                 join connections c on c.client_id = k.client_id and c.id = k.connection_id and c.status = 'active'
                 where k.state = 'current' and k.not_after > $1) as ours",
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.idps, row.ours))
}
