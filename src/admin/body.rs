//! Request bodies, queries and path segments of the admin API, read strictly: what is unknown, read-only, of the wrong
//! type or not JSON is refused, with a pointer to it.

use std::str::FromStr;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::Once;
use crate::{app::App, crypto::sha256, http::Problem};

const KEY_HEADER: &str = "idempotency-key";
const MAX_KEY: usize = 255;
/// A path that is longer is remembered by its hash.
const MAX_ROUTE: usize = 300;

/// A type that is read from a request body. Derive `Deserialize` with `deny_unknown_fields`.
pub trait Body: DeserializeOwned + Send {
    /// Fields that the resource shows and that nobody may write; `*` stands for an index.
    const READ_ONLY: &'static [&'static str] = &[];
}

/// The body of a PUT or PATCH, as JSON.
pub struct ApiJson<T>(pub T);

/// The body of a POST, as JSON, with its `Idempotency-Key`.
pub struct Post<T> {
    pub body: T,
    pub once: Once,
}

/// The query of a list.
pub struct ApiQuery<T>(pub T);

/// The `{id}` segment of the path. One that is no id of this kind is a 404, as one that never was.
pub struct Id<T>(pub T);

/// All segments of the path that `T` names.
pub struct ApiPath<T>(pub T);

/// For a field that may be left out: `#[serde(default, deserialize_with = "present")]`. On `Option<T>` null is refused;
/// on `Option<Option<T>>` null clears, as JSON Merge Patch has it (RFC 7396).
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn not_json(status: StatusCode) -> Problem {
    Problem::new(status, "api.not_json", "Send one JSON object with Content-Type: application/json.")
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media == "application/merge-patch+json"
}

async fn bytes(request: Request, app: &App) -> Result<Bytes, Problem> {
    Bytes::from_request(request, app).await.map_err(|rejection| {
        if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "api.too_large", "The request body is too large.")
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "api.body", "The request body did not arrive whole.")
        }
    })
}

/// Reads a JSON body into `T`, or says what does not fit and where.
pub fn parse<T: Body>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| not_json(StatusCode::BAD_REQUEST))?;
    if !value.is_object() {
        return Err(not_json(StatusCode::BAD_REQUEST));
    }
    // PostgreSQL stores no NUL in text or jsonb.
    if let Some(pointer) = find_nul(&value, &mut String::new()) {
        return Err(Problem::field("api.invalid", pointer, "a text may not hold the character U+0000"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut pointer = pointer_of(error.path());
        let text = error.inner().to_string();
        if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            pointer = format!("{pointer}/{field}");
            return Problem::field("api.required", pointer, "this field is required");
        }
        if text.starts_with("unknown field") {
            let is_index = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let parts = pointer.split('/').skip(1).map(|part| if is_index(&part) { "*" } else { part });
            let field = parts.collect::<Vec<_>>().join("/");
            let is_read_only = T::READ_ONLY.contains(&field.as_str());
            return if is_read_only {
                Problem::field("api.read_only_field", pointer, "this field is shown, and cannot be written")
            } else {
                Problem::field("api.unknown_field", pointer, "there is no such field here")
            };
        }
        Problem::field("api.invalid", pointer, expectation(&text))
    })
}

/// What was expected, without what was given: a secret may stand in the wrong field.
fn expectation(text: &str) -> String {
    match text.split_once("expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "the value does not fit this field".to_owned(),
    }
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&escape(key)),
            Segment::Enum { variant } => pointer.push_str(&escape(variant)),
            Segment::Unknown => {
                pointer.pop();
            }
        }
    }
    pointer
}

/// RFC 6901, section 3.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn find_nul(value: &Value, pointer: &mut String) -> Option<String> {
    let length = pointer.len();
    let mut below = |key: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&escape(key));
        let found = find_nul(value, pointer);
        pointer.truncate(length);
        found
    };
    match value {
        Value::String(text) if text.contains('\0') => Some(pointer.clone()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| below(&index.to_string(), item)),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(key, field)| if key.contains('\0') { Some(String::from("")) } else { below(key, field) }),
        _ => None,
    }
}

