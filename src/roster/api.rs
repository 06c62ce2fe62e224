//! Learners over the admin API.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    edit::{self, RosterError},
    model::{AccessEntry, Block, LearnerAccess, LearnerChange, LearnerDetail, LearnerRecord},
    store::{self, Filter},
};
use crate::{
    access::current_access,
    admin::{ApiJson, ApiPath, ApiQuery, ApiRoutes, Body, ClientScope, Id, LearnersRead, LearnersWrite},
    app::App,
    fault::Fault,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
    ids::{ClientId, LearnerId},
    learners::{EmailAddress, LearnerStatus},
    sessions,
};

impl Body for LearnerChange {
    const READ_ONLY: &'static [&'static str] = &[
        "id",
        "email",
        "email_verified",
        "access",
        "effective_access",
        "blocks",
        "created_at",
        "updated_at",
        "last_login_at",
    ];
}

impl From<RosterError> for Problem {
    fn from(error: RosterError) -> Self {
        match error {
            RosterError::NotFound => Self::not_found(),
            RosterError::Invalid(invalid) => invalid.into(),
            RosterError::Fault(fault) => fault.into(),
        }
    }
}

/// Which learners to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct LearnerQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    status: Option<LearnerStatus>,
    /// The whole address, in any case.
    email: Option<String>,
    /// The id or slug of a sublicense: those who hold a grant to it that runs.
    sublicense: Option<String>,
}

/// A learner's blocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Blocks {
    pub items: Vec<Block>,
}

#[derive(Deserialize)]
struct BlockPath {
    id: LearnerId,
    sublicense: String,
}

/// The routes of learners.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<LearnersRead>>(routes!(list_learners))
        .add::<ClientScope<LearnersRead>>(routes!(get_learner))
        .add::<ClientScope<LearnersWrite>>(routes!(update_learner))
        .add::<ClientScope<LearnersRead>>(routes!(get_access))
        .add::<ClientScope<LearnersRead>>(routes!(list_blocks))
        .add::<ClientScope<LearnersWrite>>(routes!(put_block, delete_block))
        .add::<ClientScope<LearnersWrite>>(routes!(end_sessions))
}

async fn access_of(
    conn: &mut PgConnection,
    client: ClientId,
    learner: &LearnerRecord,
    now: DateTime<Utc>,
) -> Result<LearnerAccess, Fault> {
    let grants = store::grants(conn, client, learner.id).await?;
    let ends = store::ends(conn, client, learner.id).await?;
    let effective_access = match learner.status {
        LearnerStatus::Active => current_access(&grants, &ends.sublicenses, ends.license_ends_at, now),
        LearnerStatus::Suspended => Vec::new(),
    };
    let entry = |grant: crate::access::Grant| AccessEntry {
        is_running: grant.is_running(now),
        sublicense: grant.sublicense,
        role: grant.role,
        source: grant.source,
        source_ref: grant.source_ref,
        starts_at: grant.starts_at,
        ends_at: grant.ends_at,
        end_reason: grant.end_reason,
    };
    Ok(LearnerAccess { access: grants.into_iter().map(entry).collect(), effective_access })
}

async fn detail(app: &App, client: ClientId, id: LearnerId, now: DateTime<Utc>) -> Result<LearnerDetail, Problem> {
    let mut conn = app.acquire().await?;
    let learner = store::find(&mut conn, client, id).await?.ok_or_else(Problem::not_found)?;
    let access = access_of(&mut conn, client, &learner, now).await?;
    let blocks = store::blocks(&mut conn, client, id).await?;
    Ok(LearnerDetail { learner, access, blocks })
}

