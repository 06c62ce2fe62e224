//! SQL of the worker: claims with a lease, and what became of them. A claim is known by the number of its attempt: who
//! comes with an older number no longer has a say.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::model::{MailKind, MailStatus};
use crate::{
    fault::Fault,
    ids::{ClientId, MailId},
};

/// A mail that this worker may send until its lease ends.
#[derive(Debug)]
pub(super) struct Claimed {
    pub client: ClientId,
    pub id: MailId,
    pub kind: MailKind,
    pub recipient: String,
    pub name: String,
    pub link_sealed: Option<Vec<u8>>,
    pub content: Value,
    pub about: Option<String>,
    pub message_id: String,
    pub attempts: i32,
    /// Attempts that count.
    pub tries: i32,
    pub created_at: DateTime<Utc>,
    /// The client's version now: the mail wears its look of now.
    pub client_version: i64,
}

/// Takes up to `limit` mails that are due, until `lease_end`. Those that another replica takes are skipped, and those of
/// a kind that only a newer release knows are left to it.
pub(super) async fn claim(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    lease_end: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Claimed>, Fault> {
    let kinds = MailKind::ALL.map(|kind| kind.as_str().to_owned());
    let rows = sqlx::query!(
        r#"update mails m set due_at = $2, attempts = m.attempts + 1
           from clients c
           where (m.client_id, m.id) in (
               select client_id, id from mails where status = 'queued' and due_at <= $1 and kind = any($4)
               order by urgent desc, due_at limit $3 for update skip locked)
             and c.id = m.client_id
           returning m.client_id, m.id, m.kind, m.recipient, m.name, m.link_sealed, m.content, m.about, m.message_id,
               m.attempts, m.attempts - m.forgiven as "tries!", m.created_at, c.version as client_version"#,
        now,
        lease_end,
        limit,
        &kinds,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Claimed {
                client: row.client_id.into(),
                id: row.id.into(),
                kind: MailKind::read(&row.kind)?,
                recipient: row.recipient,
                name: row.name,
                link_sealed: row.link_sealed,
                content: row.content,
                about: row.about,
                message_id: row.message_id,
                attempts: row.attempts,
                tries: row.tries,
                created_at: row.created_at,
                client_version: row.client_version,
            })
        })
        .collect()
}

/// Puts a claimed mail back until `due_at`.
pub(super) async fn put_back(
    conn: &mut PgConnection,
    mail: &Claimed,
    answer: &str,
    due_at: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update mails set due_at = $4, answer = $5
         where client_id = $1 and id = $2 and status = 'queued' and attempts = $3",
        mail.client.uuid(),
        mail.id.uuid(),
        mail.attempts,
        due_at,
        answer,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a claimed mail. The link stays, sealed, with a dead letter alone: it may be sent again.
pub(super) async fn end(
    conn: &mut PgConnection,
    mail: &Claimed,
    status: MailStatus,
    answer: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update mails set status = $4, answer = $5, due_at = null, finished_at = $6,
             link_sealed = case when $4 = 'dead' then link_sealed end
         where client_id = $1 and id = $2 and status = 'queued' and attempts = $3",
        mail.client.uuid(),
        mail.id.uuid(),
        mail.attempts,
        status.as_str(),
        answer,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many mails wait, and since when the oldest of those that are due.
pub(super) async fn waiting(conn: &mut PgConnection) -> Result<(i64, Option<DateTime<Utc>>), Fault> {
    let row = sqlx::query!(r#"select count(*) as "count!", min(due_at) as oldest from mails where status = 'queued'"#)
        .fetch_one(conn)
        .await?;
    Ok((row.count, row.oldest))
}

/// Removes mails that ended before `before`; says how many.
pub(super) async fn remove_ended(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "delete from mails where (client_id, id) in (
             select client_id, id from mails where finished_at < $1 order by finished_at limit $2 for update skip locked)",
        before,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
