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

/// The public listener's routes.
pub fn public(app: &App) -> Router {
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
    let routes = layers::wrap(router.fallback(nowhere), app);
    // Before routing, so that a client's own host is a path like any other from there on.
    let by_host = middleware::from_fn_with_state(app.clone(), clients::lead);
    Router::new().fallback_service(by_host.layer(routes))
}

/// What no route serves, and what went wrong before a route was found.
async fn nowhere(problem: Option<Extension<Problem>>) -> Problem {
    problem.map_or_else(Problem::not_found, |Extension(problem)| problem)
}

/// The operator listener's routes.
pub fn operator(app: &App) -> Router {
    layers::wrap(health::routes(), app)
}
