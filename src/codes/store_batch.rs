//! SQL of many codes at once: stored by COPY, and large batches that are generated chunk by chunk.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::text::CodeText;
use crate::{
    fault::Fault,
    ids::{BatchId, ClientId, CodeId},
};

/// Which of these keys a code of the client has.
pub(super) async fn taken(conn: &mut PgConnection, client: ClientId, keys: &[String]) -> Result<Vec<String>, Fault> {
    let found =
        sqlx::query_scalar!("select key from codes where client_id = $1 and key = any($2)", client.uuid(), keys,)
            .fetch_all(conn)
            .await?;
    Ok(found)
}

/// Stores new codes of a batch by COPY.
pub(super) async fn copy_in(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    codes: &[(CodeId, CodeText)],
) -> Result<(), Fault> {
    if codes.is_empty() {
        return Ok(());
    }
    let (client, batch) = (client.uuid().simple().to_string(), batch.uuid().simple().to_string());
    let mut rows = String::with_capacity(codes.len() * 140);
    for (id, code) in codes {
        // Keys and texts are letters, digits and dashes: nothing of COPY's own.
        let _infallible =
            writeln!(rows, "{client}\t{}\t{batch}\t{}\t{}", id.uuid().simple(), code.key(), code.as_str());
    }
    let mut copy = conn.copy_in_raw("copy codes (client_id, id, offer_id, key, text) from stdin").await?;
    copy.send(rows.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// Counts codes that were stored.
pub(super) async fn add_total(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    count: i32,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update code_offers set codes_total = codes_total + $3, updated_at = $4 where client_id = $1 and id = $2",
        client.uuid(),
        batch.uuid(),
        count,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that codes are still to be generated.
pub(super) async fn begin_fill(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    count: i32,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into code_fills (client_id, offer_id, remaining, created_at) values ($1, $2, $3, $4)",
        client.uuid(),
        batch.uuid(),
        count,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives up what is still to be generated. Call it before the batch is locked.
pub(super) async fn forget_fill(conn: &mut PgConnection, client: ClientId, batch: BatchId) -> Result<(), Fault> {
    sqlx::query!("delete from code_fills where client_id = $1 and offer_id = $2", client.uuid(), batch.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// A batch that is still being generated.
pub(super) struct Fill {
    pub client: ClientId,
    pub batch: BatchId,
    pub remaining: i32,
    pub prefix: String,
    pub length: i32,
}

/// The oldest batch that is to be filled and that nobody else is at, locked until the transaction ends.
pub(super) async fn claim_fill(conn: &mut PgConnection) -> Result<Option<Fill>, Fault> {
    let row = sqlx::query!(
        "select f.client_id, f.offer_id, f.remaining, o.prefix, o.length
         from code_fills f join code_offers o on o.client_id = f.client_id and o.id = f.offer_id
         order by f.created_at limit 1 for update of f skip locked",
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Fill {
        client: row.client_id.into(),
        batch: row.offer_id.into(),
        remaining: row.remaining,
        prefix: row.prefix,
        length: row.length,
    }))
}

/// Counts down what is to come; the row goes with the last code.
pub(super) async fn count_down(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    remaining: i32,
) -> Result<(), Fault> {
    if remaining <= 0 {
        return forget_fill(conn, client, batch).await;
    }
    sqlx::query!(
        "update code_fills set remaining = $3 where client_id = $1 and offer_id = $2",
        client.uuid(),
        batch.uuid(),
        remaining,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The codes of a batch for its export, in order.
pub(super) struct ExportRow {
    pub id: Uuid,
    pub text: String,
    pub state: String,
    pub learner: Option<Uuid>,
    pub redeemed_at: Option<DateTime<Utc>>,
}

/// One part of an export: an index range, whatever the size of the batch.
pub(super) async fn export(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<ExportRow>, Fault> {
    let rows = sqlx::query_as!(
        ExportRow,
        "select id, text, state, learner_id as learner, redeemed_at from codes
         where client_id = $1 and offer_id = $2 and id > $3 order by id limit $4",
        client.uuid(),
        batch.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
