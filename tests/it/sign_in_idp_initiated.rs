//! Responses that nobody asked for: refused, restarted, or taken after the learner's yes.

use idp_fixtures::saml;
use serde_json::json;

use crate::support::{App, SamlScene};

async fn scene(mode: &str) -> SamlScene {
    SamlScene::with(App::start().await, json!({ "idp_initiated": mode }), json!({})).await
}

async fn tile(scene: &SamlScene, relay_state: Option<&str>) -> saml::PostForm {
    let app = saml::App { entity_id: scene.entity_id(), acs_url: scene.acs_url() };
    scene.idp.open_app(&app, "ada", relay_state).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_drops_the_response_and_asks_the_idp_itself() {
    let scene = scene("restart").await;
    let browser = scene.app.browser();
    let form = tile(&scene, Some("/acme/dashboard?from=tile")).await;
    let page = scene.post_back(&browser, &form).await.expect(303);
    assert!(page.location().as_str().starts_with(&scene.idp.sso_url()), "{}", page.location());
    let form = scene.idp.sign_in(page.location().as_str(), "ada").await.unwrap();
    let page = scene.post_back(&browser, &form).await.expect(303);
    assert_eq!((page.location().path(), page.location().query()), ("/acme/dashboard", Some("from=tile")));
}

#[tokio::test(flavor = "multi_thread")]
async fn off_refuses_it() {
    let scene = scene("off").await;
    let form = tile(&scene, None).await;
    scene.post_back(&scene.app.browser(), &form).await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.saml.unsolicited");
    assert_eq!(scene.learners().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_asks_first_and_takes_it_once() {
    let scene = scene("accept").await;
    let browser = scene.app.browser();
    let form = tile(&scene, None).await;
    let question = scene.post_back(&browser, &form).await.expect(200);
    assert!(question.says("Ada Lovelace"), "{}", question.text());
    assert_eq!(scene.learners().await, 0, "nothing happens before the yes");
    let yes = question.form_with("handle");
    let page = browser.submit(&yes).await.expect(303);
    assert_eq!(page.location().path(), "/acme/dashboard");
    browser.submit(&yes).await.expect(400);
    assert_eq!(scene.learners().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_unsolicited_response_opens_no_second_session_even_when_redis_forgot_it() {
    let scene = scene("accept").await;
    let form = tile(&scene, None).await;
    let browser = scene.app.browser();
    let question = scene.post_back(&browser, &form).await.expect(200);
    browser.submit(&question.form_with("handle")).await.expect(303);
    scene.app.forget_redis().await;
    let thief = scene.app.browser();
    let question = scene.post_back(&thief, &form).await.expect(200);
    thief.submit(&question.form_with("handle")).await.expect(400);
    assert_eq!(scene.last_attempt().await["code"], "login.replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_cannot_say_yes() {
    let scene = scene("accept").await;
    let (mine, theirs) = (scene.app.browser(), scene.app.browser());
    let form = tile(&scene, None).await;
    let question = scene.post_back(&mine, &form).await.expect(200);
    let other = tile(&scene, None).await;
    scene.post_back(&theirs, &other).await.expect(200);
    theirs.submit(&question.form_with("handle")).await.expect(400);
    assert_eq!(scene.learners().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_claim_that_our_page_posted_again_and_so_replace_the_browsers_cookie() {
    let scene = scene("restart").await;
    let browser = scene.app.browser();
    let pending = scene.to_idp(&browser, "ada").await;
    let form = tile(&scene, None).await;
    let fields = [("SAMLResponse", form.saml_response.as_str()), ("reposted", "1")];
    let page = browser.post_from("https://evil.example/", &form.action, &fields).await.expect(200);
    assert!(!page.headers.contains_key("set-cookie"), "{:?}", page.headers);
    scene.post_back(&browser, &pending).await.expect(303);
}
