//! Every route of the gateway, in one list.

use axum::{Extension, Router, middleware};
use tower::Layer;

use crate::{
    accounts,
    app::App,
    clients, codes, content,
    http::{Problem, assets, health, layers},
    invites, login, openapi,
};

/// What the public listener serves: every route, on the host that it is for.
pub fn public(app: &App) -> Router {
    // Before routing, so that a client's own host is a path like any other from there on.
    let by_host = middleware::from_fn_with_state(app.clone(), clients::lead);
    Router::new().fallback_service(by_host.layer(routes(app)))
}

/// Its routes, whatever the host.
pub fn routes(app: &App) -> Router {
    let mut router = Router::new()
        .merge(assets::routes())
        .merge(login::pages::routes())
        .merge(clients::pages::routes())
        .merge(accounts::pages::routes())
        .merge(content::pages::routes())
        .merge(codes::pages::routes())
        .merge(invites::pages::routes())
        .merge(openapi::router(app));
    if app.settings.server.operator_listen.is_none() {
        router = router.merge(health::routes());
    }
    layers::wrap(router.fallback(nowhere), app)
}

/// What no route serves, and what went wrong before a route was found.
async fn nowhere(problem: Option<Extension<Problem>>) -> Problem {
    problem.map_or_else(Problem::not_found, |Extension(problem)| problem)
}

/// The operator listener's routes.
pub fn operator(app: &App) -> Router {
    layers::wrap(health::routes(), app)
}
