//! SQL of the files that a client's pages wear.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::picture::BrandFile;
use crate::{fault::Fault, ids::ClientId};

/// Stores a file, or notes that it is used anew.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    file: &BrandFile,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into branding_files (client_id, hash, media_type, bytes, created_at) values ($1, $2, $3, $4, $5)
         on conflict on constraint branding_files_pkey do update set created_at = excluded.created_at",
        client.uuid(),
        file.hash,
        file.media_type,
        file.bytes,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A stored file's type and bytes.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    hash: &str,
) -> Result<Option<(String, Vec<u8>)>, Fault> {
    let row = sqlx::query!(
        "select media_type, bytes from branding_files where client_id = $1 and hash = $2",
        client.uuid(),
        hash,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.media_type, row.bytes)))
}

/// Whether the client has such a picture.
pub(super) async fn has_picture(conn: &mut PgConnection, client: ClientId, hash: &str) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        "select media_type from branding_files where client_id = $1 and hash = $2",
        client.uuid(),
        hash,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some_and(|media_type| media_type.starts_with("image/")))
}

/// Removes one file.
pub(super) async fn delete(conn: &mut PgConnection, client: ClientId, hash: &str) -> Result<(), Fault> {
    sqlx::query!("delete from branding_files where client_id = $1 and hash = $2", client.uuid(), hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes all but the newest files; those that the look names stay, however old.
pub(super) async fn prune(conn: &mut PgConnection, client: ClientId, used: &[String], keep: i64) -> Result<(), Fault> {
    sqlx::query!(
        "delete from branding_files where client_id = $1 and hash <> all($2) and hash not in
             (select hash from branding_files where client_id = $1 order by created_at desc, hash limit $3)",
        client.uuid(),
        used,
        keep,
    )
    .execute(conn)
    .await?;
    Ok(())
}
