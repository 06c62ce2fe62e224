//! SQL of clients, their hosts and e-mail domains.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Branding,
    model::{Client, ClientStatus, EmailDomain},
};
use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, SublicenseId},
};

struct Row {
    id: Uuid,
    slug: String,
    name: String,
    sku: Option<String>,
    status: String,
    license_ends_at: Option<DateTime<Utc>>,
    seat_limit: Option<i32>,
    seats_used: Option<i32>,
    seats_reserved: Option<i32>,
    branding: Value,
    password_login: bool,
    sso_required: bool,
    verify_email_first: bool,
    invite_ttl_days: i32,
    reminders_days: Vec<i32>,
    invite_any_domain_address: bool,
    session_idle_s: i32,
    session_absolute_s: i32,
    default_locale: String,
    time_zone: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    hosts: Vec<String>,
    email_domains: Value,
}

impl Row {
    fn client(self) -> Result<Client, Fault> {
        let counted = |count: Option<i32>| self.seat_limit.map(|_| count.unwrap_or(0));
        Ok(Client {
            seats_used: counted(self.seats_used),
            seats_reserved: counted(self.seats_reserved),
            id: self.id.into(),
            slug: self.slug,
            name: self.name,
            sku: self.sku,
            hosts: self.hosts,
            email_domains: serde_json::from_value::<Vec<EmailDomain>>(self.email_domains)?,
            license_ends_at: self.license_ends_at,
            seat_limit: self.seat_limit,
            branding: serde_json::from_value::<Branding>(self.branding)?,
            password_login: self.password_login,
            sso_required: self.sso_required,
            verify_email_first: self.verify_email_first,
            invite_ttl_days: self.invite_ttl_days,
            reminders_days: self.reminders_days,
            invite_any_domain_address: self.invite_any_domain_address,
            session_idle_s: self.session_idle_s,
            session_absolute_s: self.session_absolute_s,
            default_locale: self.default_locale,
            time_zone: self.time_zone,
            status: ClientStatus::read(&self.status)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// One client.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    now: DateTime<Utc>,
) -> Result<Option<Client>, Fault> {
    let row = sqlx::query_as!(
        Row,
        r#"select c.id, s.slug, c.name, c.sku, c.status, c.license_ends_at, c.seat_limit,
                  k.used as "seats_used?",
                  (select count(*)::int from seat_reservations r
                   where r.client_id = c.id and r.scope_id = c.id and r.expires_at > $2) as "seats_reserved?", c.branding, c.password_login, c.sso_required,
                  c.verify_email_first, c.invite_ttl_days, c.reminders_days, c.invite_any_domain_address, c.session_idle_s, c.session_absolute_s,
                  c.default_locale, c.time_zone, c.created_at, c.updated_at,
                  array(select h.host from hosts h where h.client_id = c.id order by h.position) as "hosts!",
                  (select coalesce(jsonb_agg(jsonb_build_object('domain', d.domain, 'verified_at', d.verified_at,
                      'by', d.verified_by) order by d.domain), '[]')
                   from email_domains d where d.client_id = c.id) as "email_domains!"
           from clients c
           join slugs s on s.client_id = c.id
           left join seat_counters k on k.client_id = c.id and k.scope_id = c.id
           where c.id = $1"#,
        client.uuid(),
        now,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Row::client).transpose()
}

/// One page of clients, oldest first.
pub(super) async fn list(conn: &mut PgConnection, page: Page, now: DateTime<Utc>) -> Result<Vec<Client>, Fault> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, s.slug, c.name, c.sku, c.status, c.license_ends_at, c.seat_limit,
                  k.used as "seats_used?",
                  (select count(*)::int from seat_reservations r
                   where r.client_id = c.id and r.scope_id = c.id and r.expires_at > $3) as "seats_reserved?", c.branding, c.password_login, c.sso_required,
                  c.verify_email_first, c.invite_ttl_days, c.reminders_days, c.invite_any_domain_address, c.session_idle_s, c.session_absolute_s,
                  c.default_locale, c.time_zone, c.created_at, c.updated_at,
                  array(select h.host from hosts h where h.client_id = c.id order by h.position) as "hosts!",
                  (select coalesce(jsonb_agg(jsonb_build_object('domain', d.domain, 'verified_at', d.verified_at,
                      'by', d.verified_by) order by d.domain), '[]')
                   from email_domains d where d.client_id = c.id) as "email_domains!"
           from clients c
           join slugs s on s.client_id = c.id
           left join seat_counters k on k.client_id = c.id and k.scope_id = c.id
           where c.id > $1 order by c.id limit $2"#,
        page.after.unwrap_or(Uuid::nil()),
        page.fetch(),
        now,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::client).collect()
}

/// Locks the client until the transaction ends; says whether there is one.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!("select 1 as \"one!\" from clients where id = $1 for no key update", client.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Stores a new client and takes its slug.
pub(super) async fn insert(conn: &mut PgConnection, client: &Client) -> Result<(), Fault> {
    sqlx::query!(
        "insert into clients (id, name, created_at, updated_at) values ($1, $2, $3, $3)",
        client.id.uuid(),
        client.name,
        client.created_at,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("insert into slugs (slug, client_id) values ($1, $2)", client.slug, client.id.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes every column of a client that may change, and grows its version.
pub(super) async fn update(conn: &mut PgConnection, client: &Client) -> Result<(), Fault> {
    sqlx::query!(
        "update clients set name = $2, sku = $3, status = $4, license_ends_at = $5, seat_limit = $6, branding = $7,
             password_login = $8, sso_required = $9, verify_email_first = $10, invite_ttl_days = $11,
             reminders_days = $12, session_idle_s = $13, session_absolute_s = $14, default_locale = $15,
             time_zone = $16, updated_at = $17, invite_any_domain_address = $18, version = version + 1
         where id = $1",
        client.id.uuid(),
        client.name,
        client.sku,
        client.status.as_str(),
        client.license_ends_at,
        client.seat_limit,
        serde_json::to_value(&client.branding)?,
        client.password_login,
        client.sso_required,
        client.verify_email_first,
        client.invite_ttl_days,
        &client.reminders_days,
        client.session_idle_s,
        client.session_absolute_s,
        client.default_locale,
        client.time_zone,
        client.updated_at,
        client.invite_any_domain_address,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes caches on every replica read the client again.
pub(super) async fn grow_version(conn: &mut PgConnection, client: ClientId, now: DateTime<Utc>) -> Result<(), Fault> {
    sqlx::query!("update clients set version = version + 1, updated_at = $2 where id = $1", client.uuid(), now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes the client's hosts these.
pub(super) async fn set_hosts(conn: &mut PgConnection, client: ClientId, hosts: &[String]) -> Result<(), Fault> {
    sqlx::query!("delete from hosts where client_id = $1", client.uuid()).execute(&mut *conn).await?;
    // A host of another client fails on the primary key.
    sqlx::query!(
        "insert into hosts (host, client_id, position)
         select own.host, $1, own.position from unnest($2::text[]) with ordinality as own (host, position)",
        client.uuid(),
        hosts,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the client's e-mail domains these; those that stay keep their vouching.
pub(super) async fn set_domains(conn: &mut PgConnection, client: ClientId, domains: &[String]) -> Result<(), Fault> {
    sqlx::query!("delete from email_domains where client_id = $1 and domain <> all($2)", client.uuid(), domains)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into email_domains (client_id, domain) select $1, unnest($2::text[]) on conflict do nothing",
        client.uuid(),
        domains,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a domain is the client's own; says whether it was not noted before.
pub(super) async fn verify_domain(
    conn: &mut PgConnection,
    client: ClientId,
    domain: &str,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let outcome = sqlx::query!(
        "insert into email_domains (client_id, domain, verified_at, verified_by) values ($1, $2, $3, $4)
         on conflict (client_id, domain) do update
         set verified_at = excluded.verified_at, verified_by = excluded.verified_by
         where email_domains.verified_at is null",
        client.uuid(),
        domain,
        now,
        by,
    )
    .execute(conn)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Takes a domain's proof back. `None`: the client does not name it; `Some(false)`: it had none.
pub(super) async fn unverify_domain(
    conn: &mut PgConnection,
    client: ClientId,
    domain: &str,
) -> Result<Option<bool>, Fault> {
    let proof = sqlx::query_scalar!(
        "select verified_at from email_domains where client_id = $1 and domain = $2 for update",
        client.uuid(),
        domain,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(proof) = proof else { return Ok(None) };
    sqlx::query!(
        "update email_domains set verified_at = null, verified_by = null where client_id = $1 and domain = $2",
        client.uuid(),
        domain,
    )
    .execute(conn)
    .await?;
    Ok(Some(proof.is_some()))
}

/// Takes from every connection of the client the trust in domains that are no longer proved to be its own; a sign-in
/// notices by the connection's version.
pub(super) async fn withdraw_trust(
    conn: &mut PgConnection,
    client: ClientId,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let outcome = sqlx::query!(
        "update connections c set version = c.version + 1, updated_at = $2, trusted_domains = array(
             select t from unnest(c.trusted_domains) t
             where exists (select from email_domains d
                           where d.client_id = c.client_id and d.domain = t and d.verified_at is not null))
         where c.client_id = $1 and exists (
             select from unnest(c.trusted_domains) t
             where not exists (select from email_domains d
                               where d.client_id = c.client_id and d.domain = t and d.verified_at is not null))",
        client.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(outcome.rows_affected())
}

/// Counts seats anew where a limit or an end has changed: a counter of old may have missed what was granted since.
/// Nothing is counted where no limit is set.
pub(super) async fn count_seats_afresh(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: Option<SublicenseId>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into seat_counters (client_id, scope_id, used, reserved, counted_at)
         select $1::uuid, coalesce($2::uuid, $1::uuid), count(distinct g.learner_id)::int,
                (select count(*)::int from seat_reservations where client_id = $1 and scope_id = coalesce($2::uuid, $1::uuid)), $3
         from access_grants g join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
         where g.client_id = $1 and ($2::uuid is null or g.sublicense_id = $2)
           and (g.ends_at is null or g.ends_at > $3) and (s.ends_at is null or s.ends_at > $3)
         having case when $2::uuid is null then exists (select from clients where id = $1 and seat_limit is not null)
                     else exists (select from sublicenses where client_id = $1 and id = $2 and seat_limit is not null) end
         on conflict (client_id, scope_id) do update
         set used = excluded.used, reserved = excluded.reserved, counted_at = excluded.counted_at",
        client.uuid(),
        sublicense.map(SublicenseId::uuid),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
