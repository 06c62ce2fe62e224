//! SQL of our own keys of connections.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::keys::{KeyState, KeyUse, NewKey};
use crate::{
    fault::Fault,
    ids::{ClientId, ConnectionId, KeyId},
};

/// A key of ours, still sealed.
pub struct KeyRow {
    pub id: KeyId,
    pub key_use: KeyUse,
    pub state: KeyState,
    pub certificate_pem: String,
    pub private_key_sealed: Vec<u8>,
}

/// The keys of a connection, the current ones first.
pub async fn keys(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<Vec<KeyRow>, Fault> {
    let rows = sqlx::query!(
        r#"select id as "id: KeyId", use as "key_use", state, certificate_pem, private_key_sealed
           from connection_keys where client_id = $1 and connection_id = $2
           order by state = 'current' desc, id desc"#,
        client.uuid(),
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(KeyRow {
            id: row.id,
            key_use: row.key_use.parse()?,
            state: row.state.parse()?,
            certificate_pem: row.certificate_pem,
            private_key_sealed: row.private_key_sealed,
        })
    });
    read.collect()
}

/// Writes keys that are current from now on.
pub async fn insert_keys(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    keys: &[NewKey],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    for key in keys {
        sqlx::query!(
            "insert into connection_keys
               (client_id, connection_id, id, use, state, certificate_pem, private_key_sealed, not_after, created_at)
             values ($1, $2, $3, $4, 'current', $5, $6, $7, $8)",
            client.uuid(),
            connection.uuid(),
            key.id.uuid(),
            key.key_use.as_str(),
            key.certificate_pem,
            key.private_key_sealed,
            key.not_after,
            now,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The certificates of ours that others are to be given: the current ones of these connections.
pub async fn current_certificates(
    conn: &mut PgConnection,
    client: ClientId,
    ids: &[Uuid],
) -> Result<Vec<(ConnectionId, KeyUse, String)>, Fault> {
    let rows = sqlx::query!(
        r#"select connection_id as "id: ConnectionId", use as "key_use", certificate_pem
           from connection_keys where client_id = $1 and connection_id = any($2) and state = 'current'"#,
        client.uuid(),
        ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((row.id, row.key_use.parse()?, row.certificate_pem))).collect()
}
