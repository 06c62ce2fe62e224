//! Registration codes over the admin API, and how errors about codes of either kind are told.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa_axum::routes;

use super::{
    edit,
    error::CodeError,
    model::Kind,
    revoke, store, store_redemptions,
    view::{NewRegistrationCode, RedemptionView, RegistrationCode, RegistrationCodeChange, UndoRedemption},
};
use crate::{
    admin::{ApiJson, ApiPath, ApiQuery, ApiRoutes, Body, Claim, ClientScope, CodesRead, CodesWrite, Id, Post, Reply},
    app::App,
    http::{
        Problem,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::{RedemptionId, RegistrationCodeId},
};

const READ_ONLY: &[&str] = &["id", "times_redeemed", "redemptions_left", "created_at", "updated_at"];

impl Body for RegistrationCodeChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for NewRegistrationCode {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for UndoRedemption {
    const READ_ONLY: &'static [&'static str] = &[];
}

impl From<CodeError> for Problem {
    fn from(error: CodeError) -> Self {
        let conflict = |code, title: &str| Self::new(StatusCode::CONFLICT, code, title);
        match error {
            CodeError::NotFound => Self::not_found(),
            CodeError::Invalid(invalid) => invalid.into(),
            CodeError::TextTaken => {
                conflict("codes.taken", "This client has a code that reads so already. Choose another.")
            }
            CodeError::Redeemed => {
                conflict("codes.redeemed", "The code is redeemed. Restore it first, which takes its access back.")
            }
            CodeError::Filling => conflict(
                "codes.filling",
                "Codes of this batch are still being generated. Try again when none are to come.",
            ),
            CodeError::Revoking => {
                conflict("codes.revoking", "The rest of this batch is being revoked. Try again in a minute.")
            }
            CodeError::Fault(fault) => fault.into(),
        }
    }
}

/// The routes of codes of both kinds.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<CodesRead>>(routes!(list_registration_codes))
        .add::<ClientScope<CodesWrite>>(routes!(create_registration_code))
        .add::<ClientScope<CodesRead>>(routes!(get_registration_code))
        .add::<ClientScope<CodesWrite>>(routes!(update_registration_code))
        .add::<ClientScope<CodesRead>>(routes!(list_redemptions))
        .add::<ClientScope<CodesWrite>>(routes!(undo_redemption))
        .merge(super::batch_api::routes())
        .merge(super::code_api::routes())
}

/// Lists a client's registration codes, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/registration-codes", tag = "codes", params(PageQuery), responses((status = 200, body = List<RegistrationCode>)))]
async fn list_registration_codes(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<RegistrationCode>>, Problem> {
    let page = query.page()?;
    let rows = store::list(&mut *app.acquire().await?, scope.client, Kind::Registration, page).await?;
    Ok(Json(page.list(rows, |offer| offer.id, RegistrationCode::from)))
}

/// Makes a registration code: your own, or one that is generated.
#[utoipa::path(post, path = "/api/v1/clients/{client}/registration-codes", tag = "codes", request_body = NewRegistrationCode, responses(
    (status = 201, body = RegistrationCode),
    (status = 409, description = "A code of this client reads so already.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn create_registration_code(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    input: Post<NewRegistrationCode>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let offer = edit::create_registration(&mut transaction, author, scope.client, input.body).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &RegistrationCode::from(offer)).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one registration code.
#[utoipa::path(get, path = "/api/v1/clients/{client}/registration-codes/{id}", tag = "codes", responses((status = 200, body = RegistrationCode)))]
async fn get_registration_code(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    Id(id): Id<RegistrationCodeId>,
) -> Result<Json<RegistrationCode>, Problem> {
    let found = store::find(&mut *app.acquire().await?, scope.client, Kind::Registration, id.uuid()).await?;
    found.map(|offer| Json(offer.into())).ok_or_else(Problem::not_found)
}

/// Changes one registration code: what is left out stays, null clears (JSON Merge Patch). `active: false` stops new
/// redemptions at once; a maximum below what was redeemed stops new ones and takes nobody's.
#[utoipa::path(patch, path = "/api/v1/clients/{client}/registration-codes/{id}", tag = "codes", request_body = RegistrationCodeChange, responses((status = 200, body = RegistrationCode)))]
async fn update_registration_code(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    Id(id): Id<RegistrationCodeId>,
    ApiJson(change): ApiJson<RegistrationCodeChange>,
) -> Result<Json<RegistrationCode>, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let offer = edit::update_registration(&mut transaction, author, scope.client, id, change).await?;
    app.commit(transaction).await?;
    Ok(Json(offer.into()))
}

/// Lists who redeemed a registration code and when, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/registration-codes/{id}/redemptions", tag = "codes", params(PageQuery), responses((status = 200, body = List<RedemptionView>)))]
async fn list_redemptions(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    Id(id): Id<RegistrationCodeId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<RedemptionView>>, Problem> {
    let page = query.page()?;
    let mut conn = app.acquire().await?;
    if store::find(&mut conn, scope.client, Kind::Registration, id.uuid()).await?.is_none() {
        return Err(Problem::not_found());
    }
    let rows = store_redemptions::list(&mut conn, scope.client, id, page).await?;
    Ok(Json(page.list(rows, |redemption| redemption.id.uuid(), |redemption| redemption)))
}

#[derive(Deserialize)]
struct RedemptionPath {
    id: RegistrationCodeId,
    redemption: RedemptionId,
}

/// Undoes one use of a registration code: it can be redeemed once more, by whoever has it. With `ends_access` the learner
/// loses what this code gave them, and the seat if nothing else holds it. That it was redeemed stays in the history. To
/// keep a learner from coming back with the same code, block them.
#[utoipa::path(post, path = "/api/v1/clients/{client}/registration-codes/{id}/redemptions/{redemption}/undo", tag = "codes", request_body = UndoRedemption, responses((status = 200, body = RedemptionView)))]
async fn undo_redemption(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    ApiPath(path): ApiPath<RedemptionPath>,
    input: Post<UndoRedemption>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let (author, ends_access) = (scope.author(&app.entropy), input.body.ends_access);
    let (code, redemption) = (path.id, path.redemption);
    let undone = revoke::undo_redemption(&mut transaction, author, scope.client, code, redemption, ends_access).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &undone).await?;
    app.commit(transaction).await?;
    Ok(reply)
}
