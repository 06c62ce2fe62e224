//! SQL of content items.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Audience, ContentItem};
use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, ContentId, SublicenseId},
};

struct Row {
    id: Uuid,
    title: String,
    description: String,
    url: String,
    external_id: Option<String>,
    audience: String,
    sublicenses: Vec<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn item(self) -> Result<ContentItem, Fault> {
        Ok(ContentItem {
            id: self.id.into(),
            title: self.title,
            description: self.description,
            url: self.url,
            external_id: self.external_id,
            audience: Audience::read(&self.audience)?,
            sublicenses: self.sublicenses.into_iter().map(SublicenseId::from).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// One item.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    id: ContentId,
) -> Result<Option<ContentItem>, Fault> {
    let row = sqlx::query_as!(
        Row,
        r#"select i.id, i.title, i.description, i.url, i.external_id, i.audience, i.created_at, i.updated_at,
                  array(select s.sublicense_id from content_sublicenses s
                        where s.client_id = i.client_id and s.content_id = i.id order by 1) as "sublicenses!"
           from content_items i where i.client_id = $1 and i.id = $2"#,
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Row::item).transpose()
}

/// The item that has this external id.
pub(super) async fn find_by_external_id(
    conn: &mut PgConnection,
    client: ClientId,
    external_id: &str,
) -> Result<Option<ContentId>, Fault> {
    let id = sqlx::query_scalar!(
        "select id from content_items where client_id = $1 and external_id = $2",
        client.uuid(),
        external_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(ContentId::from))
}

/// One page of a client's items, oldest first.
pub(super) async fn list(conn: &mut PgConnection, client: ClientId, page: Page) -> Result<Vec<ContentItem>, Fault> {
    let rows = sqlx::query_as!(
        Row,
        r#"select i.id, i.title, i.description, i.url, i.external_id, i.audience, i.created_at, i.updated_at,
                  array(select s.sublicense_id from content_sublicenses s
                        where s.client_id = i.client_id and s.content_id = i.id order by 1) as "sublicenses!"
           from content_items i where i.client_id = $1 and i.id > $2 order by i.id limit $3"#,
        client.uuid(),
        page.after.unwrap_or(Uuid::nil()),
        page.fetch(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::item).collect()
}

/// Locks an item until the transaction ends; says whether there is one.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, id: ContentId) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        "select 1 as \"one!\" from content_items where client_id = $1 and id = $2 for update",
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Stores a new item.
pub(super) async fn insert(conn: &mut PgConnection, client: ClientId, item: &ContentItem) -> Result<(), Fault> {
    sqlx::query!(
        "insert into content_items (client_id, id, title, description, url, external_id, audience, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        client.uuid(),
        item.id.uuid(),
        item.title,
        item.description,
        item.url,
        item.external_id,
        item.audience.as_str(),
        item.created_at,
        item.updated_at,
    )
    .execute(&mut *conn)
    .await?;
    set_sublicenses(conn, client, item).await
}

/// Writes every column that may change.
pub(super) async fn update(conn: &mut PgConnection, client: ClientId, item: &ContentItem) -> Result<(), Fault> {
    sqlx::query!(
        "update content_items set title = $3, description = $4, url = $5, external_id = $6, audience = $7, updated_at = $8
         where client_id = $1 and id = $2",
        client.uuid(),
        item.id.uuid(),
        item.title,
        item.description,
        item.url,
        item.external_id,
        item.audience.as_str(),
        item.updated_at,
    )
    .execute(&mut *conn)
    .await?;
    set_sublicenses(conn, client, item).await
}

async fn set_sublicenses(conn: &mut PgConnection, client: ClientId, item: &ContentItem) -> Result<(), Fault> {
    let ids: Vec<Uuid> = item.sublicenses.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "delete from content_sublicenses where client_id = $1 and content_id = $2 and sublicense_id <> all($3)",
        client.uuid(),
        item.id.uuid(),
        &ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into content_sublicenses (client_id, content_id, sublicense_id)
         select $1, $2, unnest($3::uuid[]) on conflict do nothing",
        client.uuid(),
        item.id.uuid(),
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes an item; says whether there was one.
pub(super) async fn delete(conn: &mut PgConnection, client: ClientId, id: ContentId) -> Result<bool, Fault> {
    let outcome = sqlx::query!("delete from content_items where client_id = $1 and id = $2", client.uuid(), id.uuid())
        .execute(conn)
        .await?;
    Ok(outcome.rows_affected() > 0)
}
