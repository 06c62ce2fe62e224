//! Clients over the admin API.

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use utoipa_axum::routes;

use super::{
    ClientChange, ClientError, NewClient, Surroundings, branding_api::ClientView, create, store, unvouch, update, vouch,
};
use crate::{
    admin::{
        ApiJson, ApiPath, ApiQuery, ApiRoutes, Body, Claim, ClientScope, ClientsRead, ClientsWrite, Once,
        OperatorScope, Post, Reply,
    },
    app::App,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
};

const READ_ONLY: &[&str] = &[
    "id",
    "seats_used",
    "seats_reserved",
    "created_at",
    "updated_at",
    "email_domains/*/verified_at",
    "email_domains/*/by",
    "branding/stylesheet_url",
    "branding_warnings",
];

impl Body for ClientChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for NewClient {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let conflict = |code, error: &ClientError| Self::new(StatusCode::CONFLICT, code, sentence(error));
        match error {
            ClientError::NotFound => Self::not_found(),
            ClientError::Invalid(invalid) => invalid.into(),
            ClientError::SlugTaken => conflict("client.slug_taken", &error),
            ClientError::SkuTaken => conflict("client.sku_taken", &error),
            ClientError::HostTaken => conflict("client.host_taken", &error),
            ClientError::SublicenseSlugTaken => conflict("sublicense.slug_taken", &error),
            ClientError::IsDefault => conflict("sublicense.is_default", &error),
            ClientError::InUse => conflict("sublicense.in_use", &error),
            ClientError::Fault(fault) => fault.into(),
        }
    }
}

pub(super) fn sentence(error: &impl std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// The routes of clients and sublicenses.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<OperatorScope<ClientsRead>>(routes!(list_clients))
        .add::<OperatorScope<ClientsWrite>>(routes!(create_client))
        .add::<ClientScope<ClientsRead>>(routes!(get_client))
        .add::<ClientScope<ClientsWrite>>(routes!(update_client))
        .add::<OperatorScope<ClientsWrite>>(routes!(vouch_domain, unvouch_domain))
        .merge(super::branding_api::routes())
        .merge(super::sublicense_api::routes())
}

/// Lists clients, oldest first.
#[utoipa::path(get, path = "/api/v1/clients", tag = "clients", params(PageQuery), responses((status = 200, body = List<ClientView>)))]
async fn list_clients(
    State(app): State<App>,
    scope: OperatorScope<ClientsRead>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let page = query.page()?;
    let mut conn = app.acquire().await?;
    let rows = store::list(&mut conn, page, scope.now).await?;
    Ok(axum::Json(page.list(rows, |client| client.id.uuid(), ClientView::from)))
}

/// Makes a client, with its default sublicense `main`.
#[utoipa::path(post, path = "/api/v1/clients", tag = "clients", request_body = NewClient, responses(
    (status = 201, body = ClientView),
    (status = 409, description = "The slug, sku or a host name is another client's.", body = crate::http::problem::ProblemDetails, content_type = "application/problem+json"),
))]
async fn create_client(
    State(app): State<App>,
    scope: OperatorScope<ClientsWrite>,
    input: Post<NewClient>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let client = create(&mut transaction, author, input.body, Surroundings::of(&app.settings)).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &ClientView::from(client)).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one client.
#[utoipa::path(get, path = "/api/v1/clients/{client}", tag = "clients", responses((status = 200, body = ClientView)))]
async fn get_client(
    State(app): State<App>,
    scope: ClientScope<ClientsRead>,
) -> Result<axum::Json<ClientView>, Problem> {
    let mut conn = app.acquire().await?;
    let client = store::find(&mut conn, scope.client, scope.now).await?.ok_or_else(Problem::not_found)?;
    Ok(axum::Json(client.into()))
}

/// Changes one client: what is left out stays, null clears (JSON Merge Patch).
#[utoipa::path(patch, path = "/api/v1/clients/{client}", tag = "clients", request_body = ClientChange, responses(
    (status = 200, body = ClientView),
    (status = 409, description = "The sku or a host name is another client's.", body = crate::http::problem::ProblemDetails, content_type = "application/problem+json"),
))]
async fn update_client(
    State(app): State<App>,
    scope: ClientScope<ClientsWrite>,
    ApiJson(change): ApiJson<ClientChange>,
) -> Result<axum::Json<ClientView>, Problem> {
    scope.require_operator_for(change.operator_fields())?;
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let client = update(&mut transaction, author, scope.client, change, Surroundings::of(&app.settings)).await?;
    app.commit(transaction).await?;
    Ok(axum::Json(client.into()))
}

#[derive(Deserialize)]
struct VouchPath {
    client: String,
    domain: String,
}

async fn named_client(app: &App, path: &VouchPath) -> Result<crate::ids::ClientId, Problem> {
    crate::admin::find_client(&app.db, &path.client).await?.ok_or_else(Problem::not_found)
}

/// Vouches for an e-mail domain as the client's own; one that it did not name yet is added. A connection may then be
/// trusted for it.
#[utoipa::path(post, path = "/api/v1/clients/{client}/domains/{domain}/vouch", tag = "clients", responses((status = 200, body = ClientView)))]
async fn vouch_domain(
    State(app): State<App>,
    scope: OperatorScope<ClientsWrite>,
    ApiPath(path): ApiPath<VouchPath>,
    once: Once,
) -> Result<Reply, Problem> {
    let client = named_client(&app, &path).await?;
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let client = vouch(&mut transaction, scope.author(&app.entropy), client, &path.domain).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &ClientView::from(client)).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Takes the word back: no connection of the client is trusted for the domain from this moment on.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/domains/{domain}/vouch", tag = "clients", responses((status = 204)))]
async fn unvouch_domain(
    State(app): State<App>,
    scope: OperatorScope<ClientsWrite>,
    ApiPath(path): ApiPath<VouchPath>,
) -> Result<StatusCode, Problem> {
    let client = named_client(&app, &path).await?;
    let mut transaction = app.begin().await?;
    unvouch(&mut transaction, scope.author(&app.entropy), client, &path.domain).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
