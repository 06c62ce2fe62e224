//! Who may call what: every registered route of the admin API, tried by every wrong caller.

use std::{collections::BTreeSet, fs, path::Path};

use chrono::{DateTime, Duration, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use usher::{
    admin::{self, NewToken, Permission, Route},
    audit::Actor,
    ids::TokenId,
    openapi,
};

use crate::support::{Admin, App, Reply};

/// Documents that anybody may read, and the answer to paths that lead nowhere.
const OPEN: &[&str] =
    &["/api/openapi.json", "/api/docs", "/api/docs/errors", "/api/docs.css", "/api/v1/imports/template.csv"];

fn path_of(route: &Route, client: &str) -> String {
    let fill = |segment: &str| match segment {
        "{client}" => client.to_owned(),
        "{domain}" => "acme.example".to_owned(),
        "{sublicense}" => "main".to_owned(),
        "{version}" => "1".to_owned(),
        named if named.starts_with('{') => "nothing".to_owned(),
        plain => plain.to_owned(),
    };
    route.path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

async fn try_route(caller: &Admin, route: &Route, client: &str) -> Reply {
    let method: Method = route.method.parse().unwrap();
    let body = json!({});
    let has_body = matches!(route.method, "POST" | "PUT" | "PATCH");
    caller.call(method, &path_of(route, client), has_body.then_some(&body), &[]).await
}

/// What a caller can compare: everything but the reference and the moment.
fn visible(reply: &Reply) -> (u16, Value, Vec<(String, String)>) {
    let mut body = reply.json();
    body["reference"] = Value::Null;
    let headers = reply.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "usher-reference" | "date"));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (reply.status.as_u16(), body, headers)
}

async fn make_client(app: &App, slug: &str) -> String {
    let body = json!({ "slug": slug, "name": slug });
    app.operator().await.post("/api/v1/clients", body).await.ok()["id"].as_str().unwrap().to_owned()
}

async fn token(app: &App, client: Option<&str>, expires_at: Option<DateTime<Utc>>) -> (Admin, TokenId) {
    let client = match client {
        Some(name) => admin::find_client(&app.db, name).await.unwrap(),
        None => None,
    };
    let new = NewToken { name: "a test".into(), client, scopes: Permission::ALL.to_vec(), expires_at };
    let mut transaction = app.db.begin().await.unwrap();
    let now = app.clock.now();
    let made = admin::create_token(&mut transaction, &app.entropy, Actor::System, new, None, now).await.unwrap();
    transaction.commit().await.unwrap();
    (app.admin(made.secret.expose()), made.id)
}

#[tokio::test]
async fn every_wrong_caller_is_refused_on_every_route() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let app = App::with().clock_at(start).start().await;
    make_client(&app, "acme").await;
    let other_id = make_client(&app, "other").await;
    let (revoked, revoked_id) = token(&app, None, None).await;
    let operator = app.operator().await;
    operator.delete(&format!("/api/v1/tokens/{revoked_id}")).await.ok();
    let (expired, _) = token(&app, None, Some(start + Duration::minutes(1))).await;
    assert_eq!(expired.get("/api/v1/clients").await.status, 200);
    app.clock.advance(Duration::minutes(1));
    let nobody = [
        ("no token", app.admin("")),
        ("not a token", app.admin("usher_x")),
        ("revoked", revoked),
        ("expired", expired),
    ];
    let (stranger, _) = token(&app, Some("other"), None).await;
    let (own, _) = token(&app, Some("acme"), None).await;

    for route in openapi::routes().list() {
        let name = format!("{} {}", route.method, route.path);
        for (kind, caller) in &nobody {
            let reply = try_route(caller, route, "acme").await;
            assert_eq!(reply.status, 401, "{name} let in: {kind}: {}", reply.text);
            assert_eq!(reply.problem(401), "api.unauthenticated");
            assert!(reply.headers.contains_key("www-authenticate"), "{name}: {kind}");
        }
        let others: Vec<Permission> =
            Permission::ALL.iter().copied().filter(|permission| *permission != route.permission).collect();
        let without = app.admin_with(None, &others).await;
        assert_eq!(try_route(&without, route, "acme").await.problem(403), "api.scope_missing", "{name}");
        if route.operator_only {
            for caller in [&stranger, &own] {
                assert_eq!(try_route(caller, route, "acme").await.problem(403), "api.operator_only", "{name}");
            }
        } else {
            let never = visible(&try_route(&stranger, route, "never-was").await);
            assert_eq!(never.0, 404, "{name}");
            for client in ["acme", "cli_00000000000000000000000000000001"] {
                assert_eq!(visible(&try_route(&stranger, route, client).await), never, "{name} at {client}");
            }
        }
        // The positive twins: exactly the right permission, and the right client.
        let right = app.admin_with(None, &[route.permission]).await;
        let reply = try_route(&right, route, "acme").await;
        assert!(!matches!(reply.status.as_u16(), 401 | 403 | 405 | 500..), "{name}: {} {}", reply.status, reply.text);
        if !route.operator_only {
            let right = app.admin_with(Some("acme"), &[route.permission]).await;
            let reply = try_route(&right, route, "acme").await;
            assert!(
                !matches!(reply.status.as_u16(), 401 | 403 | 405 | 500..),
                "{name}: {} {}",
                reply.status,
                reply.text
            );
        }
    }
    assert_eq!(own.get(&format!("/api/v1/clients/{other_id}")).await.problem(404), "not_found");
}

