//! SQL on the invited person's path: the link, the invite behind it, and its acceptance. Each is found by an index.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{link::Link, model::InviteStatus, store::read_role};
use crate::{
    claims::Role,
    fault::Fault,
    ids::{ClientId, InviteId, LearnerId, SublicenseId},
};

/// An invite as whoever holds its link, or accepts it, meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    pub id: InviteId,
    pub email: String,
    pub email_key: String,
    pub first_name: String,
    pub last_name: String,
    pub role: Role,
    pub status: InviteStatus,
    pub expires_at: DateTime<Utc>,
    pub learner: Option<LearnerId>,
    pub sublicenses: Vec<SublicenseId>,
}

struct Row {
    id: Uuid,
    email: String,
    email_key: String,
    first_name: String,
    last_name: String,
    role: String,
    status: String,
    expires_at: DateTime<Utc>,
    learner_id: Option<Uuid>,
    sublicenses: Vec<Uuid>,
}

impl Row {
    fn offered(self) -> Result<Offered, Fault> {
        Ok(Offered {
            id: self.id.into(),
            email: self.email,
            email_key: self.email_key,
            first_name: self.first_name,
            last_name: self.last_name,
            role: read_role(&self.role),
            status: InviteStatus::read(&self.status)?,
            expires_at: self.expires_at,
            learner: self.learner_id.map(LearnerId::from),
            sublicenses: self.sublicenses.into_iter().map(SublicenseId::from).collect(),
        })
    }
}

/// The invite of a link, and whether a newer link replaces this one.
pub(super) async fn by_link(
    conn: &mut PgConnection,
    client: ClientId,
    link: &Link,
) -> Result<Option<(Offered, bool)>, Fault> {
    let row = sqlx::query!(
        r#"select i.id, i.email, i.email_key, i.first_name, i.last_name, i.role, i.status, i.expires_at, i.learner_id,
                  array(select s.sublicense_id from invite_sublicenses s
                        where s.client_id = i.client_id and s.invite_id = i.id order by 1) as "sublicenses!",
                  l.replaced_at is not null as "is_replaced!"
           from invite_links l join invites i on i.client_id = l.client_id and i.id = l.invite_id
           where l.client_id = $1 and l.hash = $2"#,
        client.uuid(),
        &link.hash()[..],
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let is_replaced = row.is_replaced;
    let row = Row {
        id: row.id,
        email: row.email,
        email_key: row.email_key,
        first_name: row.first_name,
        last_name: row.last_name,
        role: row.role,
        status: row.status,
        expires_at: row.expires_at,
        learner_id: row.learner_id,
        sublicenses: row.sublicenses,
    };
    Ok(Some((row.offered()?, is_replaced)))
}

/// The invite as it is now.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId, id: InviteId) -> Result<Option<Offered>, Fault> {
    let row = sqlx::query_as!(
        Row,
        r#"select i.id, i.email, i.email_key, i.first_name, i.last_name, i.role, i.status, i.expires_at, i.learner_id,
                  array(select s.sublicense_id from invite_sublicenses s
                        where s.client_id = i.client_id and s.invite_id = i.id order by 1) as "sublicenses!"
           from invites i where i.client_id = $1 and i.id = $2"#,
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Row::offered).transpose()
}

/// Locks the invite's row until the transaction ends.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, id: InviteId) -> Result<(), Fault> {
    sqlx::query!("select from invites where client_id = $1 and id = $2 for update", client.uuid(), id.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(())
}

/// The invite of an address that may be accepted at `now`.
pub(super) async fn open_by_address(
    conn: &mut PgConnection,
    client: ClientId,
    email_key: &str,
    now: DateTime<Utc>,
) -> Result<Option<InviteId>, Fault> {
    let id = sqlx::query_scalar!(
        "select id from invites
         where client_id = $1 and email_key = $2 and status in ('pending', 'sent', 'bounced') and expires_at > $3",
        client.uuid(),
        email_key,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(InviteId::from))
}

/// What of a learner's address decides whether they may accept.
pub(super) struct Acceptor {
    pub email: Option<String>,
    pub email_key: Option<String>,
    pub is_verified: bool,
    /// Whether the client takes any address of its proved domains, and this is one.
    pub is_of_the_client: bool,
}

/// Reads [`Acceptor`] as it is now.
pub(super) async fn acceptor(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<Acceptor>, Fault> {
    let acceptor = sqlx::query_as!(
        Acceptor,
        r#"select l.email, l.email_key, l.email_verified as is_verified,
                  c.invite_any_domain_address and l.email_verified and exists (
                      select from email_domains d where d.client_id = l.client_id and d.verified_at is not null
                        and d.domain = split_part(l.email_key, '@', 2)) as "is_of_the_client!"
           from learners l join clients c on c.id = l.client_id where l.client_id = $1 and l.id = $2"#,
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(acceptor)
}

/// Notes who accepted.
pub(super) async fn mark_accepted(
    conn: &mut PgConnection,
    client: ClientId,
    id: InviteId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update invites set status = 'accepted', learner_id = $3, accepted_at = $4, updated_at = $4, next_reminder_at = null
         where client_id = $1 and id = $2",
        client.uuid(),
        id.uuid(),
        learner.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
