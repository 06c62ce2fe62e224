//! PostgreSQL or the process goes away in the middle of redemptions: nothing is lost, nothing is doubled, nobody hears of
//! a success that is none.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use usher::codes::{self, CodeResult};

use super::{BASE, Scene, is_redeemed, text};
use crate::support::App;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgresql_in_the_middle_loses_and_doubles_nothing() {
    let scene = Scene::with(App::with().flaky().start().await).await;
    let code = scene.registration(json!({ "max_redemptions": 150 })).await;
    let facts = scene.facts().await;
    let learners = scene.learners(200).await;
    let mut tasks = JoinSet::new();
    for (index, learner) in learners.iter().copied().enumerate() {
        let (app, order) = ((*scene.app).clone(), scene.order(&facts, learner, &[text(&code)]));
        tasks.spawn(async move { (learner, codes::redeem(&app, order).await) });
        if index == 60 {
            scene.app.postgres().cut();
        }
        if index == 120 {
            scene.app.postgres().restore();
        }
        tokio::task::yield_now().await;
    }
    let mut told = BTreeSet::new();
    let mut unsure = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            (learner, Ok(outcome)) if is_redeemed(&outcome[0].result) => {
                told.insert(learner);
            }
            (_, Ok(outcome)) => assert_eq!(outcome[0].result, CodeResult::UsedUp),
            (learner, Err(fault)) => {
                assert!(fault.is_passing(), "{fault}");
                unsure.push(learner);
            }
        }
    }
    let stored: Vec<uuid::Uuid> =
        sqlx::query_scalar("select learner_id from redemptions").fetch_all(&scene.app.db).await.unwrap();
    for learner in &told {
        assert!(stored.contains(&learner.uuid()), "{learner} was told of a success that is none");
    }
    // Who heard nothing tries again.
    for learner in unsure {
        let result = scene.redeem(learner, &[text(&code)]).await.remove(0);
        assert!(
            is_redeemed(&result) || matches!(result, CodeResult::AlreadyUsedByYou | CodeResult::UsedUp),
            "{result:?}"
        );
    }
    assert_eq!(scene.count("select count(*) from redemptions where client_id = $1").await, 150);
    assert_eq!(scene.count("select count(*) from access_grants where client_id = $1").await, 150);
    let shown = scene.operator.get(&format!("{BASE}/registration-codes/{}", code["id"].as_str().unwrap())).await.ok();
    assert_eq!(shown["times_redeemed"], 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_not_needed_to_finish_a_redemption() {
    let scene = Scene::with(App::with().flaky().start().await).await;
    let code = scene.registration(json!({})).await;
    let learner = scene.learner("ada@acme.example", true).await;
    scene.app.redis().cut();
    assert!(is_redeemed(&scene.redeem(learner, &[text(&code)]).await[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_take_nobodys_redemption_with_them() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let facts = scene.facts().await;
    let learners = scene.learners(80).await;
    let mut tasks = JoinSet::new();
    for learner in learners.iter().copied() {
        let (app, order) = ((*scene.app).clone(), scene.order(&facts, learner, &[text(&code)]));
        tasks.spawn(async move { codes::redeem(&app, order).await });
    }
    tokio::task::yield_now().await;
    // Half of the callers hang up in the middle.
    let (app, order) = ((*scene.app).clone(), scene.order(&facts, learners[0], &[text(&code)]));
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    let outcome = codes::redeem(&app, order).await.unwrap();
    assert!(is_redeemed(&outcome[0].result) || outcome[0].result == CodeResult::AlreadyUsedByYou);
    let grants = scene.count("select count(*) from access_grants where client_id = $1").await;
    assert_eq!(grants, scene.count("select count(*) from redemptions where client_id = $1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_process_that_is_killed_keeps_what_it_had_told_and_nothing_half() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let facts = scene.facts().await;
    let learners = scene.learners(300).await;
    static STOP: AtomicBool = AtomicBool::new(false);
    let mut tasks = JoinSet::new();
    for learner in learners.iter().copied() {
        let (app, order) = ((*scene.app).clone(), scene.order(&facts, learner, &[text(&code)]));
        tasks.spawn(async move {
            let outcome = codes::redeem(&app, order).await;
            STOP.store(true, Ordering::Relaxed);
            (learner, outcome)
        });
    }
    while !STOP.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    // What kill -9 does to a transaction: PostgreSQL sees the connection end in the middle. Each has ended when this
    // answers, and what came of it is read over the one that lives: those of the pool learn of their end by being used.
    let mut conn = PgConnection::connect(scene.app.settings.database.url.expose_secret()).await.unwrap();
    sqlx::query("select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
        .execute(&mut conn)
        .await
        .unwrap();
    let mut told = Vec::new();
    while let Some(done) = tasks.join_next().await {
        if let (learner, Ok(outcome)) = done.unwrap() {
            assert!(is_redeemed(&outcome[0].result));
            told.push(learner.uuid());
        }
    }
    let stored: Vec<uuid::Uuid> =
        sqlx::query_scalar("select learner_id from redemptions").fetch_all(&mut conn).await.unwrap();
    assert!(told.iter().all(|learner| stored.contains(learner)));
    for query in [
        "select count(*) from access_grants where client_id = $1",
        "select count(*) from audit_events where client_id = $1 and action = 'code.redeemed'",
        "select count(*) from outbox_events where client_id = $1 and type = 'code.redeemed'",
    ] {
        let count: i64 = sqlx::query_scalar(query).bind(facts.id.uuid()).fetch_one(&mut conn).await.unwrap();
        assert_eq!(count, i64::try_from(stored.len()).unwrap(), "{query}");
    }
}
