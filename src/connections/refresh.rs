//! Reads an IdP again: in the background by its own times, on an admin's word, and when a sign-in meets an unknown key.
//! The version rises only when something changed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    facts::ConnectionFacts,
    idp,
    model::Connection,
    read_idp::{self, IdpError, ReadError},
    saml_metadata::IdpMetadata,
    save::{self, By},
    store,
    store_idp::{self, IdpUpdate},
};
use crate::{
    app::App,
    audit::Actor,
    cache::Key,
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// The shortest time between two readings that sign-ins ask for, on all replicas together.
const SOON: Duration = Duration::from_secs(60);
/// Readings that one replica does at the same time.
const AT_ONCE: usize = 8;
/// How long a claimed reading is left alone by others: longer than any reading takes.
const LEASE: chrono::Duration = chrono::Duration::minutes(5);

/// What a reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    Changed,
    Unchanged,
}

/// Why a reading brought nothing. The reason is kept with the connection.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("there is no such connection")]
    NotFound,
    #[error("the metadata was typed, so that there is nowhere to read it again")]
    Typed,
    #[error(transparent)]
    Idp(IdpError),
    #[error("the connection was changed by somebody else at the same time")]
    Conflict,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RefreshError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Reads the IdP of a connection now.
pub async fn refresh(app: &App, client: ClientId, id: ConnectionId, by: By<'_>) -> Result<Refreshed, RefreshError> {
    let found = store::find(&mut *app.db.acquire().await?, client, id).await?;
    let before = found.ok_or(RefreshError::NotFound)?;
    let settings = &before.settings;
    if settings.saml.as_ref().is_some_and(|saml| saml.metadata_url.is_none()) {
        return Err(RefreshError::Typed);
    }
    match read_idp::read(app, settings, by.now).await {
        Ok(Some(read)) => keep(app, &before, &read, by).await,
        Ok(None) => Err(RefreshError::Typed),
        Err(ReadError::Idp(error)) => {
            let again = idp::retry_at(before.idp_fetched_at, by.now);
            let told = format!("{}: {error}", error.code());
            let mut transaction = app.db.begin().await?;
            store_idp::set_idp_error(&mut transaction, client, id, before.version, &told, again).await?;
            transaction.commit().await?;
            Err(RefreshError::Idp(error))
        }
        Err(ReadError::Fault(fault)) => Err(fault.into()),
    }
}

async fn keep(app: &App, before: &Connection, read: &IdpUpdate, by: By<'_>) -> Result<Refreshed, RefreshError> {
    let is_new = before.idp.as_ref() != Some(&read.idp) || before.idp_valid_until != read.valid_until;
    let mut transaction = app.db.begin().await?;
    // The settings that led to this document must still be the ones that are stored.
    if !store_idp::touch(&mut transaction, before.client, before.id, before.version, is_new, by.now).await? {
        return Err(RefreshError::Conflict);
    }
    store_idp::set_idp(&mut transaction, before.client, before.id, Some(read), by.now).await?;
    if is_new {
        let facts = changed_certificates(before.idp.as_ref(), &read.idp);
        save::record(&mut transaction, app, before.client, before.id, "connection.idp_refreshed", facts, by).await?;
    }
    transaction.commit().await?;
    if is_new {
        app.connections.forget(before.id).await;
    }
    Ok(if is_new { Refreshed::Changed } else { Refreshed::Unchanged })
}

fn changed_certificates(before: Option<&Value>, after: &Value) -> Value {
    let certificates = |idp: Option<&Value>| {
        idp.and_then(|idp| IdpMetadata::deserialize(idp).ok()).map_or_else(Vec::new, |idp| idp.certificates)
    };
    let (old, new) = (certificates(before), certificates(Some(after)));
    json!({
        "certificates_added": new.iter().filter(|certificate| !old.contains(certificate)).count(),
        "certificates_removed": old.iter().filter(|certificate| !new.contains(certificate)).count(),
    })
}

/// For a sign-in that met a key it does not know: reads the IdP again, at most once a minute for each connection on all
/// replicas together. Says whether something changed, so that it is worth verifying again with fresh facts.
pub async fn refresh_soon(app: &App, facts: &ConnectionFacts, now: DateTime<Utc>) -> Result<bool, Fault> {
    let key = Key::of_client(facts.owner, "idp-refresh", facts.id);
    if !app.cache.put_new(&key, b"1", SOON).await? {
        return Ok(false);
    }
    let by = By { actor: Actor::System, is_operator: true, reference: None, now };
    match refresh(app, facts.owner, facts.id, by).await {
        Ok(refreshed) => Ok(refreshed == Refreshed::Changed),
        Err(RefreshError::Fault(fault)) => Err(fault),
        Err(RefreshError::Conflict) => Ok(true),
        Err(RefreshError::NotFound | RefreshError::Typed | RefreshError::Idp(_)) => Ok(false),
    }
}

/// Reads the IdPs whose time has come, at most `limit` of them; says how many. Replicas share the work.
pub async fn refresh_due(app: &App, now: DateTime<Utc>, limit: i64) -> Result<usize, Fault> {
    let mut transaction = app.db.begin().await?;
    let due = store_idp::claim_due(&mut transaction, now, now + LEASE, limit).await?;
    transaction.commit().await?;
    let count = due.len();
    let by = By { actor: Actor::System, is_operator: true, reference: None, now };
    let mut readings = stream::iter(due)
        .map(|(client, id)| async move { (id, refresh(app, client, id, by).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((id, outcome)) = readings.next().await {
        match outcome {
            Ok(_) | Err(RefreshError::NotFound | RefreshError::Typed | RefreshError::Conflict) => {}
            Err(RefreshError::Idp(error)) => {
                metrics::counter!("usher_idp_refresh_failures_total", "code" => error.code()).increment(1);
                tracing::warn!(connection.id = %id, code = error.code(), "an identity provider could not be read again");
            }
            Err(RefreshError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(count)
}
