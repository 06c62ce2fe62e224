//! The codes of a batch over the admin API: listed, exported in a stream, revoked and restored one by one.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    error::CodeError,
    model::{CodeState, Kind},
    revoke, store, store_batch,
    view::CodeView,
};
use crate::{
    admin::{ApiQuery, ApiRoutes, Claim, ClientScope, CodesRead, CodesWrite, Id, Once, Reply},
    app::App,
    fault::Fault,
    http::{
        Problem, csv,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::{BatchId, ClientId, CodeId, LearnerId},
};

/// Rows of an export that are read together.
const PART: i64 = 5000;

/// The routes of single codes.
pub(super) fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<CodesRead>>(routes!(list_codes))
        .add::<ClientScope<CodesRead>>(routes!(export_codes))
        .add::<ClientScope<CodesWrite>>(routes!(revoke_code))
        .add::<ClientScope<CodesWrite>>(routes!(restore_code))
}

/// What a caller asks of the list of codes.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CodesQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those in this state.
    state: Option<CodeState>,
}

/// Lists the codes of a batch, oldest first, each with its state, learner and time.
#[utoipa::path(get, path = "/api/v1/clients/{client}/redemption-batches/{id}/codes", tag = "codes", params(CodesQuery), responses((status = 200, body = List<CodeView>)))]
async fn list_codes(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    Id(id): Id<BatchId>,
    ApiQuery(query): ApiQuery<CodesQuery>,
) -> Result<Json<List<CodeView>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let mut conn = app.acquire().await?;
    if store::find(&mut conn, scope.client, Kind::Redemption, id.uuid()).await?.is_none() {
        return Err(Problem::not_found());
    }
    let rows = store::list_codes(&mut conn, scope.client, id, query.state, page.after, page.fetch()).await?;
    Ok(Json(page.list(rows, |code| code.id.uuid(), |code| code)))
}

/// Exports all codes of a batch as CSV for spreadsheets, in a stream. Who exported is in the audit trail.
#[utoipa::path(get, path = "/api/v1/clients/{client}/redemption-batches/{id}/codes.csv", tag = "codes", responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = 409, description = "The batch is still being generated.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn export_codes(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    Id(id): Id<BatchId>,
) -> Result<Response, Problem> {
    let mut transaction = app.begin().await?;
    let offer = store::find(&mut transaction, scope.client, Kind::Redemption, id.uuid()).await?;
    let offer = offer.ok_or_else(Problem::not_found)?;
    if offer.codes_to_come > 0 {
        return Err(CodeError::Filling.into());
    }
    let author = scope.author(&app.entropy);
    let facts = json!({ "codes": offer.codes_total });
    author.record(&mut transaction, scope.client, "redemption_batch.exported", id.to_string(), facts, None).await?;
    app.commit(transaction).await?;

    let mut heading = csv::Rows::default();
    heading.row(["code", "state", "learner", "redeemed_at"]);
    let heading = [csv::BOM.as_bytes(), &heading.into_bytes()].concat();
    let client = scope.client;
    let parts = futures_util::stream::try_unfold((app, Some(Uuid::nil())), move |(app, after)| async move {
        let Some(after) = after else { return Ok::<_, Fault>(None) };
        let (rows, last) = part(&app, client, id, after).await?;
        Ok(Some((Bytes::from(rows), (app, last))))
    });
    let first = futures_util::stream::iter([Ok(Bytes::from(heading))]);
    let stream = futures_util::StreamExt::chain(first, parts);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(csv::MEDIA_TYPE));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.csv\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// One part of the export, and where the next begins.
async fn part(app: &App, client: ClientId, batch: BatchId, after: Uuid) -> Result<(Vec<u8>, Option<Uuid>), Fault> {
    let rows = store_batch::export(&mut *app.acquire().await?, client, batch, after, PART).await?;
    let mut text = csv::Rows::default();
    for row in &rows {
        let learner = row.learner.map(|learner| LearnerId::from(learner).to_string()).unwrap_or_default();
        let redeemed_at = row.redeemed_at.map(|at| at.to_rfc3339()).unwrap_or_default();
        text.row([row.text.as_str(), &row.state, &learner, &redeemed_at]);
    }
    Ok((text.into_bytes(), rows.last().map(|row| row.id)))
}

/// Revokes a code that is not redeemed.
#[utoipa::path(post, path = "/api/v1/clients/{client}/codes/{id}/revoke", tag = "codes", responses(
    (status = 200, body = CodeView),
    (status = 409, description = "The code is redeemed.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn revoke_code(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    Id(id): Id<CodeId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let code = revoke::revoke(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &code).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Makes a code unused again that was redeemed or revoked wrongly. The learner who had redeemed it loses what it gave
/// them; that they had redeemed it stays in the history.
#[utoipa::path(post, path = "/api/v1/clients/{client}/codes/{id}/restore", tag = "codes", responses((status = 200, body = CodeView)))]
async fn restore_code(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    Id(id): Id<CodeId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let code = revoke::restore(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &code).await?;
    app.commit(transaction).await?;
    Ok(reply)
}
