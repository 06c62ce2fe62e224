//! API tokens, and posts that are repeated.

use chrono::Duration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::App;

#[tokio::test]
async fn a_token_is_shown_once_works_and_is_revoked() {
    let app = App::start().await;
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    let body = json!({ "name": "CRM", "client": "acme", "scopes": ["clients:read"] });
    let made = operator.post("/api/v1/tokens", body).await.ok();
    let secret = made["secret"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    assert_eq!(app.admin(secret).get("/api/v1/clients/acme").await.status, 200);
    let shown = operator.get(&format!("/api/v1/tokens/{id}")).await;
    assert!(!shown.text.contains(secret) && shown.ok()["last_used_at"].is_string());
    let stored: Vec<u8> =
        sqlx::query_scalar("select secret_hash from tokens where name = 'CRM'").fetch_one(&app.db).await.unwrap();
    assert_eq!(stored.len(), 32);
    assert_eq!(operator.delete(&format!("/api/v1/tokens/{id}")).await.status, 204);
    assert_eq!(app.admin(secret).get("/api/v1/clients/acme").await.problem(401), "api.unauthenticated");
    assert_eq!(operator.delete(&format!("/api/v1/tokens/{id}")).await.status, 204, "revoking twice is no error");
    let events = operator.get("/api/v1/clients/acme/events?action=token.revoked").await.ok();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!(operator.get("/api/v1/tokens?client=acme").await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_cannot_give_what_it_does_not_hold() {
    use usher::admin::Permission;
    let app = App::start().await;
    let limited = app.admin_with(None, &[Permission::TokensWrite, Permission::ClientsRead]).await;
    let ask = |scope: &str| json!({ "name": "x", "scopes": [scope] });
    assert_eq!(limited.post("/api/v1/tokens", ask("learners:write")).await.problem(403), "token.scope_beyond_own");
    limited.post("/api/v1/tokens", ask("clients:read")).await.ok();
    let operator = app.operator().await;
    for (body, code) in [
        (json!({ "name": "x", "scopes": [] }), "api.invalid"),
        (json!({ "name": "x", "scopes": ["everything"] }), "api.invalid"),
        (json!({ "name": "", "scopes": ["clients:read"] }), "api.invalid"),
        (json!({ "name": "x", "scopes": ["clients:read"], "expires_at": "2001-01-01T00:00:00Z" }), "api.invalid"),
        (json!({ "name": "x", "scopes": ["clients:read"], "client": "nobody" }), "token.no_such_client"),
        (json!({ "name": "x", "scopes": ["clients:read"], "secret": "usher_mine" }), "api.read_only_field"),
    ] {
        assert_eq!(operator.post("/api/v1/tokens", body.clone()).await.problem(422), code, "{body}");
    }
}

#[tokio::test]
async fn the_last_use_is_written_at_most_once_a_minute() {
    let start = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let app = App::with().clock_at(start).start().await;
    let operator = app.operator().await;
    let used = async || -> chrono::DateTime<chrono::Utc> {
        operator.get("/api/v1/clients").await.ok();
        sqlx::query_scalar("select last_used_at from tokens").fetch_one(&app.db).await.unwrap()
    };
    assert_eq!(used().await, start);
    app.clock.advance(Duration::seconds(59));
    assert_eq!(used().await, start);
    app.clock.advance(Duration::seconds(1));
    assert_eq!(used().await, start + Duration::minutes(1));
}

#[tokio::test]
async fn a_flood_of_one_token_is_slowed_and_others_are_not() {
    let app = App::with().settings(|raw| raw.limits.api_per_token = "3/1h".into()).start().await;
    let (one, other) = (app.operator().await, app.operator().await);
    for _ in 0..3 {
        one.get("/api/v1/clients").await.ok();
    }
    let slowed = one.get("/api/v1/clients").await;
    assert_eq!(slowed.problem(429), "api.rate_limited");
    assert!(slowed.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    other.get("/api/v1/clients").await.ok();
}

#[tokio::test]
async fn a_repeated_post_makes_one_thing_and_answers_the_same() {
    let app = App::start().await;
    let operator = app.operator().await;
    let body = json!({ "slug": "acme", "name": "Acme" });
    let post = async |body: &Value, key: &str| {
        operator.call(Method::POST, "/api/v1/clients", Some(body), &[("idempotency-key", key)]).await
    };
    let (first, second) = (post(&body, "k1").await, post(&body, "k1").await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.ok(), second.ok());
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    let other = json!({ "slug": "other", "name": "Other" });
    assert_eq!(post(&other, "k1").await.problem(422), "idempotency.mismatch");
    assert_eq!(post(&other, "").await.problem(422), "idempotency.key");
    assert_eq!(post(&other, &"k".repeat(256)).await.problem(422), "idempotency.key");
    // A key of another token is another key.
    let stranger = app.operator().await;
    let reply = stranger.call(Method::POST, "/api/v1/clients", Some(&other), &[("idempotency-key", "k1")]).await;
    assert_eq!(reply.status, 201);
    // A refusal is not remembered.
    assert_eq!(post(&json!({ "slug": "api", "name": "x" }), "k2").await.problem(422), "client.slug_reserved");
    assert_eq!(post(&json!({ "slug": "fine", "name": "x" }), "k2").await.status, 201);
}

#[tokio::test]
async fn duplicates_at_the_same_moment_make_one_thing() {
    let app = App::start().await;
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    let body = json!({ "title": "Course", "url": "https://learn.example/1" });
    let headers = [("idempotency-key", "same")];
    let posts = (0..8).map(|_| operator.call(Method::POST, "/api/v1/clients/acme/content", Some(&body), &headers));
    let replies = futures_util::future::join_all(posts).await;
    let ids: std::collections::BTreeSet<String> = replies.iter().map(|reply| reply.ok()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    let replayed = replies.iter().filter(|reply| reply.headers.contains_key("idempotency-replayed")).count();
    assert_eq!(replayed, 7);
    let items = operator.get("/api/v1/clients/acme/content").await.ok();
    assert_eq!(items["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_answer_has_no_secret_and_says_so() {
    let app = App::start().await;
    let operator = app.operator().await;
    let body = json!({ "name": "x", "scopes": ["clients:read"] });
    let headers = [("idempotency-key", "one")];
    let first = operator.call(Method::POST, "/api/v1/tokens", Some(&body), &headers).await.ok();
    let second = operator.call(Method::POST, "/api/v1/tokens", Some(&body), &headers).await.ok();
    assert_eq!(first["id"], second["id"]);
    assert!(second["secret"].is_null() && second["secret_note"].as_str().unwrap().contains("shown once"));
    let secret = first["secret"].as_str().unwrap();
    let remembered: Vec<Value> =
        sqlx::query_scalar("select response from idempotency_keys").fetch_all(&app.db).await.unwrap();
    assert!(!remembered.is_empty() && remembered.iter().all(|response| !response.to_string().contains(secret)));
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let start = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let app = App::with().clock_at(start).start().await;
    let operator = app.operator().await;
    let post = async |slug: &str| {
        let body = json!({ "slug": slug, "name": "x" });
        operator.call(Method::POST, "/api/v1/clients", Some(&body), &[("idempotency-key", "k")]).await
    };
    assert_eq!(post("one").await.status, 201);
    app.clock.advance(Duration::hours(24) - Duration::seconds(1));
    assert_eq!(post("two").await.problem(422), "idempotency.mismatch");
    app.clock.advance(Duration::seconds(1));
    assert_eq!(post("two").await.status, 201);
    app.clock.advance(Duration::hours(24));
    let mut conn = app.db.begin().await.unwrap();
    assert_eq!(usher::admin::forget_old(&mut conn, app.clock.now(), 100).await.unwrap(), 1);
}
