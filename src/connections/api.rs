//! `/api/v1/clients/{client}/connections`: connections as admins write and read them.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use utoipa_axum::routes;

use super::{
    keys_api, mapping_api,
    model::{Connection, ConnectionSettings},
    refresh::{self, RefreshError},
    save::{self, By, Prepared, SaveError, SecretChange},
    share, store, store_keys,
    view::{self, ConnectionView},
};
use crate::{
    admin::{
        ApiJson, ApiQuery, ApiRoutes, Body, Claim, ClientScope, ConnectionsRead, ConnectionsWrite, Id, Once, Post,
        Reply, parse_body,
    },
    app::App,
    fault::Fault,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
    ids::{ClientId, ConnectionId},
};

/// A change that meets another one starts anew this often.
const ROUNDS: usize = 3;

impl Body for ConnectionSettings {
    const READ_ONLY: &'static [&'static str] = &[
        "id",
        "client",
        "service_provider",
        "idp",
        "last_refresh_error",
        "warnings",
        "missing",
        "has_client_secret",
        "mapping_version",
        "version",
        "created_at",
        "updated_at",
    ];
}

/// Any of the fields of a connection, as a JSON Merge Patch (RFC 7396): what is left out stays, null goes back to the
/// default.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct ConnectionPatch(Value);

impl Body for ConnectionPatch {}

impl PartialSchema for ConnectionPatch {
    fn schema() -> RefOr<Schema> {
        let mut schema = ConnectionSettings::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
        }
        schema
    }
}

impl ToSchema for ConnectionPatch {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ConnectionSettings::schemas(schemas);
    }
}

/// The routes of connections and their mappings.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ConnectionsRead>>(routes!(list))
        .add::<ClientScope<ConnectionsWrite>>(routes!(create))
        .add::<ClientScope<ConnectionsRead>>(routes!(find))
        .add::<ClientScope<ConnectionsWrite>>(routes!(change))
        .add::<ClientScope<ConnectionsWrite>>(routes!(delete))
        .add::<ClientScope<ConnectionsWrite>>(routes!(refresh_now))
        .merge(keys_api::routes())
        .merge(mapping_api::routes())
}

/// Lists the connections of a client, oldest first. `saml.metadata_xml` is left out here.
#[utoipa::path(get, path = "/api/v1/clients/{client}/connections", tag = "connections", params(PageQuery),
    responses((status = 200, body = List<ConnectionView>)))]
async fn list(
    scope: ClientScope<ConnectionsRead>,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<ConnectionView>>, Problem> {
    let page = query.page()?;
    let mut conn = app.db.acquire().await.map_err(Fault::from)?;
    let rows = store::list(&mut conn, scope.client, page).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id.uuid()).collect();
    let certificates = store_keys::current_certificates(&mut conn, scope.client, &ids).await?;
    let show = |row: Connection| view::show(&app.settings, row, &certificates, scope.is_operator(), scope.now);
    Ok(Json(page.list(rows, |row| row.id.uuid(), show)))
}

/// Creates a connection.
///
/// The IdP's metadata or discovery document is read first; when that fails, nothing is saved. A new connection has its
/// preset's mapping as version 1.
#[utoipa::path(post, path = "/api/v1/clients/{client}/connections", tag = "connections",
    request_body = ConnectionSettings, responses((status = 201, body = ConnectionView)))]
async fn create(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    Post { body: mut settings, once }: Post<ConnectionSettings>,
) -> Result<Reply, Problem> {
    if let Some(reply) = answered_before(&app, &scope, &once).await? {
        return Ok(reply);
    }
    let secret = save::take_secret(&mut settings);
    let prepared = save::prepare(&app, scope.client, None, settings, secret, by(&scope)).await?;
    insert(&app, &scope, &prepared, &once).await
}

async fn insert(
    app: &App,
    scope: &ClientScope<ConnectionsWrite>,
    prepared: &Prepared,
    once: &Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.db.begin().await.map_err(Fault::from)?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Fresh(ticket) => ticket,
        Claim::Replay(reply) => return Ok(reply),
    };
    let made = prepared.insert(&mut transaction, app, by(scope)).await?;
    let certificates = store_keys::current_certificates(&mut transaction, scope.client, &[made.id.uuid()]).await?;
    let shown = view::show(&app.settings, made, &certificates, scope.is_operator(), scope.now);
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &shown).await?;
    transaction.commit().await.map_err(Fault::from)?;
    Ok(reply)
}

/// A request that was answered before gets its answer without the IdP being asked again. The claim is given back.
pub(super) async fn answered_before(
    app: &App,
    scope: &ClientScope<ConnectionsWrite>,
    once: &Once,
) -> Result<Option<Reply>, Problem> {
    let mut transaction = app.db.begin().await.map_err(Fault::from)?;
    let claim = once.claim(&mut transaction, scope.token, scope.now).await?;
    transaction.rollback().await.map_err(Fault::from)?;
    Ok(match claim {
        Claim::Replay(reply) => Some(reply),
        Claim::Fresh(_) => None,
    })
}

/// Shows one connection.
#[utoipa::path(get, path = "/api/v1/clients/{client}/connections/{id}", tag = "connections",
    responses((status = 200, body = ConnectionView)))]
async fn find(
    scope: ClientScope<ConnectionsRead>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
) -> Result<Json<ConnectionView>, Problem> {
    let found = load(&app, scope.client, id).await?;
    Ok(Json(shown(&app, &scope, found).await?))
}

/// Changes a connection. `oidc.client_secret`: null removes it, leaving it out keeps it.
#[utoipa::path(patch, path = "/api/v1/clients/{client}/connections/{id}", tag = "connections",
    request_body = ConnectionPatch, responses((status = 200, body = ConnectionView),
    (status = 409, description = "Somebody else changed it at the same time.")))]
