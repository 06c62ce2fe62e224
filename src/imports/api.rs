//! Imports over the admin API, but for the upload itself.

use axum::{
    Json,
    body::Body as HttpBody,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{
    confirm::{self, ImportError},
    model::{Choice, Import, ImportRow, Outcome},
    report::{self, Report},
    store,
    store_rows::{self, Filter},
    upload_api,
};
use crate::{
    admin::{ApiQuery, ApiRoutes, Body, Claim, ClientScope, Id, ImportsRead, ImportsWrite, Once, Post, Reply},
    app::App,
    http::{
        Problem, csv,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::ImportId,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

impl Body for Choice {}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let conflict = |code, text: String| Self::new(StatusCode::CONFLICT, code, text);
        match error {
            ImportError::NotFound => Self::not_found(),
            ImportError::WrongState(state) => conflict(
                "imports.wrong_state",
                format!("The import is {}. Only a ready one is confirmed, and only a done one undone.", state.as_str()),
            ),
            ImportError::BadRows(count) => conflict(
                "imports.bad_rows",
                format!("{count} rows are not good. Correct the file, or confirm the good rows only."),
            ),
            ImportError::SeatsShort(seats) => {
                let problem = conflict(
                    "imports.seats_short",
                    "There are fewer seats than the rows need. Raise the limit, or confirm with only_what_fits.".into(),
                );
                seats.iter().fold(problem, |problem, seat| {
                    let scope = seat.sublicense.map_or_else(|| seat.client.to_string(), |id| id.to_string());
                    problem.with_field(
                        format!("/seats/{scope}"),
                        format!("{} needed, {} free", seat.needed, seat.free.max(0)),
                    )
                })
            }
            ImportError::TooManyAtOnce => too_many(),
            ImportError::Fault(fault) => fault.into(),
        }
    }
}

pub(super) fn too_many() -> Problem {
    let problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "imports.too_many_at_once",
        "This client has as many imports under way as it may. Wait until one is done.",
    );
    problem.retry_after(std::time::Duration::from_secs(10))
}

/// The routes of imports.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ImportsWrite>>(routes!(upload_api::create_import))
        .add::<ClientScope<ImportsRead>>(routes!(list_imports))
        .add::<ClientScope<ImportsRead>>(routes!(get_import))
        .add::<ClientScope<ImportsRead>>(routes!(list_import_rows))
        .add::<ClientScope<ImportsRead>>(routes!(download_import_rows))
        .add::<ClientScope<ImportsWrite>>(routes!(confirm_import))
        .add::<ClientScope<ImportsWrite>>(routes!(undo_import))
}

/// The template, which anybody may have.
pub async fn serve_template() -> Response {
    download("usher-import-template.csv", HttpBody::from(report::template()))
}

fn download(name: &'static str, body: HttpBody) -> Response {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(csv::MEDIA_TYPE)), (header::CONTENT_DISPOSITION, disposition)];
    (headers, body).into_response()
}

/// Lists a client's imports, oldest first. Seats are shown with a single import.
#[utoipa::path(get, path = "/api/v1/clients/{client}/imports", tag = "imports", params(PageQuery), responses((status = 200, body = List<Import>)))]
async fn list_imports(
    State(app): State<App>,
    scope: ClientScope<ImportsRead>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<List<Import>>, Problem> {
    let page = query.page()?;
    let rows = store::list(&mut *app.acquire().await?, scope.client, scope.is_operator(), page).await?;
    Ok(Json(page.list(rows, |import| import.id.uuid(), |import| import)))
}

/// Shows one import: how far it has come, rows by outcome, seats needed against seats free.
#[utoipa::path(get, path = "/api/v1/clients/{client}/imports/{id}", tag = "imports", responses((status = 200, body = Import)))]
async fn get_import(
    State(app): State<App>,
    scope: ClientScope<ImportsRead>,
    Id(id): Id<ImportId>,
) -> Result<Json<Import>, Problem> {
    let mut conn = app.acquire().await?;
    Ok(Json(confirm::load(&mut conn, scope.client, id, scope.is_operator()).await?))
}

/// Which rows of an import to show.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RowsQuery {
    /// Rows in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of which the dry run says this.
    outcome: Option<Outcome>,
    /// Rows of which this became.
    result: Option<Outcome>,
}

impl RowsQuery {
    const fn filter(&self) -> Filter {
        Filter { outcome: self.outcome, result: self.result }
    }

