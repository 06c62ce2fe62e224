//! SQL of the outbox.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::model::MailKind;
use crate::{
    fault::Fault,
    ids::{ClientId, MailId},
};

/// A mail as it is put in.
pub(super) struct MailRow {
    pub id: MailId,
    pub kind: MailKind,
    pub recipient: String,
    pub name: String,
    pub locale: Option<String>,
    pub link_sealed: Option<Vec<u8>>,
    pub content: Value,
    pub about: Option<String>,
    pub message_id: String,
}

/// Puts mails in, due at once.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    rows: &[MailRow],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let ids: Vec<_> = rows.iter().map(|row| row.id.uuid()).collect();
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str().to_owned()).collect();
    let urgent: Vec<_> = rows.iter().map(|row| row.kind.is_urgent()).collect();
    let recipients: Vec<_> = rows.iter().map(|row| row.recipient.clone()).collect();
    let names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
    let locales: Vec<_> = rows.iter().map(|row| row.locale.clone()).collect();
    let links: Vec<_> = rows.iter().map(|row| row.link_sealed.clone()).collect();
    let contents: Vec<_> = rows.iter().map(|row| row.content.clone()).collect();
    let abouts: Vec<_> = rows.iter().map(|row| row.about.clone()).collect();
    let message_ids: Vec<_> = rows.iter().map(|row| row.message_id.clone()).collect();
    sqlx::query!(
        "insert into mails (client_id, id, kind, urgent, recipient, name, locale, link_sealed, content, about,
             message_id, due_at, created_at)
         select $1, id, kind, urgent, recipient, name, locale, link_sealed, content, about, message_id, $2, $2
         from unnest($3::uuid[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::bytea[],
             $10::jsonb[], $11::text[], $12::text[])
             as mail (id, kind, urgent, recipient, name, locale, link_sealed, content, about, message_id)",
        client.uuid(),
        now,
        &ids,
        &kinds,
        &urgent,
        &recipients,
        &names,
        &locales as &[Option<String>],
        &links as &[Option<Vec<u8>>],
        &contents,
        &abouts as &[Option<String>],
        &message_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Withdraws what is queued about these.
pub(super) async fn withdraw(
    conn: &mut PgConnection,
    client: ClientId,
    about: &[String],
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "update mails set status = 'withdrawn', link_sealed = null, due_at = null, finished_at = $3
         where client_id = $1 and about = any($2) and status in ('queued', 'dead')",
        client.uuid(),
        about,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
