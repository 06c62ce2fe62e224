//! Sublicenses over the admin API.

use axum::{Json, extract::State, http::StatusCode};
use utoipa_axum::routes;

use super::{
    NewSublicense, Sublicense, SublicenseChange, create_sublicense, delete_sublicense, store_sublicenses,
    update_sublicense,
};
use crate::{
    admin::{ApiJson, ApiQuery, ApiRoutes, Body, Claim, ClientScope, ClientsRead, ClientsWrite, Id, Post, Reply},
    app::App,
    http::{
        Problem,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::SublicenseId,
};

const READ_ONLY: &[&str] = &["id", "seats_used", "created_at", "updated_at"];

impl Body for SublicenseChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for NewSublicense {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

pub(super) fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ClientsRead>>(routes!(list_sublicenses))
        .add::<ClientScope<ClientsWrite>>(routes!(create))
        .add::<ClientScope<ClientsRead>>(routes!(get_sublicense))
        .add::<ClientScope<ClientsWrite>>(routes!(update, delete))
}

/// Lists a client's sublicenses, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/sublicenses", tag = "sublicenses", params(PageQuery), responses((status = 200, body = List<Sublicense>)))]
async fn list_sublicenses(
    State(app): State<App>,
    scope: ClientScope<ClientsRead>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<Sublicense>>, Problem> {
    let page = query.page()?;
    let rows = store_sublicenses::list(&mut *app.acquire().await?, scope.client, page).await?;
    Ok(Json(page.list(rows, |sublicense| sublicense.id.uuid(), |sublicense| sublicense)))
}

/// Makes a sublicense.
#[utoipa::path(post, path = "/api/v1/clients/{client}/sublicenses", operation_id = "create_sublicense", tag = "sublicenses", request_body = NewSublicense, responses(
    (status = 201, body = Sublicense),
    (status = 409, description = "The slug or sku is another sublicense's.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn create(
    State(app): State<App>,
    scope: ClientScope<ClientsWrite>,
    input: Post<NewSublicense>,
) -> Result<Reply, Problem> {
    scope.require_operator_for(input.body.0.operator_fields())?;
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let sublicense = create_sublicense(&mut transaction, scope.author(&app.entropy), scope.client, input.body).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &sublicense).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one sublicense.
#[utoipa::path(get, path = "/api/v1/clients/{client}/sublicenses/{id}", tag = "sublicenses", responses((status = 200, body = Sublicense)))]
async fn get_sublicense(
    State(app): State<App>,
    scope: ClientScope<ClientsRead>,
    Id(id): Id<SublicenseId>,
) -> Result<Json<Sublicense>, Problem> {
    let found = store_sublicenses::find(&mut *app.acquire().await?, scope.client, id).await?;
    found.map(Json).ok_or_else(Problem::not_found)
}

/// Changes one sublicense: what is left out stays, null clears (JSON Merge Patch).
#[utoipa::path(patch, path = "/api/v1/clients/{client}/sublicenses/{id}", operation_id = "update_sublicense", tag = "sublicenses", request_body = SublicenseChange, responses(
    (status = 200, body = Sublicense),
    (status = 409, description = "The sku is another sublicense's.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn update(
    State(app): State<App>,
    scope: ClientScope<ClientsWrite>,
    Id(id): Id<SublicenseId>,
    ApiJson(change): ApiJson<SublicenseChange>,
) -> Result<Json<Sublicense>, Problem> {
    scope.require_operator_for(change.operator_fields())?;
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let sublicense = update_sublicense(&mut transaction, author, scope.client, id, change).await?;
    app.commit(transaction).await?;
    Ok(Json(sublicense))
}

/// Deletes a sublicense that is not the default and was never granted.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/sublicenses/{id}", operation_id = "delete_sublicense", tag = "sublicenses", responses(
    (status = 204),
    (status = 409, description = "It is the default, or something refers to it.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn delete(
    State(app): State<App>,
    scope: ClientScope<ClientsWrite>,
    Id(id): Id<SublicenseId>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    delete_sublicense(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
