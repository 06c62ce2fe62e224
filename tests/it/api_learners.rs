//! Learners, their access and blocks, and sign-in attempts over the admin API.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use usher::{
    entropy::Entropy,
    ids::{AttemptId, ClientId, ConnectionId, LearnerId, SublicenseId},
};
use uuid::Uuid;

use crate::support::{Admin, App};

/// A client with one learner who holds `main` by single sign-on.
struct World {
    app: App,
    operator: Admin,
    client: ClientId,
    main: SublicenseId,
    learner: LearnerId,
}

impl World {
    async fn set(app: App) -> Self {
        let operator = app.operator().await;
        operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
        let client = usher::admin::find_client(&app.db, "acme").await.unwrap().unwrap();
        let main = operator.get("/api/v1/clients/acme/sublicenses").await.ok()["items"][0]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let learner = add_learner(&app, client, "ada@acme.example").await;
        grant(&app, client, learner, main, None).await;
        Self { app, operator, client, main, learner }
    }

    fn path(&self) -> String {
        format!("/api/v1/clients/acme/learners/{}", self.learner)
    }

    async fn epoch(&self) -> i32 {
        sqlx::query_scalar("select session_epoch from learners where id = $1")
            .bind(self.learner.uuid())
            .fetch_one(&self.app.db)
            .await
            .unwrap()
    }
}

async fn add_learner(app: &App, client: ClientId, email: &str) -> LearnerId {
    let now = app.clock.now();
    let id: LearnerId = app.entropy.id(now);
    sqlx::query("insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, created_at, updated_at) values ($1, $2, $3, $4, $4, true, 'Ada', $5, $5)")
        .bind(client.uuid())
        .bind(id.uuid())
        .bind(Uuid::from_bytes(app.entropy.bytes()))
        .bind(email)
        .bind(now)
        .execute(&app.db)
        .await
        .unwrap();
    id
}