/// Lists a client's learners, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners", tag = "learners", params(LearnerQuery), responses((status = 200, body = List<LearnerRecord>)))]
async fn list_learners(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    ApiQuery(query): ApiQuery<LearnerQuery>,
) -> Result<Json<List<LearnerRecord>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let mut filter = Filter { status: query.status, ..Filter::default() };
    if let Some(email) = &query.email {
        let address = EmailAddress::parse(email)
            .ok_or_else(|| Problem::field("api.query", "/email", "write a whole e-mail address"))?;
        filter.email_key = Some(address.key().to_owned());
    }
    let mut conn = app.acquire().await?;
    if let Some(name) = &query.sublicense {
        let found = store::find_sublicense(&mut conn, scope.client, name).await?;
        let missing = || Problem::field("api.query", "/sublicense", "this client has no such sublicense");
        filter.sublicense = Some(found.ok_or_else(missing)?);
    }
    let rows = store::list(&mut conn, scope.client, &filter, page, scope.now).await?;
    Ok(Json(page.list(rows, |learner| learner.id.uuid(), |learner| learner)))
}

/// Shows one learner, with every grant, what they add up to now, and the blocks.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners/{id}", tag = "learners", responses((status = 200, body = LearnerDetail)))]
async fn get_learner(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    Id(id): Id<LearnerId>,
) -> Result<Json<LearnerDetail>, Problem> {
    detail(&app, scope.client, id, scope.now).await.map(Json)
}

/// Changes one learner: what is left out stays, null clears (JSON Merge Patch). Suspending ends every session at once.
#[utoipa::path(patch, path = "/api/v1/clients/{client}/learners/{id}", tag = "learners", request_body = LearnerChange, responses((status = 200, body = LearnerDetail)))]
async fn update_learner(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    Id(id): Id<LearnerId>,
    ApiJson(change): ApiJson<LearnerChange>,
) -> Result<Json<LearnerDetail>, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let (_, is_suspended) = edit::update(&mut transaction, author, scope.client, id, change).await?;
    app.commit(transaction).await?;
    if is_suspended {
        drop_sessions(&app, scope.client, id).await;
    }
    detail(&app, scope.client, id, scope.now).await.map(Json)
}

/// Shows a learner's access: every grant, and what they add up to now.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners/{id}/access", tag = "learners", responses((status = 200, body = LearnerAccess)))]
async fn get_access(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    Id(id): Id<LearnerId>,
) -> Result<Json<LearnerAccess>, Problem> {
    let mut conn = app.acquire().await?;
    let learner = store::find(&mut conn, scope.client, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(access_of(&mut conn, scope.client, &learner, scope.now).await?))
}

/// Lists a learner's blocks.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners/{id}/blocks", tag = "learners", responses((status = 200, body = Blocks)))]
async fn list_blocks(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    Id(id): Id<LearnerId>,
) -> Result<Json<Blocks>, Problem> {
    let mut conn = app.acquire().await?;
    store::find(&mut conn, scope.client, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(Blocks { items: store::blocks(&mut conn, scope.client, id).await? }))
}

/// Removes a learner from a sublicense, by id or slug: every grant to it ends, and no automatic source grants it again
/// until the block is cleared.
#[utoipa::path(put, path = "/api/v1/clients/{client}/learners/{id}/blocks/{sublicense}", tag = "learners", responses((status = 204)))]
async fn put_block(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    ApiPath(path): ApiPath<BlockPath>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    edit::block(&mut transaction, author, scope.client, path.id, &path.sublicense).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Clears a block. Nothing is granted by this; the next sign-in may.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/learners/{id}/blocks/{sublicense}", tag = "learners", responses((status = 204)))]
async fn delete_block(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    ApiPath(path): ApiPath<BlockPath>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    edit::unblock(&mut transaction, author, scope.client, path.id, &path.sublicense).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every session of a learner.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/learners/{id}/sessions", tag = "learners", responses((status = 204)))]
async fn end_sessions(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    Id(id): Id<LearnerId>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    edit::end_sessions(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    app.commit(transaction).await?;
    drop_sessions(&app, scope.client, id).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Clears Redis of sessions that the learner's epoch has ended already; one that stays is dead all the same.
async fn drop_sessions(app: &App, client: ClientId, learner: LearnerId) {
    if let Err(error) = sessions::end_all_of_learner(app, client, learner).await {
        tracing::warn!(%error, learner.id = %learner, "sessions were ended by their epoch only");
    }
}
