//! SQL of what falls due by itself: reminders, ends, and what became of a mail.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    fault::Fault,
    ids::{ClientId, InviteId},
};

/// An invite that is to be reminded of, locked.
pub(super) struct Due {
    pub client_id: Uuid,
    pub id: Uuid,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub message: Option<String>,
    pub expires_at: DateTime<Utc>,
    pub sublicenses: Vec<String>,
}

/// Claims invites whose reminder is due; those that another replica is at are skipped. A client that is closed sends
/// none.
pub(super) async fn claim_reminders(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Due>, Fault> {
    let rows = sqlx::query_as!(
        Due,
        r#"select i.client_id, i.id, i.email, i.first_name, i.last_name, i.locale, i.message, i.expires_at,
                  array(select p.name from invite_sublicenses o
                        join sublicenses p on p.client_id = o.client_id and p.id = o.sublicense_id
                        where o.client_id = i.client_id and o.invite_id = i.id and (p.ends_at is null or p.ends_at > $1)
                        order by p.is_default desc, p.name) as "sublicenses!"
           from invites i join clients c on c.id = i.client_id
           where i.next_reminder_at <= $1 and i.status = 'sent' and i.expires_at > $1
             and c.status = 'active' and (c.license_ends_at is null or c.license_ends_at > $1)
           order by i.next_reminder_at limit $2 for update of i skip locked"#,
        now,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Notes that a client's invites were reminded of, and when next: by the client's schedule from when the mail was sent.
/// What of the schedule has passed is not made up for.
pub(super) async fn mark_reminded(
    conn: &mut PgConnection,
    client: ClientId,
    invites: &[InviteId],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let ids: Vec<Uuid> = invites.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "update invites i
         set reminders_sent = reminders_sent + 1, updated_at = $3, next_reminder_at = (
             select min(i.sent_at + make_interval(days => d)) from clients c, unnest(c.reminders_days) d
             where c.id = $1 and i.sent_at + make_interval(days => d) > $3
               and i.sent_at + make_interval(days => d) < i.expires_at)
         where i.client_id = $1 and i.id = any($2)",
        client.uuid(),
        &ids,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Invites that are past their end and not noted so, by client. Nothing is locked.
pub(super) async fn overdue(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(ClientId, InviteId)>, Fault> {
    let rows = sqlx::query!(
        "select client_id, id from invites
         where status in ('pending', 'sent', 'bounced') and expires_at <= $1 order by expires_at limit $2",
        now,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.client_id.into(), row.id.into())).collect())
}

/// Notes the end of those that are still past it; says which.
pub(super) async fn mark_expired(
    conn: &mut PgConnection,
    client: ClientId,
    invites: &[InviteId],
    now: DateTime<Utc>,
) -> Result<Vec<InviteId>, Fault> {
    let ids: Vec<Uuid> = invites.iter().map(|id| id.uuid()).collect();
    let expired = sqlx::query_scalar!(
        "update invites set status = 'expired', next_reminder_at = null, updated_at = $3
         where client_id = $1 and id = any($2) and status in ('pending', 'sent', 'bounced') and expires_at <= $3
         returning id",
        client.uuid(),
        &ids,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(expired.into_iter().map(InviteId::from).collect())
}

/// A server took the mail of a pending invite; says whether it was pending. The reminders count from here.
pub(super) async fn mark_sent(
    conn: &mut PgConnection,
    client: ClientId,
    id: InviteId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update invites i
         set status = 'sent', sent_at = $3, updated_at = $3, next_reminder_at = (
             select min($3::timestamptz + make_interval(days => d)) from clients c, unnest(c.reminders_days) d
             where c.id = $1 and $3::timestamptz + make_interval(days => d) < i.expires_at)
         where i.client_id = $1 and i.id = $2 and i.status = 'pending'",
        client.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Mail to the address came back; says whether the invite was open and did not know.
pub(super) async fn mark_bounced(
    conn: &mut PgConnection,
    client: ClientId,
    id: InviteId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update invites set status = 'bounced', next_reminder_at = null, updated_at = $3
         where client_id = $1 and id = $2 and status in ('pending', 'sent')",
        client.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the invite's mail still waits to be sent.
pub(super) async fn is_pending(conn: &mut PgConnection, client: ClientId, id: InviteId) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from invites where client_id = $1 and id = $2 and status = 'pending') as "found!""#,
        client.uuid(),
        id.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}
