//! Moving a learner to another client: a new record there, the same `sub`; here everything ends and the history stays.

use serde_json::{Value, json};
use usher::ids::LearnerId;

use crate::support::{App, SamlScene};

fn at(client: &str, id: &str) -> String {
    format!("/api/v1/clients/{client}/learners/{id}")
}

/// Ada, who signed in at Acme; and Globex, to which she goes.
async fn scene() -> (SamlScene, Value) {
    let scene = SamlScene::with(App::start().await, json!({}), json!({})).await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let ada = scene.app.browser();
    scene.sign_in(&ada, "ada").await;
    let learner = scene.learner("ada@acme.example").await;
    (scene, learner)
}

async fn sub(app: &App, id: &str) -> uuid::Uuid {
    let id: LearnerId = id.parse().unwrap();
    sqlx::query_scalar("select sub from learners where id = $1").bind(id.uuid()).fetch_one(&app.db).await.unwrap()
}

#[tokio::test]
async fn a_moved_learner_is_new_there_and_history_here() {
    let (scene, learner) = scene().await;
    let (app, operator) = (&scene.app, &scene.operator);
    let old = learner["id"].as_str().unwrap();
    let browser = app.browser();
    scene.sign_in(&browser, "ada").await;
    assert_eq!(browser.open(app.url("/acme/dashboard")).await.status, 200);

    let body = json!({ "client": "globex", "access": [{ "sublicense": "main" }] });
    let moved = operator.post(&format!("{}/move", at("acme", old)), body).await;
    assert_eq!(moved.status, 201);
    let moved = moved.ok();
    let new = moved["id"].as_str().unwrap();
    assert_ne!(new, old);
    for field in ["email", "first_name", "last_name", "email_verified", "attributes", "external_id"] {
        assert_eq!(moved[field], learner[field], "{field}");
    }
    assert_eq!(moved["effective_access"].as_array().unwrap().len(), 1);
    assert_eq!(sub(app, new).await, sub(app, old).await);

    let history = operator.get(&at("acme", old)).await.ok();
    assert_eq!((&history["status"], &history["email_verified"]), (&json!("moved"), &json!(false)));
    assert_eq!(history["effective_access"], json!([]));
    assert!(history["access"].as_array().unwrap().iter().all(|grant| grant["end_reason"] == "moved"), "{history}");
    assert_eq!(history["moved_to"]["learner"], json!(new));
    let own = app.admin_of("acme").await.get(&at("acme", old)).await.ok();
    assert_eq!(own["moved_to"], Value::Null, "where somebody went is not told to the client that they left");
    let list = operator.get("/api/v1/clients/acme/learners").await.ok();
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["id"] != json!(old)), "{list}");
    let list = operator.get("/api/v1/clients/acme/learners?status=moved").await.ok();
    assert_eq!(list["items"][0]["id"], json!(old));

    assert_eq!(browser.open(app.url("/acme/dashboard")).await.status, 303, "the sessions are over");
    let identities: i64 = sqlx::query_scalar("select count(*) from identities").fetch_one(&app.db).await.unwrap();
    assert_eq!(identities, 0);
    let events = operator.get(&format!("/api/v1/clients/acme/events?target={old}")).await.ok();
    let has = |events: &Value, action: &str| {
        events["items"].as_array().unwrap().iter().any(|event| event["action"] == action)
    };
    assert!(has(&events, "learner.moved") && has(&events, "access.ended"), "{events}");
    let events = operator.get(&format!("/api/v1/clients/globex/events?target={new}")).await.ok();
    assert!(has(&events, "learner.created") && has(&events, "access.granted"), "{events}");

    // Whoever comes back by Acme's single sign-on is somebody new there, and reads nothing of Globex.
    let back = app.browser();
    scene.sign_in(&back, "ada").await;
    let again = scene.operator.get("/api/v1/clients/acme/learners?email=ada@acme.example").await.ok();
    let again = again["items"].as_array().unwrap();
    assert_eq!(again.len(), 1);
    assert!(again[0]["id"] != json!(old) && again[0]["id"] != json!(new), "{again:?}");
    assert_eq!(back.open(app.url("/globex/dashboard")).await.status, 303);
}

#[tokio::test]
async fn a_record_that_is_history_is_changed_no_more() {
    let (scene, learner) = scene().await;
    let path = at("acme", learner["id"].as_str().unwrap());
    scene.operator.post(&format!("{path}/move"), json!({ "client": "globex" })).await.ok();
    let operator = &scene.operator;
    for reply in [
        operator.post(&format!("{path}/move"), json!({ "client": "globex" })).await,
        operator.patch(&path, json!({ "first_name": "Eve" })).await,
        operator.patch(&path, json!({ "status": "active" })).await,
        operator.post(&format!("{path}/access"), json!({ "sublicense": "main" })).await,
        operator.put(&format!("{path}/blocks/main"), json!({})).await,
    ] {
        assert_eq!(reply.problem(409), "learner.moved");
    }
    assert_eq!(operator.patch(&path, json!({ "status": "moved" })).await.problem(422), "api.invalid");
}

