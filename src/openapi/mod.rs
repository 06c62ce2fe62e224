//! The admin API as a whole: every part's routes in one list, its OpenAPI document, a page that shows it, a page of every
//! error code, and problems in
//! place of bare 404s and 405s.

mod errors;
mod page;

use std::sync::Arc;

use axum::{
    Extension, Router,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use utoipa::{
    PartialSchema,
    openapi::{
        InfoBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
        server::Server,
        tag::TagBuilder,
    },
};

use crate::{
    admin::{self, ApiRoutes, Permission, access::SECURITY_SCHEME},
    app::App,
    clients, codes, connections, content,
    http::{
        Problem,
        problem::{FieldProblem, ProblemDetails},
    },
    imports, invites, login, mail, roster,
};

const TAGS: &[(&str, &str)] = &[
    ("clients", "Customer organisations, their domains and their look."),
    ("sublicenses", "Named parts of a client."),
    ("connections", "Identity providers of a client."),
    ("mapping", "The rules that turn an identity provider's claims into profile and access."),
    ("attempts", "Sign-ins as they went: every check, the reason, and which side must fix it."),
    ("learners", "People within a client, their access, blocks and sessions."),
    ("invites", "Offers by e-mail: who was invited to what, and where it stands."),
    ("imports", "Files of many people: uploaded, checked row by row, confirmed, done by a worker, undone."),
    ("content", "References into the learning platform, and who sees them."),
    ("mail", "Mails on their way and what became of them; dead letters; bounces."),
    ("codes", "Registration codes and redemption codes: made, tracked, revoked and restored."),
    ("events", "The append-only audit trail."),
    ("tokens", "API tokens."),
];

const DESCRIPTION: &str = "Lists are pages: `items` and `next_cursor`, to be given as `cursor`. Errors are problem details \
(RFC 9457) with a stable `code` (each is explained at `/api/docs/errors`) and a `reference` that is found again in the logs and the audit trail. A `{client}` segment \
takes the client's id or its slug. A POST takes an `Idempotency-Key`: repeated within 24 hours it changes nothing twice and \
answers the same, marked `Idempotency-Replayed: true`; what is shown once is not shown again. Times are RFC 3339 in UTC. \
Unknown and read-only fields are refused. Another client's id answers as one that never was.";

/// Every part's routes, with who may call them.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .merge(clients::api::routes())
        .merge(connections::routes())
        .merge(login::attempts_api::routes())
        .merge(roster::api::routes())
        .merge(login::evaluate_api::routes())
        .merge(content::api::routes())
        .merge(codes::api::routes())
        .merge(mail::api::routes())
        .merge(invites::api::routes())
        .merge(imports::api::routes())
        .merge(admin::events_api::routes())
        .merge(admin::api::routes())
}

/// The document, generated from the routes.
pub fn document(generated: utoipa::openapi::OpenApi, origin: &str) -> utoipa::openapi::OpenApi {
    let mut document = generated;
    document.info = InfoBuilder::new().title("Usher admin API").version("1").description(Some(DESCRIPTION)).build();
    document.servers = Some(vec![Server::new(origin)]);
    document.tags =
        Some(TAGS.iter().map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build()).collect());
    let scopes: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("usher_…")
        .description(Some(format!("An API token. Scopes: {}.", scopes.join(", "))))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SECURITY_SCHEME, SecurityScheme::Http(bearer));
    components.schemas.insert("ProblemDetails".to_owned(), ProblemDetails::schema());
    components.schemas.insert("FieldProblem".to_owned(), FieldProblem::schema());
    document
}

#[derive(Clone)]
struct Rendered {
    json: Arc<str>,
    page: Arc<str>,
}

/// The admin API, its document and its page.
pub fn router(app: &App) -> Router<App> {
    let (router, generated) = routes().split();
    let document = document(generated, app.settings.server.origin());
    let json = document.to_json().unwrap_or_else(|error| {
        tracing::error!(%error, "the openapi document does not render");
        "{}".to_owned()
    });
    let rendered = Rendered { page: page::render(&document).into(), json: json.into() };
    router
        .route("/api/openapi.json", get(serve_json))
        .route("/api/docs", get(serve_page))
        .route("/api/docs/errors", get(async || Html(errors::render())))
        .route("/api/v1/imports/template.csv", get(imports::api::serve_template))
        .route("/api/docs.css", get(async || ([(header::CONTENT_TYPE, "text/css")], page::STYLE)))
        .layer(Extension(rendered))
        .method_not_allowed_fallback(wrong_method)
        .route("/api", any(nothing_here))
        .route("/api/{*rest}", any(nothing_here))
}

async fn serve_json(Extension(rendered): Extension<Rendered>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], rendered.json.to_string()).into_response()
}

async fn serve_page(Extension(rendered): Extension<Rendered>) -> Html<String> {
    Html(rendered.page.to_string())
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not take that method; see Allow.",
    )
}

async fn nothing_here() -> Problem {
    Problem::not_found()
}
