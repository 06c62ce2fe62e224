//! Every route of the gateway, in one list.

use axum::Router;

use crate::{
    accounts,
    app::App,
    clients, codes, content,
    http::{assets, health, layers},
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
    layers::wrap(router, app)
}

/// The operator listener's routes.
pub fn operator(app: &App) -> Router {
    layers::wrap(health::routes(), app)
}
