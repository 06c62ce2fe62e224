//! Whom a connection signs people in to: its owner, or the clients of its list. Only an operator writes the list.
//!
//! Who is taken off it loses what the connection gave there: its identities, its grants, and the sessions of its people.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::{ConnectionSettings, FieldError, Status},
    save::{self, By, SaveError},
    store_clients, store_mappings,
};
use crate::{
    admin::ClientScope,
    app::App,
    claims::Mapping,
    fault::Fault,
    http::Problem,
    ids::{ClientId, ConnectionId},
};

/// The clients of the list in its order; the list itself gets its one spelling, slugs, each once.
pub(super) async fn resolve(app: &App, settings: &mut ConnectionSettings) -> Result<Vec<ClientId>, SaveError> {
    if settings.clients.is_empty() {
        return Ok(Vec::new());
    }
    let found = store_clients::named(&mut *app.acquire().await?, &settings.clients).await?;
    let (mut listed, mut slugs, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (index, name) in settings.clients.iter().enumerate() {
        match found.iter().find(|one| one.name == *name) {
            Some(one) if listed.contains(&one.client) => {}
            Some(one) => {
                listed.push(one.client);
                slugs.push(one.slug.clone());
            }
            None => errors.push(FieldError::new(
                "connection.client_unknown",
                format!("/clients/{index}"),
                "there is no client with this slug or id; make it first",
            )),
        }
    }
    if errors.is_empty() {
        settings.clients = slugs;
        Ok(listed)
    } else {
        Err(SaveError::Invalid(errors))
    }
}

/// Writes whom the connection serves from now on, and takes away what it gave where it does not any more. The caller
/// holds the connection's row.
pub(super) async fn put(
    conn: &mut PgConnection,
    app: &App,
    (owner, id): (ClientId, ConnectionId),
    listed: &[ClientId],
    by: By<'_>,
) -> Result<(), Fault> {
    let before = store_clients::served(conn, owner, id).await?;
    let was_listed: Vec<ClientId> = before.iter().filter(|(_, is_listed)| *is_listed).map(|(one, _)| *one).collect();
    if !before.is_empty() && was_listed == listed {
        return Ok(());
    }
    let stays = |client: &ClientId| listed.contains(client) || (listed.is_empty() && *client == owner);
    for (client, _) in before.iter().filter(|(client, _)| !stays(client)) {
        let (grants, learners) = take_away(conn, *client, id, "connection_unshared", by.now).await?;
        let facts = json!({ "grants_ended": grants, "learners_signed_out": learners });
        save::record(conn, app, *client, id, "connection.unshared", facts, by).await?;
    }
    store_clients::serve(conn, owner, id, listed).await?;
    for client in listed.iter().filter(|client| !before.iter().any(|(known, _)| known == *client)) {
        save::record(conn, app, *client, id, "connection.shared", json!({}), by).await?;
    }
    Ok(())
}

/// Takes away what the connection gave in every client that it serves, before it is deleted; says how many grants and
/// how many learners that were in its owner. Each other client's trail has its own.
pub(super) async fn take_all_away(
    conn: &mut PgConnection,
    app: &App,
    (owner, id): (ClientId, ConnectionId),
    by: By<'_>,
) -> Result<(u64, u64), Fault> {
    let mut own = (0, 0);
    for (client, _) in store_clients::served(conn, owner, id).await? {
        let (grants, learners) = take_away(conn, client, id, "connection_deleted", by.now).await?;
        if client == owner {
            own = (grants, learners);
            continue;
        }
        let facts = json!({ "grants_ended": grants, "learners_signed_out": learners });
        save::record(conn, app, client, id, "connection.unshared", facts, by).await?;
    }
    Ok(own)
}

/// Refuses a client's own token where the connection serves several clients: all of it is an operator's, and what its
/// mapping says of the others is not for one of them to read.
pub async fn operators_if_shared<P>(app: &App, scope: &ClientScope<P>, id: ConnectionId) -> Result<(), Problem> {
    if scope.is_operator() || !store_clients::is_shared(&mut *app.acquire().await?, scope.client, id).await? {
        return Ok(());
    }
    scope.require_operator("/clients")
}

async fn take_away(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    why: &'static str,
    now: DateTime<Utc>,
) -> Result<(u64, u64), Fault> {
    // Learners before the row, as a sign-in takes them; and once more for whoever came to be while the row was awaited.
    let first = store_clients::end_access(conn, client, id, why, now).await?;
    store_clients::unserve(conn, client, id).await?;
    let late = store_clients::end_access(conn, client, id, why, now).await?;
    Ok((first.0 + late.0, first.1 + late.1))
}

/// An active connection chooses a client exactly when it has some to choose from.
pub(super) async fn check_mapping(
    conn: &mut PgConnection,
    owner: ClientId,
    id: ConnectionId,
    settings: &ConnectionSettings,
) -> Result<(), SaveError> {
    let current = store_mappings::current_mapping(conn, owner, id).await?.ok_or(SaveError::NotFound)?;
    let chooses = Mapping::parse(&current.rules).is_ok_and(|mapping| mapping.client.is_some());
    let detail = match (settings.status, settings.clients.is_empty(), chooses) {
        (Status::Active, false, false) => {
            "nothing chooses among these clients yet: save a mapping with `client` while the connection is a draft or disabled, then activate it"
        }
        (Status::Active, true, true) => {
            "the mapping chooses a client: name the clients that it may choose, or save a mapping without `client` first"
        }
        _ => return Ok(()),
    };
    Err(SaveError::Invalid(vec![FieldError::new("connection.shared_mapping", "/clients", detail)]))
}
