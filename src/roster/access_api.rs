//! A learner's access and blocks over the admin API.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    access_model::{AccessChange, NewAccess},
    edit, grant,
    model::{AccessEntry, Block, LearnerAccess, LearnerRecord, RecordStatus},
    store,
};
use crate::{
    access::current_access,
    admin::{ApiJson, ApiPath, ApiRoutes, Body, Claim, ClientScope, Id, LearnersRead, LearnersWrite, Post, Reply},
    app::App,
    fault::Fault,
    http::{Problem, problem::ProblemDetails},
    ids::{ClientId, LearnerId},
};

/// What is shown of a grant and cannot be written.
const READ_ONLY: &[&str] = &["source", "source_ref", "end_reason", "is_running"];

impl Body for NewAccess {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for AccessChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

/// A learner's blocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Blocks {
    pub items: Vec<Block>,
}

/// A learner, and one of the client's sublicenses by id or slug.
#[derive(Deserialize)]
struct PlacePath {
    id: LearnerId,
    sublicense: String,
}

/// The routes of access and blocks.
pub(super) fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<LearnersRead>>(routes!(get_access))
        .add::<ClientScope<LearnersWrite>>(routes!(grant_access))
        .add::<ClientScope<LearnersWrite>>(routes!(change_access, end_access))
        .add::<ClientScope<LearnersRead>>(routes!(list_blocks))
        .add::<ClientScope<LearnersWrite>>(routes!(put_block, delete_block))
}

/// Every grant, and what they add up to now.
pub(super) async fn access_of(
    conn: &mut PgConnection,
    client: ClientId,
    learner: &LearnerRecord,
    now: DateTime<Utc>,
) -> Result<LearnerAccess, Fault> {
    let grants = store::grants(conn, client, learner.id).await?;
    let ends = store::ends(conn, client, learner.id).await?;
    let effective_access = match learner.status {
        RecordStatus::Active => current_access(&grants, &ends.sublicenses, ends.license_ends_at, now),
        RecordStatus::Suspended | RecordStatus::Moved => Vec::new(),
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

async fn load_access(
    conn: &mut PgConnection,
    client: ClientId,
    id: LearnerId,
    now: DateTime<Utc>,
) -> Result<LearnerAccess, Problem> {
    let learner = store::find(conn, client, id).await?.ok_or_else(Problem::not_found)?;
    Ok(access_of(conn, client, &learner, now).await?)
}

/// Shows a learner's access: every grant, and what they add up to now.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners/{id}/access", tag = "learners", responses((status = 200, body = LearnerAccess)))]
async fn get_access(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    Id(id): Id<LearnerId>,
) -> Result<Json<LearnerAccess>, Problem> {
    let mut conn = app.acquire().await?;
    load_access(&mut conn, scope.client, id, scope.now).await.map(Json)
}

/// Grants access to a sublicense by an admin's own hand, beside what single sign-on, codes and invites grant. Written
/// again, it is set anew.
#[utoipa::path(post, path = "/api/v1/clients/{client}/learners/{id}/access", tag = "learners", request_body = NewAccess, responses(
    (status = 201, body = LearnerAccess),
    (status = 409, description = "No seat is left, the learner is blocked, or the sublicense is over.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn grant_access(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    Id(id): Id<LearnerId>,
    input: Post<NewAccess>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    grant::grant(&mut transaction, scope.author(&app.entropy), scope.client, id, &input.body).await?;
    let access = load_access(&mut transaction, scope.client, id, scope.now).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &access).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Changes role or end of what an admin granted. What another source granted is changed there.
#[utoipa::path(patch, path = "/api/v1/clients/{client}/learners/{id}/access/{sublicense}", tag = "learners", request_body = AccessChange, responses(
    (status = 200, body = LearnerAccess),
    (status = 409, description = "No admin granted it, or the sublicense is over.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn change_access(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    ApiPath(path): ApiPath<PlacePath>,
    ApiJson(change): ApiJson<AccessChange>,
) -> Result<Json<LearnerAccess>, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    grant::change_access(&mut transaction, author, scope.client, path.id, &path.sublicense, change).await?;
    let access = load_access(&mut transaction, scope.client, path.id, scope.now).await?;
    app.commit(transaction).await?;
    Ok(Json(access))
}

/// Ends a learner's access to a sublicense, whatever granted it. Single sign-on, a code or an invite may grant it again;
/// to keep them from it, block instead.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/learners/{id}/access/{sublicense}", tag = "learners", responses((status = 204)))]
async fn end_access(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    ApiPath(path): ApiPath<PlacePath>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    grant::end_access(&mut transaction, author, scope.client, path.id, &path.sublicense).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
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
    ApiPath(path): ApiPath<PlacePath>,
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
    ApiPath(path): ApiPath<PlacePath>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    edit::unblock(&mut transaction, author, scope.client, path.id, &path.sublicense).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
