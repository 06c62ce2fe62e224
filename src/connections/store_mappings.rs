//! SQL of mappings and of what they name.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Status;
use crate::{
    claims::SublicenseFacts,
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// One version of a mapping.
pub struct MappingRow {
    pub version: i32,
    pub rules: Value,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
}

/// Writes one version of a mapping.
pub async fn insert_mapping(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    version: i32,
    rules: &Value,
    author: &str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into mappings (client_id, connection_id, version, rules, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6)",
        client.uuid(),
        connection.uuid(),
        version,
        rules,
        now,
        author,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The mapping in force.
pub async fn current_mapping(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
) -> Result<Option<MappingRow>, Fault> {
    Ok(sqlx::query_as!(
        MappingRow,
        "select m.version, m.rules, m.created_at, m.created_by
         from connections c
         join mappings m on m.client_id = c.client_id and m.connection_id = c.id and m.version = c.mapping_version
         where c.client_id = $1 and c.id = $2",
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?)
}

/// Locks a connection for a new mapping and gives the version in force, and the connection's status.
pub async fn lock_mapping(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
) -> Result<Option<(i32, Status)>, Fault> {
    let row = sqlx::query!(
        "select mapping_version, status from connections where client_id = $1 and id = $2 for update",
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.mapping_version, row.status.parse()?))).transpose()
}

/// Puts a version of the mapping in force.
pub async fn use_mapping(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    version: i32,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update connections set mapping_version = $3, version = version + 1, updated_at = $4
         where client_id = $1 and id = $2",
        client.uuid(),
        id.uuid(),
        version,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Versions of a mapping below `before`, the newest first.
pub async fn mapping_versions(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    before: i32,
    limit: i64,
) -> Result<Vec<MappingRow>, Fault> {
    Ok(sqlx::query_as!(
        MappingRow,
        "select version, rules, created_at, created_by from mappings
         where client_id = $1 and connection_id = $2 and version < $3 order by version desc limit $4",
        client.uuid(),
        id.uuid(),
        before,
        limit,
    )
    .fetch_all(conn)
    .await?)
}

/// What names the sublicenses of these clients, for a mapping.
pub async fn sublicenses(conn: &mut PgConnection, clients: &[Uuid]) -> Result<Vec<SublicenseFacts>, Fault> {
    let rows = sqlx::query!("select slug, sku, refs from sublicenses where client_id = any($1) order by id", clients)
        .fetch_all(conn)
        .await?;
    let read = rows
        .into_iter()
        .map(|row| Ok(SublicenseFacts { slug: row.slug, sku: row.sku, refs: serde_json::from_value(row.refs)? }));
    read.collect()
}
