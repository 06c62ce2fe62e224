//! How a client's facts become the brand that its pages wear, the files of that brand, and the page of a client that is
//! closed.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{ClientFacts, ClientStatus, brand_files};
use crate::{
    app::App,
    http::{
        Problem, assets,
        page::{self, AdvicePage, Brand},
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
    Path((slug, name)): Path<(String, String)>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let client = app.clients.met(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    let found = brand_files::find(&mut *app.acquire().await?, client.id, &name).await?;
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

impl<'a> Brand<'a> {
    /// The client's look; what it leaves open is neutral.
    pub fn of(client: &'a ClientFacts) -> Self {
        let branding = &client.branding;
        Self {
            slug: &client.slug,
            name: &client.name,
            theme: branding.theme(),
            logo_url: branding.logo_url.as_deref(),
            background_url: branding.background_url.as_deref(),
            welcome_text: branding.welcome_text.as_deref(),
            footer: branding.footer.as_deref(),
            support_email: branding.support_email.as_deref(),
            stylesheet: branding.stylesheet_url.as_deref(),
        }
    }
}

/// The client of a path, or the page that says that it is closed. A client that never was is a 404.
pub async fn open(app: &App, slug: &str) -> Result<Result<Arc<ClientFacts>, Response>, Problem> {
    let client = app.clients.by_slug(&app.db, slug).await?.ok_or_else(Problem::not_found)?;
    if client.is_live(app.clock.now()) { Ok(Ok(client)) } else { Ok(Err(closed(&client))) }
}

/// Tells that a client's people are not let in now, and why.
pub fn closed(client: &ClientFacts) -> Response {
    let advice = match client.status {
        ClientStatus::Disabled => &text::refused::CLIENT_OFF,
        ClientStatus::Active => &text::refused::ENDED,
    };
    let page = AdvicePage { brand: Brand::of(client), advice, message: None, reference: None, retry: None };
    page::render(StatusCode::FORBIDDEN, &page)
}
