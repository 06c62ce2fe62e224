//! Replicas whose rings differ, as while a new one is rolled out.

use chrono::Utc;
use serde_json::json;
use usher::{config::Raw, ids::ReplicaId, keys};

use super::setup::{app, keys_in_use, ring, scene, sealed};
use crate::support::{App, Browser, SamlScene};

fn replica(app: &App) -> ReplicaId {
    app.entropy.id(app.clock.now())
}

async fn announce(app: &App, replica: ReplicaId) {
    keys::announce(app, replica, app.clock.now()).await.unwrap();
}

/// A sign-in that starts at one replica and ends at another.
async fn sign_in(scene: &SamlScene, start: &App, end: &App) {
    let browser = Browser::new().via(start);
    let form = scene.to_idp(&browser, "ada").await;
    let browser = browser.via(end);
    let page = scene.post_back(&browser, &form).await.expect(303);
    assert_eq!(page.location().path(), "/acme/dashboard");
}

/// Another connection to the same identity provider, made at this replica; sign-ins of the scene then go by it.
async fn connect(scene: &mut SamlScene, at: &App) {
    let body = json!({
        "name": "Another", "protocol": "saml", "status": "active",
        "saml": { "metadata_url": scene.idp.metadata_url(), "sign_requests": true },
    });
    let made = at.operator().await.post("/api/v1/clients/acme/connections", body).await.ok();
    scene.connection = made["id"].as_str().unwrap().to_owned();
    let rules = json!({ "profile": { "email": "email" }, "fallback": { "sublicenses": ["main"] } });
    at.operator()
        .await
        .put(&format!("/api/v1/clients/acme/connections/{}/mapping", scene.connection), rules)
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_go_on_at_every_replica_while_a_new_ring_is_rolled_out() {
    // The identity provider asks at the public origin, where the new one answers.
    let mut scene = scene(&[2, 1]).await;
    let old = scene.app.replica_with(ring(&[1]));
    let (first, second) = (replica(&old), replica(&scene.app));
    announce(&old, first).await;
    announce(&scene.app, second).await;
    // What the new one seals, the old one opens.
    let new = scene.app.replica();
    announce(&new, replica(&new)).await;
    connect(&mut scene, &new).await;
    sign_in(&scene, &old, &new).await;
    sign_in(&scene, &new, &old).await;
    assert_eq!((new.sealer.sealing().number, keys_in_use(&new).await), (1, vec![1]));

    // The old one is replaced: from now on the new key seals, and what the old one sealed still opens.
    keys::leave(&old, first).await.unwrap();
    drop(old);
    let renewed = scene.app.replica();
    for app in [&renewed, &new] {
        announce(app, replica(app)).await;
    }
    announce(&scene.app, second).await;
    sign_in(&scene, &renewed, &new).await;
    connect(&mut scene, &new).await;
    sign_in(&scene, &renewed, &new).await;
    sign_in(&scene, &new, &renewed).await;
    assert_eq!(sealed(&new).await[&("key".to_owned(), 2)], 2, "a connection's two keys");

    // All is brought under the new key, and the old one leaves one ring after the other.
    new.clock.advance(chrono::Duration::minutes(2));
    announce(&new, second).await;
    keys::rotate(&new, |_| {}).await.unwrap();
    let last = scene.app.replica_with(ring(&[2]));
    announce(&last, replica(&last)).await;
    sign_in(&scene, &last, &new).await;
    sign_in(&scene, &renewed, &last).await;
    assert_eq!(keys_in_use(&new).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_waits_for_a_yes_opens_at_the_other_replica() {
    let app = app(&[1]).await;
    let scene = SamlScene::with(app, json!({ "idp_initiated": "accept" }), json!({})).await;
    let new = scene.app.replica_with(ring(&[2, 1]));
    announce(&scene.app, replica(&scene.app)).await;
    announce(&new, replica(&new)).await;
    let tile = idp_fixtures::saml::App { entity_id: scene.entity_id(), acs_url: scene.acs_url() };
    let form = scene.idp.open_app(&tile, "ada", None).await.unwrap();
    let browser = Browser::new().via(&new);
    let question = scene.post_back(&browser, &form).await.expect(200);
    let browser = browser.via(&scene.app);
    let page = browser.submit(&question.form_with("handle")).await.expect(303);
    assert_eq!(page.location().path(), "/acme/dashboard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_killed_counts_for_a_minute_and_no_longer() {
    let old = app(&[1]).await;
    let new = old.replica_with(ring(&[2, 1]));
    let id = replica(&new);
    announce(&old, replica(&old)).await;
    announce(&new, id).await;
    new.clock.advance(chrono::Duration::seconds(60));
    announce(&new, id).await;
    assert_eq!(new.sealer.sealing().number, 1);
    new.clock.advance(chrono::Duration::seconds(1));
    announce(&new, id).await;
    assert_eq!(new.sealer.sealing().number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_browser_stays_known_under_a_new_key() {
    let old = app(&[1]).await;
    let tag = old.sealer.tag("known browser", b"mark");
    let new = old.replica_with(ring(&[2, 1]));
    announce(&new, replica(&new)).await;
    assert_eq!(new.sealer.sealing().number, 2);
    assert!(new.sealer.is_tag("known browser", b"mark", &tag));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_replicas_see_each_others_rings_and_stop_a_rotation_that_one_could_not_follow() {
    let pooled = |numbers: &'static [u8]| {
        let of = ring(numbers);
        move |raw: &mut Raw| {
            raw.database.pooler = "transaction".into();
            of(raw);
        }
    };
    let app = App::with().clock_at(Utc::now()).settings(pooled(&[2, 1])).start().await;
    let (new, old) = (app.replica(), app.replica_with(pooled(&[1])));
    let behind = replica(&old);
    announce(&old, behind).await;
    announce(&new, replica(&new)).await;
    assert_eq!(new.sealer.sealing().number, 1, "what the other one opens");
    let refused = keys::rotate(&new, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("do not hold key 2"), "{refused}");
    keys::leave(&old, behind).await.unwrap();
    keys::watch_certificates(&new, new.clock.now()).await.unwrap();
}
