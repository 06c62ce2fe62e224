//! The files of a client's look, and the page of a client that is closed.

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{ClientStatus, Site, brand_files};
use crate::{
    app::App,
    http::{
        Problem, assets,
        page::{self, AdvicePage},
        text,
    },
};

/// `/{client}/branding/…`
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/branding/{file}", get(file))
}

/// A picture or stylesheet of a client. It is named by its content, so that whoever has it never asks again.
async fn file(
    State(app): State<App>,
    site: Site,
    Path((_, name)): Path<(String, String)>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let found = brand_files::find(&mut *app.acquire().await?, site.id, &name).await?;
    let (media_type, bytes) = found.ok_or_else(Problem::not_found)?;
    let content_type = match media_type.as_str() {
        "image/png" => "image/png",
        "image/jpeg" => "image/jpeg",
        _ => "text/css; charset=utf-8",
    };
    let tag = HeaderValue::from_str(&format!("\"{name}\"")).unwrap_or(HeaderValue::from_static("\"\""));
    let headers = [
        (header::CACHE_CONTROL, assets::FOR_GOOD),
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        // Nothing that a file of this path could ever hold runs, whatever a browser makes of it.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::ETAG, tag.clone()),
    ];
    if assets::is_known(&request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, bytes).into_response())
}

/// Tells that a client's people are not let in now, and why.
pub fn closed(site: &Site) -> Response {
    let advice = match site.status {
        ClientStatus::Disabled => &text::refused::CLIENT_OFF,
        ClientStatus::Active => &text::refused::ENDED,
    };
    let page = AdvicePage { brand: site.brand(), advice, message: None, reference: None, retry: None };
    page::render(StatusCode::FORBIDDEN, &page)
}