#[tokio::test]
async fn a_move_needs_both_clients() {
    let (scene, learner) = scene().await;
    let path = format!("{}/move", at("acme", learner["id"].as_str().unwrap()));
    let own = scene.app.admin_of("acme").await;
    let bytes = async |client: &str| {
        let reply = own.post(&path, json!({ "client": client })).await;
        let reference = reply.json()["reference"].as_str().unwrap().to_owned();
        (reply.status, reply.text.replace(&reference, ""))
    };
    assert_eq!(bytes("globex").await, bytes("never-was").await, "another client is one that never was");
    assert_eq!(bytes("globex").await.0, 422);
    assert_eq!(own.post(&path, json!({ "client": "acme" })).await.problem(409), "learner.same_client");
    let theirs = scene.app.admin_of("globex").await;
    assert_eq!(theirs.post(&path, json!({ "client": "globex" })).await.problem(404), "not_found");
    let operator = &scene.operator;
    assert_eq!(operator.post(&path, json!({})).await.problem(422), "api.required");
    assert_eq!(operator.post(&path, json!({ "client": "globex", "sub": "x" })).await.problem(422), "api.unknown_field");
    assert_eq!(scene.learner("ada@acme.example").await["status"], "active");
}

#[tokio::test]
async fn an_address_that_is_taken_there_or_a_full_client_moves_nobody() {
    let (scene, learner) = scene().await;
    let operator = &scene.operator;
    let path = format!("{}/move", at("acme", learner["id"].as_str().unwrap()));
    operator.patch("/api/v1/clients/globex", json!({ "seat_limit": 0 })).await.ok();
    let body = json!({ "client": "globex", "access": [{ "sublicense": "main" }] });
    assert_eq!(operator.post(&path, body.clone()).await.problem(409), "access.seats_full");
    operator.patch("/api/v1/clients/globex", json!({ "seat_limit": null })).await.ok();
    let holder = operator.post("/api/v1/clients/globex/learners", json!({ "email": "Ada@acme.example" })).await.ok();
    sqlx::query("update learners set email_verified = true, is_unclaimed = false where id = $1")
        .bind(holder["id"].as_str().unwrap().parse::<LearnerId>().unwrap().uuid())
        .execute(&scene.app.db)
        .await
        .unwrap();
    assert_eq!(operator.post(&path, body).await.problem(409), "learner.email_taken");
    let still = scene.learner("ada@acme.example").await;
    assert_eq!((&still["status"], &still["email_verified"]), (&json!("active"), &json!(true)));
    let moves: i64 = sqlx::query_scalar("select count(*) from learner_moves").fetch_one(&scene.app.db).await.unwrap();
    assert_eq!(moves, 0);
}

#[tokio::test]
async fn a_suspended_learner_stays_so_and_an_account_stays_with_its_owner() {
    let (scene, learner) = scene().await;
    let (app, operator) = (&scene.app, &scene.operator);
    let id: LearnerId = learner["id"].as_str().unwrap().parse().unwrap();
    let client = usher::admin::find_client(&app.db, "acme").await.unwrap().unwrap();
    let (now, account) = (app.clock.now(), uuid::Uuid::from_bytes(app.entropy.bytes()));
    sqlx::query("insert into accounts (id, email, email_key, created_at, updated_at) values ($1, 'ada@acme.example', 'ada@acme.example', $2, $2)")
        .bind(account)
        .bind(now)
        .execute(&app.db)
        .await
        .unwrap();
    sqlx::query("insert into account_learners (client_id, learner_id, account_id, created_at) values ($1, $2, $3, $4)")
        .bind(client.uuid())
        .bind(id.uuid())
        .bind(account)
        .bind(now)
        .execute(&app.db)
        .await
        .unwrap();
    operator.patch(&at("acme", &id.to_string()), json!({ "status": "suspended" })).await.ok();
    let moved = operator.post(&format!("{}/move", at("acme", &id.to_string())), json!({ "client": "globex" })).await;
    assert_eq!(moved.ok()["status"], "suspended");
    let (accounts, links): (i64, i64) =
        sqlx::query_as("select (select count(*) from accounts), (select count(*) from account_learners)")
            .fetch_one(&app.db)
            .await
            .unwrap();
    assert_eq!((accounts, links), (1, 0));
}
