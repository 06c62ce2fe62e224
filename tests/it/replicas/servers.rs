//! Redis with Sentinels and in a Cluster, and what its death costs: nothing that was told, and nobody is let in by what
//! was forgotten.

use super::{everything_holds, let_in, scene};
use crate::support::{
    App, SamlScene,
    servers::{Cluster, Sentinels, until},
};

async fn over(url: String) -> SamlScene {
    scene(App::with().settings(move |raw| raw.redis.url = url.clone().into())).await
}

/// Until both gateways have found the new primary. Meanwhile nobody is let in: each answer is an honest 503.
async fn healed(scene: &SamlScene) {
    let browser = scene.app.browser();
    let mut in_a_row = 0;
    until("the gateways find the new primary", async || {
        let page = browser.open(scene.start_url()).await;
        assert!([303, 503].contains(&page.status.as_u16()), "{} {}", page.status, page.text());
        in_a_row = if page.status == 303 { in_a_row + 1 } else { 0 };
        in_a_row == 4
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sentinels_everything_holds_and_a_killed_primary_costs_sign_ins_under_way_and_no_session() {
    let mut redis = Sentinels::start().await;
    let scene = over(redis.url()).await;
    everything_holds(&scene).await;
    let (signed_in, under_way) = (scene.app.browser(), scene.app.browser());
    let_in(scene.sign_in(&signed_in, "ada").await);
    let form = scene.to_idp(&under_way, "ada").await;
    redis.in_step().await;
    redis.primary.kill();
    signed_in.open(scene.app.url("/acme/dashboard")).await.expect(503);
    healed(&scene).await;
    signed_in.open(scene.app.url("/acme/dashboard")).await.expect(200);
    // The new primary cannot know whether the old one had given it to somebody.
    scene.post_back(&under_way, &form).await.expect(400);
    let_in(scene.sign_in(&under_way, "ada").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_use_the_new_primary_never_heard_of_is_refused_all_the_same() {
    let mut redis = Sentinels::start().await;
    let scene = over(redis.url()).await;
    // Both gateways are connected.
    for _ in 0..2 {
        let_in(scene.sign_in(&scene.app.browser(), "nora").await);
    }
    let browser = scene.app.browser();
    let form = scene.to_idp(&browser, "ada").await;
    redis.in_step().await;
    redis.part().await;
    let_in(scene.post_back(&browser, &form).await);
    redis.primary.kill();
    healed(&scene).await;
    let attempts: Vec<String> = redis.replica.ask("KEYS *:attempt:*").await;
    assert!(attempts.len() > 4, "the new primary still has the attempt, beside those begun since");
    scene.post_back(&browser, &form).await.expect(400);
    assert_eq!(scene.last_attempt().await["outcome"], "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_cluster_everything_holds_and_a_killed_node_is_replaced_by_its_replica() {
    let mut redis = Cluster::start().await;
    let scene = over(redis.url()).await;
    everything_holds(&scene).await;
    redis.replicate(&scene.client).await;
    let browser = scene.app.browser();
    let_in(scene.sign_in(&browser, "ada").await);
    browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    redis.kill_holder(&scene.client).await;
    browser.open(scene.app.url("/acme/dashboard")).await.expect(503);
    healed(&scene).await;
    browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    let_in(scene.sign_in(&scene.app.browser(), "ada").await);
}
