//! Access by an admin's own hand: granted, changed, ended, beside what other sources grant, and within the seats.

use serde_json::{Value, json};

use crate::support::{Admin, App};

const ACME: &str = "/api/v1/clients/acme";

async fn start() -> (App, Admin, String) {
    let app = App::start().await;
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    operator.post(&format!("{ACME}/sublicenses"), json!({ "slug": "sales", "name": "Sales" })).await.ok();
    let learner = learner(&operator, "Ada").await;
    (app, operator, learner)
}

/// The path of a fresh learner.
async fn learner(operator: &Admin, name: &str) -> String {
    let made = operator.post(&format!("{ACME}/learners"), json!({ "first_name": name })).await.ok();
    format!("{ACME}/learners/{}", made["id"].as_str().unwrap())
}

async fn sublicense(operator: &Admin, slug: &str) -> String {
    let list = operator.get(&format!("{ACME}/sublicenses")).await.ok();
    let found = list["items"].as_array().unwrap().iter().find(|item| item["slug"] == slug).unwrap().clone();
    found["id"].as_str().unwrap().to_owned()
}

fn effective(access: &Value) -> Value {
    access["effective_access"].clone()
}

#[tokio::test]
async fn access_is_granted_changed_and_ended() {
    let (_app, operator, learner) = start().await;
    let sales = sublicense(&operator, "sales").await;
    let reply = operator.post(&format!("{learner}/access"), json!({ "sublicense": "sales" })).await;
    assert_eq!(reply.status, 201);
    assert_eq!(effective(&reply.ok()), json!([{ "sublicense": sales, "role": "learner", "ends_at": null }]));
    let path = format!("{learner}/access/{sales}");
    let end = "2099-01-01T00:00:00Z";
    let changed = operator.patch(&path, json!({ "role": "manager", "ends_at": end })).await.ok();
    assert_eq!(effective(&changed), json!([{ "sublicense": sales, "role": "manager", "ends_at": end }]));
    let lowered = operator.patch(&path, json!({ "role": "learner" })).await.ok();
    assert_eq!(effective(&lowered), json!([{ "sublicense": sales, "role": "learner", "ends_at": end }]));
    let open = operator.patch(&path, json!({ "ends_at": null })).await.ok();
    assert_eq!(effective(&open)[0]["ends_at"], Value::Null);
    assert_eq!(operator.delete(&path).await.status, 204);
    assert_eq!(operator.delete(&path).await.problem(404), "not_found");
    let access = operator.get(&format!("{learner}/access")).await.ok();
    assert_eq!((effective(&access), &access["access"][0]["end_reason"]), (json!([]), &json!("admin")));
    assert_eq!(operator.patch(&path, json!({ "role": "manager" })).await.problem(409), "access.not_by_admin");
    operator.post(&format!("{learner}/access"), json!({ "sublicense": "sales", "access_days": 3 })).await.ok();
    let target = learner.rsplit('/').next().unwrap();
    let events = operator.get(&format!("{ACME}/events?target={target}")).await.ok();
    let actions: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions.len(), 7, "{actions:?}");
    assert_eq!((&actions[0], &actions[1]), (&json!("access.granted"), &json!("access.ended")));
}

#[tokio::test]
async fn what_an_admin_grants_stands_beside_single_sign_on() {
    let (app, operator, learner) = start().await;
    let id: usher::ids::LearnerId = learner.rsplit('/').next().unwrap().parse().unwrap();
    let main: usher::ids::SublicenseId = sublicense(&operator, "main").await.parse().unwrap();
    let client = usher::admin::find_client(&app.db, "acme").await.unwrap().unwrap();
    sqlx::query("insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, starts_at, created_at) values ($1, $2, $3, 'sso', 'con_1', $4, $4)")
        .bind(client.uuid())
        .bind(id.uuid())
        .bind(main.uuid())
        .bind(app.clock.now())
        .execute(&app.db)
        .await
        .unwrap();
    assert_eq!(
        operator.patch(&format!("{learner}/access/main"), json!({ "role": "manager" })).await.problem(409),
        "access.not_by_admin"
    );
    let access = operator.post(&format!("{learner}/access"), json!({ "sublicense": "main" })).await.ok();
    assert_eq!(
        access["access"].as_array().unwrap().len(),
        2,
        "an admin's word is kept, even where it adds nothing now"
    );
    assert_eq!(operator.delete(&format!("{learner}/access/main")).await.status, 204);
    let access = operator.get(&format!("{learner}/access")).await.ok();
    assert!(access["access"].as_array().unwrap().iter().all(|grant| grant["end_reason"] == "admin"), "{access}");
}

