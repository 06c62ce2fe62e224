//! SQL of the clients that rows are for.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::target::{Part, Target};
use crate::{fault::Fault, ids::ClientId};

#[derive(Deserialize)]
struct StoredPart {
    id: Uuid,
    slug: String,
    sku: Option<String>,
    is_default: bool,
    access_days: Option<i32>,
    ends_at: Option<DateTime<Utc>>,
}

/// A client with its sublicenses, in one statement.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId) -> Result<Option<Target>, Fault> {
    let row = sqlx::query!(
        r#"select c.status = 'active' as "is_active!", c.license_ends_at,
             coalesce((select jsonb_agg(jsonb_build_object('id', s.id, 'slug', s.slug, 'sku', s.sku,
                'is_default', s.is_default, 'access_days', s.access_days, 'ends_at', s.ends_at))
                from sublicenses s where s.client_id = c.id), '[]') as "parts!"
           from clients c where c.id = $1"#,
        client.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let parts: Vec<StoredPart> = serde_json::from_value(row.parts)?;
    let part = |part: StoredPart| Part {
        id: part.id.into(),
        slug: part.slug,
        sku: part.sku,
        is_default: part.is_default,
        access_days: part.access_days,
        ends_at: part.ends_at,
    };
    Ok(Some(Target {
        is_active: row.is_active,
        license_ends_at: row.license_ends_at,
        sublicenses: parts.into_iter().map(part).collect(),
    }))
}

/// The slug of a client.
pub(super) async fn slug(conn: &mut PgConnection, client: ClientId) -> Result<Option<String>, Fault> {
    Ok(sqlx::query_scalar!("select slug from slugs where client_id = $1", client.uuid()).fetch_optional(conn).await?)
}