#[tokio::test]
async fn every_route_of_the_api_is_on_the_list() {
    let app = App::start().await;
    let document = app.admin("").get("/api/openapi.json").await.ok();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.insert((method.to_uppercase(), path.clone()));
        }
    }
    let routes = openapi::routes();
    let listed: BTreeSet<(String, String)> =
        routes.list().iter().map(|route| (route.method.to_owned(), route.path.clone())).collect();
    assert_eq!(documented, listed);
    assert_eq!(listed.len(), routes.list().len(), "a route is registered twice");

    // A handler that is written and not registered, or registered past the list, would be in one place only.
    let mut handlers = 0;
    let mut folders = vec![Path::new("src").to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let code = fs::read_to_string(&path).unwrap();
                handlers += code.matches("#[utoipa::path(").count();
                let by_hand = code.matches(".route(\"/api").count();
                let expected = if path.ends_with("openapi/mod.rs") { OPEN.len() + 2 } else { 0 };
                assert_eq!(by_hand, expected, "{}: routes of the API are added with ApiRoutes::add", path.display());
            }
        }
    }
    assert_eq!(handlers, listed.len());
}

#[tokio::test]
async fn the_document_names_the_scope_and_the_problems_of_every_operation() {
    let app = App::start().await;
    let document = app.admin("").get("/api/openapi.json").await.ok();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scopes = operation["security"][0]["token"].as_array().unwrap();
            assert_eq!(scopes.len(), 1, "{method} {path}");
            for status in ["401", "403", "422", "429", "503"] {
                let content = &operation["responses"][status]["content"]["application/problem+json"];
                assert!(content["schema"]["$ref"].is_string(), "{method} {path}: {status}");
            }
        }
    }
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is referred to and not there");
    }
    let page = app.admin("").get("/api/docs").await;
    assert!(page.status.is_success() && page.text.contains("/api/v1/clients/{client}/attempts"));
}

#[tokio::test]
async fn paths_and_methods_that_lead_nowhere_answer_with_problems() {
    let app = App::start().await;
    let operator = app.operator().await;
    assert_eq!(operator.get("/api/v1/nothing").await.problem(404), "not_found");
    assert_eq!(operator.get("/api").await.problem(404), "not_found");
    let reply = operator.put("/api/v1/clients", json!({})).await;
    assert_eq!(reply.problem(405), "method_not_allowed");
    assert!(reply.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn each_operator_only_field_is_refused_to_a_clients_own_token() {
    let app = App::start().await;
    make_client(&app, "acme").await;
    let (operator, own) = (app.operator().await, app.admin_of("acme").await);
    let base = "/api/v1/clients/acme";
    let sales = operator.post(&format!("{base}/sublicenses"), json!({ "name": "Sales", "slug": "sales" })).await.ok();
    let sales = format!("{base}/sublicenses/{}", sales["id"].as_str().unwrap());
    let client_fields = [
        ("slug", json!("acme")),
        ("sku", json!("A-1")),
        ("hosts", json!(["learn.acme.example"])),
        ("license_ends_at", json!("2030-01-01T00:00:00Z")),
        ("seat_limit", json!(5)),
        ("status", json!("active")),
    ];
    for (field, value) in client_fields {
        let body = json!({ field: value });
        let refused = own.patch(base, body.clone()).await;
        assert_eq!(refused.problem(403), "api.operator_only", "{field}");
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("/{field}"));
        let written = operator.patch(base, body).await.ok();
        assert_eq!(written[field], value, "{field}");
    }
    let sublicense_fields = [
        ("slug", json!("sales")),
        ("sku", json!("S-1")),
        ("seat_limit", json!(3)),
        ("ends_at", json!("2030-01-01T00:00:00Z")),
    ];
    for (field, value) in sublicense_fields {
        let refused = own.patch(&sales, json!({ field: value })).await;
        assert_eq!(refused.problem(403), "api.operator_only", "{field}");
        let refused = own.post(&format!("{base}/sublicenses"), json!({ "name": "New", field: value })).await;
        assert_eq!(refused.problem(403), "api.operator_only", "{field}");
        assert_eq!(operator.patch(&sales, json!({ field: value })).await.ok()[field], value, "{field}");
    }
    // What is not an operator's alone stays writable.
    own.patch(base, json!({ "name": "Acme & Co" })).await.ok();
    own.patch(&sales, json!({ "access_days": 30 })).await.ok();
    own.post(&format!("{base}/sublicenses"), json!({ "name": "New part" })).await.ok();
    let sha1 = json!({ "name": "Okta", "protocol": "saml", "saml": { "allow_sha1": true } });
    assert_eq!(own.post(&format!("{base}/connections"), sha1.clone()).await.problem(403), "api.operator_only");
    operator.post(&format!("{base}/connections"), sha1).await.ok();
    let plain = json!({ "name": "Okta", "protocol": "saml" });
    own.post(&format!("{base}/connections"), plain).await.ok();
}
