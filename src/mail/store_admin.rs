//! SQL of the outbox as an admin and a bounce see it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{MailKind, MailStatus, MailView};
use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, MailId},
};

/// Which mails to list.
#[derive(Debug, Default)]
pub(super) struct MailFilter {
    pub status: Option<MailStatus>,
    pub kind: Option<MailKind>,
    pub about: Option<String>,
}

struct Row {
    id: Uuid,
    kind: String,
    status: String,
    recipient: String,
    name: String,
    about: Option<String>,
    message_id: String,
    attempts: i32,
    answer: Option<String>,
    created_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl Row {
    fn view(self) -> Result<MailView, Fault> {
        Ok(MailView {
            id: self.id.into(),
            kind: MailKind::read(&self.kind)?,
            status: MailStatus::read(&self.status)?,
            to: self.recipient,
            name: self.name,
            about: self.about,
            message_id: self.message_id,
            attempts: self.attempts,
            answer: self.answer,
            created_at: self.created_at,
            next_try_at: self.due_at,
            finished_at: self.finished_at,
        })
    }
}

macro_rules! mails {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select id, kind, status, recipient, name, about, message_id, attempts, answer, created_at, due_at, finished_at
             from mails where client_id = $1 " + $rest,
            $($argument),*
        )
    };
}

/// One page, newest first; each filter that cuts much away by its index.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    filter: &MailFilter,
    page: Page,
) -> Result<Vec<MailView>, Fault> {
    let (before, limit) = (page.after.unwrap_or(Uuid::max()), page.fetch());
    let (status, kind) = (filter.status.map(MailStatus::as_str), filter.kind.map(MailKind::as_str));
    let rows = match (&filter.about, status, kind) {
        (Some(about), status, kind) => {
            mails!(
                "and about = $4 and ($5::text is null or status = $5) and ($6::text is null or kind = $6)
                 and id < $2 order by id desc limit $3",
                client.uuid(),
                before,
                limit,
                about,
                status,
                kind,
            )
            .fetch_all(conn)
            .await?
        }
        // Sent mails are the bulk: walking back from the newest meets them soon.
        (None, Some("sent"), kind) => {
            mails!(
                "and status = 'sent' and ($4::text is null or kind = $4) and id < $2 order by id desc limit $3",
                client.uuid(),
                before,
                limit,
                kind,
            )
            .fetch_all(conn)
            .await?
        }
        (None, Some(status), kind) => {
            mails!(
                "and status = $4 and status <> 'sent' and ($5::text is null or kind = $5)
                 and id < $2 order by id desc limit $3",
                client.uuid(),
                before,
                limit,
                status,
                kind,
            )
            .fetch_all(conn)
            .await?
        }
        (None, None, Some(kind)) => {
            mails!("and kind = $4 and id < $2 order by id desc limit $3", client.uuid(), before, limit, kind)
                .fetch_all(conn)
                .await?
        }
        (None, None, None) => {
            mails!("and id < $2 order by id desc limit $3", client.uuid(), before, limit).fetch_all(conn).await?
        }
    };
    rows.into_iter().map(Row::view).collect()
}

/// One mail.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId, id: MailId) -> Result<Option<MailView>, Fault> {
    mails!("and id = $2", client.uuid(), id.uuid()).fetch_optional(conn).await?.map(Row::view).transpose()
}

/// Locks one mail; says until when its link is good, where it says so.
pub(super) async fn lock(
    conn: &mut PgConnection,
    client: ClientId,
    id: MailId,
) -> Result<Option<(MailStatus, Option<DateTime<Utc>>)>, Fault> {
    let row = sqlx::query!(
        "select status, content ->> 'expires_at' as expires_at
         from mails where client_id = $1 and id = $2 for no key update",
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((MailStatus::read(&row.status)?, row.expires_at.and_then(|text| text.parse().ok())))).transpose()
}

/// Queues a dead letter again; the attempts so far no longer count.
pub(super) async fn revive(
    conn: &mut PgConnection,
    client: ClientId,
    id: MailId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update mails set status = 'queued', due_at = $3, finished_at = null, forgiven = attempts
         where client_id = $1 and id = $2 and status = 'dead'",
        client.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A mail that a bounce may be about.
pub(super) struct Bounceable {
    pub client: ClientId,
    pub id: MailId,
    pub kind: MailKind,
    pub about: Option<String>,
}

/// The mail with this Message-ID, if a server may have it.
pub(super) async fn out_by_message_id(
    conn: &mut PgConnection,
    client: ClientId,
    id: MailId,
    message_id: &str,
) -> Result<Option<Bounceable>, Fault> {
    let row = sqlx::query!(
        "select kind, about from mails
         where client_id = $1 and id = $2 and message_id = $3 and attempts > 0 and status in ('queued', 'sent')",
        client.uuid(),
        id.uuid(),
        message_id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(Bounceable { client, id, kind: MailKind::read(&row.kind)?, about: row.about })).transpose()
}

/// The mails that were sent to this address since `since`, in whichever client; in the order of what they are about.
pub(super) async fn out_to(
    conn: &mut PgConnection,
    address: &str,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Bounceable>, Fault> {
    let rows = sqlx::query!(
        "select client_id, id, kind, about from mails
         where lower(recipient) = lower($1) and status = 'sent' and finished_at >= $2
         order by client_id, about, id limit $3",
        address,
        since,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = MailKind::read(&row.kind)?;
            Ok(Bounceable { client: row.client_id.into(), id: row.id.into(), kind, about: row.about })
        })
        .collect()
}

/// Marks a mail that a server has or may have as bounced; says whether it still was one.
pub(super) async fn mark_bounced(
    conn: &mut PgConnection,
    mail: &Bounceable,
    code: &str,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update mails set status = 'bounced', answer = $3, link_sealed = null, due_at = null, finished_at = $4
         where client_id = $1 and id = $2 and attempts > 0 and status in ('queued', 'sent')",
        mail.client.uuid(),
        mail.id.uuid(),
        code,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
