//! Rolls our own keys of a connection over: a next one is made and published, promoted once the identity provider knows
//! it, and the one before stays until it is deleted. Promotion is an admin's act, since many identity providers pin what
//! they were given; making the next one in time is ours.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    keys::{self, KeyState, KeyUse, NewKey},
    save::{self, By},
    store, store_clients,
    store_keys::{self, KeyRow},
};
use crate::{
    app::App,
    audit::{self, Actor},
    fault::Fault,
    ids::{ClientId, ConnectionId, KeyId},
};

/// How long before the end of a key its successor is made.
const PREPARED_AHEAD: Duration = Duration::days(60);
/// Keys of one connection; all of them are published.
const MOST: usize = 12;

/// Why keys were not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RollError {
    #[error("there is no such connection, or no such key")]
    NotFound,
    #[error("the connection serves several clients")]
    OperatorOnly,
    #[error("this connection has no key for this use")]
    Unused,
    #[error("a next key is there already")]
    NextExists,
    #[error("too many keys")]
    TooMany,
    #[error("the key is not the next one")]
    NotNext,
    #[error("the key is in use")]
    Current,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes a key that may become the next one; nothing is written. Slow, therefore before the transaction.
pub async fn make_next(
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    key_use: KeyUse,
    now: DateTime<Utc>,
) -> Result<NewKey, RollError> {
    {
        let mut conn = app.acquire().await?;
        store::find(&mut conn, client, connection).await?.ok_or(RollError::NotFound)?;
        may_follow(&store_keys::keys(&mut conn, client, connection).await?, key_use)?;
    }
    let made = keys::make(app, connection, &[key_use], now).await?;
    made.into_iter().next().ok_or_else(|| Fault::Busy("making keys").into())
}

fn may_follow(keys: &[KeyRow], key_use: KeyUse) -> Result<(), RollError> {
    let has = |state| keys.iter().any(|key| key.key_use == key_use && key.state == state);
    if !has(KeyState::Current) {
        Err(RollError::Unused)
    } else if has(KeyState::Next) {
        Err(RollError::NextExists)
    } else if keys.len() >= MOST {
        Err(RollError::TooMany)
    } else {
        Ok(())
    }
}

/// Publishes a key as the next one. Call it inside a transaction.
pub async fn add_next(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    key: &NewKey,
    by: By<'_>,
) -> Result<KeyRow, RollError> {
    let known = lock(conn, client, connection, by).await?;
    may_follow(&known, key.key_use)?;
    store_keys::insert_keys(conn, client, connection, std::slice::from_ref(key), KeyState::Next, by.now).await?;
    tell(conn, app, client, connection, "connection.key_prepared", (key.id, key.key_use), by).await?;
    find(store_keys::keys(conn, client, connection).await?, key.id)
}

/// Uses the next key from now on; the one that was in use is retired. Call it inside a transaction.
pub async fn promote(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    key: KeyId,
    by: By<'_>,
) -> Result<KeyRow, RollError> {
    let known = lock(conn, client, connection, by).await?;
    let next = known.iter().find(|row| row.id == key).ok_or(RollError::NotFound)?;
    if next.state != KeyState::Next {
        return Err(RollError::NotNext);
    }
    let current = known.iter().find(|row| row.key_use == next.key_use && row.state == KeyState::Current);
    if let Some(current) = current {
        store_keys::set_state(conn, client, connection, current.id, KeyState::Retired, by.now).await?;
    }
    store_keys::set_state(conn, client, connection, key, KeyState::Current, by.now).await?;
    tell(conn, app, client, connection, "connection.key_promoted", (key, next.key_use), by).await?;
    find(store_keys::keys(conn, client, connection).await?, key)
}

/// Removes a key that is not in use. Call it inside a transaction.
pub async fn remove(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    key: KeyId,
    by: By<'_>,
) -> Result<(), RollError> {
    let known = lock(conn, client, connection, by).await?;
    let row = find(known, key)?;
    if row.state == KeyState::Current {
        return Err(RollError::Current);
    }
    store_keys::delete(conn, client, connection, key).await?;
    tell(conn, app, client, connection, "connection.key_deleted", (key, row.key_use), by).await
}

/// The keys as they are from now on until the transaction ends.
async fn lock(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    by: By<'_>,
) -> Result<Vec<KeyRow>, RollError> {
    if !store_keys::lock_and_raise(conn, client, connection, by.now).await? {
        return Err(RollError::NotFound);
    }
    // A list of clients is the operator's: no client among them changes what the others sign in by.
    if !by.is_operator && store_clients::served(conn, client, connection).await?.iter().any(|(_, is_listed)| *is_listed)
    {
        return Err(RollError::OperatorOnly);
    }
    Ok(store_keys::keys(conn, client, connection).await?)
}

fn find(keys: Vec<KeyRow>, key: KeyId) -> Result<KeyRow, RollError> {
    keys.into_iter().find(|row| row.id == key).ok_or(RollError::NotFound)
}

async fn tell(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    what: &'static str,
    (key, key_use): (KeyId, KeyUse),
    by: By<'_>,
) -> Result<(), RollError> {
    let facts = json!({ "key": key, "use": key_use });
    save::record(conn, app, client, connection, what, facts, by).await?;
    let payload = json!({ "connection": connection, "key": key, "use": key_use });
    audit::announce(conn, &app.entropy, client, what, payload, by.now).await?;
    Ok(())
}

/// Makes and publishes successors of keys that end within 60 days, at most `limit` of them; says how many.
pub async fn prepare_next_keys(app: &App, now: DateTime<Utc>, limit: i64) -> Result<usize, Fault> {
    let due = {
        let mut conn = app.acquire().await?;
        store_keys::without_successor(&mut conn, now + PREPARED_AHEAD, limit).await?
    };
    let by = By { actor: Actor::System, is_operator: true, reference: None, now };
    let mut prepared = 0;
    for (client, connection, key_use) in due {
        let outcome = async {
            let key = make_next(app, client, connection, key_use, now).await?;
            let mut transaction = app.begin().await?;
            add_next(&mut transaction, app, client, connection, &key, by).await?;
            app.commit(transaction).await?;
            Ok(())
        };
        match outcome.await {
            Ok(()) => {
                app.connections.forget(connection).await;
                tracing::warn!(connection.id = %connection, key.r#use = key_use.as_str(),
                    "a key of ours ends within 60 days; its successor is published and waits to be promoted");
                prepared += 1;
            }
            Err(RollError::Fault(fault)) => return Err(fault),
            // Another replica, or an admin, was faster; or there is no room.
            Err(RollError::TooMany) => {
                tracing::warn!(connection.id = %connection, "a key of ours ends and has no room for a successor: delete retired keys");
            }
            Err(_) => {}
        }
    }
    Ok(prepared)
}
