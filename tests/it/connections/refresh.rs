//! Reading an IdP again: in the background, on an admin's word, on an unknown key; and the clean-up.

use chrono::Duration;
use serde_json::{Value, json};
use usher::{
    clock::Clock,
    connections::{refresh_due, refresh_soon},
    ids::ConnectionId,
    jobs::clean,
};

use super::setup::{CONNECTIONS, Documents, acme, by_url, key, metadata, path, saml};
use crate::support::App;

fn id(connection: &Value) -> ConnectionId {
    connection["id"].as_str().unwrap().parse().unwrap()
}

fn certificates(connection: &Value) -> usize {
    connection["idp"]["certificates"].as_array().unwrap().len()
}

#[tokio::test]
async fn connections_a_new_certificate_stands_beside_the_old_one_and_raises_the_version() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    let made = by_url(&operator, &documents).await;
    let refresh = format!("{}/refresh", path(&made));

    let unchanged = operator.post(&refresh, json!({})).await.ok();
    assert_eq!((&unchanged["version"], certificates(&unchanged)), (&json!(1), 1));

    let mut both = metadata(&key("first"));
    both.signing.push(key("second"));
    documents.change(both.to_xml().unwrap());
    let changed = operator.post(&refresh, json!({})).await.ok();
    assert_eq!((&changed["version"], certificates(&changed)), (&json!(2), 2));
    let events = operator.get("/api/v1/clients/acme/events").await.text;
    assert!(events.contains("connection.idp_refreshed"), "{events}");
}

#[tokio::test]
async fn connections_a_failed_reading_keeps_what_was_known_and_is_told() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    let made = by_url(&operator, &documents).await;
    documents.fail(503);
    assert_eq!(operator.post(&format!("{}/refresh", path(&made)), json!({})).await.problem(422), "outbound.status");
    let after = operator.get(&path(&made)).await.ok();
    assert_eq!(after["last_refresh_error"]["code"], "outbound.status");
    assert_eq!((&after["version"], &after["idp"]["certificates"]), (&made["version"], &made["idp"]["certificates"]));

    documents.change(metadata(&key("first")).to_xml().unwrap());
    let healed = operator.post(&format!("{}/refresh", path(&made)), json!({})).await.ok();
    assert_eq!(healed["last_refresh_error"], Value::Null);

    let typed = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    assert_eq!(
        operator.post(&format!("{}/refresh", path(&typed)), json!({})).await.problem(409),
        "connection.refresh.typed"
    );
}

#[tokio::test]
async fn connections_what_is_due_is_read_once_by_all_replicas_together() {
    let app = App::start().await;
    let other = app.replica();
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    for _ in 0..3 {
        by_url(&operator, &documents).await;
    }
    let asked = documents.asked();
    let now = Clock::system().now();
    assert_eq!(refresh_due(&app, now, 10).await.unwrap(), 0);
    let tomorrow = now + Duration::hours(25);
    let (here, there) = tokio::join!(refresh_due(&app, tomorrow, 10), refresh_due(&other, tomorrow, 10));
    assert_eq!(here.unwrap() + there.unwrap(), 3);
    assert_eq!(documents.asked() - asked, 3);
    assert_eq!(refresh_due(&app, tomorrow, 10).await.unwrap(), 0);
}

#[tokio::test]
async fn connections_an_unknown_key_makes_the_idp_read_again_at_most_once_a_minute() {
    let app = App::start().await;
    let other = app.replica();
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    let made = by_url(&operator, &documents).await;
    let facts = app.connections.find(&app, id(&made)).await.unwrap().unwrap();
    let stale = other.connections.find(&other, id(&made)).await.unwrap().unwrap();
    documents.change(metadata(&key("second")).to_xml().unwrap());
    let asked = documents.asked();
    assert!(refresh_soon(&app, &facts, Clock::system().now()).await.unwrap());
    for replica in [&app, &other] {
        assert!(!refresh_soon(replica, &facts, Clock::system().now()).await.unwrap());
    }
    assert_eq!(documents.asked() - asked, 1);

    // The other replica has not heard of it, and notices by the version.
    assert_eq!(other.connections.find(&other, id(&made)).await.unwrap().unwrap().version, stale.version);
    let fresh = other.connections.at_version(&other, id(&made), stale.version + 1).await.unwrap().unwrap();
    let certificates =
        |facts: &usher::connections::ConnectionFacts| facts.saml.as_ref().unwrap().certificates().to_vec();
    assert_ne!(certificates(&fresh), certificates(&stale));
}

#[tokio::test]
async fn connections_metadata_that_ended_is_told_and_known_to_a_sign_in() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let mut ending = metadata(&key("first"));
    ending.valid_until = Some(Clock::system().now() + Duration::hours(2));
    let documents = Documents::serve(ending.to_xml().unwrap()).await;
    let made = by_url(&operator, &documents).await;
    assert!(made["warnings"].to_string().contains("metadata_expires_soon"), "{made}");
    let facts = app.connections.find(&app, id(&made)).await.unwrap().unwrap();
    assert!(!facts.is_metadata_expired(Clock::system().now()));
    assert!(facts.is_metadata_expired(Clock::system().now() + Duration::hours(3)));
}

#[tokio::test]
async fn connections_clean_up_empties_old_claims_and_removes_old_keys_and_assertions_only() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let headers = [("idempotency-key", "one")];
    operator.call(reqwest::Method::POST, CONNECTIONS, Some(&saml(json!({}))), &headers).await.ok();
    let now = Clock::system().now();
    for (digest, ends) in [(1_u8, now - Duration::hours(1)), (2, now + Duration::hours(1))] {
        sqlx::query(
            "insert into used_assertions (client_id, connection_id, digest, expires_at)
             select client_id, id, $2, $3 from connections where id = $1",
        )
        .bind(id(&made))
        .bind(vec![digest])
        .bind(ends)
        .execute(&app.db)
        .await
        .unwrap();
        sqlx::query(
            "insert into attempts (client_id, id, connection_id, initiated_by, started_at, finished_at, outcome, reference,
                                   claims_sealed, claims_expire_at)
             select client_id, gen_random_uuid(), id, 'sp', $2, $2, 'succeeded', 'R', '\\x01', $2 from connections where id = $1",
        )
        .bind(id(&made))
        .bind(ends)
        .execute(&app.db)
        .await
        .unwrap();
    }
    let first = clean(&app, now).await.unwrap();
    assert_eq!((first.claims, first.assertions, first.idempotency_keys), (1, 1, 0));
    let later = clean(&app, now + Duration::hours(25)).await.unwrap();
    assert_eq!((later.claims, later.assertions, later.idempotency_keys), (1, 1, 1));
    let attempts: i64 = sqlx::query_scalar("select count(*) from attempts").fetch_one(&app.db).await.unwrap();
    assert_eq!(attempts, 2);
}
