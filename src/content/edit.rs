//! Making, changing and deleting a content item.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::{Audience, ContentChange, ContentItem, NewContent},
    store,
};
use crate::{
    admin::{Author, Invalid, difference},
    audit::Values,
    clients::{self, Surroundings},
    fault::Fault,
    ids::{ClientId, ContentId, SublicenseId},
};

/// Why an item was not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("there is nothing here")]
    NotFound,
    #[error("{0}")]
    Invalid(Invalid),
    #[error("another content item of this client has this external id")]
    ExternalIdTaken,
    #[error(transparent)]
    Fault(Fault),
}

impl From<Invalid> for ContentError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Fault> for ContentError {
    fn from(fault: Fault) -> Self {
        match fault.constraint() {
            Some("content_items_external_id_unique") => Self::ExternalIdTaken,
            _ => Self::Fault(fault),
        }
    }
}

async fn named(
    conn: &mut PgConnection,
    client: ClientId,
    names: Option<&[String]>,
) -> Result<Option<Vec<SublicenseId>>, ContentError> {
    let Some(names) = names else { return Ok(None) };
    Ok(Some(clients::sublicenses_named(conn, client, names).await??))
}

/// Makes an item. Call it inside a transaction.
pub async fn create(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    new: NewContent,
    surroundings: Surroundings<'_>,
) -> Result<ContentItem, ContentError> {
    let NewContent(change) = new;
    change.check(surroundings)?;
    let mut invalid = Invalid::default();
    for (pointer, is_missing) in [("/title", change.title.is_none()), ("/url", change.url.is_none())] {
        if is_missing {
            invalid.push("api.required", pointer, "this field is required");
        }
    }
    invalid.finish()?;
    let sublicenses = named(conn, client, change.sublicenses.as_deref()).await?;
    let mut item = ContentItem {
        id: author.entropy.id(author.now),
        title: String::new(),
        description: String::new(),
        url: String::new(),
        external_id: None,
        audience: Audience::Client,
        sublicenses: Vec::new(),
        created_at: author.now,
        updated_at: author.now,
    };
    change.apply(&mut item, sublicenses)?;
    store::insert(conn, client, &item).await?;
    author.record(conn, client, "content.created", item.id.to_string(), json!({}), None).await?;
    Ok(item)
}

/// Changes an item; a change that changes nothing leaves no trace. Call it inside a transaction.
pub async fn update(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: ContentId,
    change: ContentChange,
    surroundings: Surroundings<'_>,
) -> Result<ContentItem, ContentError> {
    change.check(surroundings)?;
    if !store::lock(conn, client, id).await? {
        return Err(ContentError::NotFound);
    }
    let before = store::find(conn, client, id).await?.ok_or(ContentError::NotFound)?;
    let sublicenses = named(conn, client, change.sublicenses.as_deref()).await?;
    let mut after = before.clone();
    change.apply(&mut after, sublicenses)?;
    let Some(difference) = difference(&before, &after)? else { return Ok(before) };
    after.updated_at = author.now;
    store::update(conn, client, &after).await?;
    let facts = json!({ "fields": difference.fields });
    let values = Values { learner: None, before: difference.before, after: difference.after };
    author.record(conn, client, "content.updated", id.to_string(), facts, Some(values)).await?;
    Ok(after)
}

/// Deletes an item. Call it inside a transaction.
pub async fn delete(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: ContentId,
) -> Result<(), ContentError> {
    if !store::delete(conn, client, id).await? {
        return Err(ContentError::NotFound);
    }
    author.record(conn, client, "content.deleted", id.to_string(), json!({}), None).await?;
    Ok(())
}

/// The item of a client that has this external id; a declarative file knows items by it.
pub async fn find_by_external_id(
    conn: &mut PgConnection,
    client: ClientId,
    external_id: &str,
) -> Result<Option<ContentItem>, Fault> {
    match store::find_by_external_id(conn, client, external_id).await? {
        Some(id) => store::find(conn, client, id).await,
        None => Ok(None),
    }
}
