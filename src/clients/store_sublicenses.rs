//! SQL of sublicenses.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Sublicense;
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
    is_default: bool,
    seat_limit: Option<i32>,
    seats_used: Option<i32>,
    access_days: Option<i32>,
    ends_at: Option<DateTime<Utc>>,
    refs: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn sublicense(self) -> Result<Sublicense, Fault> {
        Ok(Sublicense {
            seats_used: self.seat_limit.map(|_| self.seats_used.unwrap_or(0)),
            id: self.id.into(),
            slug: self.slug,
            name: self.name,
            sku: self.sku,
            is_default: self.is_default,
            seat_limit: self.seat_limit,
            access_days: self.access_days,
            ends_at: self.ends_at,
            refs: serde_json::from_value(self.refs)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// One sublicense.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    id: SublicenseId,
) -> Result<Option<Sublicense>, Fault> {
    let row = sqlx::query_as!(
        Row,
        r#"select s.id, s.slug, s.name, s.sku, s.is_default, s.seat_limit, k.used as "seats_used?", s.access_days,
                  s.ends_at, s.refs, s.created_at, s.updated_at
           from sublicenses s left join seat_counters k on k.client_id = s.client_id and k.scope_id = s.id
           where s.client_id = $1 and s.id = $2"#,
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Row::sublicense).transpose()
}

/// The sublicense that has this slug.
pub(super) async fn find_by_slug(
    conn: &mut PgConnection,
    client: ClientId,
    slug: &str,
) -> Result<Option<SublicenseId>, Fault> {
    let id = sqlx::query_scalar!("select id from sublicenses where client_id = $1 and slug = $2", client.uuid(), slug)
        .fetch_optional(conn)
        .await?;
    Ok(id.map(SublicenseId::from))
}

/// One page of a client's sublicenses, oldest first.
pub(super) async fn list(conn: &mut PgConnection, client: ClientId, page: Page) -> Result<Vec<Sublicense>, Fault> {
    let rows = sqlx::query_as!(
        Row,
        r#"select s.id, s.slug, s.name, s.sku, s.is_default, s.seat_limit, k.used as "seats_used?", s.access_days,
                  s.ends_at, s.refs, s.created_at, s.updated_at
           from sublicenses s left join seat_counters k on k.client_id = s.client_id and k.scope_id = s.id
           where s.client_id = $1 and s.id > $2 order by s.id limit $3"#,
        client.uuid(),
        page.after.unwrap_or(Uuid::nil()),
        page.fetch(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::sublicense).collect()
}

/// How many sublicenses a client has.
pub(super) async fn count(conn: &mut PgConnection, client: ClientId) -> Result<i64, Fault> {
    let count =
        sqlx::query_scalar!("select count(*) as \"count!\" from sublicenses where client_id = $1", client.uuid())
            .fetch_one(conn)
            .await?;
    Ok(count)
}

/// Stores a new sublicense.
pub(super) async fn insert(conn: &mut PgConnection, client: ClientId, sublicense: &Sublicense) -> Result<(), Fault> {
    sqlx::query!(
        "insert into sublicenses
             (client_id, id, slug, name, sku, is_default, seat_limit, access_days, ends_at, refs, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        client.uuid(),
        sublicense.id.uuid(),
        sublicense.slug,
        sublicense.name,
        sublicense.sku,
        sublicense.is_default,
        sublicense.seat_limit,
        sublicense.access_days,
        sublicense.ends_at,
        serde_json::to_value(&sublicense.refs)?,
        sublicense.created_at,
        sublicense.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes no sublicense of the client the default, so that another one can be.
pub(super) async fn clear_default(conn: &mut PgConnection, client: ClientId) -> Result<(), Fault> {
    sqlx::query!("update sublicenses set is_default = false where client_id = $1 and is_default", client.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes every column that may change.
pub(super) async fn update(conn: &mut PgConnection, client: ClientId, sublicense: &Sublicense) -> Result<(), Fault> {
    sqlx::query!(
        "update sublicenses set name = $3, sku = $4, is_default = $5, seat_limit = $6, access_days = $7, ends_at = $8,
             refs = $9, updated_at = $10
         where client_id = $1 and id = $2",
        client.uuid(),
        sublicense.id.uuid(),
        sublicense.name,
        sublicense.sku,
        sublicense.is_default,
        sublicense.seat_limit,
        sublicense.access_days,
        sublicense.ends_at,
        serde_json::to_value(&sublicense.refs)?,
        sublicense.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes a sublicense and its counter. Grants, blocks and content that name it refuse this by their foreign keys.
pub(super) async fn delete(conn: &mut PgConnection, client: ClientId, id: SublicenseId) -> Result<(), Fault> {
    sqlx::query!("delete from sublicenses where client_id = $1 and id = $2", client.uuid(), id.uuid())
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from seat_counters where client_id = $1 and scope_id = $2", client.uuid(), id.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// The sublicenses of the client that these ids and slugs name, with the slug of each.
pub(super) async fn named(
    conn: &mut PgConnection,
    client: ClientId,
    ids: &[Uuid],
    slugs: &[String],
) -> Result<Vec<(SublicenseId, String)>, Fault> {
    let rows = sqlx::query!(
        "select id, slug from sublicenses where client_id = $1 and (id = any($2) or slug = any($3))",
        client.uuid(),
        ids,
        slugs,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.slug)).collect())
}
