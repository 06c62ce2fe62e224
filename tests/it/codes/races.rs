//! Never oversold: maxima, single use, client seats and sublicense seats under real concurrency, on two replicas.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use usher::codes::{self, CodeResult, RedeemOrder};

use super::{BASE, Scene, is_redeemed, text};
use crate::support::App;

/// Redeems every order at once, each on one of the replicas; the results.
async fn all(apps: &[&App], orders: Vec<RedeemOrder>) -> Vec<CodeResult> {
    let mut tasks = JoinSet::new();
    for (index, order) in orders.into_iter().enumerate() {
        let app: usher::app::App = (**apps[index % apps.len()]).clone();
        tasks.spawn(async move { codes::redeem(&app, order).await });
    }
    let mut found = Vec::new();
    while let Some(done) = tasks.join_next().await {
        found.extend(super::results(done.unwrap()));
    }
    found
}

fn redeemed(results: &[CodeResult]) -> usize {
    results.iter().filter(|result| is_redeemed(result)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maximum_holds_on_two_replicas() {
    let scene = Scene::start().await;
    let replica = scene.app.replica();
    let code = scene.registration(json!({ "max_redemptions": 60 })).await;
    let facts = scene.facts().await;
    let learners = scene.learners(100).await;
    // Everybody clicks twice.
    let orders =
        learners.iter().chain(&learners).map(|learner| scene.order(&facts, *learner, &[text(&code)])).collect();
    let results = all(&[&scene.app, &replica], orders).await;
    assert_eq!(redeemed(&results), 60);
    let used_up = results.iter().filter(|result| **result == CodeResult::UsedUp).count();
    let again = results.iter().filter(|result| **result == CodeResult::AlreadyUsedByYou).count();
    assert_eq!((used_up, again), (80, 60));
    let shown = scene.operator.get(&format!("{BASE}/registration-codes/{}", code["id"].as_str().unwrap())).await.ok();
    assert_eq!((&shown["times_redeemed"], &shown["redemptions_left"]), (&json!(60), &json!(0)));
    assert_eq!(scene.count("select count(*) from redemptions where client_id = $1").await, 60);
    assert_eq!(scene.count("select count(*) from access_grants where client_id = $1").await, 60);
    assert_eq!(
        scene.count("select count(*) from outbox_events where client_id = $1 and type = 'code.redeemed'").await,
        60
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_code_is_used_by_one_learner() {
    let scene = Scene::start().await;
    let replica = scene.app.replica();
    let (_, codes) = scene.batch(json!({ "count": 3 })).await;
    let facts = scene.facts().await;
    let learners = scene.learners(40).await;
    let texts: Vec<&str> = codes.iter().map(text).collect();
    // Everybody tries all three, in another order.
    let order = |(index, learner)| {
        let mut mine = texts.clone();
        mine.rotate_left(index % 3);
        scene.order(&facts, learner, &mine)
    };
    let orders = learners.iter().copied().enumerate().map(order).collect();
    let results = all(&[&scene.app, &replica], orders).await;
    assert_eq!(redeemed(&results), 3);
    assert_eq!(scene.count("select count(*) from redemptions where client_id = $1").await, 3);
    assert_eq!(scene.count("select count(distinct learner_id) from redemptions where client_id = $1").await, 3);
    assert_eq!(scene.count("select count(*) from codes where client_id = $1 and state = 'redeemed'").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_hold_whatever_codes_are_redeemed() {
    let scene = Scene::start().await;
    let replica = scene.app.replica();
    scene.operator.patch(BASE, json!({ "seat_limit": 25 })).await.ok();
    let sales = scene.sublicense("sales").await;
    scene.operator.patch(&format!("{BASE}/sublicenses/{sales}"), json!({ "seat_limit": 10 })).await.ok();
    let both = scene.registration(json!({ "sublicenses": ["main", "sales"] })).await;
    let main = scene.registration(json!({ "sublicenses": ["main"] })).await;
    let only_sales = scene.registration(json!({ "sublicenses": ["sales"] })).await;
    let facts = scene.facts().await;
    let learners = scene.learners(60).await;
    let codes = [text(&both), text(&main), text(&only_sales)];
    let order = |(index, learner)| {
        let mut mine = codes.to_vec();
        mine.rotate_left(index % 3);
        scene.order(&facts, learner, &mine)
    };
    all(&[&scene.app, &replica], learners.iter().copied().enumerate().map(order).collect()).await;
    let holders = "select count(distinct learner_id) from access_grants where client_id = $1";
    assert_eq!(scene.count(holders).await, 25);
    let of_sales: i64 =
        sqlx::query_scalar("select count(distinct learner_id) from access_grants where sublicense_id = $1")
            .bind(sales.uuid())
            .fetch_one(&scene.app.db)
            .await
            .unwrap();
    assert_eq!(of_sales, 10);
    assert_eq!(scene.operator.get(BASE).await.ok()["seats_used"], 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn redemptions_that_arrive_together_are_committed_together() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let facts = scene.facts().await;
    let learners = scene.learners(200).await;
    let before: i64 = commits(&scene).await;
    let orders = learners.iter().map(|learner| scene.order(&facts, *learner, &[text(&code)])).collect();
    assert_eq!(redeemed(&all(&[&scene.app], orders).await), 200);
    let moments: i64 = scene.count("select count(distinct redeemed_at) from redemptions where client_id = $1").await;
    let transactions = commits(&scene).await - before;
    assert!(transactions < 100, "{transactions} transactions for 200 redemptions at {moments} moments");
}

/// How many transactions have written redemptions so far: each row names its own.
async fn commits(scene: &Scene) -> i64 {
    scene.count("select count(distinct xmin::text) from redemptions where client_id = $1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_that_fails_sinks_no_other() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let facts = scene.facts().await;
    let learners = scene.learners(30).await;
    // A row that PostgreSQL refuses stands for whatever cannot be foreseen.
    let victim = learners[7];
    let refuse = format!(
        "create function refuse() returns trigger language plpgsql as $$ begin
           if new.learner_id = '{}' then raise exception 'refused'; end if; return new; end $$;
         create trigger refuse before insert on redemptions for each row execute function refuse()",
        victim.uuid()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(refuse)).execute(&scene.app.db).await.unwrap();
    let mut tasks = JoinSet::new();
    for learner in learners.iter().copied() {
        let (app, order) = ((*scene.app).clone(), scene.order(&facts, learner, &[text(&code)]));
        tasks.spawn(async move { (learner, codes::redeem(&app, order).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (learner, outcome) = done.unwrap();
        assert_eq!(outcome.is_ok(), learner != victim);
    }
    assert_eq!(scene.count("select count(*) from redemptions where client_id = $1").await, 29);
    assert_eq!(scene.count("select count(*) from access_grants where client_id = $1").await, 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_edited_meanwhile_is_redeemed_by_its_new_terms_or_its_old() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let path = format!("{BASE}/registration-codes/{}", code["id"].as_str().unwrap());
    let facts = scene.facts().await;
    let learners = scene.learners(60).await;
    let mut tasks = JoinSet::new();
    for learner in learners {
        let (app, order) = ((*scene.app).clone(), scene.order(&facts, learner, &[text(&code)]));
        tasks.spawn(async move { codes::redeem(&app, order).await });
    }
    for round in 0..6 {
        let to = if round % 2 == 0 { json!(["sales"]) } else { json!(["main", "sales"]) };
        scene.operator.patch(&path, json!({ "sublicenses": to })).await.ok();
    }
    while let Some(done) = tasks.join_next().await {
        let outcome = done.unwrap();
        // A batch that meets a change thrice in a row says so; nothing else may go wrong.
        assert!(outcome.as_ref().map_or_else(|fault| fault.is_passing(), |found| is_redeemed(&found[0].result)));
    }
    let grantless = "select count(*) from redemptions r where client_id = $1 and not exists (
        select from access_grants g where g.client_id = r.client_id and g.learner_id = r.learner_id)";
    assert_eq!(scene.count(grantless).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redeeming_restoring_and_revoking_at_once_leaves_one_truth() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "count": 6 })).await;
    let facts = scene.facts().await;
    let learners = scene.learners(24).await;
    let scene = Arc::new(scene);
    let mut tasks = JoinSet::new();
    for (index, learner) in learners.into_iter().enumerate() {
        let (app, order) = ((*scene.app).clone(), scene.order(&facts, learner, &[text(&codes[index % 6])]));
        tasks.spawn(async move {
            let outcome = codes::redeem(&app, order).await;
            assert!(outcome.is_ok(), "{outcome:?}");
        });
    }
    for code in codes.iter().chain(&codes) {
        let (operator, id) = (scene.operator.clone(), code["id"].as_str().unwrap().to_owned());
        let verb = if tasks.len() % 2 == 0 { "restore" } else { "revoke" };
        tasks.spawn(async move {
            let reply = operator.post(&format!("{BASE}/codes/{id}/{verb}"), json!({})).await;
            assert!(matches!(reply.status.as_u16(), 200 | 409 | 503), "{}", reply.text);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let shown = scene.operator.get(&format!("{BASE}/redemption-batches/{batch}")).await.ok();
    let count = |state: &str| shown[format!("codes_{state}")].as_i64().unwrap();
    let query = "select count(*) from codes where client_id = $1 and state = 'redeemed'";
    assert_eq!(count("redeemed"), scene.count(query).await);
    let query = "select count(*) from codes where client_id = $1 and state = 'revoked'";
    assert_eq!(count("revoked"), scene.count(query).await);
    let standing = "select count(*) from redemptions where client_id = $1 and undone_at is null";
    assert_eq!(count("redeemed"), scene.count(standing).await);
    let running = "select count(*) from access_grants where client_id = $1 and end_reason is null";
    assert_eq!(count("redeemed"), scene.count(running).await);
}
