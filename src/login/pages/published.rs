//! What we publish of ourselves for the other side: SP metadata, and public keys.

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::arrival::find;
use crate::{
    app::App,
    connections,
    http::Problem,
    ids::ConnectionId,
    login::{begin, sp},
};

/// `GET /saml/{connection}/metadata` and `GET /oidc/{connection}/jwks`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/saml/{connection}/metadata", get(saml_metadata))
        .route("/oidc/{connection}/jwks", get(oidc_jwks))
}

async fn saml_metadata(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let known = find(&app, &id).await?;
    // A next key must be known wherever it is asked for, or its promotion locks somebody out.
    let connection = begin::as_it_is(&app, known.owner, known.id).await?.ok_or_else(Problem::not_found)?;
    let xml = sp::metadata(&app, &connection).await?.ok_or_else(Problem::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/samlmetadata+xml; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    Ok((StatusCode::OK, headers, xml).into_response())
}

async fn oidc_jwks(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: ConnectionId = id.parse().map_err(|_| Problem::not_found())?;
    let keys = connections::jwks_document(&app, id).await?.ok_or_else(Problem::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    Ok((headers, keys.to_string()).into_response())
}
