//! Making, changing and deleting a sublicense. Each locks the client first, so that there is always one default.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::PgConnection;

use super::{
    ClientError, NewSublicense, Sublicense, SublicenseChange, rules, store,
    store_sublicenses::{self as sublicenses},
};
use crate::{
    admin::{Author, Invalid, difference},
    audit::Values,
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// So many sublicenses may a client have: a sign-in reads them all.
const MOST: i64 = 10_000;

/// The sublicense that every client is made with.
pub(super) fn main_sublicense(author: Author<'_>) -> Sublicense {
    Sublicense { is_default: true, ..fresh(author, "main".to_owned(), "Main".to_owned()) }
}

fn fresh(author: Author<'_>, slug: String, name: String) -> Sublicense {
    Sublicense {
        id: author.entropy.id(author.now),
        slug,
        name,
        sku: None,
        is_default: false,
        seat_limit: None,
        seats_used: None,
        access_days: None,
        ends_at: None,
        refs: BTreeMap::new(),
        created_at: author.now,
        updated_at: author.now,
    }
}

/// Makes a sublicense. Call it inside a transaction.
pub async fn create_sublicense(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    new: NewSublicense,
) -> Result<Sublicense, ClientError> {
    let NewSublicense(mut change) = new;
    change.check()?;
    let Some(name) = change.name.take() else {
        return Err(Invalid::field("api.required", "/name", "this field is required").into());
    };
    let Some(slug) = change.slug.take().or_else(|| rules::slug_from(&name)) else {
        return Err(Invalid::field("api.required", "/slug", "no slug can be made of this name; write one").into());
    };
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    if sublicenses::count(conn, client).await? >= MOST {
        return Err(Invalid::field("sublicense.too_many", "", "a client has at most 10000 sublicenses").into());
    }
    let mut sublicense = fresh(author, slug, name);
    change.apply(&mut sublicense)?;
    if sublicense.is_default {
        sublicenses::clear_default(conn, client).await?;
    }
    sublicenses::insert(conn, client, &sublicense).await?;
    store::grow_version(conn, client, author.now).await?;
    let facts = json!({ "slug": sublicense.slug });
    author.record(conn, client, "sublicense.created", sublicense.id.to_string(), facts, None).await?;
    sublicenses::find(conn, client, sublicense.id).await?.ok_or(ClientError::NotFound)
}

/// Changes a sublicense; a change that changes nothing leaves no trace. Call it inside a transaction.
pub async fn update_sublicense(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: SublicenseId,
    change: SublicenseChange,
) -> Result<Sublicense, ClientError> {
    change.check()?;
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    let before = sublicenses::find(conn, client, id).await?.ok_or(ClientError::NotFound)?;
    if change.slug.as_ref().is_some_and(|slug| *slug != before.slug) {
        return Err(Invalid::field("sublicense.slug_immutable", "/slug", "a slug cannot be changed once made").into());
    }
    let mut after = before.clone();
    change.apply(&mut after)?;
    let Some(difference) = difference(&before, &after)? else { return Ok(before) };
    after.updated_at = author.now;
    if after.is_default && !before.is_default {
        sublicenses::clear_default(conn, client).await?;
    }
    sublicenses::update(conn, client, &after).await?;
    // Either change made PostgreSQL forget both counters.
    if before.seat_limit != after.seat_limit || before.ends_at != after.ends_at {
        store::count_seats_afresh(conn, client, None, author.now).await?;
        store::count_seats_afresh(conn, client, Some(id), author.now).await?;
    }
    store::grow_version(conn, client, author.now).await?;
    let facts = json!({ "fields": difference.fields });
    let values = Values { learner: None, before: difference.before, after: difference.after };
    author.record(conn, client, "sublicense.updated", id.to_string(), facts, Some(values)).await?;
    sublicenses::find(conn, client, id).await?.ok_or(ClientError::NotFound)
}

/// Deletes a sublicense that is not the default and that nothing refers to. Call it inside a transaction.
pub async fn delete_sublicense(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: SublicenseId,
) -> Result<(), ClientError> {
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    let sublicense = sublicenses::find(conn, client, id).await?.ok_or(ClientError::NotFound)?;
    if sublicense.is_default {
        return Err(ClientError::IsDefault);
    }
    sublicenses::delete(conn, client, id).await?;
    store::grow_version(conn, client, author.now).await?;
    let facts = json!({ "slug": sublicense.slug });
    author.record(conn, client, "sublicense.deleted", id.to_string(), facts, None).await?;
    Ok(())
}

/// The sublicense that has this slug; a declarative file knows sublicenses by it.
pub async fn find_sublicense(
    conn: &mut PgConnection,
    client: ClientId,
    slug: &str,
) -> Result<Option<Sublicense>, Fault> {
    match sublicenses::find_by_slug(conn, client, slug).await? {
        Some(id) => sublicenses::find(conn, client, id).await,
        None => Ok(None),
    }
}
