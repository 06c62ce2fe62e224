//! PostgreSQL or Redis away: a clear page, nothing half done, recovery by itself.

use super::{NEW, OLD, Scene};
use crate::support::{App, Browser, Form, Page};

const ZOE: &str = "zoe@acme.example";

/// Sends a form until the gateway has found its servers again; each try is an honest 503 until then.
async fn until_recovered(browser: &Browser, form: &Form) -> Page {
    let tries = async {
        loop {
            let page = browser.submit(form).await;
            if page.status != 503 {
                return page;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), tries).await.expect("it recovers by itself")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_nobody_signs_in_and_afterwards_everybody_does() {
    let scene = Scene::with(App::with().flaky()).await;
    scene.account("acme", ZOE, OLD).await;
    for server in [scene.app.postgres(), scene.app.redis()] {
        let browser = scene.app.browser();
        let page = browser.open(scene.app.url("/acme/login/password")).await.expect(200);
        let form = page.form().fill("email", ZOE).fill("password", OLD);
        server.cut();
        let page = browser.submit(&form).await.expect(503);
        assert!(page.headers.contains_key("retry-after") && browser.cookies().is_empty());
        server.restore();
        until_recovered(&browser, &form).await.expect(303);
        assert!(scene.is_in(&browser, "acme").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_not_used_up_by_an_outage() {
    let scene = Scene::with(App::with().flaky()).await;
    scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.link(ZOE, "confirm_email").await;
    let browser = scene.app.browser();
    let form = browser.open(scene.app.url(&link)).await.expect(200).form().fill("password", NEW);
    scene.app.postgres().cut();
    browser.submit(&form).await.expect(503);
    scene.app.postgres().restore();
    until_recovered(&browser, &form).await.expect(303);
    scene.forgot("acme", ZOE).await.expect(200);
    let reset = scene.link(ZOE, "password_reset").await;
    let form = browser.open(scene.app.url(&reset)).await.expect(200).form().fill("password", OLD);
    scene.app.redis().cut();
    browser.submit(&form).await.expect(503);
    scene.app.redis().restore();
    until_recovered(&browser, &form).await.expect(200);
    scene.signed_in("acme", ZOE, OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_an_honest_503_for_every_address_while_the_servers_are_away() {
    let scene = Scene::with(App::with().flaky()).await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    let form = browser.open(scene.app.url("/acme/password/forgot")).await.form();
    for server in [scene.app.postgres(), scene.app.redis()] {
        server.cut();
        for email in [ZOE, "nobody@acme.example"] {
            browser.submit(&form.clone().fill("email", email)).await.expect(503);
        }
        server.restore();
        until_recovered(&browser, &form.clone().fill("email", ZOE)).await.expect(200);
    }
    assert!(!scene.kinds(ZOE).await.is_empty());
}
