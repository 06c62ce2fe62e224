//! SQL that makes and renews invites, one statement for all of them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{judge::Plan, model::NewInvite};
use crate::{
    fault::Fault,
    ids::{ClientId, InviteId},
};

/// One invite about to be written.
pub(super) struct Write<'a> {
    pub id: InviteId,
    pub new: &'a NewInvite,
    pub plan: Plan,
}

/// Stores new invites; says which. An address that somebody else has invited in this moment is left out.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    writes: &[&Write<'_>],
    source_ref: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<InviteId>, Fault> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(writes);
    let emails: Vec<String> = writes.iter().map(|write| write.new.email.as_str().to_owned()).collect();
    let keys: Vec<String> = writes.iter().map(|write| write.new.email.key().to_owned()).collect();
    let ids = sqlx::query_scalar!(
        "insert into invites (client_id, id, email, email_key, first_name, last_name, role, locale, message,
                              expires_at, source_ref, invited_at, created_at, updated_at)
         select $1, n.id, n.email, n.email_key, n.first_name, n.last_name, n.role, n.locale, n.message, n.expires_at,
                $2, $3, $3, $3
         from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                     $12::timestamptz[])
              as n (id, email, email_key, first_name, last_name, role, locale, message, expires_at)
         on conflict (client_id, email_key) where status in ('pending', 'sent', 'bounced') do nothing
         returning id",
        client.uuid(),
        source_ref,
        now,
        &columns.ids,
        &emails,
        &keys,
        &columns.first_names,
        &columns.last_names,
        &columns.roles,
        &columns.locales as &[Option<String>],
        &columns.messages as &[Option<String>],
        &columns.ends,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(InviteId::from).collect())
}

/// Renews invites that are still as they were read; says which. An expired one is opened again only where `reopen`.
/// What a wish leaves empty stays.
pub(super) async fn renew(
    conn: &mut PgConnection,
    client: ClientId,
    writes: &[&Write<'_>],
    reopen: bool,
    now: DateTime<Utc>,
) -> Result<Vec<InviteId>, Fault> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(writes);
    let seen: Vec<i32> = writes.iter().map(|write| write.plan.renews.map_or(0, |(_, times_sent)| times_sent)).collect();
    let ids = sqlx::query_scalar!(
        "update invites i
         set first_name = coalesce(nullif(n.first_name, ''), i.first_name),
             last_name = coalesce(nullif(n.last_name, ''), i.last_name),
             role = n.role, locale = coalesce(n.locale, i.locale), message = coalesce(n.message, i.message),
             expires_at = n.expires_at, status = 'pending', times_sent = i.times_sent + 1, sent_at = null,
             next_reminder_at = null, invited_at = $3, updated_at = $3
         from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[],
                     $11::int[])
              as n (id, first_name, last_name, role, locale, message, expires_at, times_sent)
         where i.client_id = $1 and i.id = n.id and i.times_sent = n.times_sent
           and (i.status in ('pending', 'sent', 'bounced') or ($2 and i.status = 'expired'))
         returning i.id",
        client.uuid(),
        reopen,
        now,
        &columns.ids,
        &columns.first_names,
        &columns.last_names,
        &columns.roles,
        &columns.locales as &[Option<String>],
        &columns.messages as &[Option<String>],
        &columns.ends,
        &seen,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(InviteId::from).collect())
}

struct Columns {
    ids: Vec<Uuid>,
    first_names: Vec<String>,
    last_names: Vec<String>,
    roles: Vec<String>,
    locales: Vec<Option<String>>,
    messages: Vec<Option<String>>,
    ends: Vec<DateTime<Utc>>,
}

impl Columns {
    fn of(writes: &[&Write<'_>]) -> Self {
        Self {
            ids: writes.iter().map(|write| write.id.uuid()).collect(),
            first_names: writes.iter().map(|write| write.new.first_name.clone()).collect(),
            last_names: writes.iter().map(|write| write.new.last_name.clone()).collect(),
            roles: writes.iter().map(|write| write.plan.role.as_str().to_owned()).collect(),
            locales: writes.iter().map(|write| write.new.locale.clone()).collect(),
            messages: writes.iter().map(|write| write.new.message.clone()).collect(),
            ends: writes.iter().map(|write| write.plan.expires_at).collect(),
        }
    }
}

/// Notes what the invites offer, besides what they offered before.
pub(super) async fn offer(conn: &mut PgConnection, client: ClientId, writes: &[&Write<'_>]) -> Result<(), Fault> {
    let pairs = || writes.iter().flat_map(|write| write.plan.sublicenses.iter().map(|part| (write.id, *part)));
    let invites: Vec<Uuid> = pairs().map(|(invite, _)| invite.uuid()).collect();
    let parts: Vec<Uuid> = pairs().map(|(_, part)| part.uuid()).collect();
    sqlx::query!(
        "insert into invite_sublicenses (client_id, invite_id, sublicense_id)
         select $1, o.invite_id, o.sublicense_id from unnest($2::uuid[], $3::uuid[]) as o (invite_id, sublicense_id)
         on conflict do nothing",
        client.uuid(),
        &invites,
        &parts,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Kills every link of these invites that was good until now.
pub(super) async fn replace_links(
    conn: &mut PgConnection,
    client: ClientId,
    invites: &[InviteId],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let invites: Vec<Uuid> = invites.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "update invite_links set replaced_at = $3
         where client_id = $1 and invite_id = any($2) and replaced_at is null",
        client.uuid(),
        &invites,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds one link to each invite.
pub(super) async fn insert_links(
    conn: &mut PgConnection,
    client: ClientId,
    links: &[(InviteId, [u8; 32])],
    is_reminder: bool,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let invites: Vec<Uuid> = links.iter().map(|(invite, _)| invite.uuid()).collect();
    let hashes: Vec<Vec<u8>> = links.iter().map(|(_, hash)| hash.to_vec()).collect();
    sqlx::query!(
        "insert into invite_links (client_id, hash, invite_id, is_reminder, made_at)
         select $1, l.hash, l.invite_id, $4, $5 from unnest($2::uuid[], $3::bytea[]) as l (invite_id, hash)",
        client.uuid(),
        &invites,
        &hashes,
        is_reminder,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The open invites of these addresses, for those that somebody else has just made.
pub(super) async fn open_of(
    conn: &mut PgConnection,
    client: ClientId,
    keys: &[String],
) -> Result<Vec<(String, InviteId)>, Fault> {
    let rows = sqlx::query!(
        "select email_key, id from invites
         where client_id = $1 and email_key = any($2) and status in ('pending', 'sent', 'bounced')",
        client.uuid(),
        keys,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.email_key, row.id.into())).collect())
}
