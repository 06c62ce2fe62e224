//! The provider ends sessions: which, everywhere, and none that is not meant.

use serde_json::json;
use usher::http::text::refused;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn logout_at_the_provider_ends_both_sessions_of_two_browsers_on_two_replicas() {
    let scene = Scene::start().await;
    let (first, second) = (scene.app.browser(), scene.app.browser().via(&scene.replica));
    let sid = scene.sign_in(&first, "grace").await;
    scene.sign_in_again(&second, &sid).await;
    let (elsewhere, another) = (scene.app.browser(), scene.app.browser());
    scene.sign_in(&elsewhere, "grace").await;
    scene.sign_in(&another, "mary").await;
    assert_eq!(scene.op.end_session(&sid).await, [200]);
    assert!(!scene.is_in(&first).await && !scene.is_in(&second).await);
    assert!(scene.is_in(&elsewhere).await, "another session at the provider");
    assert!(scene.is_in(&another).await);
    let events = scene.events("session.ended").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["facts"]["sessions"], &events[0]["actor"]["kind"]), (&json!(2), &json!("idp")));
    let told: i64 = sqlx::query_scalar("select count(*) from outbox_events where type = 'session.ended'")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert_eq!(told, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_subject_alone_ends_every_session_of_that_person_and_nobody_elses() {
    let scene = Scene::start().await;
    let (first, second, another) = (scene.app.browser(), scene.app.browser(), scene.app.browser());
    scene.sign_in(&first, "grace").await;
    scene.sign_in(&second, "grace").await;
    scene.sign_in(&another, "mary").await;
    assert_eq!(scene.tell(&scene.token(Some("grace"), None)).await.0, 200);
    assert!(!scene.is_in(&first).await && !scene.is_in(&second).await);
    assert!(scene.is_in(&another).await);
    scene.sign_in(&first, "grace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_and_a_session_of_different_people_end_nothing() {
    let scene = Scene::start().await;
    let (grace, mary) = (scene.app.browser(), scene.app.browser());
    let sid = scene.sign_in(&grace, "grace").await;
    scene.sign_in(&mary, "mary").await;
    assert_eq!(scene.tell(&scene.token(Some("mary"), Some(&sid))).await.0, 200, "nobody is signed in so");
    assert_eq!(scene.tell(&scene.token(None, Some("of-nobody"))).await.0, 200);
    assert!(scene.is_in(&grace).await && scene.is_in(&mary).await);
    assert_eq!(scene.tell(&scene.token(Some("grace"), Some(&sid))).await.0, 200);
    assert!(!scene.is_in(&grace).await && scene.is_in(&mary).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_finishing_while_the_provider_ends_its_session_does_not_begin() {
    let scene = Scene::start().await;
    let (grace, mary) = (scene.app.browser(), scene.app.browser());
    let callback = scene.op.sign_in(&scene.authorize_url(&grace).await, "grace").unwrap();
    // The provider's clock is what counts: its logout is later than the ID token that is on its way.
    let later = json!(chrono::Utc::now().timestamp() + 30);
    scene.op.fault(idp_fixtures::oidc::Faults::default().logout_claim("iat", Some(later)));
    assert_eq!(scene.tell(&scene.token(Some("grace"), None)).await.0, 200);
    let page = grace.open(callback.url()).await.expect(400);
    assert!(page.says(refused::TOO_OLD.title), "{}", page.text());
    assert!(!scene.is_in(&grace).await);
    scene.sign_in(&mary, "mary").await;
    // What the provider issues after its logout begins sessions again.
    let newer = json!(chrono::Utc::now().timestamp() + 40);
    scene.op.fault(idp_fixtures::oidc::Faults::default().claim("iat", newer));
    scene.sign_in(&grace, "grace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_connection_are_dead_on_every_replica_while_it_is_not_active() {
    let scene = Scene::start().await;
    let (here, there) = (scene.app.browser(), scene.app.browser().via(&scene.replica));
    scene.sign_in(&here, "grace").await;
    scene.sign_in(&there, "mary").await;
    let path = format!("/api/v1/clients/globex/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    for browser in [&here, &there] {
        assert!(!scene.is_in(browser).await);
        let page = browser.open(scene.app.url("/globex/logout")).await.expect(200);
        assert!(!page.says(usher::http::text::signed_out::STILL_IN));
        browser.open(scene.app.url("/globex/account")).await.expect(303);
    }
    scene.operator.patch(&path, json!({ "status": "active" })).await.ok();
    assert!(scene.is_in(&here).await && scene.is_in(&there).await);
}
