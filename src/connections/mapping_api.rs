//! `…/connections/{id}/mapping`: the rules in force, and their versions.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    api::by,
    save_mapping::{MappingSaveError, save_mapping},
    share,
    store_mappings::{self, MappingRow},
};
use crate::{
    admin::{ApiJson, ApiQuery, ApiRoutes, Body, ClientScope, ConnectionsRead, ConnectionsWrite, Id},
    app::App,
    claims::{Mapping, MappingError},
    fault::Fault,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
    ids::{ClientId, ConnectionId},
};

/// The rules of a mapping, as typed.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct MappingBody(Value);

impl Body for MappingBody {}

/// One version of a mapping.
#[derive(Debug, Serialize, ToSchema)]
pub struct MappingVersion {
    pub version: i32,
    #[schema(value_type = Mapping)]
    pub mapping: Value,
    pub created_at: DateTime<Utc>,
    /// The token, or the part of the gateway, that wrote it.
    pub created_by: String,
}

impl From<MappingRow> for MappingVersion {
    fn from(row: MappingRow) -> Self {
        Self { version: row.version, mapping: row.rules, created_at: row.created_at, created_by: row.created_by }
    }
}

pub(super) fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ConnectionsRead>>(routes!(current))
        .add::<ClientScope<ConnectionsWrite>>(routes!(replace))
        .add::<ClientScope<ConnectionsRead>>(routes!(versions))
}

/// Shows the rules in force. The ETag is their version.
#[utoipa::path(get, path = "/api/v1/clients/{client}/connections/{id}/mapping", tag = "mapping",
    responses((status = 200, body = MappingVersion)))]
async fn current(
    scope: ClientScope<ConnectionsRead>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
) -> Result<impl IntoResponse, Problem> {
    share::operators_if_shared(&app, &scope, id).await?;
    load(&app, scope.client, id).await
}

async fn load(app: &App, client: ClientId, id: ConnectionId) -> Result<impl IntoResponse + use<>, Problem> {
    let mut conn = app.db.acquire().await.map_err(Fault::from)?;
    let row = store_mappings::current_mapping(&mut conn, client, id).await?.ok_or_else(Problem::not_found)?;
    let tag = HeaderValue::from_str(&format!("\"{}\"", row.version)).map_err(|_| Problem::not_found())?;
    Ok(([(header::ETAG, tag)], Json(MappingVersion::from(row))))
}

/// Writes new rules as the next version, in force at once. With `If-Match` only over the version that it names.
#[utoipa::path(put, path = "/api/v1/clients/{client}/connections/{id}/mapping", tag = "mapping",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed.")),
    request_body = Mapping,
    responses((status = 200, body = MappingVersion),
    (status = 412, description = "Another version than If-Match names is in force.")))]
async fn replace(
    scope: ClientScope<ConnectionsWrite>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
    headers: HeaderMap,
    ApiJson(MappingBody(rules)): ApiJson<MappingBody>,
) -> Result<impl IntoResponse, Problem> {
    let expected = expected(&headers)?;
    save_mapping(&app, scope.client, id, &rules, expected, by(&scope)).await?;
    load(&app, scope.client, id).await
}

/// Lists the versions of the rules, the newest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/connections/{id}/mapping/versions", tag = "mapping",
    params(PageQuery), responses((status = 200, body = List<MappingVersion>)))]
async fn versions(
    scope: ClientScope<ConnectionsRead>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<MappingVersion>>, Problem> {
    share::operators_if_shared(&app, &scope, id).await?;
    let page = query.page()?;
    let before = page.after.map_or(i32::MAX, |after| i32::try_from(after.as_u128()).unwrap_or(0));
    let mut conn = app.db.acquire().await.map_err(Fault::from)?;
    store_mappings::current_mapping(&mut conn, scope.client, id).await?.ok_or_else(Problem::not_found)?;
    let rows = store_mappings::mapping_versions(&mut conn, scope.client, id, before, page.fetch()).await?;
    let key = |row: &MappingRow| Uuid::from_u128(u128::from(row.version.unsigned_abs()));
    Ok(Json(page.list(rows, key, MappingVersion::from)))
}

fn expected(headers: &HeaderMap) -> Result<Option<i32>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.trim_matches('"').parse().map(Some).map_err(|_| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "mapping.if_match",
            "If-Match is the ETag of the mapping that you read, such as \"3\".",
        )
    })
}

/// Says what is wrong with rules; `below` is where they stand in the body.
pub fn invalid_mapping(errors: Vec<MappingError>, below: &str) -> Problem {
    let code = errors.first().map_or("mapping.invalid", |error| error.code);
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The rules do not hold together; see errors.");
    errors
        .into_iter()
        .fold(problem, |problem, error| problem.with_field(format!("{below}{}", error.path), error.message))
}

impl From<MappingSaveError> for Problem {
    fn from(error: MappingSaveError) -> Self {
        match error {
            MappingSaveError::NotFound => Self::not_found(),
            MappingSaveError::OperatorOnly => {
                Self::new(StatusCode::FORBIDDEN, "api.operator_only", "Only an operator may do this.")
                    .with_field("/clients", "the connection serves several clients")
            }
            MappingSaveError::Conflict(current) => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "mapping.conflict",
                format!("Version {current} of the mapping is in force, and your change is of another. Read it again."),
            ),
            MappingSaveError::Invalid(errors) => invalid_mapping(errors, ""),
            MappingSaveError::Fault(fault) => fault.into(),
        }
    }
}