    fn after(&self) -> Result<i32, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(0) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let row = bytes.map(i32::from_be_bytes).filter(|row| *row >= 0);
        row.ok_or_else(|| Problem::field("page.cursor", "/cursor", "give a next_cursor of this very list"))
    }
}

/// Lists the rows of an import in the order of the file.
#[utoipa::path(get, path = "/api/v1/clients/{client}/imports/{id}/rows", tag = "imports", params(RowsQuery), responses((status = 200, body = List<ImportRow>)))]
async fn list_import_rows(
    State(app): State<App>,
    scope: ClientScope<ImportsRead>,
    Id(id): Id<ImportId>,
    ApiQuery(query): ApiQuery<RowsQuery>,
) -> Result<Json<List<ImportRow>>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::field("page.limit", "/limit", "limit is 1 to 200"));
    }
    let after = query.after()?;
    let mut conn = app.acquire().await?;
    confirm::load(&mut conn, scope.client, id, scope.is_operator()).await?;
    let mut rows = store_rows::list(&mut conn, scope.client, id, query.filter(), after, i64::from(limit) + 1).await?;
    let has_more = rows.len() > usize::from(limit);
    rows.truncate(usize::from(limit));
    let next_cursor = rows.last().filter(|_| has_more).map(|row| URL_SAFE_NO_PAD.encode(row.row.to_be_bytes()));
    Ok(Json(List { items: rows, next_cursor }))
}

/// Downloads the rows of an import with what became of each, as CSV that no spreadsheet runs.
#[utoipa::path(get, path = "/api/v1/clients/{client}/imports/{id}/rows.csv", tag = "imports", params(RowsQuery), responses((status = 200, body = String, content_type = "text/csv")))]
async fn download_import_rows(
    State(app): State<App>,
    scope: ClientScope<ImportsRead>,
    Id(id): Id<ImportId>,
    ApiQuery(query): ApiQuery<RowsQuery>,
) -> Result<Response, Problem> {
    let mut tx = app.begin().await?;
    confirm::load(&mut tx, scope.client, id, scope.is_operator()).await?;
    // Who took people's names and addresses away is worth knowing later.
    let event = scope.event("import.rows_downloaded", id.to_string(), serde_json::json!({}));
    crate::audit::record(&mut tx, &app.entropy, event).await.map_err(Problem::from)?;
    app.commit(tx).await?;
    let report = Report::new(&app, scope.client, id, query.filter());
    let pieces = stream::unfold(Some(report), |report| async {
        let mut report = report?;
        match report.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(report))),
            Ok(None) => None,
            // The download breaks off, so that nobody takes a part of it for the whole.
            Err(fault) => Some((Err(fault), None)),
        }
    });
    Ok(download("usher-import-result.csv", HttpBody::from_stream(pieces.fuse())))
}

/// Confirms a dry run: what it found is done, by a worker; look at the import for how far it has come.
#[utoipa::path(post, path = "/api/v1/clients/{client}/imports/{id}/confirm", tag = "imports", request_body = Choice, responses(
    (status = 202, body = Import),
    (status = 409, description = "The import is not ready, rows are bad, or seats are short; the code says which.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn confirm_import(
    State(app): State<App>,
    scope: ClientScope<ImportsWrite>,
    Id(id): Id<ImportId>,
    input: Post<Choice>,
) -> Result<Reply, Problem> {
    let mut tx = app.begin().await?;
    let ticket = match input.once.claim(&mut tx, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let author = scope.author(&app.entropy);
    let import = confirm::confirm(&mut tx, author, scope.client, id, scope.is_operator(), input.body).await?;
    let reply = ticket.reply(&mut tx, StatusCode::ACCEPTED, &import).await?;
    app.commit(tx).await?;
    Ok(reply)
}

/// Revokes the invites that the import made and nobody has accepted, by a worker. Records and access stay.
#[utoipa::path(post, path = "/api/v1/clients/{client}/imports/{id}/undo", tag = "imports", responses(
    (status = 202, body = Import),
    (status = 409, description = "The import is not done, or its rows were removed.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn undo_import(
    State(app): State<App>,
    scope: ClientScope<ImportsWrite>,
    Id(id): Id<ImportId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut tx = app.begin().await?;
    let ticket = match once.claim(&mut tx, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let import = confirm::undo(&mut tx, scope.author(&app.entropy), scope.client, id, scope.is_operator()).await?;
    let reply = ticket.reply(&mut tx, StatusCode::ACCEPTED, &import).await?;
    app.commit(tx).await?;
    Ok(reply)
}
