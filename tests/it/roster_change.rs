//! Making and changing learners by an admin's word, which proves no address and touches no account.

use serde_json::{Value, json};

use crate::support::{Admin, App};

const ACME: &str = "/api/v1/clients/acme/learners";

async fn start() -> (App, Admin) {
    let app = App::start().await;
    let operator = app.operator().await;
    for slug in ["acme", "globex"] {
        operator.post("/api/v1/clients", json!({ "slug": slug, "name": slug })).await.ok();
    }
    (app, operator)
}

fn id(learner: &Value) -> String {
    learner["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_learner_is_made_with_access_and_without_a_proof() {
    let (app, operator) = start().await;
    let body = json!({
        "email": "Ada@ACME.example", "first_name": "Ada", "last_name": "Lovelace", "locale": "en-GB",
        "external_id": "e-1", "attributes": { "team": ["a", "b"] },
        "access": [{ "sublicense": "main", "role": "manager", "ends_at": "2099-01-01T00:00:00Z" }],
    });
    let made = operator.post(ACME, body).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    assert_eq!(
        (&made["email"], &made["email_verified"], &made["status"], &made["last_login_at"]),
        (&json!("Ada@ACME.example"), &json!(false), &json!("active"), &Value::Null)
    );
    assert_eq!(made["access"][0]["source"], "admin");
    assert_eq!(made["effective_access"][0]["role"], "manager");
    assert_eq!(operator.get(&format!("{ACME}/{}", id(&made))).await.ok(), made);
    let unclaimed: bool = sqlx::query_scalar("select is_unclaimed from learners").fetch_one(&app.db).await.unwrap();
    assert!(unclaimed, "whoever proves the address is this learner");
    let events = operator.get(&format!("/api/v1/clients/acme/events?target={}", id(&made))).await;
    assert!(!events.text.to_lowercase().contains("lovelace") && !events.text.to_lowercase().contains("ada@"));
    let events = events.ok();
    let items = events["items"].as_array().unwrap().iter();
    let mut actions: Vec<_> = items.map(|event| event["action"].as_str().unwrap()).collect();
    // Those of one moment are in no order.
    actions.sort_unstable();
    assert_eq!(actions, ["access.granted", "learner.created"]);
    let told: Vec<String> =
        sqlx::query_scalar("select type from outbox_events order by type").fetch_all(&app.db).await.unwrap();
    assert_eq!(told, ["access.granted", "learner.created"]);
}

#[tokio::test]
async fn what_does_not_hold_makes_nobody() {
    let (app, operator) = start().await;
    for (body, status, code) in [
        (json!({}), 422, "api.required"),
        (json!({ "email": "nonsense" }), 422, "api.invalid"),
        (json!({ "email": "a@acme.example", "email_verified": true }), 422, "api.read_only_field"),
        (
            json!({ "email": "a@acme.example", "id": "lrn_00000000000000000000000000000001" }),
            422,
            "api.read_only_field",
        ),
        (json!({ "email": "a@acme.example", "sub": "x" }), 422, "api.unknown_field"),
        (json!({ "email": "a@acme.example", "status": "active" }), 422, "api.unknown_field"),
        (json!({ "email": "a@acme.example", "client_id": "x" }), 422, "api.unknown_field"),
        (json!({ "first_name": "x".repeat(201) }), 422, "api.invalid"),
        (json!({ "first_name": "a\nb" }), 422, "api.invalid"),
        (json!({ "external_id": "x".repeat(256) }), 422, "api.invalid"),
        (json!({ "first_name": "A", "locale": "not a locale" }), 422, "api.invalid"),
        (json!({ "first_name": "A", "access": [{ "sublicense": "nothing" }] }), 422, "sublicense.unknown"),
        (
            json!({ "first_name": "A", "access": [{ "sublicense": "main" }, { "sublicense": "main" }] }),
            422,
            "api.invalid",
        ),
        (
            json!({ "first_name": "A", "access": [{ "sublicense": "main", "source": "sso" }] }),
            422,
            "api.read_only_field",
        ),
        (
            json!({ "first_name": "A", "access": [{ "sublicense": "main", "ends_at": "2020-01-01T00:00:00Z" }] }),
            422,
            "api.invalid",
        ),
        (
            json!({ "first_name": "A", "access": [{ "sublicense": "main", "ends_at": "2099-01-01T00:00:00Z", "access_days": 3 }] }),
            422,
            "api.invalid",
        ),
        (json!({ "first_name": "A", "access": [{ "sublicense": "main", "access_days": 0 }] }), 422, "api.invalid"),
    ] {
        assert_eq!(operator.post(ACME, body.clone()).await.problem(status), code, "{body}");
    }
    let count: i64 = sqlx::query_scalar("select count(*) from learners").fetch_one(&app.db).await.unwrap();
    assert_eq!(count, 0);
}

#[tokio::test]
async fn one_address_is_one_learner_unless_somebody_only_says_that_it_is_theirs() {
    let (app, operator) = start().await;
    let made = operator.post(ACME, json!({ "email": "ada@acme.example" })).await.ok();
    assert_eq!(operator.post(ACME, json!({ "email": "ADA@acme.EXAMPLE" })).await.problem(409), "learner.email_taken");
    // The same address is another person's in another client.
    operator.post("/api/v1/clients/globex/learners", json!({ "email": "ada@acme.example" })).await.ok();
    sqlx::query("update learners set is_unclaimed = false").execute(&app.db).await.unwrap();
    let second = operator.post(ACME, json!({ "email": "ada@acme.example" })).await.ok();
    assert_ne!(id(&made), id(&second));
    sqlx::query("update learners set email_verified = true where id = $1")
        .bind(id(&made).parse::<usher::ids::LearnerId>().unwrap().uuid())
        .execute(&app.db)
        .await
        .unwrap();
    assert_eq!(operator.post(ACME, json!({ "email": "ada@acme.example" })).await.problem(409), "learner.email_taken");
}

#[tokio::test]
async fn two_admins_at_once_make_one_learner_of_one_address() {
    let (_app, operator) = start().await;
    let body = json!({ "email": "ada@acme.example" });
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (operator, body) = (operator.clone(), body.clone());
            tokio::spawn(async move { operator.post(ACME, body).await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_repeated_request_makes_one_learner() {
    let (_app, operator) = start().await;
    let body = json!({ "first_name": "Ada" });
    let headers = [("idempotency-key", "k-1")];
    let call = async |body: &Value| operator.call(reqwest::Method::POST, ACME, Some(body), &headers).await;
    let (first, again) = (call(&body).await.ok(), call(&body).await);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.ok(), first);
    assert_eq!(call(&json!({ "first_name": "Bob" })).await.problem(422), "idempotency.mismatch");
    assert_eq!(operator.get(ACME).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_address_is_not_verified_and_another_spelling_stays_so() {
    let (app, operator) = start().await;
    let made = operator.post(ACME, json!({ "email": "ada@acme.example" })).await.ok();
    let path = format!("{ACME}/{}", id(&made));
    sqlx::query("update learners set email_verified = true, is_unclaimed = false").execute(&app.db).await.unwrap();
    let same = operator.patch(&path, json!({ "email": "Ada@Acme.Example" })).await.ok();
    assert_eq!((&same["email"], &same["email_verified"]), (&json!("Ada@Acme.Example"), &json!(true)));
    let other = operator.patch(&path, json!({ "email": "eve@acme.example" })).await.ok();
    assert_eq!((&other["email"], &other["email_verified"]), (&json!("eve@acme.example"), &json!(false)));
    let none = operator.patch(&path, json!({ "email": null })).await.ok();
    assert_eq!((&none["email"], &none["email_verified"]), (&Value::Null, &json!(false)));
    assert_eq!(operator.get(&format!("{ACME}?email=eve@acme.example")).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn another_address_leaves_the_account_alone_and_kills_what_was_mailed() {
    let (app, operator) = start().await;
    let made = operator.post(ACME, json!({ "email": "ada@acme.example" })).await.ok();
    let learner: usher::ids::LearnerId = id(&made).parse().unwrap();
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
        .bind(learner.uuid())
        .bind(account)
        .bind(now)
        .execute(&app.db)
        .await
        .unwrap();
    sqlx::query("insert into email_proofs (client_id, token_hash, kind, learner_id, email, email_key, created_at, expires_at) values ($1, '\\x01', 'confirm', $2, 'ada@acme.example', 'ada@acme.example', $3, $4)")
        .bind(client.uuid())
        .bind(learner.uuid())
        .bind(now)
        .bind(now + chrono::Duration::days(1))
        .execute(&app.db)
        .await
        .unwrap();
    operator.patch(&format!("{ACME}/{learner}"), json!({ "email": "eve@acme.example" })).await.ok();
    let kept: (String, i64) = sqlx::query_as(
        "select a.email, (select count(*) from account_learners al where al.account_id = a.id) from accounts a",
    )
    .fetch_one(&app.db)
    .await
    .unwrap();
    assert_eq!(kept, ("ada@acme.example".into(), 1));
    let open: i64 = sqlx::query_scalar("select count(*) from email_proofs where used_at is null and expires_at > $1")
        .bind(app.clock.now() + chrono::Duration::milliseconds(1))
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert_eq!(open, 0);
}

#[tokio::test]
async fn only_who_may_write_learners_of_the_client_does() {
    let (app, operator) = start().await;
    let made = operator.post(ACME, json!({ "first_name": "Ada" })).await.ok();
    let path = format!("{ACME}/{}", id(&made));
    let reader = app.admin_with(Some("acme"), &[usher::admin::Permission::LearnersRead]).await;
    let stranger = app.admin_of("globex").await;
    for (method, path, body) in [
        ("POST", ACME.to_owned(), json!({ "first_name": "Eve" })),
        ("PATCH", path.clone(), json!({ "first_name": "Eve" })),
        ("POST", format!("{path}/access"), json!({ "sublicense": "main" })),
        ("PATCH", format!("{path}/access/main"), json!({ "role": "manager" })),
        ("DELETE", format!("{path}/access/main"), json!({})),
        ("POST", format!("{path}/move"), json!({ "client": "globex" })),
    ] {
        let method: reqwest::Method = method.parse().unwrap();
        let call = async |admin: &Admin| admin.call(method.clone(), &path, Some(&body), &[]).await;
        assert_eq!(call(&reader).await.problem(403), "api.scope_missing", "{method} {path}");
        assert_eq!(call(&stranger).await.problem(404), "not_found", "{method} {path}");
        let theirs = path.replace("/acme/", "/globex/");
        if theirs.contains("lrn_") {
            let reply = stranger.call(method.clone(), &theirs, Some(&body), &[]).await;
            assert_eq!(reply.status, 404, "{method} {theirs}: {}", reply.text);
        }
    }
    assert_eq!(operator.get(&path).await.ok()["first_name"], "Ada");
}
