//! Whole OpenID Connect sign-ins over HTTP, by query and by form.

use idp_fixtures::{oidc, people::Org};
use serde_json::{Value, json};

use crate::support::{Admin, App, Browser, Page, merge};

struct Scene {
    app: App,
    operator: Admin,
    op: oidc::OidcOp,
    connection: String,
}

impl Scene {
    async fn start() -> Self {
        Self::with(json!({})).await
    }

    async fn with(change: Value) -> Self {
        let app = App::start().await;
        let operator = app.operator().await;
        let op = oidc::OidcOp::start(oidc::Options { org: Org::globex(), ..oidc::Options::default() }).await.unwrap();
        op.register(oidc::Client::with_secret("usher-rp", "a-very-secret-secret"));
        let body = json!({ "slug": "globex", "name": "Globex", "email_domains": [{"domain": "globex.example"}] });
        operator.post("/api/v1/clients", body).await.ok();
        operator.post("/api/v1/clients/globex/domains/globex.example/vouch", json!({})).await.ok();
        let mut body = json!({
            "name": "Globex ID", "protocol": "oidc", "status": "active",
            "oidc": { "issuer": op.issuer(), "client_id": "usher-rp", "client_secret": "a-very-secret-secret" },
            "trusted_domains": ["globex.example"],
        });
        merge(&mut body, &change);
        let made = operator.post("/api/v1/clients/globex/connections", body).await.ok();
        let connection = made["id"].as_str().unwrap().to_owned();
        Self { app, operator, op, connection }
    }

    async fn to_op(&self, browser: &Browser) -> oidc::Callback {
        let page = browser.open(self.app.url(&format!("/globex/login/{}", self.connection))).await.expect(303);
        self.op.sign_in(page.location().as_str(), "grace").unwrap()
    }

    async fn last_code(&self) -> Value {
        self.operator.get("/api/v1/clients/globex/attempts").await.ok()["items"][0]["code"].clone()
    }

    async fn learners(&self) -> usize {
        self.operator.get("/api/v1/clients/globex/learners").await.ok()["items"].as_array().unwrap().len()
    }
}

