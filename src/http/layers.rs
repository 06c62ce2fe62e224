//! What wraps every route: the request's reference and address, one log line by route template, security headers, a
//! body limit, a time limit, and a page or problem in place of a panic.

use std::{any::Any, net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower::ServiceBuilder;
use tower_http::{CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tracing::Instrument;

use super::{ClientAddress, Problem, Reference, problem};
use crate::app::App;

/// The largest request body where a route does not say otherwise: a SAML response in a form fits.
pub const BODY_LIMIT: usize = 1 << 20;

/// The header that carries the reference back.
pub const REFERENCE_HEADER: HeaderName = HeaderName::from_static("usher-reference");

/// Nothing but our own files; no framing. A response that needs more sets its own.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Wraps `router`; the first layer named here sees a request first.
pub fn wrap(router: Router<App>, app: &App) -> Router {
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(app.clone(), enter))
        .layer(middleware::from_fn(problem::render))
        // Pages are small and made for each learner: the fastest level costs a fraction and saves nearly as much.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), limit_time))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    router.layer(layers).with_state(app.clone())
}

/// Files of many megabytes arrive here, over lines of any speed; each sets its own limit of bytes.
const UPLOADS: &[&str] = &["/api/v1/clients/{client}/imports"];

/// Ends a request that takes too long.
async fn limit_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let limit = match UPLOADS.contains(&route) {
        true => app.settings.imports.upload_timeout,
        false => app.settings.server.request_timeout,
    };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

async fn enter(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let reference = Reference::new(app.entropy.reference());
    let peer =
        request.extensions().get::<ConnectInfo<SocketAddr>>().map_or_else(|| [127, 0, 0, 1].into(), |info| info.0.ip());
    let address = ClientAddress::find(peer, request.headers(), &app.settings.server.trusted_proxies);
    // The template, never the path: paths carry codes and tokens.
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    request.extensions_mut().insert(reference.clone());
    request.extensions_mut().insert(address);
    let span = tracing::info_span!("request", reference = %reference);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    span.in_scope(|| tracing::info!(http.method = %method, http.route = route, http.status = status, elapsed_us = elapsed.as_micros(), "request"));
    metrics::histogram!("usher_http_request_seconds", "route" => route, "status" => status.to_string())
        .record(elapsed.as_secs_f64());
    secure(&mut response, &reference, app.settings.server.is_https());
    response
}

fn secure(response: &mut Response, reference: &Reference, is_https: bool) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(reference.as_str()) {
        headers.insert(REFERENCE_HEADER, value);
    }
    let defaults = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: under that, browsers send `Origin: null` with our own forms (Fetch, 3.2), and csrf.rs refuses them.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has logged the cause.
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong on our side. Tell support the reference.",
    )
    .into_response()
}
