//! SQL of invites as an admin sees them. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Invite, InviteStatus};
use crate::{
    claims::Role,
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, InviteId, SublicenseId},
};

struct Row {
    id: Uuid,
    email: String,
    first_name: String,
    last_name: String,
    role: String,
    locale: Option<String>,
    message: Option<String>,
    status: String,
    expires_at: DateTime<Utc>,
    learner_id: Option<Uuid>,
    source_ref: Option<String>,
    times_sent: i32,
    reminders_sent: i32,
    sent_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    sublicenses: Vec<Uuid>,
}

impl Row {
    fn invite(self) -> Result<Invite, Fault> {
        Ok(Invite {
            id: self.id.into(),
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            sublicenses: self.sublicenses.into_iter().map(SublicenseId::from).collect(),
            role: read_role(&self.role),
            locale: self.locale,
            message: self.message,
            status: InviteStatus::read(&self.status)?,
            expires_at: self.expires_at,
            learner: self.learner_id.map(Into::into),
            import: self.source_ref,
            times_sent: self.times_sent,
            reminders_sent: self.reminders_sent,
            sent_at: self.sent_at,
            accepted_at: self.accepted_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Reads the word of the schema; only the one word is the higher role.
pub(super) fn read_role(word: &str) -> Role {
    if word == Role::Manager.as_str() { Role::Manager } else { Role::Learner }
}

/// The columns of an invite, from where the filter says.
macro_rules! invites {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select i.id, i.email, i.first_name, i.last_name, i.role, i.locale, i.message, i.status, i.expires_at,
                      i.learner_id, i.source_ref, i.times_sent, i.reminders_sent, i.sent_at, i.accepted_at,
                      i.created_at, i.updated_at,
                      array(select s.sublicense_id from invite_sublicenses s
                            where s.client_id = i.client_id and s.invite_id = i.id order by 1) as "sublicenses!"
               from invites i "# + $rest,
            $($argument),*
        )
    };
}

/// One invite.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId, id: InviteId) -> Result<Option<Invite>, Fault> {
    let row = invites!("where i.client_id = $1 and i.id = $2", client.uuid(), id.uuid()).fetch_optional(conn).await?;
    row.map(Row::invite).transpose()
}

/// Which invites to list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub status: Option<InviteStatus>,
    /// The address in its comparable spelling.
    pub email_key: Option<String>,
    pub sublicense: Option<SublicenseId>,
}

/// One page of a client's invites, oldest first. Each kind of filter has its index.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Invite>, Fault> {
    let client = client.uuid();
    let (after, limit) = (page.after.unwrap_or(Uuid::nil()), page.fetch());
    let status = filter.status.map(InviteStatus::as_str);
    let rows = match (&filter.email_key, filter.sublicense, status) {
        (Some(email_key), sublicense, _) => {
            invites!(
                "where i.client_id = $1 and i.email_key = $2 and i.id > $3 and ($4::text is null or i.status = $4)
                   and ($5::uuid is null or exists (select from invite_sublicenses s
                        where s.client_id = i.client_id and s.invite_id = i.id and s.sublicense_id = $5))
                 order by i.id limit $6",
                client,
                email_key,
                after,
                status,
                sublicense.map(SublicenseId::uuid),
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (None, Some(sublicense), _) => {
            invites!(
                "join invite_sublicenses o on o.client_id = i.client_id and o.invite_id = i.id
                 where i.client_id = $1 and o.client_id = $1 and o.sublicense_id = $2 and o.invite_id > $3
                   and ($4::text is null or i.status = $4)
                 order by o.invite_id limit $5",
                client,
                sublicense.uuid(),
                after,
                status,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (None, None, Some(status)) => {
            invites!(
                "where i.client_id = $1 and i.status = $2 and i.id > $3 order by i.id limit $4",
                client,
                status,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (None, None, None) => {
            invites!("where i.client_id = $1 and i.id > $2 order by i.id limit $3", client, after, limit)
                .fetch_all(conn)
                .await?
        }
    };
    rows.into_iter().map(Row::invite).collect()
}

/// The client's default sublicense.
pub(super) async fn default_sublicense(
    conn: &mut PgConnection,
    client: ClientId,
) -> Result<Option<SublicenseId>, Fault> {
    let id = sqlx::query_scalar!("select id from sublicenses where client_id = $1 and is_default", client.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(id.map(SublicenseId::from))
}

/// Revokes an invite that is still open at `now`; says whether it was.
pub(super) async fn mark_revoked(
    conn: &mut PgConnection,
    client: ClientId,
    id: InviteId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update invites set status = 'revoked', next_reminder_at = null, updated_at = $3
         where client_id = $1 and id = $2 and status in ('pending', 'sent', 'bounced') and expires_at > $3",
        client.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
