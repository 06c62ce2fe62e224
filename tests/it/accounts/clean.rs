//! What is removed by nobody's request: old links, and learners who never came back.

use chrono::Duration;
use usher::jobs;

use super::{NEW, OLD, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn links_go_two_days_after_they_expire() {
    let scene = Scene::start().await;
    scene.account("acme", "zoe@acme.example", OLD).await;
    scene.forgot("acme", "zoe@acme.example").await;
    let link = scene.link("zoe@acme.example", "password_reset").await;
    for (hours, left, status) in [(2, 1, 410), (50, 0, 404)] {
        let now = scene.now() + Duration::hours(hours);
        jobs::clean(&scene.app, now).await.unwrap();
        assert_eq!(scene.count("select count(*) from email_proofs").await, left);
        scene.app.clock.advance(Duration::hours(hours));
        scene.app.browser().open(scene.app.url(&link)).await.expect(status);
        scene.app.clock.advance(-Duration::hours(hours));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_who_never_confirmed_and_never_held_anything_goes_after_the_days_of_the_settings() {
    let scene = Scene::start().await;
    let gone = scene.sign_up("acme", "gone@acme.example", OLD).await;
    let holds = scene.sign_up("acme", "holds@acme.example", OLD).await;
    scene.grant("acme", holds, "main").await;
    scene.sign_up("acme", "proved@acme.example", OLD).await;
    let browser = scene.app.browser();
    scene.use_link(&browser, &scene.link("proved@acme.example", "confirm_email").await, NEW).await.expect(303);
    jobs::clean(&scene.app, scene.now() + Duration::days(29)).await.unwrap();
    assert_eq!(scene.learners("gone@acme.example").await, [(gone, false)]);
    let cleaned = jobs::clean(&scene.app, scene.now() + Duration::days(31)).await.unwrap();
    assert_eq!(cleaned.accounts.learners, 1);
    assert!(scene.learners("gone@acme.example").await.is_empty());
    assert_eq!(scene.learners("holds@acme.example").await.len(), 1);
    assert_eq!(scene.learners("proved@acme.example").await.len(), 1);
    assert!(scene.told("acme").await.contains(&"learner.removed".into()));
    let left = scene.count("select count(*) from audit_values where after::text like '%gone@acme.example%'").await;
    assert_eq!(left, 0, "nothing personal is left of whoever was removed");
}
