//! The learner signs out: here first, then at the provider, and back to a page that says how far it went.

use std::collections::HashMap;

use idp_fixtures::{oidc, people::Org};
use serde_json::{Value, json};
use usher::http::text::{neutral, signed_out};

use super::{CLIENT, Scene, reads};

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_who_signs_out_is_out_here_before_the_provider_is_asked_and_then_everywhere() {
    let scene = Scene::start().await;
    let (browser, copy) = (scene.app.browser(), scene.app.browser().via(&scene.replica));
    let sid = scene.sign_in(&browser, "grace").await;
    let session = browser.cookies().into_iter().find(|cookie| cookie.name.starts_with("usher_cli")).unwrap();
    copy.set_cookie("localhost", &session.name, &session.value);
    assert!(scene.is_in(&copy).await);
    let second = scene.app.browser();
    scene.sign_in_again(&second, &sid).await;

    let leaving = scene.sign_out(&browser).await.expect(303);
    assert!(!scene.is_in(&copy).await, "a copy of the cookie is of no use, whatever the provider answers");
    assert!(!scene.is_in(&second).await, "what hangs on the same session at the provider has ended too");
    let to = leaving.location();
    assert!(to.as_str().starts_with(scene.op.issuer()));
    let asked: HashMap<String, String> = to.query_pairs().into_owned().collect();
    let back = scene.app.url(&format!("/oidc/{}/logged-out", scene.connection));
    assert_eq!((&asked["client_id"], &asked["post_logout_redirect_uri"]), (&CLIENT.to_owned(), &back));
    assert!(asked["id_token_hint"].split('.').count() == 3 && asked["state"].len() == 43);

    let returned = browser.follow(&leaving).await.expect(303);
    let page = browser.follow_all(returned.clone()).await.expect(200);
    assert!(reads(&page, &signed_out::EVERYWHERE), "{}", page.text());
    assert_eq!(page.url.path(), "/globex/logout");
    assert_eq!(scene.op.told(), [200], "the provider told us as well");
    // The answer is good once.
    let again = browser.follow(&returned).await.expect(400);
    assert!(again.says(neutral::LOGOUT_UNKNOWN.title));
    let events = scene.events("session.ended").await;
    assert!(events.iter().all(|event| event["actor"]["kind"] == "learner"), "{events:?}");
    assert_eq!(events.len(), 2, "this session, and the one in the second browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_finds_only_a_pending_logout_of_its_own_connection() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    for answer in ["", "?state=", "?state=nobody", &format!("?state={}", "A".repeat(43)), "?state=a&state=b"] {
        let url = scene.app.url(&format!("/oidc/{}/logged-out{answer}", scene.connection));
        let page = browser.open(url).await.expect(400);
        assert!(page.says(neutral::LOGOUT_UNKNOWN.title), "{answer}");
    }
    let body = json!({
        "name": "Second", "protocol": "oidc", "status": "active",
        "oidc": { "issuer": scene.op.issuer(), "client_id": CLIENT, "client_secret": "a-very-secret-secret" },
    });
    let second = scene.operator.post("/api/v1/clients/globex/connections", body).await.ok();
    scene.sign_in(&browser, "grace").await;
    let leaving = scene.sign_out(&browser).await.expect(303);
    let returned = browser.follow(&leaving).await.expect(303);
    let mixed_up = returned.location().as_str().replace(&scene.connection, second["id"].as_str().unwrap());
    browser.open(mixed_up).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_without_the_providers_word_reads_that_it_did_not_answer() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "grace").await;
    scene.sign_out(&browser).await.expect(303);
    let page = browser.open(scene.app.url("/globex/logout")).await.expect(200);
    assert!(reads(&page, &signed_out::UNANSWERED), "{}", page.text());
    let page = scene.app.browser().open(scene.app.url("/globex/logout")).await.expect(200);
    assert!(reads(&page, &signed_out::HERE), "another browser knows nothing of it");
    let page = browser.open(scene.app.url("/globex/logout?told=everywhere")).await.expect(200);
    assert!(!page.says(signed_out::EVERYWHERE.heading), "a link cannot claim it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_offers_no_logout_leaves_it_at_here() {
    let app = crate::support::App::start().await;
    let op = oidc::OidcOp::start(oidc::Options { org: Org::globex(), ..oidc::Options::default() }).await.unwrap();
    op.behave(|behaviour| {
        behaviour.faults.discovery.insert("end_session_endpoint".to_owned(), None);
    });
    let scene = Scene::with(app, op).await;
    let (browser, copy, another) = (scene.app.browser(), scene.app.browser(), scene.app.browser());
    let sid = scene.sign_in(&browser, "grace").await;
    scene.sign_in_again(&copy, &sid).await;
    scene.sign_in(&another, "grace").await;
    let page = scene.sign_out(&browser).await.expect(303);
    let page = browser.follow(&page).await.expect(200);
    assert!(reads(&page, &signed_out::HERE), "{}", page.text());
    assert!(!scene.is_in(&browser).await);
    assert!(!scene.is_in(&copy).await, "what hangs on the same session at the provider ends all the same");
    assert!(scene.is_in(&another).await, "another session at the provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_never_shown_to_another_issuer_that_the_connection_was_pointed_to() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "grace").await;
    let evil = oidc::OidcOp::start(oidc::Options { org: Org::globex(), ..oidc::Options::default() }).await.unwrap();
    let path = format!("/api/v1/clients/globex/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled", "oidc": { "issuer": evil.issuer() } })).await.ok();
    scene.operator.patch(&path, json!({ "status": "active", "oidc": { "client_secret": "another" } })).await.ok();
    let page = scene.sign_out(&browser).await.expect(303);
    assert_eq!(page.location().path(), "/globex/logout");
    assert!(!scene.is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_holds_of_a_session_names_nobody() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let sid = scene.sign_in(&browser, "grace").await;
    let hint = scene.sign_out(&browser).await.expect(303);
    let hint = hint.location().query_pairs().find(|(name, _)| name == "id_token_hint").unwrap().1.into_owned();
    scene.sign_in(&browser, "grace").await;
    let held = held(&scene).await;
    assert!(held.contains("\"epoch\":"), "the sessions are among it");
    let header = hint.split('.').next().unwrap();
    for secret in [scene.subject("grace").as_str(), &sid, header, "grace@", scene.op.issuer()] {
        assert!(!held.contains(secret), "{secret}");
    }
}

/// Every key and text that Redis holds for this test.
async fn held(scene: &Scene) -> String {
    let settings = &scene.app.settings.redis;
    let url = std::env::var("USHER_TEST_REDIS_URL").unwrap();
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:*", settings.key_prefix);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    let mut held = String::new();
    for key in keys {
        let text: redis::RedisResult<Vec<u8>> = redis::cmd("GET").arg(&key).query_async(&mut connection).await;
        held.push_str(&format!("{key} {}\n", String::from_utf8_lossy(&text.unwrap_or_default())));
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_to_register_at_the_provider_are_told() {
    let scene = Scene::start().await;
    let path = format!("/api/v1/clients/globex/connections/{}", scene.connection);
    let ours: Value = scene.operator.get(&path).await.ok()["service_provider"].clone();
    let at = |end: &str| json!(scene.app.url(&format!("/oidc/{}/{end}", scene.connection)));
    assert_eq!(ours["post_logout_redirect_uri"], at("logged-out"));
    assert_eq!(ours["backchannel_logout_uri"], at("backchannel-logout"));
}
