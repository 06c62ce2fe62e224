//! Clients, sublicenses and domains over the admin API.

use serde_json::{Value, json};

use crate::support::{Admin, App};

async fn acme(app: &App) -> Admin {
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    operator
}

#[tokio::test]
async fn a_client_is_made_with_its_default_sublicense_and_read_by_slug_and_id() {
    let app = App::start().await;
    let operator = app.operator().await;
    let body = json!({
        "slug": "acme", "name": "Acme", "sku": "A-1", "email_domains": [{ "domain": "ACME.Example" }],
        "branding": { "accent_color": "#F00", "welcome_text": "Hello" }, "time_zone": "Europe/Berlin",
        "default_locale": "de", "seat_limit": 5,
    });
    let made = operator.post("/api/v1/clients", body).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    assert_eq!(made["branding"]["accent_color"], "#ff0000");
    assert_eq!(made["email_domains"][0], json!({ "domain": "acme.example", "verified_at": null, "by": null }));
    assert_eq!((&made["seats_used"], &made["status"]), (&json!(0), &json!("active")));
    let id = made["id"].as_str().unwrap();
    assert_eq!(operator.get("/api/v1/clients/acme").await.ok(), made);
    assert_eq!(operator.get(&format!("/api/v1/clients/{id}")).await.ok(), made);
    let parts = operator.get("/api/v1/clients/acme/sublicenses").await.ok();
    assert_eq!(parts["items"].as_array().unwrap().len(), 1);
    assert_eq!((&parts["items"][0]["slug"], &parts["items"][0]["is_default"]), (&json!("main"), &json!(true)));
}

#[tokio::test]
async fn what_does_not_hold_is_refused_with_its_pointer() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let cases = [
        (json!({ "name": "" }), "api.invalid", "/name"),
        (json!({ "id": "cli_1" }), "api.read_only_field", "/id"),
        (json!({ "seats_used": 1 }), "api.read_only_field", "/seats_used"),
        (
            json!({ "email_domains": [{ "domain": "a.example", "verified_at": null }] }),
            "api.read_only_field",
            "/email_domains/0/verified_at",
        ),
        (json!({ "nam": "x" }), "api.unknown_field", "/nam"),
        (json!({ "branding": { "colour": "red" } }), "api.unknown_field", "/branding/colour"),
        (json!({ "branding": { "custom_css": "a{}" } }), "branding.css", "/branding/custom_css"),
        (json!({ "branding": { "accent_color": "red" } }), "api.invalid", "/branding/accent_color"),
        (json!({ "branding": { "logo_url": "javascript:alert(1)" } }), "api.invalid", "/branding/logo_url"),
        (json!({ "branding": { "logo_url": "http://logo.example/a.png" } }), "api.invalid", "/branding/logo_url"),
        (json!({ "branding": { "support_email": "nobody" } }), "api.invalid", "/branding/support_email"),
        (json!({ "seat_limit": -1 }), "api.invalid", "/seat_limit"),
        (json!({ "seat_limit": "5" }), "api.invalid", "/seat_limit"),
        (json!({ "seat_limit": 5_000_000_000_u64 }), "api.invalid", "/seat_limit"),
        (json!({ "session_idle_s": 1 }), "api.invalid", "/session_idle_s"),
        (json!({ "time_zone": "Mars/Olympus" }), "api.invalid", "/time_zone"),
        (json!({ "default_locale": "english" }), "api.invalid", "/default_locale"),
        (json!({ "license_ends_at": "tomorrow" }), "api.invalid", "/license_ends_at"),
        (json!({ "license_ends_at": "+100000-01-01T00:00:00Z" }), "api.invalid", "/license_ends_at"),
        (json!({ "password_login": null }), "api.invalid", "/password_login"),
        (json!({ "email_domains": [{ "domain": "co.uk" }] }), "domain.public_suffix", "/email_domains/0/domain"),
        (json!({ "email_domains": [{ "domain": "gmail.com" }] }), "domain.public_mail", "/email_domains/0/domain"),
        (json!({ "slug": "acme2" }), "client.slug_immutable", "/slug"),
        (json!({ "name": "a\u{0}b" }), "api.invalid", "/name"),
    ];
    for (body, code, pointer) in cases {
        let reply = operator.patch("/api/v1/clients/acme", body.clone()).await;
        assert_eq!(reply.problem(422), code, "{body}: {}", reply.text);
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{body}");
        assert!(reply.json()["reference"].as_str().unwrap().len() == 14);
    }
    for slug in ["api", "healthz", "saml", "Acme", "a", "acme_2"] {
        let reply = operator.post("/api/v1/clients", json!({ "slug": slug, "name": "x" })).await;
        assert!(reply.problem(422).starts_with("client.slug"), "{slug}");
    }
    let missing = operator.post("/api/v1/clients", json!({})).await;
    assert_eq!(missing.problem(422), "api.required");
    assert_eq!(missing.json()["errors"].as_array().unwrap().len(), 2);
    let taken = operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "x" })).await;
    assert_eq!(taken.problem(409), "client.slug_taken");
    assert_eq!(operator.get("/api/v1/clients/acme").await.ok()["name"], "Acme");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_problem() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |kind: Option<&str>, body: &str| {
        let mut request =
            http.patch(app.url("/api/v1/clients/acme")).bearer_auth(&operator.token).body(body.to_owned());
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, body["code"].clone())
    };
    assert_eq!(send(Some("application/json"), "{").await, (400, json!("api.not_json")));
    assert_eq!(send(Some("application/json"), "[]").await, (400, json!("api.not_json")));
    assert_eq!(send(Some("application/x-www-form-urlencoded"), "name=x").await, (415, json!("api.not_json")));
    assert_eq!(send(None, "{}").await, (415, json!("api.not_json")));
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(2 << 20));
    assert_eq!(send(Some("application/json"), &large).await, (413, json!("api.too_large")));
}

