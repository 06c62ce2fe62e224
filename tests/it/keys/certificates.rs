//! Warnings before a certificate ends: identity providers', our own, and those of our listeners.

use chrono::{DateTime, Duration, SubsecRound, Utc};
use idp_fixtures::{
    saml::metadata::IdpMetadata,
    sign::{KeyKind, KeyPair},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use usher::{connections, keys};

use crate::support::{Admin, App};

const CONNECTIONS: &str = "/api/v1/clients/acme/connections";

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0)
}

/// A connection whose IdP signs by a certificate that ends then.
async fn connection(operator: &Admin, ends_at: DateTime<Utc>) -> Value {
    let key = KeyPair::generate_valid(KeyKind::Rsa2048, "ending", now() - Duration::days(1), ends_at).unwrap();
    let metadata = IdpMetadata::new("https://idp.example/saml", "https://idp.example/sso", &key).to_xml().unwrap();
    let body = json!({ "name": "SSO", "protocol": "saml", "status": "active", "saml": { "metadata_xml": metadata } });
    operator.post(CONNECTIONS, body).await.ok()
}

async fn acme(app: &App) -> Admin {
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    operator
}

async fn watch(app: &App) -> usize {
    keys::watch_certificates(app, app.clock.now()).await.unwrap()
}

/// The thresholds that were told, with what of.
async fn told(app: &App) -> Vec<(String, i64)> {
    let events: Vec<Value> =
        sqlx::query_scalar("select facts from audit_events where action = 'certificate.ends_soon' order by id")
            .fetch_all(&app.db)
            .await
            .unwrap();
    let read = |facts: &Value| (facts["kind"].as_str().unwrap().to_owned(), facts["within_days"].as_i64().unwrap());
    events.iter().map(read).collect()
}

