//! Two gateways over one PostgreSQL and one Redis, each request of a flow sent to the other one; and the same with
//! Sentinels, a Cluster or PgBouncer in place of the plain servers.
//!
//! The whole suite can be run this way: `USHER_TEST_TWIN=1 script/test` starts two gateways for every test, and
//! `USHER_TEST_PGBOUNCER_PORT=…` puts what listens there before PostgreSQL.

mod flows;
mod pooler;
mod servers;

use serde_json::json;

use crate::support::{Options, Page, SamlScene};

/// A client and its identity provider at two gateways.
async fn scene(options: Options) -> SamlScene {
    SamlScene::with(options.twin().start().await, json!({}), json!({})).await
}

fn let_in(page: Page) {
    assert_eq!(page.expect(303).location().path(), "/acme/dashboard");
}

/// What must hold wherever the requests go: sign-in, replay, rates, logout, suspension, disabling.
async fn everything_holds(scene: &SamlScene) {
    let (dashboard, browser) = (scene.app.url("/acme/dashboard"), scene.app.browser());
    let form = scene.to_idp(&browser, "ada").await;
    let_in(scene.post_back(&browser, &form).await);
    scene.post_back(&browser, &form).await.expect(400);
    for _ in 0..2 {
        browser.open(&dashboard).await.expect(200);
    }
    assert_eq!(scene.learners().await, 1);

    // Signed out by one, out at both.
    let page = browser.open(&dashboard).await;
    let token = browser.cookies().into_iter().find(|cookie| cookie.name.starts_with("usher_cli_")).unwrap();
    let form = page.forms().into_iter().find(|form| form.action.ends_with("/logout")).unwrap();
    browser.submit(&form).await;
    browser.set_cookie("localhost", &token.name, &token.value);
    for _ in 0..2 {
        browser.open(&dashboard).await.expect(303);
    }

    // Suspended by one, dead at both.
    let browser = scene.app.browser();
    let_in(scene.sign_in(&browser, "ada").await);
    let learner = scene.learner("ada@acme.example").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/clients/acme/learners/{learner}");
    scene.operator.patch(&path, json!({ "status": "suspended" })).await.ok();
    for _ in 0..2 {
        browser.open(&dashboard).await.expect(303);
    }
    scene.operator.patch(&path, json!({ "status": "active" })).await.ok();

    // Disabled by one, closed at both, at the start and at the return.
    let forms = [scene.to_idp(&browser, "ada").await, scene.to_idp(&browser, "nora").await];
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    for form in &forms {
        browser.open(scene.start_url()).await.expect(403);
        scene.post_back(&browser, form).await.expect(403);
    }
    scene.operator.patch(&path, json!({ "status": "active" })).await.ok();
    let_in(scene.sign_in(&scene.app.browser(), "ada").await);
}
