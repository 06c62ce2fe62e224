//! What an operator's machinery asks: is the process alive, may it get traffic, and the metrics.

use std::sync::atomic::Ordering;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;

use crate::app::App;

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes() -> Router<App> {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).route("/metrics", get(scrape))
}

/// Whether a path is one of these.
pub fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

async fn ready(State(app): State<App>) -> impl IntoResponse {
    let (database, cache) = tokio::join!(sqlx::Executor::execute(&app.db, "select 1"), app.cache.ping());
    let draining = app.draining.load(Ordering::Relaxed);
    let is_ready = database.is_ok() && cache.is_ok() && !draining;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (
        status,
        Json(
            json!({ "ready": is_ready, "postgresql": database.is_ok(), "redis": cache.is_ok(), "draining": draining }),
        ),
    )
}

async fn scrape(State(app): State<App>) -> String {
    app.metrics.render()
}