#[tokio::test]
async fn the_end_of_an_idps_certificate_is_told_once_at_30_14_and_3_days() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let app = App::with().clock_at(now()).start().await;
    let replica = app.replica();
    let operator = acme(&app).await;
    let end = app.clock.now() + Duration::days(40);
    let made = connection(&operator, end).await;
    assert_eq!((watch(&app).await, made["warnings"].clone()), (0, json!([])));
    app.clock.advance(Duration::days(10) - Duration::seconds(1));
    assert_eq!(watch(&app).await, 0);
    for (left, new) in [(30, 1), (14, 1), (3, 1), (1, 0), (-2, 0)] {
        app.clock.advance(end - Duration::days(left) - app.clock.now());
        assert_eq!((left, watch(&app).await), (left, new));
        assert_eq!(watch(&replica).await, 0, "once for all replicas");
    }
    let idp = |days| ("idp".to_owned(), days);
    assert_eq!(told(&app).await, [idp(30), idp(14), idp(3)]);
    let outgoing: Vec<Value> =
        sqlx::query_scalar("select payload from outbox_events where type = 'certificate.ends_soon'")
            .fetch_all(&app.db)
            .await
            .unwrap();
    assert_eq!((outgoing.len(), &outgoing[0]["connection"]), (3, &made["id"]));
    let rendered = metrics.render();
    for line in [
        r#"usher_certificates_expiring{kind="idp",within_days="0"} 1"#,
        r#"usher_certificates_expiring{kind="idp",within_days="30"} 1"#,
        r#"usher_certificates_expiring{kind="sp",within_days="30"} 0"#,
        r#"usher_certificates_first_end_seconds{kind="idp"} inf"#,
    ] {
        assert!(rendered.contains(line), "{line} in {rendered}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_within_days_is_told_at_the_nearest_threshold_alone_and_a_disabled_connection_is_quiet()
{
    let app = App::with().clock_at(now()).start().await;
    let operator = acme(&app).await;
    let made = connection(&operator, app.clock.now() + Duration::days(10)).await;
    let path = format!("{CONNECTIONS}/{}", made["id"].as_str().unwrap());
    operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    assert_eq!(watch(&app).await, 0);
    operator.patch(&path, json!({ "status": "active" })).await.ok();
    assert_eq!((watch(&app).await, told(&app).await), (1, vec![("idp".to_owned(), 14)]));
    assert_eq!(operator.get(&path).await.ok()["warnings"][0]["code"], "certificate_expires_soon");
}

#[tokio::test]
async fn a_key_of_ours_gets_its_successor_60_days_ahead_and_its_end_is_told() {
    let app = App::with().clock_at(now()).start().await;
    let operator = acme(&app).await;
    let made = connection(&operator, now() + Duration::days(9_000)).await;
    let path = format!("{CONNECTIONS}/{}", made["id"].as_str().unwrap());
    let keys = async || operator.get(&format!("{path}/keys")).await.ok()["items"].as_array().unwrap().clone();
    let end: DateTime<Utc> = keys().await[0]["not_after"].as_str().unwrap().parse().unwrap();
    let prepare = async || connections::prepare_next_keys(&app, app.clock.now(), 10).await.unwrap();
    app.clock.advance(end - Duration::days(60) - Duration::seconds(1) - app.clock.now());
    assert_eq!(prepare().await, 0);
    app.clock.advance(Duration::seconds(1));
    assert_eq!((prepare().await, prepare().await), (2, 0), "one for each use, once");
    let states: Vec<_> = keys().await.iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["current", "current", "next", "next"]);
    assert_eq!(operator.get(&path).await.ok()["warnings"], json!([]));

    app.clock.advance(Duration::days(30));
    assert_eq!((watch(&app).await, told(&app).await), (2, vec![("sp".to_owned(), 30), ("sp".to_owned(), 30)]));
    let warnings = operator.get(&path).await.ok()["warnings"].clone();
    assert_eq!((warnings[0]["code"].as_str(), warnings.as_array().unwrap().len()), (Some("key_expires_soon"), 2));
    for key in keys().await.iter().filter(|key| key["state"] == "next") {
        operator.post(&format!("{path}/keys/{}/promote", key["id"].as_str().unwrap()), json!({})).await.ok();
    }
    app.clock.advance(Duration::days(29));
    assert_eq!(watch(&app).await, 0, "what is not in use any more ends quietly");
    assert_eq!(operator.get(&path).await.ok()["warnings"], json!([]));
}

#[tokio::test]
async fn the_end_of_a_listeners_certificate_is_told_to_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let ends_at = now() + Duration::days(12);
    let key = KeyPair::generate_valid(KeyKind::P256, "localhost", now() - Duration::days(1), ends_at).unwrap();
    let (certificate, private) = (folder.path().join("learn.pem"), folder.path().join("learn.key"));
    std::fs::write(&certificate, key.certificate_pem().unwrap()).unwrap();
    std::fs::write(&private, key.private_key_pem().unwrap()).unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::create_dir(&hosts).unwrap();
    let key = KeyPair::generate_valid(KeyKind::P256, "learn.acme.example", now() - Duration::days(1), ends_at).unwrap();
    std::fs::write(hosts.join("acme.crt"), key.certificate_pem().unwrap()).unwrap();
    std::fs::write(hosts.join("acme.key"), key.private_key_pem().unwrap()).unwrap();
    let paths = (certificate.display().to_string(), private.display().to_string(), hosts.display().to_string());
    let app = App::with().clock_at(now()).settings(move |raw| {
        raw.server.tls_certificate = Some(paths.0.clone());
        raw.server.tls_key = Some(paths.1.clone());
        raw.server.tls_hosts = Some(paths.2.clone());
        raw.server.public_origin = raw.server.public_origin.replace("http://", "https://");
    });
    let app = app.start().await;
    assert_eq!((watch(&app).await, watch(&app).await), (2, 0));
    let events: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "select client_id, target from audit_events where action = 'certificate.ends_soon' order by target",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    let nobody = uuid::Uuid::nil();
    assert_eq!(events, [(nobody, "acme.crt".to_owned()), (nobody, "learn.pem".to_owned())]);
    assert_eq!(told(&app).await, [("tls".to_owned(), 14), ("tls".to_owned(), 14)]);
}
