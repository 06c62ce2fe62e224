//! Static files and theme stylesheets under `/static`. Release builds carry the files inside the binary; debug builds
//! read them from disk. What is asked for by the current version is cached for good, anything else is revalidated.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::RustEmbed;

use super::{Problem, theme::Theme};
use crate::app::App;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/src/http/static"]
struct Files;

/// For what is named by its content.
pub const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, no-cache");

/// `/static/v-<digest of all files>`: a constant of the build, worked out when first asked for.
static PREFIX: LazyLock<String> = LazyLock::new(|| {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for name in Files::iter() {
        digest.update(name.as_bytes());
        if let Some(file) = Files::get(&name) {
            digest.update(&file.metadata.sha256_hash());
        }
    }
    let digest = digest.finish();
    hex(digest.as_ref().get(..6).unwrap_or_default(), "/static/v-")
});

fn hex(bytes: &[u8], before: &str) -> String {
    bytes.iter().fold(before.to_owned(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a page puts before the name of a static file, without a slash at the end.
pub fn prefix() -> &'static str {
    &PREFIX
}

/// `/static/…`.
pub fn routes() -> Router<App> {
    Router::new().route("/static/theme/{file}", get(theme)).route("/static/{*path}", get(file))
}

async fn theme(Path(file): Path<String>) -> Response {
    let Some(theme) = file.strip_suffix(".css").and_then(|name| name.parse::<Theme>().ok()) else {
        return Problem::not_found().into_response();
    };
    let headers = [
        (header::CACHE_CONTROL, FOR_GOOD),
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
    ];
    (headers, theme.stylesheet()).into_response()
}

async fn file(Path(path): Path<String>, request: HeaderMap) -> Response {
    let current = prefix().strip_prefix("/static/").unwrap_or_default();
    let (version, name) = match path.split_once('/') {
        Some((version, name)) if version.starts_with("v-") => (Some(version), name),
        _ => (None, path.as_str()),
    };
    let Some(file) = Files::get(name) else {
        return Problem::not_found().into_response();
    };
    // A replica of another release may be asked in a roll-out: it answers with what it has, and nobody keeps that.
    let is_current = version == Some(current) && !cfg!(debug_assertions);
    let cache = if is_current { FOR_GOOD } else { REVALIDATE };
    let tag = format!("{}\"", hex(file.metadata.sha256_hash().get(..12).unwrap_or_default(), "\""));
    let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
    let known = is_known(&request, &tag);
    let headers = [
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_TYPE, content_type(file.metadata.mimetype())),
        (header::ETAG, tag),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.data).into_response()
}

/// Whether the browser has it already, by its tag.
pub fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        // A weak comparison (RFC 9110, 13.1.2): compression on the way weakens the tag.
        .any(|value| tag == value.trim().trim_start_matches("W/"))
}

fn content_type(guessed: &str) -> HeaderValue {
    let text = if guessed.starts_with("text/") { format!("{guessed}; charset=utf-8") } else { guessed.to_owned() };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