fn once(parts_headers: &HeaderMap, method: &axum::http::Method, path: &str, body: &[u8]) -> Result<Once, Problem> {
    let mut keys = parts_headers.get_all(KEY_HEADER).iter();
    let wrong = || {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency.key",
            "An Idempotency-Key is sent once and has 1 to 255 printable ASCII characters.",
        )
    };
    let key = keys.next().map(|value| value.to_str().map(str::to_owned).map_err(|_| wrong())).transpose()?;
    if keys.next().is_some() || key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_KEY) {
        return Err(wrong());
    }
    let mut route = format!("{method} {path}");
    if route.len() > MAX_ROUTE {
        route = sha256(route.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    }
    Ok(Once { key, route, body_hash: sha256(body) })
}

impl<T: Body> FromRequest<App> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        parse(&bytes(request, app).await?).map(Self)
    }
}

impl<T: Body> FromRequest<App> for Post<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let (headers, method) = (request.headers().clone(), request.method().clone());
        let path = request.uri().path().to_owned();
        let bytes = bytes(request, app).await?;
        let once = once(&headers, &method, &path, &bytes)?;
        Ok(Self { body: parse(&bytes)?, once })
    }
}

/// For a POST that has no body.
impl FromRequestParts<App> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        once(&parts.headers, &parts.method, parts.uri.path(), b"")
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Problem::field("api.query", "", "a text may not hold the character U+0000"));
        }
        Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query)).map_err(|rejection| {
            let text = rejection.body_text();
            // `Failed to deserialize query string: <parameter>: <what is wrong>`
            let mut pieces = text.splitn(3, ": ").skip(1);
            match (pieces.next(), pieces.next()) {
                (Some(parameter), Some(_)) => {
                    Problem::field("api.query", format!("/{}", escape(parameter)), "unknown, or not a value it takes")
                }
                _ => Problem::field("api.query", "", "a parameter is unknown, or comes twice"),
            }
        })
    }
}

impl<T: FromStr + Send> FromRequestParts<App> for Id<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let params = RawPathParams::from_request_parts(parts, app).await;
        let id = params.ok().and_then(|params| {
            params.iter().find_map(|(name, value)| (name == "id").then(|| value.parse().ok())).flatten()
        });
        id.map(Self).ok_or_else(|| Problem::not_found().into_response())
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::not_found());
        }
        let path = axum::extract::Path::<T>::from_request_parts(parts, app).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| Problem::not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "what is read is looked at as a whole")]
    struct Example {
        name: String,
        #[serde(default, deserialize_with = "present")]
        count: Option<u8>,
        #[serde(default, deserialize_with = "present")]
        sku: Option<Option<String>>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "what is read is looked at as a whole")]
    struct Inner {
        #[allow(dead_code)]
        list: Vec<u8>,
    }

    impl Body for Example {
        const READ_ONLY: &'static [&'static str] = &["id"];
    }

    fn refused(body: &str) -> (&'static str, String) {
        let problem = parse::<Example>(body.as_bytes()).expect_err(body);
        (problem.code(), format!("{problem:?}"))
    }

    #[test]
    fn an_unknown_a_read_only_and_a_missing_field_are_told_apart() {
        assert_eq!(refused(r#"{"name":"a","nam":1}"#).0, "api.unknown_field");
        assert_eq!(refused(r#"{"name":"a","id":"x"}"#).0, "api.read_only_field");
        assert_eq!(refused("{}").0, "api.required");
    }

    #[test]
    fn a_wrong_type_is_told_with_a_pointer_and_without_the_value() {
        let (code, text) = refused(r#"{"name":"a","inner":{"list":[1,"hunter2"]}}"#);
        assert_eq!(code, "api.invalid");
        assert!(text.contains("/inner/list/1"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(refused(r#"{"name":"a","inner":{"lost":1}}"#).1.contains("/inner/lost"));
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let read = |body: &str| parse::<Example>(body.as_bytes()).expect(body);
        assert_eq!(read(r#"{"name":"a"}"#).sku, None);
        assert_eq!(read(r#"{"name":"a","sku":null}"#).sku, Some(None));
        assert_eq!(read(r#"{"name":"a","sku":"x"}"#).sku, Some(Some("x".into())));
        assert_eq!(read(r#"{"name":"a","count":3}"#).count, Some(3));
        assert_eq!(refused(r#"{"name":"a","count":null}"#).0, "api.invalid");
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for body in ["", "[]", "\"a\"", "{", "name=a", "{} {}"] {
            assert_eq!(refused(body).0, "api.not_json", "{body}");
        }
        assert!(refused(r#"{"name":"a\u0000b"}"#).1.contains("/name"));
    }
}