async fn change(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
    ApiJson(ConnectionPatch(patch)): ApiJson<ConnectionPatch>,
) -> Result<Json<ConnectionView>, Problem> {
    share::operators_if_shared(&app, &scope, id).await?;
    let is_cleared = patch.pointer("/oidc/client_secret").is_some_and(Value::is_null);
    for round in 1..=ROUNDS {
        let before = load(&app, scope.client, id).await?;
        let mut merged = serde_json::to_value(&before.settings).map_err(Fault::from)?;
        merge(&mut merged, &patch);
        let mut settings: ConnectionSettings = parse_body(&serde_json::to_vec(&merged).map_err(Fault::from)?)?;
        let secret = if is_cleared { SecretChange::Clear } else { save::take_secret(&mut settings) };
        match save::change_with(&app, &before, settings, secret, by(&scope)).await {
            Err(SaveError::Conflict) if round < ROUNDS => {}
            outcome => return Ok(Json(shown(&app, &scope, outcome?).await?)),
        }
    }
    Err(SaveError::Conflict.into())
}

/// Deletes a connection that is a draft or disabled, together with the identities it made.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/connections/{id}", tag = "connections",
    responses((status = 204), (status = 409, description = "It is active; disable it first.")))]
async fn delete(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
) -> Result<StatusCode, Problem> {
    save::delete(&app, scope.client, id, by(&scope)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the IdP's metadata or discovery document again, now.
#[utoipa::path(post, path = "/api/v1/clients/{client}/connections/{id}/refresh", tag = "connections",
    responses((status = 200, body = ConnectionView)))]
async fn refresh_now(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
    once: Once,
) -> Result<Reply, Problem> {
    share::operators_if_shared(&app, &scope, id).await?;
    if let Some(reply) = answered_before(&app, &scope, &once).await? {
        return Ok(reply);
    }
    refresh::refresh(&app, scope.client, id, by(&scope)).await?;
    let found = load(&app, scope.client, id).await?;
    let shown = shown(&app, &scope, found).await?;
    let mut transaction = app.db.begin().await.map_err(Fault::from)?;
    let reply = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Fresh(ticket) => ticket.reply(&mut transaction, StatusCode::OK, &shown).await?,
        Claim::Replay(reply) => reply,
    };
    transaction.commit().await.map_err(Fault::from)?;
    Ok(reply)
}

/// Who makes the change.
pub(super) fn by<P>(scope: &ClientScope<P>) -> By<'_> {
    By {
        actor: scope.actor(),
        is_operator: scope.is_operator(),
        reference: Some(scope.reference.as_str()),
        now: scope.now,
    }
}

async fn load(app: &App, client: ClientId, id: ConnectionId) -> Result<Connection, Problem> {
    let mut conn = app.db.acquire().await.map_err(Fault::from)?;
    store::find(&mut conn, client, id).await?.ok_or_else(Problem::not_found)
}

async fn shown<P>(app: &App, scope: &ClientScope<P>, connection: Connection) -> Result<ConnectionView, Problem> {
    let mut conn = app.db.acquire().await.map_err(Fault::from)?;
    let certificates = store_keys::current_certificates(&mut conn, connection.client, &[connection.id.uuid()]).await?;
    Ok(view::show(&app.settings, connection, &certificates, scope.is_operator(), scope.now))
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        let text = error.to_string();
        match error {
            SaveError::NotFound => Self::not_found(),
            SaveError::Invalid(errors) => {
                let code = errors.first().map_or("connection.invalid", |error| error.code);
                let problem = Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    code,
                    "The request does not hold together; see errors.",
                );
                errors.into_iter().fold(problem, |problem, error| problem.with_field(error.pointer, error.detail))
            }
            SaveError::OperatorOnly(pointer) => {
                Self::new(StatusCode::FORBIDDEN, "api.operator_only", "Only an operator may do this.")
                    .with_field(pointer, "only an operator may set this")
            }
            SaveError::NotReady(missing) => {
                let problem = Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "connection.not_ready",
                    "The connection cannot be active yet: it lacks what errors name.",
                );
                missing.into_iter().fold(problem, |problem, name| {
                    problem.with_field(format!("/{}", name.replace('.', "/")), "needed before learners can sign in")
                })
            }
            SaveError::Idp(pointer, error) => Self::field(error.code(), pointer, error.to_string()),
            SaveError::Conflict => Self::new(
                StatusCode::CONFLICT,
                "connection.conflict",
                "Somebody else changed this connection at the same time. Read it again, then repeat your change.",
            ),
            SaveError::Active => Self::new(
                StatusCode::CONFLICT,
                "connection.active",
                "An active connection cannot be deleted. Disable it first.",
            ),
            SaveError::Fault(fault) => {
                tracing::debug!(error = text, "a connection was not saved");
                fault.into()
            }
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::NotFound => Self::not_found(),
            RefreshError::Typed => Self::new(
                StatusCode::CONFLICT,
                "connection.refresh.typed",
                "The metadata of this connection was typed. Set saml.metadata_url, or write the new metadata_xml.",
            ),
            RefreshError::Idp(error) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                error.code(),
                format!("The identity provider could not be read: {error}."),
            ),
            RefreshError::Conflict => SaveError::Conflict.into(),
            RefreshError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;

    #[test]
    fn a_merge_patch_sets_clears_and_leaves_alone() {
        let mut target = json!({"name": "a", "saml": {"x": 1, "y": [1, 2]}, "kept": true});
        merge(&mut target, &json!({"name": "b", "saml": {"x": null, "y": [3], "z": {"deep": 1, "gone": null}}}));
        assert_eq!(target, json!({"name": "b", "saml": {"y": [3], "z": {"deep": 1}}, "kept": true}));
    }
}
