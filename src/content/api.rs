//! Content items over the admin API.

use axum::{Json, extract::State, http::StatusCode};
use utoipa_axum::routes;

use super::{
    edit::{self, ContentError},
    model::{ContentChange, ContentItem, NewContent},
    store,
};
use crate::{
    admin::{ApiJson, ApiQuery, ApiRoutes, Body, Claim, ClientScope, ContentRead, ContentWrite, Id, Post, Reply},
    app::App,
    clients::Surroundings,
    http::{
        Problem,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::ContentId,
};

const READ_ONLY: &[&str] = &["id", "created_at", "updated_at"];

impl Body for ContentChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for NewContent {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::NotFound => Self::not_found(),
            ContentError::Invalid(invalid) => invalid.into(),
            ContentError::ExternalIdTaken => Self::new(
                StatusCode::CONFLICT,
                "content.external_id_taken",
                "Another content item of this client has this external id.",
            ),
            ContentError::Fault(fault) => fault.into(),
        }
    }
}

/// The routes of content items.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ContentRead>>(routes!(list_content))
        .add::<ClientScope<ContentWrite>>(routes!(create_content))
        .add::<ClientScope<ContentRead>>(routes!(get_content))
        .add::<ClientScope<ContentWrite>>(routes!(update_content, delete_content))
}

/// Lists a client's content items, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/content", tag = "content", params(PageQuery), responses((status = 200, body = List<ContentItem>)))]
async fn list_content(
    State(app): State<App>,
    scope: ClientScope<ContentRead>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<ContentItem>>, Problem> {
    let page = query.page()?;
    let rows = store::list(&mut *app.acquire().await?, scope.client, page).await?;
    Ok(Json(page.list(rows, |item| item.id.uuid(), |item| item)))
}

/// Makes a content item.
#[utoipa::path(post, path = "/api/v1/clients/{client}/content", tag = "content", request_body = NewContent, responses(
    (status = 201, body = ContentItem),
    (status = 409, description = "The external id is another item's.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn create_content(
    State(app): State<App>,
    scope: ClientScope<ContentWrite>,
    input: Post<NewContent>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let surroundings = Surroundings::of(&app.settings);
    let item = edit::create(&mut transaction, author, scope.client, input.body, surroundings).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &item).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one content item.
#[utoipa::path(get, path = "/api/v1/clients/{client}/content/{id}", tag = "content", responses((status = 200, body = ContentItem)))]
async fn get_content(
    State(app): State<App>,
    scope: ClientScope<ContentRead>,
    Id(id): Id<ContentId>,
) -> Result<Json<ContentItem>, Problem> {
    let found = store::find(&mut *app.acquire().await?, scope.client, id).await?;
    found.map(Json).ok_or_else(Problem::not_found)
}

/// Changes one content item: what is left out stays, null clears (JSON Merge Patch).
#[utoipa::path(patch, path = "/api/v1/clients/{client}/content/{id}", tag = "content", request_body = ContentChange, responses(
    (status = 200, body = ContentItem),
    (status = 409, description = "The external id is another item's.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn update_content(
    State(app): State<App>,
    scope: ClientScope<ContentWrite>,
    Id(id): Id<ContentId>,
    ApiJson(change): ApiJson<ContentChange>,
) -> Result<Json<ContentItem>, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let surroundings = Surroundings::of(&app.settings);
    let item = edit::update(&mut transaction, author, scope.client, id, change, surroundings).await?;
    app.commit(transaction).await?;
    Ok(Json(item))
}

/// Deletes one content item.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/content/{id}", tag = "content", responses((status = 204)))]
async fn delete_content(
    State(app): State<App>,
    scope: ClientScope<ContentWrite>,
    Id(id): Id<ContentId>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    edit::delete(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
