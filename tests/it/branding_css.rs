//! Custom CSS and colours of a client: what pages wear of them, and what an admin is told.

use serde_json::{Value, json};

use crate::support::{Admin, App};

const ACME: &str = "/api/v1/clients/acme";

async fn start() -> (App, Admin) {
    let app = App::start().await;
    let operator = app.operator().await;
    for slug in ["acme", "globex"] {
        operator.post("/api/v1/clients", json!({ "slug": slug, "name": slug })).await.ok();
    }
    (app, operator)
}

fn look(css: impl Into<Value>) -> Value {
    json!({ "branding": { "custom_css": css.into() } })
}

#[tokio::test]
async fn custom_css_is_served_as_a_sheet_of_its_own_under_a_strict_policy() {
    let (app, operator) = start().await;
    let source = ".hero { border-radius: 24px } /* ours */";
    let branding = operator.patch(ACME, look(source)).await.ok()["branding"].clone();
    assert_eq!(branding["custom_css"], source);
    let url = branding["stylesheet_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("/acme/branding/") && url.ends_with(".css"), "{url}");

    let page = app.browser().visit(app.url("/acme")).await;
    assert!(page.html.contains(&format!("<link rel=\"stylesheet\" href=\"{url}\">")), "{}", page.html);
    assert!(page.html.contains("<body class=\"branded\">"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("style-src 'self';") && !policy.contains("unsafe"), "{policy}");

    let sheet = reqwest::get(app.url(&url)).await.unwrap();
    assert_eq!(sheet.headers()["content-type"], "text/css; charset=utf-8");
    assert_eq!(sheet.headers()["x-content-type-options"], "nosniff");
    assert!(sheet.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(sheet.text().await.unwrap(), ".branded .hero{border-radius:24px;}\n");

    let theirs = reqwest::get(app.url(&url.replace("/acme/", "/globex/"))).await.unwrap();
    assert_eq!(theirs.status(), 404);
    assert!(
        !app.browser()
            .visit(app.url("/globex"))
            .await
            .html
            .contains(".css\">\n<link rel=\"stylesheet\" href=\"/globex")
    );

    let changed = operator.patch(ACME, look(".hero { border-radius: 8px }")).await.ok();
    assert_ne!(changed["branding"]["stylesheet_url"], json!(url));
    let none = operator.patch(ACME, look(Value::Null)).await.ok();
    assert!(none["branding"]["stylesheet_url"].is_null() && none["branding"]["custom_css"].is_null());
    assert!(!app.browser().visit(app.url("/acme")).await.html.contains("/acme/branding/"));
}

#[tokio::test]
async fn what_is_not_allowed_is_told_with_its_line_and_changes_nothing() {
    let (_app, operator) = start().await;
    let reply = operator.patch(ACME, look(".hero {\n  position: fixed;\n}\n@import 'x';")).await;
    assert_eq!(reply.problem(422), "branding.css");
    let errors = reply.json()["errors"].clone();
    assert_eq!(errors[0]["pointer"], "/branding/custom_css");
    assert!(errors[0]["detail"].as_str().unwrap().starts_with("line 2, column 3: position is not allowed"), "{errors}");
    assert!(errors[1]["detail"].as_str().unwrap().starts_with("line 4, column "), "{errors}");
    let new = json!({ "slug": "third", "name": "Third", "branding": { "custom_css": "* { display: none }" } });
    assert_eq!(operator.post("/api/v1/clients", new).await.problem(422), "branding.css");
    let long = look(" ".repeat(20_001));
    assert_eq!(operator.patch(ACME, long).await.problem(422), "branding.css");
    assert!(operator.get(ACME).await.ok()["branding"]["custom_css"].is_null());
}

#[tokio::test]
async fn what_the_gateway_makes_cannot_be_written() {
    let (app, _) = start().await;
    let own = app.admin_of("acme").await;
    for body in
        [json!({ "branding": { "stylesheet_url": "https://evil.example/x.css" } }), json!({ "branding_warnings": [] })]
    {
        assert_eq!(own.patch(ACME, body.clone()).await.problem(422), "api.read_only_field", "{body}");
    }
}

#[tokio::test]
async fn a_new_client_wears_its_css_from_the_start() {
    let (app, operator) = start().await;
    let new = json!({ "slug": "third", "name": "Third", "branding": { "custom_css": ".footer{color:#fff;background:#111}" } });
    let made = operator.post("/api/v1/clients", new).await.ok();
    let url = made["branding"]["stylesheet_url"].as_str().unwrap().to_owned();
    assert!(app.browser().visit(app.url("/third")).await.html.contains(&url));
}

#[tokio::test]
async fn a_page_of_nobody_wears_nobodys_css() {
    let (app, operator) = start().await;
    operator.patch(ACME, look(".hero { gap: 1px }")).await.ok();
    let page = app.browser().visit(app.url("/acme/no/such/page")).await;
    assert!(page.html.contains("<body>") && !page.html.contains("/branding/"), "{}", page.html);
}

#[tokio::test]
async fn colours_with_too_little_contrast_are_told_and_pages_use_a_shade() {
    let (app, operator) = start().await;
    let warnings = operator.get(ACME).await.ok()["branding_warnings"].clone();
    assert_eq!(warnings, json!([]));
    let light = operator.patch(ACME, json!({ "branding": { "accent_color": "#ffdd00" } })).await.ok();
    let warnings = light["branding_warnings"].as_array().unwrap().clone();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["field"], "accent_color");
    let detail = warnings[0]["detail"].as_str().unwrap();
    let shade = detail.rsplit("links use ").next().unwrap();
    assert!(detail.starts_with("#ffdd00 on white has a contrast of 1.3, and text needs 4.5"), "{detail}");
    let css = reqwest::get(app.url("/static/theme/ffdd00-ffdd00.css")).await.unwrap();
    assert!(css.text().await.unwrap().contains(&format!("--accent-text:{shade};")), "{detail}");
}
