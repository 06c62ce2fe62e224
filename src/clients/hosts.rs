//! In front of the router: which client's pages a request asks for, by the host that it was made to. A client's own host
//! serves that client's pages at the root, and static files, and nothing else.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Uri, uri::PathAndQuery},
    middleware::Next,
    response::Response,
};

use crate::{
    app::App,
    http::{OwnHost, Problem, health, host},
};

/// Where a request to another host than the base origin's is led.
enum Way {
    /// To what is the same for every host.
    AsItIs,
    /// Below the client's name.
    Client(OwnHost, Uri),
    /// Nowhere: a host that is nobody's.
    Nobody,
}

/// Leads a request to the pages of the client whose host it was made to. Hosts that are nobody's get a page that says
/// nothing; what an operator's machinery asks is answered there too, since it knows a replica by its address alone.
pub async fn lead(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let server = &app.settings.server;
    let peer =
        request.extensions().get::<ConnectInfo<SocketAddr>>().map_or_else(|| [127, 0, 0, 1].into(), |info| info.0.ip());
    let asked = host::asked(peer, request.uri(), request.headers(), &server.trusted_proxies);
    if asked.is_some() && asked.as_deref() == server.public_origin.host_str() {
        return next.run(request).await;
    }
    let uri = request.uri().clone();
    match way(&app, asked, &uri).await {
        Ok(Way::AsItIs) => {}
        Ok(Way::Client(host, uri)) => {
            *request.uri_mut() = uri;
            request.extensions_mut().insert(host);
        }
        Ok(Way::Nobody) => *request.uri_mut() = Uri::from_static("/"),
        Err(problem) => {
            *request.uri_mut() = Uri::from_static("/");
            request.extensions_mut().insert(problem);
        }
    }
    next.run(request).await
}

async fn way(app: &App, asked: Option<String>, uri: &Uri) -> Result<Way, Problem> {
    let slug = match &asked {
        Some(host) => app.clients.of_host(&app.db, host).await?,
        None => None,
    };
    let path = uri.path();
    match (asked, slug) {
        // The neutral page looks like one of ours as well.
        _ if path.starts_with("/static/") => Ok(Way::AsItIs),
        (Some(host), Some(slug)) => {
            let uri = below(&slug, uri).ok_or_else(Problem::not_found)?;
            Ok(Way::Client(OwnHost(host.into()), uri))
        }
        _ if health::is_health(path) => Ok(Way::AsItIs),
        _ => Ok(Way::Nobody),
    }
}

/// The same address below a client's name; the root is the landing page.
fn below(slug: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = match rest.strip_prefix('/') {
        Some(query) if query.is_empty() || query.starts_with('?') => query,
        _ => rest,
    };
    format!("/{slug}{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_name_stands_before_every_path() {
        let below = |uri: &str| below("acme", &uri.parse().expect("a URI")).map(|uri| uri.to_string());
        assert_eq!(below("/").as_deref(), Some("/acme"));
        assert_eq!(below("/?a=1").as_deref(), Some("/acme?a=1"));
        assert_eq!(below("/dashboard?told=x").as_deref(), Some("/acme/dashboard?told=x"));
        assert_eq!(below("https://learn.acme.example/api/v1/clients").as_deref(), Some("/acme/api/v1/clients"));
        assert_eq!(below("//evil.example/x").as_deref(), Some("/acme//evil.example/x"));
    }
}
