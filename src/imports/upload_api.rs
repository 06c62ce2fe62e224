//! The upload of a file over the admin API, as it arrives: a `text/csv` body with its options in the query, or a form
//! with a file and its options as fields.

use axum::{
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State, multipart::Field},
    http::{HeaderMap, StatusCode, header},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    api::too_many,
    cells,
    model::{Action, Import, ImportOptions},
    upload::{Upload, UploadError, Uploader},
};
use crate::{
    admin::{ApiQuery, Claim, ClientScope, ImportsWrite, Once, Reply},
    app::App,
    clients::is_plain_text,
    http::{Problem, problem::ProblemDetails},
};

const MAX_OPTION: usize = 8 << 10;
const MAX_MESSAGE: usize = 2000;
const MAX_NAME: usize = 200;
const MAX_SUBLICENSES: usize = 100;
/// What a form may weigh beside its file.
const FORM_OVERHEAD: usize = 1 << 20;

/// What holds for every row that does not say otherwise.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadQuery {
    /// Ids, slugs or skus, separated by `|` or `,`; each client's default one where absent.
    sublicenses: Option<String>,
    /// `learner` (default) or `manager`.
    role: Option<String>,
    /// `yes` sends invites to people who cannot sign in yet; `no` (default) gives access at once.
    send_invite: Option<String>,
    /// `add` (default), `move` (ends other access that imports and admins granted) or `remove` (ends access and blocks it).
    action: Option<String>,
    /// Plain text in the invites, at most 2,000 characters.
    message: Option<String>,
    /// `yes` clears an admin's blocks of what is granted; `no` is the default.
    clear_blocks: Option<String>,
    /// The name of the file, to know it by.
    file_name: Option<String>,
}

/// A form with a file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes the form")]
struct UploadForm {
    #[schema(value_type = String, format = Binary)]
    file: String,
    #[schema(inline)]
    #[allow(dead_code)]
    options: UploadQuery,
}

impl UploadQuery {
    fn set(&mut self, name: &str, value: String) -> Result<(), Problem> {
        let place = match name {
            "sublicenses" => &mut self.sublicenses,
            "role" => &mut self.role,
            "send_invite" => &mut self.send_invite,
            "action" => &mut self.action,
            "message" => &mut self.message,
            "clear_blocks" => &mut self.clear_blocks,
            "file_name" => &mut self.file_name,
            _ => {
                return Err(Problem::field(
                    "api.unknown_field",
                    format!("/{}", shown(name)),
                    "there is no such field here",
                ));
            }
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Problem::field("api.invalid", format!("/{name}"), "this field comes twice")),
        }
    }

    /// The options, checked; an empty one counts as absent.
    fn options(&self) -> Result<ImportOptions, Problem> {
        let given = |value: &Option<String>| value.as_deref().map(cells::clean).filter(|text| !text.is_empty());
        let invalid = |field: &str, detail: &str| Problem::field("api.invalid", format!("/{field}"), detail);
        let truth = |field: &str, value: &Option<String>| match given(value) {
            None => Ok(false),
            Some(text) => cells::yes_or_no(&text).ok_or_else(|| invalid(field, "write yes or no")),
        };
        let mut options = ImportOptions {
            send_invite: truth("send_invite", &self.send_invite)?,
            clear_blocks: truth("clear_blocks", &self.clear_blocks)?,
            message: given(&self.message),
            ..ImportOptions::default()
        };
        if let Some(names) = given(&self.sublicenses) {
            options.sublicenses =
                names.split(['|', ',', ';']).map(cells::clean).filter(|name| !name.is_empty()).collect();
            if options.sublicenses.len() > MAX_SUBLICENSES {
                return Err(invalid("sublicenses", "at most 100"));
            }
        }
        if let Some(role) = given(&self.role) {
            options.role = match role.to_lowercase().as_str() {
                "learner" => crate::claims::Role::Learner,
                "manager" => crate::claims::Role::Manager,
                _ => return Err(invalid("role", "write learner or manager")),
            };
        }
        if let Some(action) = given(&self.action) {
            options.action =
                action.to_lowercase().parse::<Action>().map_err(|_| invalid("action", "write add, move or remove"))?;
        }
        if options.message.as_ref().is_some_and(|message| !is_plain_text(message, MAX_MESSAGE, true)) {
            return Err(invalid("message", "plain text of at most 2,000 characters"));
        }
        Ok(options)
    }

    fn file_name(&self) -> Option<String> {
        let name = cells::clean(self.file_name.as_deref()?);
        let plain: String = name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect();
        (!plain.is_empty()).then_some(plain)
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(64).collect()
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::File(file) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, file.code(), file.to_string()),
            UploadError::TooLarge(most) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "imports.too_large",
                format!("The file has more than {most} bytes. Split it."),
            ),
            UploadError::TooManyAtOnce => too_many(),
            UploadError::TooLate => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "imports.too_late",
                "The file took too long to arrive. Upload it again.",
            ),
            UploadError::Fault(fault) => fault.into(),
        }
    }
}

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Csv,
    Form,
}