#[tokio::test]
async fn a_patch_touches_what_it_names_and_null_clears() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let path = "/api/v1/clients/acme";
    operator.patch(path, json!({ "sku": "A-1", "branding": { "footer": "Foot", "welcome_text": "Hi" } })).await.ok();
    let after = operator.patch(path, json!({ "sku": null, "branding": { "footer": null } })).await.ok();
    assert_eq!((&after["sku"], &after["branding"]["footer"]), (&Value::Null, &Value::Null));
    assert_eq!((&after["branding"]["welcome_text"], &after["name"]), (&json!("Hi"), &json!("Acme")));
}

#[tokio::test]
async fn every_change_leaves_one_event_and_no_change_leaves_none() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let change = operator.patch("/api/v1/clients/acme", json!({ "name": "Acme 2", "sku": "A" })).await;
    let reference = change.headers["usher-reference"].to_str().unwrap().to_owned();
    operator.patch("/api/v1/clients/acme", json!({ "name": "Acme 2" })).await.ok();
    let events = operator.get("/api/v1/clients/acme/events").await.ok();
    let actions: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions, ["client.updated", "client.created"]);
    assert_eq!(events["items"][0]["facts"]["fields"], json!(["name", "sku"]));
    assert_eq!(events["items"][0]["actor"]["kind"], "token");
    let found = operator.get(&format!("/api/v1/clients/acme/events?reference={reference}")).await.ok();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let found = operator.get("/api/v1/clients/acme/events?action=client.created").await.ok();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_operator_vouches_for_a_domain_and_takes_it_back() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let path = |domain: &str| format!("/api/v1/clients/acme/domains/{domain}/vouch");
    for (domain, code) in
        [("gmail.com", "domain.public_mail"), ("co.uk", "domain.public_suffix"), ("x", "domain.invalid")]
    {
        assert_eq!(operator.call(reqwest::Method::POST, &path(domain), None, &[]).await.problem(422), code);
    }
    let vouched = operator.call(reqwest::Method::POST, &path("B%C3%BCcher.Example"), None, &[]).await.ok();
    assert_eq!(vouched["email_domains"][0]["domain"], "xn--bcher-kva.example");
    assert!(vouched["email_domains"][0]["verified_at"].is_string());
    assert!(vouched["email_domains"][0]["by"].as_str().unwrap().starts_with("tok_"));
    // A list that keeps the domain keeps the word for it.
    let kept = json!({ "email_domains": [{ "domain": "bücher.example" }, { "domain": "acme.example" }] });
    let after = operator.patch("/api/v1/clients/acme", kept).await.ok();
    assert!(after["email_domains"][1]["verified_at"].is_string(), "{after}");
    assert!(after["email_domains"][0]["verified_at"].is_null());
    assert_eq!(operator.delete(&path("xn--bcher-kva.example")).await.status, 204);
    let after = operator.get("/api/v1/clients/acme").await.ok();
    assert!(after["email_domains"][1]["verified_at"].is_null());
    assert_eq!(operator.delete(&path("never.example")).await.problem(404), "not_found");
}