#[tokio::test]
async fn a_block_refuses_until_the_admin_says_that_it_is_meant() {
    let (_app, operator, learner) = start().await;
    operator.put(&format!("{learner}/blocks/sales"), json!({})).await.ok();
    let path = format!("{learner}/access");
    assert_eq!(operator.post(&path, json!({ "sublicense": "sales" })).await.problem(409), "access.blocked");
    assert_eq!(effective(&operator.get(&path).await.ok()), json!([]));
    let granted = operator.post(&path, json!({ "sublicense": "sales", "clear_block": true })).await.ok();
    assert_eq!(effective(&granted).as_array().unwrap().len(), 1);
    assert_eq!(operator.get(&format!("{learner}/blocks")).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn seats_hold_for_admins_too_and_come_back() {
    let (_app, operator, ada) = start().await;
    let bob = learner(&operator, "Bob").await;
    let sales = format!("{ACME}/sublicenses/{}", sublicense(&operator, "sales").await);
    operator.patch(&sales, json!({ "seat_limit": 1 })).await.ok();
    let grant = async |who: &str| operator.post(&format!("{who}/access"), json!({ "sublicense": "sales" })).await;
    grant(&ada).await.ok();
    assert_eq!(operator.get(&sales).await.ok()["seats_used"], 1);
    grant(&ada).await.ok();
    assert_eq!(operator.get(&sales).await.ok()["seats_used"], 1, "granted twice is one seat");
    assert_eq!(grant(&bob).await.problem(409), "access.seats_full");
    let body = json!({ "first_name": "Eve", "access": [{ "sublicense": "main" }, { "sublicense": "sales" }] });
    assert_eq!(operator.post(&format!("{ACME}/learners"), body).await.problem(409), "access.seats_full");
    assert_eq!(operator.get(&format!("{ACME}/learners")).await.ok()["items"].as_array().unwrap().len(), 2);
    operator.delete(&format!("{ada}/access/sales")).await.ok();
    grant(&bob).await.ok();
    operator.put(&format!("{bob}/blocks/sales"), json!({})).await.ok();
    grant(&ada).await.ok();
    assert_eq!(operator.get(&sales).await.ok()["seats_used"], 1);
}

#[tokio::test]
async fn the_last_seat_goes_to_one_of_many_at_once() {
    let (_app, operator, ada) = start().await;
    operator.patch(ACME, json!({ "seat_limit": 2 })).await.ok();
    let mut calls = Vec::new();
    for number in 0..6 {
        let who = if number == 0 { ada.clone() } else { learner(&operator, &format!("P{number}")).await };
        let operator = operator.clone();
        calls.push(tokio::spawn(async move {
            operator.post(&format!("{who}/access"), json!({ "sublicense": "main" })).await.status.as_u16()
        }));
    }
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 409, 409, 409, 409]);
    assert_eq!(operator.get(ACME).await.ok()["seats_used"], 2);
}

#[tokio::test]
async fn what_is_over_or_never_was_is_not_granted() {
    let (_app, operator, learner) = start().await;
    let path = format!("{learner}/access");
    for (body, status, code) in [
        (json!({}), 422, "api.required"),
        (json!({ "sublicense": "nothing" }), 422, "sublicense.unknown"),
        (json!({ "sublicense": "sub_00000000000000000000000000000001" }), 422, "sublicense.unknown"),
        (json!({ "sublicense": "main", "ends_at": "2020-01-01T00:00:00Z" }), 422, "api.invalid"),
        (json!({ "sublicense": "main", "role": "owner" }), 422, "api.invalid"),
        (json!({ "sublicense": "main", "source_ref": "x" }), 422, "api.read_only_field"),
    ] {
        assert_eq!(operator.post(&path, body.clone()).await.problem(status), code, "{body}");
    }
    let sales = format!("{ACME}/sublicenses/{}", sublicense(&operator, "sales").await);
    operator.patch(&sales, json!({ "ends_at": "2020-01-01T00:00:00Z" })).await.ok();
    assert_eq!(operator.post(&path, json!({ "sublicense": "sales" })).await.problem(409), "access.ended");
    let never = format!("{ACME}/learners/lrn_00000000000000000000000000000001/access");
    assert_eq!(operator.post(&never, json!({ "sublicense": "main" })).await.problem(404), "not_found");
    assert_eq!(operator.patch(&format!("{path}/nothing"), json!({})).await.problem(404), "not_found");
}
