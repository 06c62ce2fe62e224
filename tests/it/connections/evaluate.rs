//! The dry run says what a login would do, and leaves nothing behind.

use serde_json::{Value, json};
use usher::{
    admin::Permission,
    claims::Claims,
    ids::{AttemptId, ClientId, ConnectionId},
    login::{identity::RecordedClaims, journey::claims_place},
};

use super::setup::{CONNECTIONS, acme, path, saml};
use crate::support::{Admin, App};

async fn connection(operator: &Admin, fields: Value) -> String {
    let made = operator.post(CONNECTIONS, saml(fields)).await.ok();
    let mapping = json!({
        "profile": { "email": "mail", "first_name": "givenName" },
        "require": [{ "that": { "claim": "groups", "contains": "learning" }, "else": "Ask your IT desk for the learning group." }],
        "access": [{ "when": { "claim": "groups", "contains": "sales" }, "sublicenses": ["sales"], "role": "manager" },
                   { "when": "always", "sublicenses": ["main"] }],
    });
    operator.put(&format!("{}/mapping", path(&made)), mapping).await.ok();
    format!("{}/mapping/evaluate", path(&made))
}

fn ann(groups: &[&str]) -> Value {
    json!({ "subject": "ann", "claims": { "mail": "ann@acme.example", "givenName": ["Ann"], "groups": groups } })
}

async fn rows(app: &App) -> (i64, i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from learners), (select count(*) from access_grants), (select count(*) from audit_events),
                (select coalesce(sum(used), 0) from seat_counters)::bigint",
    )
    .fetch_one(&app.db)
    .await
    .unwrap()
}

#[tokio::test]
async fn connections_a_dry_run_tells_every_rule_and_what_would_become_of_the_person() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let at = connection(&operator, json!({})).await;
    let before = rows(&app).await;
    let told = operator.post(&at, ann(&["learning", "sales"])).await.ok();
    assert_eq!((&told["would_sign_in"], &told["refusal"]), (&json!(true), &Value::Null), "{told}");
    assert_eq!(told["provision"]["action"], "create");
    assert_eq!((&told["connection_status"], &told["mapping_version"]), (&json!("draft"), &json!(2)));
    assert_eq!(told["mapping"]["profile"]["first_name"]["value"], "Ann");
    let rules = told["mapping"]["rules"].as_array().unwrap();
    assert_eq!(rules.iter().filter(|rule| rule["fired"] == true).count(), 3);
    assert!(rules.iter().all(|rule| !rule["why"].as_str().unwrap().is_empty()));
    let begun = told["changes"].as_array().unwrap();
    assert_eq!(begun.iter().filter(|change| change["change"] == "begin").count(), 2);
    assert_eq!(told["access_after"].as_array().unwrap().len(), 2);
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn connections_a_dry_run_tells_who_is_refused_and_why() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let at = connection(&operator, json!({})).await;
    let told = operator.post(&at, ann(&["sales"])).await.ok();
    assert_eq!((&told["would_sign_in"], &told["provision"]), (&json!(false), &Value::Null));
    assert_eq!((&told["refusal"]["code"], &told["refusal"]["side"]), (&json!("mapping.required"), &json!("mapping")));
    assert_eq!(told["refusal"]["message"], "Ask your IT desk for the learning group.");

    let closed = connection(&operator, json!({ "jit": { "create": false } })).await;
    let told = operator.post(&closed, ann(&["learning"])).await.ok();
    assert_eq!(told["refusal"]["code"], "login.learner.not_provisioned");
}

#[tokio::test]
async fn connections_a_dry_run_sees_that_no_seat_is_left_and_takes_none() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let at = connection(&operator, json!({})).await;
    operator.patch("/api/v1/clients/acme", json!({ "seat_limit": 1 })).await.ok();
    for _ in 0..3 {
        assert_eq!(operator.post(&at, ann(&["learning"])).await.ok()["would_sign_in"], true);
    }
    operator.patch("/api/v1/clients/acme", json!({ "seat_limit": 0 })).await.ok();
    let told = operator.post(&at, ann(&["learning"])).await.ok();
    assert_eq!(told["refusal"]["code"], "login.seats.client_full");
    assert_eq!((&told["full"], &told["changes"], &told["access_after"]), (&json!(["client"]), &json!([]), &json!([])));
    assert_eq!(rows(&app).await.0, 0);
}

