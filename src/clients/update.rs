//! Changing a client.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{Client, ClientChange, ClientError, Surroundings, brand_files, store};
use crate::{
    admin::{Author, Invalid, difference},
    audit::Values,
    fault::Fault,
    ids::ClientId,
};

/// Changes a client; a change that changes nothing leaves no trace. Call it inside a transaction.
pub async fn update(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    mut change: ClientChange,
    surroundings: Surroundings<'_>,
) -> Result<Client, ClientError> {
    change.check(surroundings)?;
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    let before = store::find(conn, client, author.now).await?.ok_or(ClientError::NotFound)?;
    if change.slug.as_ref().is_some_and(|slug| *slug != before.slug) {
        return Err(Invalid::field("client.slug_immutable", "/slug", "a slug cannot be changed once made").into());
    }
    let mut after = before.clone();
    change.apply(&mut after);
    let Some(difference) = difference(&before, &after)? else { return Ok(before) };
    after.updated_at = author.now;
    brand_files::settle(conn, &before.branding, &mut after, author.now).await?;
    write(conn, &before, &after, author.now).await?;
    let facts = json!({ "fields": difference.fields });
    let values = Values { learner: None, before: difference.before, after: difference.after };
    author.record(conn, client, "client.updated", client.to_string(), facts, Some(values)).await?;
    store::find(conn, client, author.now).await?.ok_or(ClientError::NotFound)
}

/// One client as it is now.
pub async fn find(conn: &mut PgConnection, client: ClientId, now: DateTime<Utc>) -> Result<Option<Client>, Fault> {
    store::find(conn, client, now).await
}

/// Writes what differs.
pub(super) async fn write(
    conn: &mut PgConnection,
    before: &Client,
    after: &Client,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    store::update(conn, after).await?;
    if before.hosts != after.hosts {
        store::set_hosts(conn, after.id, &after.hosts).await?;
    }
    if before.email_domains != after.email_domains {
        let domains: Vec<String> = after.email_domains.iter().map(|entry| entry.domain.clone()).collect();
        store::set_domains(conn, after.id, &domains).await?;
        store::withdraw_trust(conn, after.id, now).await?;
    }
    if before.seat_limit.is_none() && after.seat_limit.is_some() {
        store::count_seats_afresh(conn, after.id, None, now).await?;
    }
    Ok(())
}
