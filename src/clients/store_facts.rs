//! SQL of what the learner's path asks of a client.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Branding, ClientStatus, EmailDomain};
use crate::{fault::Fault, ids::ClientId};

/// What a request names and what of it may have changed since it was cached.
pub(super) struct Sighting {
    pub id: ClientId,
    pub version: i64,
}

/// The client of a slug: one read by a primary key and one by another.
pub(super) async fn sight(conn: &mut PgConnection, slug: &str) -> Result<Option<Sighting>, Fault> {
    let row = sqlx::query!(
        "select c.id, c.version from slugs s join clients c on c.id = s.client_id where s.slug = $1",
        slug,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Sighting { id: row.id.into(), version: row.version }))
}

/// The slug that a host name leads to.
pub(super) async fn of_host(conn: &mut PgConnection, host: &str) -> Result<Option<String>, Fault> {
    let slug = sqlx::query_scalar!(
        "select s.slug from hosts h join slugs s on s.client_id = h.client_id where h.host = $1",
        host
    );
    Ok(slug.fetch_optional(conn).await?)
}

/// Everything that the learner's path asks of a client, in one query.
pub(super) struct FactsRow {
    pub slug: String,
    pub name: String,
    pub hosts: Vec<String>,
    pub status: ClientStatus,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub seat_limit: Option<i32>,
    pub branding: Branding,
    pub session_idle_s: i32,
    pub session_absolute_s: i32,
    pub default_locale: String,
    pub time_zone: String,
    pub password_login: bool,
    pub sso_required: bool,
    pub verify_email_first: bool,
    pub email_domains: Vec<EmailDomain>,
    pub sublicenses: Value,
    pub version: i64,
}

/// Reads [`FactsRow`].
pub(super) async fn facts(conn: &mut PgConnection, client: ClientId) -> Result<Option<FactsRow>, Fault> {
    let row = sqlx::query!(
        r#"select s.slug, c.name, c.status, c.license_ends_at, c.seat_limit,
                  c.branding - 'custom_css' as "branding!", c.session_idle_s,
                  c.session_absolute_s, c.default_locale, c.time_zone, c.password_login, c.sso_required,
                  c.verify_email_first, c.version,
                  array(select h.host from hosts h where h.client_id = c.id order by h.position) as "hosts!",
                  (select coalesce(jsonb_agg(jsonb_build_object('domain', d.domain, 'verified_at', d.verified_at,
                      'by', d.verified_by) order by d.domain), '[]')
                   from email_domains d where d.client_id = c.id) as "email_domains!",
                  (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'slug', p.slug, 'name', p.name,
                      'sku', p.sku, 'refs', p.refs, 'is_default', p.is_default, 'seat_limit', p.seat_limit,
                      'access_days', p.access_days, 'ends_at', p.ends_at) order by p.id), '[]')
                   from sublicenses p where p.client_id = c.id) as "sublicenses!"
           from clients c join slugs s on s.client_id = c.id where c.id = $1"#,
        client.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(FactsRow {
        slug: row.slug,
        name: row.name,
        hosts: row.hosts,
        status: ClientStatus::read(&row.status)?,
        license_ends_at: row.license_ends_at,
        seat_limit: row.seat_limit,
        branding: serde_json::from_value(row.branding)?,
        session_idle_s: row.session_idle_s,
        session_absolute_s: row.session_absolute_s,
        default_locale: row.default_locale,
        time_zone: row.time_zone,
        password_login: row.password_login,
        sso_required: row.sso_required,
        verify_email_first: row.verify_email_first,
        email_domains: serde_json::from_value(row.email_domains)?,
        sublicenses: row.sublicenses,
        version: row.version,
    }))
}

/// The longest that a session of any client may last.
pub async fn longest_session(conn: &mut PgConnection) -> Result<Duration, Fault> {
    let longest = sqlx::query_scalar!("select max(session_absolute_s) from clients").fetch_one(conn).await?;
    Ok(Duration::seconds(longest.unwrap_or(0).into()))
}
