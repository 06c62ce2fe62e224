//! Errors of the API as RFC 9457 problem details: a stable `code`, and a `reference` that is found again in logs.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Reference, page};
use crate::fault::Fault;

/// One thing wrong with one field of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where, as a JSON pointer into the request body.
    pub pointer: String,
    pub detail: String,
}

/// An error as the caller reads it. It becomes the response body in [`render`], where the reference is known.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: String,
    fields: Vec<FieldProblem>,
    retry_after_s: Option<u64>,
}

/// The wire form of a [`Problem`].
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// `urn:usher:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub status: u16,
    /// Stable, for programs.
    pub code: &'static str,
    /// What happened and what to do next, for people.
    pub title: String,
    /// Found again in the logs and the audit trail.
    pub reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, title: impl Into<String>) -> Self {
        Self { status, code, title: title.into(), fields: Vec::new(), retry_after_s: None }
    }

    /// 404, the same for what never was and for what is another client's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// 422 for one field.
    pub fn field(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The request does not hold together; see errors.")
            .with_field(pointer, detail)
    }

    #[must_use]
    pub fn with_field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.fields.push(FieldProblem { pointer: pointer.into(), detail: detail.into() });
        self
    }

    #[must_use]
    pub fn retry_after(mut self, wait: std::time::Duration) -> Self {
        self.retry_after_s = Some(wait.as_secs().saturating_add(1));
        self
    }

    pub const fn status(&self) -> StatusCode {
        self.status
    }

    pub const fn code(&self) -> &'static str {
        self.code
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        // A transaction that PostgreSQL let give way to another has done nothing, and may go through when tried again.
        if fault.is_passing() || fault.is_conflict() {
            tracing::warn!(error = %fault, "a request found no way through for now");
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "A part of the service is away for a moment. Try again shortly.",
            )
            .retry_after(std::time::Duration::from_secs(1));
        }
        tracing::error!(error = %fault, "a request failed inside");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side. Tell support the reference.",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives a [`Problem`] its body, now that the reference of the request is known: a page for a person in a browser, JSON
/// for everybody else.
pub async fn render(reference: Reference, request: Request, next: Next) -> Response {
    let is_page_wanted = page::is_wanted(request.uri().path(), request.headers());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>().or_else(|| bare(&response)) else {
        return response;
    };
    let status = problem.status;
    let retry_after_s = problem.retry_after_s;
    let mut rendered = if is_page_wanted {
        page::of_problem(&problem, reference.as_str())
    } else {
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
        (status, content_type, Json(problem.details(&reference))).into_response()
    };
    // What a handler or a layer had set, such as WWW-Authenticate, stays.
    rendered.headers_mut().extend(
        response
            .headers()
            .iter()
            .filter(|(name, _)| !matches!(**name, header::CONTENT_LENGTH | header::CONTENT_TYPE))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    if let Some(seconds) = retry_after_s {
        rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    rendered
}

/// The problem behind an answer that says nothing but its status: no route, a wrong method, a body too large, time out.
fn bare(response: &Response) -> Option<Problem> {
    let status = response.status();
    let says_nothing = !response.headers().contains_key(header::CONTENT_TYPE);
    if !says_nothing || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(status, "method_not_allowed", "This path has no such method."),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "body.too_large", "The request body is too large."),
        StatusCode::GATEWAY_TIMEOUT => Problem::new(status, "timeout", "The request took too long. Try again."),
        _ => return None,
    })
}

impl Problem {
    fn details(self, reference: &Reference) -> ProblemDetails {
        ProblemDetails {
            kind: format!("urn:usher:problem:{}", self.code),
            status: self.status.as_u16(),
            code: self.code,
            title: self.title,
            reference: reference.to_string(),
            errors: self.fields,
        }
    }
}