fn signed_in(page: Page) {
    assert_eq!(page.expect(303).location().path(), "/globex/dashboard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_by_query_creates_the_learner() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let callback = scene.to_op(&browser).await;
    signed_in(browser.open(callback.url()).await);
    assert_eq!(scene.learners().await, 1);
    browser.open(scene.app.url("/globex/dashboard")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_by_form_is_posted_once_more_with_the_cookies() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let callback = scene.to_op(&browser).await;
    let fields: Vec<(&str, &str)> =
        callback.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = browser.post_from("http://127.0.0.1:9/", &callback.redirect_uri, &fields).await.expect(200);
    assert_eq!(scene.learners().await, 0, "nothing is taken without the cookie");
    signed_in(browser.submit(&page.form_with("reposted")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_taken_once_and_only_by_the_browser_that_began() {
    let scene = Scene::start().await;
    let (mine, theirs) = (scene.app.browser(), scene.app.browser());
    let callback = scene.to_op(&mine).await;
    scene.to_op(&theirs).await;
    theirs.open(callback.url()).await.expect(400);
    assert_eq!(scene.last_code().await, "login.attempt.unknown");
    signed_in(mine.open(callback.url()).await);
    mine.open(callback.url()).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_another_connection_is_refused() {
    let scene = Scene::start().await;
    let body = json!({
        "name": "Second", "protocol": "oidc", "status": "active",
        "oidc": { "issuer": scene.op.issuer(), "client_id": "usher-rp", "client_secret": "a-very-secret-secret" },
    });
    let second =
        scene.operator.post("/api/v1/clients/globex/connections", body).await.ok()["id"].as_str().unwrap().to_owned();
    let browser = scene.app.browser();
    let callback = scene.to_op(&browser).await;
    let mixed_up = callback.url().replace(&scene.connection, &second);
    browser.open(mixed_up).await.expect(400);
    assert_eq!(scene.learners().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_disabled_on_the_way_is_refused_before_the_code_is_redeemed() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let callback = scene.to_op(&browser).await;
    let path = format!("/api/v1/clients/globex/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    browser.open(callback.url()).await.expect(403);
    assert_eq!(scene.last_code().await, "login.connection.closed");
    assert_eq!(scene.op.hits(oidc::Endpoint::Token), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_or_says_no_ends_with_a_page_and_a_typed_reason() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let callback = scene.to_op(&browser).await;
    let state = callback.parameters.iter().find(|(name, _)| name == "state").unwrap().1.clone();
    let iss = scene.op.issuer().to_owned();
    let mut url = url::Url::parse(&callback.redirect_uri).unwrap();
    url.query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>alert(1)</script>");
    url.query_pairs_mut().append_pair("state", &state).append_pair("iss", &iss);
    let page = browser.open(url.as_str()).await;
    assert!(page.status.is_client_error(), "{}", page.status);
    assert!(!page.html.contains("<script>alert"), "markup of the provider is never shown");
    assert!(scene.last_code().await.as_str().unwrap().starts_with("login.oidc."));
    assert_eq!(scene.learners().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_posted_again_with_what_an_answer_may_hold_and_no_more() {
    let scene = Scene::start().await;
    let callback = scene.app.url(&format!("/oidc/{}/callback", scene.connection));
    let mut fields = vec![("state", "s"), ("state", "t"), ("evil", "x")];
    fields.extend(std::iter::repeat_n(("a", ""), 50_000));
    let page = scene.app.browser().post_from("https://evil.example/", &callback, &fields).await.expect(200);
    let form = page.form_with("reposted");
    assert_eq!(form.fields.iter().filter(|field| field.0 == "state").count(), 1);
    assert!(page.html.len() < 20_000 && !page.html.contains("evil"), "{}", page.html.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_is_not_sent_to_another_issuer() {
    let scene = Scene::start().await;
    let evil = oidc::OidcOp::start(oidc::Options { org: Org::globex(), ..oidc::Options::default() }).await.unwrap();
    let path = format!("/api/v1/clients/globex/connections/{}", scene.connection);
    let reply = scene.operator.patch(&path, json!({ "oidc": { "issuer": evil.issuer() } })).await;
    assert_eq!(reply.problem(422), "connection.not_ready", "an active connection cannot go on without its secret");
    let draft = json!({ "status": "disabled", "oidc": { "issuer": evil.issuer() } });
    let changed = scene.operator.patch(&path, draft).await.ok();
    assert_eq!(changed["has_client_secret"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_connection_ends_the_access_and_the_sessions_that_it_gave() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let callback = scene.to_op(&browser).await;
    signed_in(browser.open(callback.url()).await);
    let path = format!("/api/v1/clients/globex/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    assert_eq!(scene.operator.delete(&path).await.status, 204);
    browser.open(scene.app.url("/globex/dashboard")).await.expect(303);
    let learner = scene.operator.get("/api/v1/clients/globex/learners").await.ok()["items"][0]["id"].clone();
    let detail =
        scene.operator.get(&format!("/api/v1/clients/globex/learners/{}", learner.as_str().unwrap())).await.ok();
    assert_eq!(detail["effective_access"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_does_not_fit_the_record_spoils_nobodys_sign_in_and_is_not_written_down() {
    let scene = Scene::start().await;
    let mapping = json!({
        "profile": { "email": "email", "attributes": { "odd": { "expr": "claims[claims.x | first] | default('')" } } },
        "fallback": { "sublicenses": ["main"] },
    });
    let path = format!("/api/v1/clients/globex/connections/{}/mapping", scene.connection);
    scene.operator.put(&path, mapping).await.ok();
    scene.op.fault(oidc::Faults::default().claim("x", json!("Quixotic\u{0}4711")));
    for _ in 0..2 {
        let browser = scene.app.browser();
        let callback = scene.to_op(&browser).await;
        signed_in(browser.open(callback.url()).await);
    }
    let attempts = scene.operator.get("/api/v1/clients/globex/attempts").await.ok();
    for attempt in attempts["items"].as_array().unwrap() {
        let path = format!("/api/v1/clients/globex/attempts/{}", attempt["id"].as_str().unwrap());
        let detail = scene.operator.get(&path).await.ok();
        assert!(!detail.to_string().contains("Quixotic"), "{detail}");
    }
}