async fn grant(
    app: &App,
    client: ClientId,
    learner: LearnerId,
    sublicense: SublicenseId,
    ends_at: Option<DateTime<Utc>>,
) {
    let connection: ConnectionId = Entropy::default().id(app.clock.now());
    sqlx::query("insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, starts_at, ends_at, created_at) values ($1, $2, $3, 'sso', $4, $5, $6, $5)")
        .bind(client.uuid())
        .bind(learner.uuid())
        .bind(sublicense.uuid())
        .bind(connection.to_string())
        .bind(app.clock.now())
        .bind(ends_at)
        .execute(&app.db)
        .await
        .unwrap();
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_learner_is_read_with_every_grant_and_what_they_add_up_to() {
    let world = World::set(App::start().await).await;
    let end = world.app.clock.now() + chrono::Duration::days(3);
    grant(&world.app, world.client, world.learner, world.main, Some(end)).await;
    let learner = world.operator.get(&world.path()).await.ok();
    assert_eq!(learner["access"].as_array().unwrap().len(), 2);
    assert_eq!(learner["effective_access"], json!([{ "sublicense": world.main, "role": "learner", "ends_at": null }]));
    world.operator.patch("/api/v1/clients/acme", json!({ "license_ends_at": end })).await.ok();
    let access = world.operator.get(&format!("{}/access", world.path())).await.ok();
    assert_eq!(access["effective_access"][0]["ends_at"], json!(end));
    world.operator.patch("/api/v1/clients/acme", json!({ "license_ends_at": "2020-01-01T00:00:00Z" })).await.ok();
    let access = world.operator.get(&format!("{}/access", world.path())).await.ok();
    assert_eq!((&access["effective_access"], access["access"].as_array().unwrap().len()), (&json!([]), 2));
}

#[tokio::test]
async fn learners_are_found_by_status_address_and_sublicense() {
    let world = World::set(App::start().await).await;
    let other = add_learner(&world.app, world.client, "bob@acme.example").await;
    world
        .operator
        .patch(&format!("/api/v1/clients/acme/learners/{other}"), json!({ "status": "suspended" }))
        .await
        .ok();
    let list =
        async |query: &str| ids(&world.operator.get(&format!("/api/v1/clients/acme/learners{query}")).await.ok());
    let (ada, bob) = (world.learner.to_string(), other.to_string());
    assert_eq!(list("").await.len(), 2);
    assert_eq!(list("?status=suspended").await, [bob.as_str()]);
    assert_eq!(list("?status=active").await, [ada.as_str()]);
    assert_eq!(list("?email=Ada@ACME.example").await, [ada.as_str()]);
    assert_eq!(list("?sublicense=main").await, [ada.as_str()]);
    assert_eq!(list(&format!("?sublicense={}&status=active", world.main)).await, [ada.as_str()]);
    assert!(list("?email=ada@acme.example&status=suspended").await.is_empty());
    for query in ["?sublicense=nothing", "?email=ada", "?status=gone", "?emial=x"] {
        let reply = world.operator.get(&format!("/api/v1/clients/acme/learners{query}")).await;
        assert_eq!(reply.problem(422), "api.query", "{query}");
    }
}

#[tokio::test]
async fn a_change_of_a_learner_is_recorded_with_its_values_apart() {
    let world = World::set(App::start().await).await;
    let body = json!({ "first_name": "Augusta", "attributes": { "team": ["a", "b"], "grade": "7" }, "locale": "de-CH", "external_id": "e-1" });
    let after = world.operator.patch(&world.path(), body).await.ok();
    assert_eq!(
        (&after["first_name"], &after["attributes"]),
        (&json!("Augusta"), &json!({ "team": ["a", "b"], "grade": "7" }))
    );
    let after =
        world.operator.patch(&world.path(), json!({ "attributes": { "grade": null }, "locale": null })).await.ok();
    assert_eq!((&after["attributes"], &after["locale"]), (&json!({ "team": ["a", "b"] }), &Value::Null));
    let events = world.operator.get(&format!("/api/v1/clients/acme/events?target={}", world.learner)).await;
    assert!(!events.text.contains("Augusta"), "{}", events.text);
    assert_eq!(
        events.ok()["items"][1]["facts"]["fields"],
        json!(["attributes", "external_id", "first_name", "locale"])
    );
    let kept: Vec<Value> = sqlx::query_scalar("select after from audit_values where learner_id = $1 order by event_id")
        .bind(world.learner.uuid())
        .fetch_all(&world.app.db)
        .await
        .unwrap();
    assert_eq!(kept[0]["first_name"], "Augusta");
    for (body, code) in [
        (json!({ "email": "not an address" }), "api.invalid"),
        (json!({ "email_verified": true }), "api.read_only_field"),
        (json!({ "access": [] }), "api.read_only_field"),
        (json!({ "session_epoch": 1 }), "api.unknown_field"),
        (json!({ "attributes": { "a": { "b": 1 } } }), "api.invalid"),
        (json!({ "first_name": "x".repeat(201) }), "api.invalid"),
        (json!({ "status": "gone" }), "api.invalid"),
    ] {
        assert_eq!(world.operator.patch(&world.path(), body.clone()).await.problem(422), code, "{body}");
    }
}

#[tokio::test]
async fn suspension_ends_sessions_by_the_epoch_even_without_redis() {
    let world = World::set(App::with().flaky().start().await).await;
    let before = world.epoch().await;
    world.app.redis().cut();
    let suspended = world.operator.patch(&world.path(), json!({ "status": "suspended" })).await.ok();
    assert_eq!((&suspended["status"], &suspended["effective_access"]), (&json!("suspended"), &json!([])));
    assert_eq!(world.epoch().await, before + 1);
    world.operator.patch(&world.path(), json!({ "status": "suspended" })).await.ok();
    assert_eq!(world.epoch().await, before + 1, "suspending twice is one suspension");
    world.app.redis().restore();
    world.operator.patch(&world.path(), json!({ "status": "active" })).await.ok();
    assert_eq!(world.operator.delete(&format!("{}/sessions", world.path())).await.status, 204);
    assert_eq!(world.epoch().await, before + 2);
    let events = world.operator.get(&format!("/api/v1/clients/acme/events?target={}", world.learner)).await.ok();
    let actions: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions, ["learner.sessions_ended", "learner.restored", "learner.suspended"]);
}

#[tokio::test]
async fn a_block_ends_every_grant_of_its_sublicense_until_it_is_cleared() {
    let world = World::set(App::start().await).await;
    let path = format!("{}/blocks/main", world.path());
    assert_eq!(world.operator.put(&path, json!({})).await.status, 204);
    let learner = world.operator.get(&world.path()).await.ok();
    assert_eq!((&learner["effective_access"], &learner["access"][0]["end_reason"]), (&json!([]), &json!("admin")));
    assert_eq!(learner["blocks"][0]["sublicense"], json!(world.main));
    assert_eq!(world.operator.put(&path, json!({})).await.status, 204, "blocking twice is no error");
    assert_eq!(
        world.operator.get(&format!("{}/blocks", world.path())).await.ok()["items"].as_array().unwrap().len(),
        1
    );
    assert_eq!(world.operator.delete(&path).await.status, 204);
    assert_eq!(world.operator.delete(&path).await.problem(404), "not_found");
    let learner = world.operator.get(&world.path()).await.ok();
    assert_eq!((&learner["blocks"], &learner["effective_access"]), (&json!([]), &json!([])));
    assert_eq!(
        world.operator.put(&format!("{}/blocks/nothing", world.path()), json!({})).await.problem(404),
        "not_found"
    );
    let events = world.operator.get(&format!("/api/v1/clients/acme/events?target={}", world.learner)).await.ok();
    let items = events["items"].as_array().unwrap().iter();
    let mut actions: Vec<_> = items.map(|event| event["action"].as_str().unwrap()).collect();
    // Those of one moment are in no order.
    actions.sort_unstable();
    assert_eq!(actions, ["access.ended", "learner.blocked", "learner.unblocked"]);
}