#[tokio::test]
async fn connections_rules_are_tried_before_they_are_saved() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let at = connection(&operator, json!({})).await;
    let mut body = ann(&[]);
    body["mapping"] = json!({ "profile": { "email": "mail" }, "fallback": { "sublicenses": ["main"] } });
    let told = operator.post(&at, body.clone()).await.ok();
    assert_eq!((&told["would_sign_in"], &told["mapping_version"]), (&json!(true), &Value::Null));
    assert_eq!(told["mapping"]["used_fallback"], true);
    assert_eq!(operator.post(&at, ann(&[])).await.ok()["would_sign_in"], false);

    body["mapping"] = json!({ "access": [{ "when": { "expr": "1 +" }, "sublicenses": ["main"] }] });
    let refused = operator.post(&at, body.clone()).await;
    refused.problem(422);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/mapping/access/0/when/expr");

    body["mapping"] = json!({ "profile": { "email": { "expr": "range(10000000) | join('x')" } }, "fallback": { "sublicenses": ["main"] } });
    let told = operator.post(&at, body).await.ok();
    assert_eq!(told["refusal"]["code"], "mapping.expression");
}

#[tokio::test]
async fn connections_an_attempts_claims_are_opened_only_with_their_scope_and_never_another_clients() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let at = connection(&operator, json!({})).await;
    let unknown = json!({ "attempt": "att_00000000000000000000000000000001" });
    assert_eq!(operator.post(&at, unknown.clone()).await.problem(422), "evaluate.attempt_unknown");
    let scopes = [Permission::ConnectionsRead, Permission::ConnectionsWrite];
    let narrow = app.admin_with(Some("acme"), &scopes).await;
    assert_eq!(narrow.post(&at, unknown).await.problem(403), "api.scope_missing");
    assert_eq!(narrow.post(&at, ann(&["learning"])).await.ok()["would_sign_in"], true);
    assert_eq!(operator.post(&at, json!({})).await.problem(422), "evaluate.input");
    let both = json!({ "claims": {}, "attempt": "att_00000000000000000000000000000001" });
    assert_eq!(operator.post(&at, both).await.problem(422), "evaluate.input");
}

#[tokio::test]
async fn connections_a_recorded_attempt_is_tried_again_and_that_is_audited() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let at = connection(&operator, json!({})).await;
    let connection_id = at.split('/').nth(6).unwrap();
    let other = connection(&operator, json!({})).await;
    let client: ClientId = operator.get("/api/v1/clients/acme").await.ok()["id"].as_str().unwrap().parse().unwrap();
    let now = app.clock.now();
    let attempt: AttemptId = app.entropy.id(now);
    let claims = json!({ "mail": "ann@acme.example", "givenName": "Ann", "groups": ["learning"] });
    let recorded =
        RecordedClaims { subject: "ann".into(), claims: Claims::from_json(claims.as_object().unwrap()).unwrap() };
    let plain = serde_json::to_vec(&recorded).unwrap();
    let sealed = app.sealer.seal(&app.entropy, &claims_place(client, attempt), &plain);
    sqlx::query(
        "insert into attempts (client_id, id, connection_id, initiated_by, started_at, finished_at, outcome, reference,
                               claims_sealed, claims_expire_at) values ($1, $2, $3, 'sp', $4, $4, 'succeeded', 'R', $5, $4)",
    )
    .bind(client)
    .bind(attempt)
    .bind(connection_id.parse::<ConnectionId>().unwrap())
    .bind(now)
    .bind(sealed)
    .execute(&app.db)
    .await
    .unwrap();

    let told = operator.post(&at, json!({ "attempt": attempt })).await.ok();
    assert_eq!(
        (&told["would_sign_in"], &told["mapping"]["profile"]["first_name"]["value"]),
        (&json!(true), &json!("Ann"))
    );
    let events = operator.get("/api/v1/clients/acme/events").await.text;
    assert!(events.contains("attempt.claims_opened") && events.contains(&attempt.to_string()), "{events}");
    assert!(!events.contains("ann@acme.example"), "{events}");
    assert_eq!(operator.post(&other, json!({ "attempt": attempt })).await.problem(422), "evaluate.attempt_unknown");

    sqlx::query("update attempts set claims_sealed = null").execute(&app.db).await.unwrap();
    assert_eq!(operator.post(&at, json!({ "attempt": attempt })).await.problem(422), "evaluate.claims_gone");
}