#[tokio::test]
async fn taking_back_a_domain_takes_the_trust_from_connections_at_once() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let vouch = "/api/v1/clients/acme/domains/acme.example/vouch";
    operator.call(reqwest::Method::POST, vouch, None, &[]).await.ok();
    let body = json!({ "name": "Okta", "protocol": "saml", "trusted_domains": ["acme.example"] });
    let made = operator.post("/api/v1/clients/acme/connections", body).await.ok();
    assert_eq!(made["trusted_domains"], json!(["acme.example"]));
    let id = made["id"].as_str().unwrap();
    let version = async || {
        let id: usher::ids::ConnectionId = id.parse().unwrap();
        let query = sqlx::query_scalar::<_, i64>("select version from connections where id = $1").bind(id.uuid());
        query.fetch_one(&app.db).await.unwrap()
    };
    let before = version().await;
    operator.delete(vouch).await.ok();
    let after = operator.get(&format!("/api/v1/clients/acme/connections/{id}")).await.ok();
    assert_eq!(after["trusted_domains"], json!([]));
    assert!(version().await > before);
}

#[tokio::test]
async fn one_sublicense_is_always_the_default() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let base = "/api/v1/clients/acme/sublicenses";
    let main = operator.get(base).await.ok()["items"][0].clone();
    let main = format!("{base}/{}", main["id"].as_str().unwrap());
    assert_eq!(operator.delete(&main).await.problem(409), "sublicense.is_default");
    assert_eq!(operator.patch(&main, json!({ "is_default": false })).await.problem(422), "sublicense.default_needed");
    let sales =
        operator.post(base, json!({ "name": "Sales & Co", "is_default": true, "refs": { "crm": "7" } })).await.ok();
    assert_eq!((&sales["slug"], &sales["is_default"]), (&json!("sales-co"), &json!(true)));
    assert_eq!(operator.get(&main).await.ok()["is_default"], false);
    assert_eq!(operator.post(base, json!({ "name": "Sales & Co" })).await.problem(409), "sublicense.slug_taken");
    assert_eq!(operator.delete(&main).await.status, 204);
    assert_eq!(operator.get(&main).await.problem(404), "not_found");
}

#[tokio::test]
async fn the_directory_sees_a_change_on_every_replica_at_once() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let replica = app.replica();
    let name = async |app: &App| app.clients.by_slug(&app.db, "acme").await.unwrap().unwrap().name.clone();
    assert_eq!((name(&app).await, name(&replica).await), ("Acme".into(), "Acme".into()));
    operator.patch("/api/v1/clients/acme", json!({ "name": "Acme 2" })).await.ok();
    assert_eq!((name(&app).await, name(&replica).await), ("Acme 2".into(), "Acme 2".into()));
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "name": "Sales" })).await.ok();
    let facts = replica.clients.by_slug(&replica.db, "acme").await.unwrap().unwrap();
    assert_eq!(facts.sublicenses.len(), 2);
    assert!(facts.is_live(app.clock.now()));
    operator.patch("/api/v1/clients/acme", json!({ "status": "disabled" })).await.ok();
    let facts = replica.clients.by_slug(&replica.db, "acme").await.unwrap().unwrap();
    assert!(!facts.is_live(app.clock.now()));
    assert!(replica.clients.by_slug(&replica.db, "never-was").await.unwrap().is_none());
}

#[tokio::test]
async fn a_list_is_read_page_by_page_without_a_gap() {
    let app = App::start().await;
    let operator = app.operator().await;
    for number in 0..7 {
        operator.post("/api/v1/clients", json!({ "slug": format!("client-{number}"), "name": "x" })).await.ok();
    }
    let (mut slugs, mut path) = (Vec::new(), "/api/v1/clients?limit=3".to_owned());
    loop {
        let page = operator.get(&path).await.ok();
        slugs.extend(page["items"].as_array().unwrap().iter().map(|item| item["slug"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/clients?limit=3&cursor={cursor}");
    }
    let expected: Vec<String> = (0..7).map(|number| format!("client-{number}")).collect();
    assert_eq!(slugs, expected);
    assert_eq!(operator.get("/api/v1/clients?limit=0").await.problem(422), "page.limit");
    assert_eq!(operator.get("/api/v1/clients?limit=201").await.problem(422), "page.limit");
    assert_eq!(operator.get("/api/v1/clients?limit=x").await.problem(422), "api.query");
    assert_eq!(operator.get("/api/v1/clients?cursor=x").await.problem(422), "page.cursor");
    assert_eq!(operator.get("/api/v1/clients/acme/events?acton=x").await.problem(404), "not_found");
    assert_eq!(operator.get("/api/v1/clients/client-1/events?acton=x").await.problem(422), "api.query");
}