fn media(headers: &HeaderMap) -> Result<Media, Problem> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let (kind, parameters) = lower.split_once(';').unwrap_or((&lower, ""));
    if let Some((_, charset)) = parameters.split_once("charset=") {
        let charset = charset.split(';').next().unwrap_or_default().trim().trim_matches('"');
        if !matches!(charset, "utf-8" | "utf8" | "us-ascii") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "imports.not_utf8",
                "Save the file as \"CSV UTF-8\" and upload it again.",
            ));
        }
    }
    match kind.trim() {
        "text/csv" | "application/csv" | "text/plain" => Ok(Media::Csv),
        "multipart/form-data" => Ok(Media::Form),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "imports.media_type",
            "Send the file as text/csv, or as the field `file` of multipart/form-data.",
        )),
    }
}

fn broken() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "api.body", "The request body did not arrive whole.")
}

/// Uploads a CSV file of up to 100,000 people for a dry run; nobody is changed or told until it is confirmed.
///
/// The first row names the columns, in any order and case: `email`, `first_name`, `last_name`, `external_id`, `language`,
/// `client` (an operator's file only), `sublicenses` (several separated by `|` or `;`), `role`, `send_invite`, `action`,
/// `attributes.*`. An empty cell changes nothing. UTF-8, with comma, semicolon or tab. The template is at
/// `/api/v1/imports/template.csv`, for everybody. With an `Idempotency-Key`, the same file and options make one import.
#[utoipa::path(post, path = "/api/v1/clients/{client}/imports", tag = "imports", params(UploadQuery),
    request_body(description = "The file.", content((String = "text/csv"), (UploadForm = "multipart/form-data"))),
    responses(
        (status = 202, body = Import),
        (status = 408, description = "The file took too long to arrive.", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "The file is too large.", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither text/csv nor a form, or not UTF-8.", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "The file does not read; the title says what to do.", body = ProblemDetails, content_type = "application/problem+json"),
))]
pub(super) async fn create_import(
    State(app): State<App>,
    scope: ClientScope<ImportsWrite>,
    once: Once,
    ApiQuery(mut query): ApiQuery<UploadQuery>,
    request: Request,
) -> Result<Reply, Problem> {
    let media = media(request.headers())?;
    // Wrong options are told before a large file has come.
    query.options()?;
    let uploader = Uploader { client: scope.client, is_operator: scope.is_operator() };
    let mut upload = Upload::begin(&app, scope.author(&app.entropy), uploader).await?;
    let received = match media {
        Media::Csv => receive_csv(&mut upload, request).await,
        Media::Form => receive_form(&app, &mut upload, &mut query, request).await,
    };
    let finished = match received {
        Ok(()) => finish(&app, &scope, &once, &mut upload, &query).await,
        Err(problem) => Err(problem),
    };
    if !matches!(finished, Ok(Finished::HandedOver(_))) {
        upload.abandon().await;
    }
    match finished? {
        Finished::HandedOver(reply) | Finished::Repeated(reply) => Ok(reply),
    }
}

async fn receive_csv(upload: &mut Upload, request: Request) -> Result<(), Problem> {
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        upload.push(&piece.map_err(|_| broken())?).await?;
    }
    Ok(upload.end().await?)
}

async fn receive_form(
    app: &App,
    upload: &mut Upload,
    query: &mut UploadQuery,
    mut request: Request,
) -> Result<(), Problem> {
    DefaultBodyLimit::max(app.settings.imports.max_bytes.saturating_add(FORM_OVERHEAD)).apply(&mut request);
    let mut form = Multipart::from_request(request, app).await.map_err(|_| broken())?;
    let mut has_file = false;
    while let Some(field) = form.next_field().await.map_err(|_| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" {
            let value = text(field).await?;
            query.set(&name, value)?;
            continue;
        }
        if std::mem::replace(&mut has_file, true) {
            return Err(Problem::field("api.invalid", "/file", "send one file at a time"));
        }
        if query.file_name.is_none() {
            query.file_name = field.file_name().map(str::to_owned);
        }
        let mut field = field;
        while let Some(piece) = field.chunk().await.map_err(|_| broken())? {
            upload.push(&piece).await?;
        }
    }
    if !has_file {
        return Err(Problem::field("api.required", "/file", "this field is required"));
    }
    Ok(upload.end().await?)
}

/// The value of a small field.
async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|_| broken())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_OPTION {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "api.too_large",
                "A field of the form is too large.",
            ));
        }
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| Problem::field("api.invalid", "", "a field of the form is not text"))
}

/// What came of a file that is here.
enum Finished {
    HandedOver(Reply),
    /// The same request came before: what came again is not needed.
    Repeated(Reply),
}

/// Hands the file over to the dry run, once for each key.
async fn finish(
    app: &App,
    scope: &ClientScope<ImportsWrite>,
    once: &Once,
    upload: &mut Upload,
    query: &UploadQuery,
) -> Result<Finished, Problem> {
    let options = query.options()?;
    let file_name = query.file_name();
    let hash = upload.hash(&options, file_name.as_deref())?;
    let mut tx = app.begin().await?;
    let ticket = match once.clone().of_stream(hash).claim(&mut tx, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(Finished::Repeated(reply)),
        Claim::Fresh(ticket) => ticket,
    };
    let import = upload.hand_over(&mut tx, scope.author(&app.entropy), &options, file_name.as_deref()).await?;
    let reply = ticket.reply(&mut tx, StatusCode::ACCEPTED, &import).await?;
    app.commit(tx).await?;
    Ok(Finished::HandedOver(reply))
}
