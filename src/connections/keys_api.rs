//! `…/connections/{id}/keys`: our own keys of a connection, rolled over without anybody being locked out.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    api::{answered_before, by},
    keys::{KeyState, KeyUse},
    roll_keys::{self, RollError},
    saml_metadata::TrustedCertificate,
    store,
    store_keys::{self, KeyRow},
};
use crate::{
    admin::{ApiPath, ApiRoutes, Body, Claim, ClientScope, ConnectionsRead, ConnectionsWrite, Id, Once, Post, Reply},
    app::App,
    http::{Problem, paging::List},
    ids::{ConnectionId, KeyId},
};

/// A key of ours. The private half never leaves Usher.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    pub id: KeyId,
    #[serde(rename = "use")]
    pub key_use: KeyUse,
    /// `next` is published and not used yet, `current` is in use, `retired` was in use before and is still published.
    pub state: KeyState,
    /// Its certificate, in PEM.
    pub certificate: String,
    pub fingerprint_sha256: Option<String>,
    pub not_after: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// Since when it is what `state` says.
    pub state_since: DateTime<Utc>,
}

fn show(row: KeyRow) -> KeyView {
    let certificate = TrustedCertificate::from_text(&row.certificate_pem).ok();
    KeyView {
        id: row.id,
        key_use: row.key_use,
        state: row.state,
        fingerprint_sha256: certificate.map(|certificate| certificate.fingerprint_sha256().to_owned()),
        certificate: row.certificate_pem,
        not_after: row.not_after,
        created_at: row.created_at,
        state_since: row.state_since,
    }
}

/// Which key is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NextKey {
    #[serde(rename = "use")]
    pub key_use: KeyUse,
}

impl Body for NextKey {
    const READ_ONLY: &'static [&'static str] = &["id", "state", "certificate", "not_after", "created_at"];
}

#[derive(Debug, Deserialize)]
struct KeyPath {
    id: ConnectionId,
    key: KeyId,
}

/// The routes of our own keys.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ConnectionsRead>>(routes!(list))
        .add::<ClientScope<ConnectionsWrite>>(routes!(make))
        .add::<ClientScope<ConnectionsWrite>>(routes!(promote))
        .add::<ClientScope<ConnectionsWrite>>(routes!(delete))
}

/// Lists our keys of a connection: those in use, the next ones, then those before them, newest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/connections/{id}/keys", tag = "connections",
    responses((status = 200, body = List<KeyView>)))]
async fn list(
    scope: ClientScope<ConnectionsRead>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
) -> Result<Json<List<KeyView>>, Problem> {
    let mut conn = app.acquire().await?;
    store::find(&mut conn, scope.client, id).await?.ok_or_else(Problem::not_found)?;
    let keys = store_keys::keys(&mut conn, scope.client, id).await?;
    Ok(Json(List { items: keys.into_iter().map(show).collect(), next_cursor: None }))
}

/// Makes the next key for a use and publishes it in the metadata or the JWKS.
///
/// Nothing uses it yet. Wait until the identity provider knows it, then promote it.
#[utoipa::path(post, path = "/api/v1/clients/{client}/connections/{id}/keys", tag = "connections",
    request_body = NextKey, responses((status = 201, body = KeyView),
    (status = 409, description = "There is a next key already, or there are too many.")))]
async fn make(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
    Post { body, once }: Post<NextKey>,
) -> Result<Reply, Problem> {
    if let Some(reply) = answered_before(&app, &scope, &once).await? {
        return Ok(reply);
    }
    let key = roll_keys::make_next(&app, scope.client, id, body.key_use, scope.now).await?;
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Fresh(ticket) => ticket,
        Claim::Replay(reply) => return Ok(reply),
    };
    let made = roll_keys::add_next(&mut transaction, &app, scope.client, id, &key, by(&scope)).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &show(made)).await?;
    app.commit(transaction).await?;
    app.connections.forget(id).await;
    Ok(reply)
}

/// Uses the next key from now on. The one that was in use is retired: still published, and still opens what was
/// encrypted for it.
#[utoipa::path(post, path = "/api/v1/clients/{client}/connections/{id}/keys/{key}/promote", tag = "connections",
    responses((status = 200, body = KeyView), (status = 409, description = "It is not the next key.")))]
async fn promote(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    ApiPath(path): ApiPath<KeyPath>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Fresh(ticket) => ticket,
        Claim::Replay(reply) => return Ok(reply),
    };
    let key = roll_keys::promote(&mut transaction, &app, scope.client, path.id, path.key, by(&scope)).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &show(key)).await?;
    app.commit(transaction).await?;
    app.connections.forget(path.id).await;
    Ok(reply)
}

/// Deletes a next or a retired key. What was encrypted for it can then not be opened any more.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/connections/{id}/keys/{key}", tag = "connections",
    responses((status = 204), (status = 409, description = "It is in use.")))]
async fn delete(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    ApiPath(path): ApiPath<KeyPath>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    roll_keys::remove(&mut transaction, &app, scope.client, path.id, path.key, by(&scope)).await?;
    app.commit(transaction).await?;
    app.connections.forget(path.id).await;
    Ok(StatusCode::NO_CONTENT)
}

impl From<RollError> for Problem {
    fn from(error: RollError) -> Self {
        let conflict = |code, title: &'static str| Self::new(StatusCode::CONFLICT, code, title);
        match error {
            RollError::NotFound => Self::not_found(),
            RollError::OperatorOnly => Self::new(
                StatusCode::FORBIDDEN,
                "api.operator_only",
                "Only an operator may change the keys of a connection that serves several clients.",
            ),
            RollError::Unused => Self::field(
                "connection.key.unused",
                "/use",
                "this connection has no key for this use: SAML signs and decrypts, OpenID Connect signs by private_key_jwt",
            ),
            RollError::NextExists => conflict(
                "connection.key.next_exists",
                "There is a next key already. Promote it, or delete it to have another one.",
            ),
            RollError::TooMany => {
                conflict("connection.key.too_many", "There are too many keys. Delete retired ones first.")
            }
            RollError::NotNext => {
                conflict("connection.key.not_next", "Only the next key can be promoted. Make one first.")
            }
            RollError::Current => conflict(
                "connection.key.current",
                "A key in use cannot be deleted. Make the next one and promote it first.",
            ),
            RollError::Fault(fault) => fault.into(),
        }
    }
}
