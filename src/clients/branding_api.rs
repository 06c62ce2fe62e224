//! Uploads of a client's pictures over the admin API, and what an admin is told of the colours.

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Client, brand_files,
    picture::{self, Part, PictureError},
};
use crate::{
    admin::{ApiRoutes, ClientScope, ClientsWrite},
    app::App,
    http::{Problem, problem::ProblemDetails},
};

/// What the other parts of a multipart form may take beside the file.
const FORM_OVERHEAD: usize = 16 << 10;

/// A colour that cannot be used everywhere as it is, and what pages use in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ColorWarning {
    /// `accent_color` or `secondary_color`.
    pub field: &'static str,
    pub detail: String,
}

/// A client as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientView {
    #[serde(flatten)]
    client: Client,
    /// Colours of the branding whose contrast is too low somewhere (WCAG 2.2, 1.4.3). Pages stay readable all the same:
    /// they use the shade that is named.
    branding_warnings: Vec<ColorWarning>,
}

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        Self { branding_warnings: client.branding.warnings(), client }
    }
}

impl From<PictureError> for Problem {
    fn from(error: PictureError) -> Self {
        let (status, code) = match error {
            PictureError::Empty => (StatusCode::UNPROCESSABLE_ENTITY, "branding.image_missing"),
            PictureError::Svg => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "branding.image_svg"),
            PictureError::UnknownType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "branding.image_type"),
            PictureError::TooManyPixels => (StatusCode::UNPROCESSABLE_ENTITY, "branding.image_pixels"),
            PictureError::Damaged => (StatusCode::UNPROCESSABLE_ENTITY, "branding.image_damaged"),
        };
        Self::new(status, code, super::api::sentence(&error))
    }
}

/// The routes of pictures.
pub(super) fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<ClientsWrite>>(routes!(put_logo, delete_logo))
        .add::<ClientScope<ClientsWrite>>(routes!(put_background, delete_background))
}

/// Uploads the logo: PNG, JPEG, WebP or GIF of at most 1 MB, as the body itself or as the one file of a form. It is
/// written anew as PNG, at most 960 by 320 pixels, and `branding.logo_url` then names it.
#[utoipa::path(put, path = "/api/v1/clients/{client}/branding/logo", tag = "clients", request_body(content = Vec<u8>, content_type = "image/png"), responses(
    (status = 200, body = ClientView),
    (status = 400, description = "The body did not arrive whole.", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 413, description = "The picture has too many bytes.", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 415, description = "It is no PNG, JPEG, WebP or GIF.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn put_logo(
    State(app): State<App>,
    scope: ClientScope<ClientsWrite>,
    request: Request,
) -> Result<axum::Json<ClientView>, Problem> {
    put(&app, &scope, request, Part::Logo).await
}

/// Takes the logo away.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/branding/logo", tag = "clients", responses((status = 204)))]
async fn delete_logo(State(app): State<App>, scope: ClientScope<ClientsWrite>) -> Result<StatusCode, Problem> {
    delete(&app, &scope, Part::Logo).await
}

/// Uploads the background picture: PNG, JPEG, WebP or GIF of at most 4 MB, as the body itself or as the one file of a
/// form. It is written anew as JPEG, at most 2,000 by 1,600 pixels, and `branding.background_url` then names it.
#[utoipa::path(put, path = "/api/v1/clients/{client}/branding/background", tag = "clients", request_body(content = Vec<u8>, content_type = "image/jpeg"), responses(
    (status = 200, body = ClientView),
    (status = 400, description = "The body did not arrive whole.", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 413, description = "The picture has too many bytes.", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 415, description = "It is no PNG, JPEG, WebP or GIF.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn put_background(
    State(app): State<App>,
    scope: ClientScope<ClientsWrite>,
    request: Request,
) -> Result<axum::Json<ClientView>, Problem> {
    put(&app, &scope, request, Part::Background).await
}

/// Takes the background picture away.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/branding/background", tag = "clients", responses((status = 204)))]
async fn delete_background(State(app): State<App>, scope: ClientScope<ClientsWrite>) -> Result<StatusCode, Problem> {
    delete(&app, &scope, Part::Background).await
}

async fn put(
    app: &App,
    scope: &ClientScope<ClientsWrite>,
    request: Request,
    part: Part,
) -> Result<axum::Json<ClientView>, Problem> {
    let bytes = upload(request, part.max_bytes()).await?;
    let file = app.pictures.run(move || picture::remake(&bytes, part)).await??;
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let client = brand_files::put_picture(&mut transaction, author, scope.client, part, &file).await?;
    app.commit(transaction).await?;
    Ok(axum::Json(client.into()))
}

async fn delete(app: &App, scope: &ClientScope<ClientsWrite>, part: Part) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    brand_files::remove_picture(&mut transaction, scope.author(&app.entropy), scope.client, part).await?;
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The bytes of the picture, from the body or from the one file of a form.
async fn upload(mut request: Request, most: usize) -> Result<Bytes, Problem> {
    DefaultBodyLimit::max(most + FORM_OVERHEAD).apply(&mut request);
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bytes = if media.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let mut form = Multipart::from_request(request, &()).await.map_err(broken)?;
        let mut found = None;
        while let Some(field) = form.next_field().await.map_err(broken)? {
            if field.file_name().is_none() {
                continue;
            }
            if found.replace(field.bytes().await.map_err(broken)?).is_some() {
                return Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "branding.image_several",
                    "Send one file only.",
                ));
            }
        }
        found.unwrap_or_default()
    } else {
        Bytes::from_request(request, &()).await.map_err(broken)?
    };
    if bytes.len() > most { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> Problem {
    let title = "The picture has too many bytes: a logo at most 1 MB, a background at most 4 MB.";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "branding.image_too_large", title)
}

fn broken(rejection: impl IntoResponse) -> Problem {
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        too_large()
    } else {
        Problem::new(StatusCode::BAD_REQUEST, "api.body", "The request body did not arrive whole.")
    }
}
