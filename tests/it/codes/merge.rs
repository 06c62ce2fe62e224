//! Two records of one person become one: uses that bring nothing are given back, others move along.

use serde_json::json;
use usher::{
    access::{self, By},
    audit::Actor,
    codes::{self, CodeResult},
    ids::LearnerId,
};

use super::{BASE, Scene, is_redeemed, text};

async fn merge(scene: &Scene, from: LearnerId, to: LearnerId) {
    let by = By { actor: Actor::Learner(to), reference: None };
    let (now, entropy) = (scene.app.clock.now(), &scene.app.entropy);
    let mut transaction = scene.app.begin().await.unwrap();
    codes::give_back_on_merge(&mut transaction, entropy, scene.client, from, to, &by, now).await.unwrap();
    access::move_grants(&mut transaction, entropy, scene.client, from, to, &by, now).await.unwrap();
    scene.app.commit(transaction).await.unwrap();
}

#[tokio::test]
async fn a_use_that_the_person_did_not_need_is_given_back_with_its_seat() {
    let scene = Scene::start().await;
    scene.operator.patch(BASE, json!({ "seat_limit": 2 })).await.ok();
    let (_, codes) = scene.batch(json!({ "count": 2 })).await;
    let shared = scene.registration(json!({ "sublicenses": ["sales"] })).await;
    let (spare, real) = (scene.learner("new@acme.example", false).await, scene.learner("ada@acme.example", true).await);
    for (learner, code) in [(spare, &codes[0]), (real, &codes[1]), (spare, &shared), (real, &shared)] {
        assert!(is_redeemed(&scene.redeem(learner, &[text(code)]).await[0]));
    }
    merge(&scene, spare, real).await;
    assert_eq!((scene.grants(spare).await, scene.grants(real).await), (0, 2));
    let client = scene.operator.get(BASE).await.ok();
    assert_eq!(client["seats_used"], 1);
    let shown = scene.operator.get(&format!("{BASE}/registration-codes/{}", shared["id"].as_str().unwrap())).await.ok();
    assert_eq!(shown["times_redeemed"], 1);
    let other = scene.learner("bob@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem(other, &[text(&codes[0])]).await[0]), "the code is free again");
    assert_eq!(scene.count("select count(*) from redemptions where client_id = $1 and undone_why = 'merged'").await, 2);
}

#[tokio::test]
async fn a_use_that_is_given_back_does_not_revive_a_code_of_a_revoked_batch() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "count": 3 })).await;
    let (spare, real) = (scene.learner("new@acme.example", false).await, scene.learner("ada@acme.example", true).await);
    for (learner, code) in [(spare, &codes[0]), (real, &codes[1])] {
        assert!(is_redeemed(&scene.redeem(learner, &[text(code)]).await[0]));
    }
    let path = format!("{BASE}/redemption-batches/{batch}");
    assert_eq!(scene.operator.post(&format!("{path}/revoke"), json!({})).await.ok()["revoked"], 1);
    merge(&scene, spare, real).await;
    let other = scene.learner("bob@acme.example", true).await;
    assert_eq!(scene.redeem(other, &[text(&codes[0])]).await[0], CodeResult::NotValid);
    let shown = scene.operator.get(&path).await.ok();
    assert_eq!((&shown["codes_redeemed"], &shown["codes_revoked"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_use_that_brings_something_moves_along() {
    let scene = Scene::start().await;
    scene.operator.patch(BASE, json!({ "seat_limit": 2 })).await.ok();
    let (_, codes) = scene.batch(json!({ "count": 1, "sublicenses": ["sales"] })).await;
    let main = scene.registration(json!({})).await;
    let (spare, real) = (scene.learner("new@acme.example", false).await, scene.learner("ada@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(spare, &[text(&codes[0])]).await[0]));
    assert!(is_redeemed(&scene.redeem(real, &[text(&main)]).await[0]));
    // A limit lowered under use takes nobody's.
    scene.operator.patch(BASE, json!({ "seat_limit": 1 })).await.ok();
    merge(&scene, spare, real).await;
    assert_eq!((scene.grants(spare).await, scene.grants(real).await), (0, 2));
    assert_eq!(scene.redeem(real, &[text(&codes[0])]).await, [CodeResult::AlreadyUsedByYou]);
    let owner: uuid::Uuid = sqlx::query_scalar("select learner_id from codes where state = 'redeemed'")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert_eq!(owner, real.uuid());
    assert_eq!(scene.operator.get(BASE).await.ok()["seats_used"], 1);
}

#[tokio::test]
async fn what_waits_for_one_record_waits_for_the_other() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({ "email_domains": ["acme.example"] })).await;
    let (spare, real) = (scene.learner("new@acme.example", false).await, scene.learner("ada@acme.example", true).await);
    assert_eq!(scene.redeem(spare, &[text(&code)]).await, [CodeResult::WaitsForAddress]);
    merge(&scene, spare, real).await;
    let waiting: Vec<uuid::Uuid> =
        sqlx::query_scalar("select learner_id from waiting_codes").fetch_all(&scene.app.db).await.unwrap();
    assert_eq!(waiting, [real.uuid()]);
}
