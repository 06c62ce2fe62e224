//! Batches of redemption codes over the admin API. Codes come as JSON, or as lines of a file.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
};
use futures_util::StreamExt;
use utoipa_axum::routes;

use super::{
    edit,
    intake::Intake,
    model::Kind,
    revoke, store,
    view::{
        Append, BatchReply, NewRedemptionBatch, RedemptionBatch, RedemptionBatchChange, Report, Revoked, StoredOffer,
    },
};
use crate::{
    admin::{
        ApiJson, ApiQuery, ApiRoutes, Body, Claim, ClientScope, CodesRead, CodesWrite, Id, Once, Post, Reply,
        parse_body,
    },
    app::App,
    crypto::sha256,
    http::{
        Problem,
        layers::BODY_LIMIT,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::BatchId,
};

const READ_ONLY: &[&str] = &[
    "id",
    "codes_total",
    "codes_redeemed",
    "codes_revoked",
    "codes_unused",
    "codes_to_come",
    "created_at",
    "updated_at",
];
/// A file of the most lines that are taken, with room for further columns.
const FILE_LIMIT: usize = 16 << 20;

impl Body for RedemptionBatchChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for NewRedemptionBatch {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for Append {}

/// The routes of batches.
pub(super) fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<CodesRead>>(routes!(list_batches))
        .add::<ClientScope<CodesWrite>>(routes!(create_batch))
        .add::<ClientScope<CodesRead>>(routes!(get_batch))
        .add::<ClientScope<CodesWrite>>(routes!(update_batch))
        .add::<ClientScope<CodesWrite>>(routes!(append_to_batch))
        .add::<ClientScope<CodesWrite>>(routes!(revoke_rest_of_batch))
}

fn told((offer, report): (StoredOffer, Option<Report>)) -> BatchReply {
    BatchReply { batch: offer.into(), report }
}

/// Lists a client's batches of redemption codes, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/redemption-batches", tag = "codes", params(PageQuery), responses((status = 200, body = List<RedemptionBatch>)))]
async fn list_batches(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<RedemptionBatch>>, Problem> {
    let page = query.page()?;
    let rows = store::list(&mut *app.acquire().await?, scope.client, Kind::Redemption, page).await?;
    Ok(Json(page.list(rows, |offer| offer.id, RedemptionBatch::from)))
}

/// Makes a batch of redemption codes: `count` to generate, or your own `codes`, or neither, to be appended to. Codes that
/// cannot be taken are reported by line, and the others stand.
#[utoipa::path(post, path = "/api/v1/clients/{client}/redemption-batches", tag = "codes", request_body = NewRedemptionBatch, responses((status = 201, body = BatchReply)))]
async fn create_batch(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    input: Post<NewRedemptionBatch>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let made = edit::create_batch(&mut transaction, author, scope.client, input.body).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &told(made)).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one batch.
#[utoipa::path(get, path = "/api/v1/clients/{client}/redemption-batches/{id}", tag = "codes", responses((status = 200, body = RedemptionBatch)))]
async fn get_batch(
    State(app): State<App>,
    scope: ClientScope<CodesRead>,
    Id(id): Id<BatchId>,
) -> Result<Json<RedemptionBatch>, Problem> {
    let found = store::find(&mut *app.acquire().await?, scope.client, Kind::Redemption, id.uuid()).await?;
    found.map(|offer| Json(offer.into())).ok_or_else(Problem::not_found)
}

/// Changes one batch: what is left out stays, null clears (JSON Merge Patch). `active: false` stops new redemptions of
/// all its codes at once.
#[utoipa::path(patch, path = "/api/v1/clients/{client}/redemption-batches/{id}", tag = "codes", request_body = RedemptionBatchChange, responses((status = 200, body = RedemptionBatch)))]
async fn update_batch(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    Id(id): Id<BatchId>,
    ApiJson(change): ApiJson<RedemptionBatchChange>,
) -> Result<Json<RedemptionBatch>, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let offer = edit::update_batch(&mut transaction, author, scope.client, id, change).await?;
    app.commit(transaction).await?;
    Ok(Json(offer.into()))
}

/// Revokes every unused code of a batch, at once: none can be redeemed from this answer on. What was redeemed stays, and
/// so does the access it gave. More than 100,000 codes are shown as revoked little by little, within a minute.
#[utoipa::path(post, path = "/api/v1/clients/{client}/redemption-batches/{id}/revoke", tag = "codes", responses((status = 200, body = Revoked)))]
async fn revoke_rest_of_batch(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    Id(id): Id<BatchId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let revoked = revoke::revoke_rest(&mut transaction, author, scope.client, id).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &Revoked { revoked }).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Adds codes to a batch: JSON with `count` or `codes`, or up to 100,000 lines as `text/csv` or `text/plain`, of which
/// the first column counts. Codes that cannot be taken are reported by line, and the others stand.
#[utoipa::path(post, path = "/api/v1/clients/{client}/redemption-batches/{id}/append", tag = "codes",
    request_body(content((Append = "application/json"), (String = "text/csv"), (String = "text/plain"))), responses(
    (status = 200, body = BatchReply),
    (status = 409, description = "The batch is still being generated, or its rest revoked.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn append_to_batch(
    State(app): State<App>,
    scope: ClientScope<CodesWrite>,
    Id(id): Id<BatchId>,
    once: Once,
    request: Request,
) -> Result<Reply, Problem> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/json" => {
            let bytes =
                whole(request, BODY_LIMIT, "The request body is too large. Send many codes as text/csv.").await?;
            append_json(&app, &scope, id, once.of_stream(sha256(&bytes)), parse_body(&bytes)?).await
        }
        "text/csv" | "text/plain" => {
            let file = whole(request, FILE_LIMIT, "The file is too large.").await?;
            append_lines(&app, &scope, id, once, &file).await
        }
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "api.not_json",
            "Send JSON as application/json, or lines as text/csv or text/plain.",
        )),
    }
}

