//! PostgreSQL or Redis away in the middle of a sign-in: a clear page, nothing half-done, recovery by itself.

use serde_json::json;

use crate::support::{App, Browser, Page, SamlScene};

/// Opens the page until the gateway has found its servers again; each try is an honest 503 until then.
async fn until_recovered(browser: &Browser, url: &str) -> Page {
    let tries = async {
        loop {
            let page = browser.open(url).await;
            if page.status != 503 {
                return page;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), tries).await.expect("it recovers by itself")
}

async fn scene() -> SamlScene {
    SamlScene::with(App::with().flaky().start().await, json!({}), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_nobody_is_let_in_and_the_next_try_works() {
    let scene = scene().await;
    let browser = scene.app.browser();
    let form = scene.to_idp(&browser, "ada").await;
    scene.app.postgres().cut();
    let page = scene.post_back(&browser, &form).await;
    eprintln!(
        "{}",
        crate::support::log_text()
            .lines()
            .filter(|l| l.contains("fail") || l.contains("ERROR") || l.contains("error"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let page = page.expect(503);
    assert!(page.headers.contains_key("retry-after"));
    scene.app.postgres().restore();
    until_recovered(&browser, &scene.app.url("/acme")).await.expect(200);
    assert_eq!(scene.learners().await, 0);
    scene.sign_in(&browser, "ada").await.expect(303);
    assert_eq!(scene.learners().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nobody_is_let_in_and_the_next_try_works() {
    let scene = scene().await;
    let browser = scene.app.browser();
    let form = scene.to_idp(&browser, "ada").await;
    scene.app.redis().cut();
    scene.post_back(&browser, &form).await.expect(503);
    browser.open(scene.start_url()).await.expect(503);
    scene.app.redis().restore();
    until_recovered(&scene.app.browser(), &scene.start_url()).await.expect(303);
    assert_eq!(scene.learners().await, 0);
    // The attempt was never taken, so even the same answer is still good.
    let page = scene.post_back(&browser, &form).await;
    assert!([303, 400].contains(&page.status.as_u16()), "{}", page.status);
    scene.sign_in(&browser, "ada").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_an_outage_and_shows_nothing_during_it() {
    let scene = scene().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "ada").await.expect(303);
    let dashboard = scene.app.url("/acme/dashboard");
    browser.open(&dashboard).await.expect(200);
    scene.app.redis().cut();
    browser.open(&dashboard).await.expect(503);
    scene.app.redis().restore();
    until_recovered(&browser, &dashboard).await.expect(200);
    scene.app.postgres().cut();
    browser.open(&dashboard).await.expect(503);
    scene.app.postgres().restore();
    until_recovered(&browser, &dashboard).await.expect(200);
}