#[tokio::test]
async fn a_granted_sublicense_cannot_be_deleted() {
    let world = World::set(App::start().await).await;
    let sales = world.operator.post("/api/v1/clients/acme/sublicenses", json!({ "name": "Sales" })).await.ok();
    let sales: SublicenseId = sales["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/api/v1/clients/acme/sublicenses/{sales}");
    grant(&world.app, world.client, world.learner, sales, None).await;
    assert_eq!(world.operator.delete(&path).await.problem(409), "sublicense.in_use");
    sqlx::query("delete from access_grants where sublicense_id = $1")
        .bind(sales.uuid())
        .execute(&world.app.db)
        .await
        .unwrap();
    assert_eq!(world.operator.delete(&path).await.status, 204);
}

#[tokio::test]
async fn a_seat_limit_counts_from_what_is_held_when_it_is_set() {
    let world = World::set(App::start().await).await;
    assert!(world.operator.get("/api/v1/clients/acme").await.ok()["seats_used"].is_null());
    let limited = world.operator.patch("/api/v1/clients/acme", json!({ "seat_limit": 0 })).await.ok();
    assert_eq!((&limited["seats_used"], &limited["seat_limit"]), (&json!(1), &json!(0)));
    let main = format!("/api/v1/clients/acme/sublicenses/{}", world.main);
    assert_eq!(world.operator.patch(&main, json!({ "seat_limit": 9 })).await.ok()["seats_used"], 1);
}

#[tokio::test]
async fn another_clients_learner_is_the_same_bytes_as_one_that_never_was() {
    let world = World::set(App::start().await).await;
    world.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let stranger = world.app.admin_of("other").await;
    let bytes = async |path: String| {
        let reply = stranger.get(&path).await;
        let reference = reply.json()["reference"].as_str().unwrap().to_owned();
        (reply.status, reply.text.replace(&reference, ""))
    };
    let theirs = bytes(format!("/api/v1/clients/other/learners/{}", world.learner)).await;
    assert_eq!(theirs.0, 404);
    assert_eq!(theirs, bytes("/api/v1/clients/other/learners/lrn_00000000000000000000000000000001".into()).await);
    assert_eq!(theirs, bytes("/api/v1/clients/other/learners/nonsense".into()).await);
    assert_eq!(theirs, bytes(world.path()).await);
    let blocked =
        stranger.put(&format!("/api/v1/clients/other/learners/{}/blocks/main", world.learner), json!({})).await;
    assert_eq!(blocked.problem(404), "not_found");
    assert_eq!(world.operator.get(&world.path()).await.ok()["blocks"], json!([]));
}

#[tokio::test]
async fn an_attempt_is_found_by_its_reference_with_every_check() {
    let world = World::set(App::start().await).await;
    let body = json!({ "name": "Okta", "protocol": "saml" });
    let connection = world.operator.post("/api/v1/clients/acme/connections", body).await.ok();
    let connection: ConnectionId = connection["id"].as_str().unwrap().parse().unwrap();
    let now = world.app.clock.now();
    for (reference, outcome, code, side) in [
        ("7KQ2-M9XR-4TDA", "refused", Some("login.saml.audience"), Some("idp")),
        ("8KQ2-M9XR-4TDA", "succeeded", None, None),
    ] {
        let id: AttemptId = world.app.entropy.id(now);
        sqlx::query("insert into attempts (client_id, id, connection_id, initiated_by, started_at, finished_at, outcome, code, fix_side, reference, checks) values ($1, $2, $3, 'sp', $4, $4, $5, $6, $7, $8, $9)")
            .bind(world.client.uuid())
            .bind(id.uuid())
            .bind(connection.uuid())
            .bind(now)
            .bind(outcome)
            .bind(code)
            .bind(side)
            .bind(reference)
            .bind(json!([{ "name": "saml.audience", "passed": code.is_none(), "detail": "expected us" }]))
            .execute(&world.app.db)
            .await
            .unwrap();
    }
    let list = async |query: &str| world.operator.get(&format!("/api/v1/clients/acme/attempts{query}")).await.ok();
    let found = list("?reference=7kq2-m9xr-4tda").await;
    assert_eq!(ids(&found).len(), 1);
    assert_eq!(
        (&found["items"][0]["code"], &found["items"][0]["fix_side"]),
        (&json!("login.saml.audience"), &json!("idp"))
    );
    let one = world.operator.get(&format!("/api/v1/clients/acme/attempts/{}", ids(&found)[0])).await.ok();
    assert_eq!(one["checks"][0]["name"], "saml.audience");
    assert_eq!(one["checks"][0]["passed"], false);
    for (query, count) in [
        ("".to_owned(), 2),
        ("?outcome=refused".into(), 1),
        ("?outcome=succeeded".into(), 1),
        ("?code=login.saml.audience".into(), 1),
        ("?code=login.saml.audience&outcome=succeeded".into(), 0),
        (format!("?connection={connection}"), 2),
        (format!("?connection={connection}&outcome=refused"), 1),
        ("?connection=con_00000000000000000000000000000001".into(), 0),
        ("?reference=never".into(), 0),
    ] {
        assert_eq!(ids(&list(&query).await).len(), count, "{query}");
    }
}