/// The body, where it arrives whole and is not larger.
async fn whole(request: Request, limit: usize, too_large: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut parts = request.into_body().into_data_stream();
    while let Some(part) = parts.next().await {
        let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "api.body", "The request body did not arrive whole.");
        let part = part.map_err(broken)?;
        if bytes.len() + part.len() > limit {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "api.too_large", too_large));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

async fn append_json(
    app: &App,
    scope: &ClientScope<CodesWrite>,
    id: BatchId,
    once: Once,
    append: Append,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let made = edit::append(&mut transaction, author, scope.client, id, append.count, append.codes).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &told(made)).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Takes the lines of a file, in one transaction that begins when the file is there: a slow upload holds nothing.
async fn append_lines(
    app: &App,
    scope: &ClientScope<CodesWrite>,
    id: BatchId,
    once: Once,
    file: &[u8],
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.of_stream(sha256(file)).claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let before = store::find(&mut transaction, scope.client, Kind::Redemption, id.uuid()).await?;
    let before = before.ok_or_else(Problem::not_found)?;
    let mut intake = Intake::new(&app.entropy, scope.client, id, scope.now);
    let mut is_first = true;
    for line in file.split(|byte| *byte == b'\n') {
        take(&mut intake, &mut transaction, line, &mut is_first).await?;
    }
    let report = intake.finish(&mut transaction).await?;
    let offer = edit::appended(&mut transaction, author, scope.client, &before).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &told((offer, Some(report)))).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// One line: its first column, without quotes. Empty lines and a heading are passed over.
async fn take(
    intake: &mut Intake<'_>,
    conn: &mut sqlx::PgConnection,
    line: &[u8],
    is_first: &mut bool,
) -> Result<(), Problem> {
    let text = String::from_utf8_lossy(line);
    let column = text.trim_start_matches('\u{feff}').split([',', ';', '\t']).next().unwrap_or_default();
    let code = column.trim().trim_matches('"').trim().trim_start_matches('\'');
    if text.trim().is_empty() {
        return Ok(());
    }
    let is_heading = std::mem::take(is_first) && matches!(code.to_ascii_lowercase().as_str(), "code" | "codes");
    if is_heading { Ok(()) } else { intake.line(conn, code).await.map_err(Problem::from) }
}
