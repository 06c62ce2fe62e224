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
    pub not_after: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// Since when it is what its state says.
    pub state_since: DateTime<Utc>,
}

/// The keys of a connection: the current ones, the next ones, then those before, newest first.
pub async fn keys(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<Vec<KeyRow>, Fault> {
    let rows = sqlx::query!(
        r#"select id as "id: KeyId", use as "key_use", state, certificate_pem, private_key_sealed, not_after, created_at,
                  state_since
           from connection_keys where client_id = $1 and connection_id = $2
           order by state = 'current' desc, state = 'next' desc, id desc"#,
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
            not_after: row.not_after,
            created_at: row.created_at,
            state_since: row.state_since,
        })
    });
    read.collect()
}

/// Writes keys, all in one state from now on.
pub async fn insert_keys(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    keys: &[NewKey],
    state: KeyState,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    for key in keys {
        sqlx::query!(
            "insert into connection_keys
               (client_id, connection_id, id, use, state, certificate_pem, private_key_sealed, not_after, created_at,
                state_since)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
            client.uuid(),
            connection.uuid(),
            key.id.uuid(),
            key.key_use.as_str(),
            state.as_str(),
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

/// Locks a connection whose keys are about to change and raises its version, so that every replica reads them anew; says
/// whether it is there.
pub async fn lock_and_raise(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update connections set version = version + 1, updated_at = $3 where client_id = $1 and id = $2",
        client.uuid(),
        connection.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Brings a key to another state.
pub async fn set_state(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    key: KeyId,
    state: KeyState,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update connection_keys set state = $4, state_since = $5
         where client_id = $1 and connection_id = $2 and id = $3",
        client.uuid(),
        connection.uuid(),
        key.uuid(),
        state.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a key.
pub async fn delete(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    key: KeyId,
) -> Result<(), Fault> {
    sqlx::query!(
        "delete from connection_keys where client_id = $1 and connection_id = $2 and id = $3",
        client.uuid(),
        connection.uuid(),
        key.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A key of ours as others are given it.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    pub connection: ConnectionId,
    pub key_use: KeyUse,
    pub pem: String,
    pub not_after: DateTime<Utc>,
    /// Whether its successor is published already.
    pub has_next: bool,
}

/// The certificates of ours that others are to be given: the current ones of these connections.
pub async fn current_certificates(
    conn: &mut PgConnection,
    client: ClientId,
    ids: &[Uuid],
) -> Result<Vec<OwnCertificate>, Fault> {
    let rows = sqlx::query!(
        r#"select k.connection_id as "connection: ConnectionId", k.use as "key_use", k.certificate_pem, k.not_after,
                  exists (select from connection_keys n
                          where n.client_id = k.client_id and n.connection_id = k.connection_id and n.use = k.use
                                and n.state = 'next') as "has_next!"
           from connection_keys k where k.client_id = $1 and k.connection_id = any($2) and k.state = 'current'"#,
        client.uuid(),
        ids,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(OwnCertificate {
            connection: row.connection,
            key_use: row.key_use.parse()?,
            pem: row.certificate_pem,
            not_after: row.not_after,
            has_next: row.has_next,
        })
    });
    read.collect()
}

/// Current keys of active connections that end before `by` and have no successor yet, soonest first.
pub async fn without_successor(
    conn: &mut PgConnection,
    by: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(ClientId, ConnectionId, KeyUse)>, Fault> {
    let rows = sqlx::query!(
        r#"select k.client_id as "client: ClientId", k.connection_id as "connection: ConnectionId", k.use as "key_use"
           from connection_keys k
           join connections c on c.client_id = k.client_id and c.id = k.connection_id and c.status = 'active'
           where k.state = 'current' and k.not_after <= $1
                 and not exists (select from connection_keys n
                                 where n.client_id = k.client_id and n.connection_id = k.connection_id
                                       and n.use = k.use and n.state = 'next')
           order by k.not_after limit $2"#,
        by,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((row.client, row.connection, row.key_use.parse()?))).collect()
}
