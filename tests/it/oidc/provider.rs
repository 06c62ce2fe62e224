//! Providers that lie, change their keys, are slow, down, or answer nonsense (security.md, 19 and 26).

use std::time::{Duration, Instant};

use idp_fixtures::oidc::{Endpoint, Failure, Faults, OidcOp, Options, jose::Algorithm};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use usher::{
    app::App,
    clock::Clock,
    connections::discovery::{Provider, discover},
};

use super::setup::{Setup, app, party};

fn body(text: impl Into<String>) -> Failure {
    Failure::Body { status: 200, content_type: "application/json".into(), body: text.into() }
}

fn quick() -> App {
    app(Clock::system(), |raw| raw.outbound.timeout_ms = 700)
}

async fn discovered(app: &App, op: &OidcOp, faults: Faults) -> Result<Provider, &'static str> {
    op.fault(faults);
    discover(app, op.issuer()).await.map_err(|error| error.code())
}

#[tokio::test]
async fn a_discovery_document_of_another_or_with_endpoints_inside_is_refused() {
    let (app, op) = (quick(), OidcOp::start(Options::default()).await.unwrap());
    let bent = |name: &str, value: Value| {
        let mut faults = Faults::default();
        faults.discovery.insert(name.into(), Some(value));
        faults
    };
    let slash = json!(format!("{}/", op.issuer()));
    assert_eq!(discovered(&app, &op, bent("issuer", slash)).await, Err("connection.discovery.issuer"));
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
        for url in ["http://169.254.169.254/", "https://10.0.0.1/", "file:///etc/passwd", "https://[::ffff:10.0.0.1]/"]
        {
            let outcome = discovered(&app, &op, bent(name, json!(url))).await;
            assert_eq!(outcome, Err("connection.discovery.endpoint"), "{name} {url}");
        }
        let elsewhere = bent(name, json!("https://idp.example/endpoint"));
        assert!(discovered(&app, &op, elsewhere).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn plain_http_is_refused_for_every_endpoint_where_it_is_not_allowed() {
    let op = OidcOp::start(Options::default()).await.unwrap();
    let strict = app(Clock::system(), |raw| raw.outbound.allow_plain_http = false);
    assert_eq!(discovered(&strict, &op, Faults::default()).await, Err("connection.discovery.fetch"));
    assert_eq!(op.hits(Endpoint::Discovery), 0);
    assert!(discovered(&quick(), &op, Faults::default()).await.is_ok());
}

#[tokio::test]
async fn a_provider_that_fails_at_discovery_is_told_within_its_time() {
    let (app, op) = (quick(), OidcOp::start(Options::default()).await.unwrap());
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirect = Failure::Redirect(format!("http://{}/", inside.local_addr().unwrap()));
    for (failure, code) in [
        (Failure::Status(500), "connection.discovery.fetch"),
        (redirect, "connection.discovery.fetch"),
        (Failure::Hang, "connection.discovery.fetch"),
        (Failure::Drip, "connection.discovery.fetch"),
        (Failure::Huge(100 << 20), "connection.discovery.fetch"),
        (body("<html>"), "connection.discovery.unreadable"),
        (body("[]"), "connection.discovery.unreadable"),
        (body("[".repeat(10_000)), "connection.discovery.unreadable"),
    ] {
        let began = Instant::now();
        let outcome = discovered(&app, &op, Faults::default().failing(Endpoint::Discovery, failure.clone())).await;
        assert_eq!(outcome, Err(code), "{failure:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let slow = Failure::Slow(Duration::from_millis(200));
    assert!(discovered(&app, &op, Faults::default().failing(Endpoint::Discovery, slow)).await.is_ok());
    let followed = tokio::time::timeout(Duration::from_millis(50), inside.accept()).await;
    assert!(followed.is_err(), "no redirect is followed");
}

#[tokio::test]
async fn key_sets_without_end_are_refused() {
    let flood: Vec<Value> = (0..10_000).map(|number| json!({"kty": "RSA", "kid": number.to_string()})).collect();
    let many: Vec<Value> = flood.iter().take(101).cloned().collect();
    for failure in [
        Failure::Huge(100 << 20),
        body(json!({"keys": flood}).to_string()),
        body(json!({"keys": many}).to_string()),
        body(json!({"keys": []}).to_string()),
        body("{"),
        Failure::Status(404),
        Failure::Redirect("http://127.0.0.1:1/".into()),
    ] {
        let setup = Setup::new().await;
        let began = Instant::now();
        let code = setup.refused(Faults::default().failing(Endpoint::Jwks, failure)).await;
        assert_eq!(code, "login.oidc.keys");
        assert!(began.elapsed() < Duration::from_secs(8));
    }
    let setup = Setup::new().await;
    setup.let_in(Faults { decoy_keys: 99, ..Faults::default() }).await;
    let setup = Setup::new().await;
    assert_eq!(setup.refused(Faults { decoy_keys: 100, ..Faults::default() }).await, "login.oidc.keys");
}

#[tokio::test]
async fn a_key_that_changed_between_discovery_and_token_is_fetched_at_once() {
    let setup = Setup::new().await;
    setup.let_in(Faults::default()).await;
    assert_eq!(setup.op.hits(Endpoint::Jwks), 1);
    setup.op.rotate_key(Algorithm::Rs256, false).unwrap();
    setup.let_in(Faults::default()).await;
    assert_eq!(setup.op.hits(Endpoint::Jwks), 2);
    setup.let_in(Faults::default()).await;
    assert_eq!(setup.op.hits(Endpoint::Jwks), 2, "what is known is not asked for again");
}

#[tokio::test]
async fn unknown_keys_make_us_ask_once_a_minute_and_for_one_connection_alone() {
    let clock = Clock::manual(idp_fixtures::clock::now());
    let mut setup = Setup::with(Algorithm::Rs256, clock.clone()).await;
    // The provider's clock is the real one and stands still here.
    setup.party.clock_skew = chrono::Duration::seconds(300);
    let unknown = || Faults::default().header("kid", json!("nobody's"));
    for _ in 0..20 {
        assert_eq!(setup.refused(unknown()).await, "login.oidc.unknown_key");
    }
    assert_eq!(setup.op.hits(Endpoint::Jwks), 2, "the first fetch and one more");
    clock.advance(chrono::Duration::seconds(59));
    setup.refused(unknown()).await;
    assert_eq!(setup.op.hits(Endpoint::Jwks), 2);
    clock.advance(chrono::Duration::seconds(2));
    setup.refused(unknown()).await;
    assert_eq!(setup.op.hits(Endpoint::Jwks), 3);
    // A flood at one connection leaves another of the same provider alone.
    setup.party.connection = setup.app.entropy.id(setup.app.clock.now());
    setup.let_in(Faults::default()).await;
    assert_eq!(setup.op.hits(Endpoint::Jwks), 4);
}

#[tokio::test]
async fn many_sign_ins_at_once_fetch_the_keys_once() {
    let setup = Setup::new().await;
    setup.op.fault(Faults::default().failing(Endpoint::Jwks, Failure::Slow(Duration::from_millis(300))));
    let outcomes = futures_util::future::join_all((0..10).map(|_| setup.sign_in())).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(setup.op.hits(Endpoint::Jwks), 1);
}

#[tokio::test]
async fn keys_in_hand_serve_while_the_provider_is_down_and_not_for_ever() {
    let clock = Clock::manual(idp_fixtures::clock::now());
    let setup = Setup::with(Algorithm::Rs256, clock.clone()).await;
    let load = async || {
        let (connection, uri) = (setup.party.connection, &setup.party.provider.jwks_uri);
        setup.app.key_sets.load(&setup.app.outbound, connection, uri, clock.now()).await.is_ok()
    };
    assert!(load().await);
    setup.op.fault(Faults::default().failing(Endpoint::Jwks, Failure::Status(503)));
    clock.advance(chrono::Duration::minutes(59));
    assert!(load().await);
    assert_eq!(setup.op.hits(Endpoint::Jwks), 1, "still fresh");
    clock.advance(chrono::Duration::minutes(2));
    assert!(load().await && load().await);
    assert_eq!(setup.op.hits(Endpoint::Jwks), 2, "a provider that is down is left alone for a while");
    clock.advance(chrono::Duration::seconds(11));
    assert!(load().await);
    assert_eq!(setup.op.hits(Endpoint::Jwks), 3);
    clock.advance(chrono::Duration::hours(23));
    assert!(!load().await, "a day later the keys may be anybody's");
    setup.op.fault(Faults::default());
    clock.advance(chrono::Duration::seconds(11));
    assert!(load().await, "and it recovers by itself");
}

#[tokio::test]
async fn userinfo_about_another_or_in_another_form_is_refused() {
    let mut setup = Setup::new().await;
    setup.party.userinfo = true;
    let about = |subject: Option<Value>| {
        let mut faults = Faults::default();
        faults.userinfo_claims.insert("sub".into(), subject);
        faults
    };
    for subject in [
        Some(json!("sam-7f3a")),
        Some(json!("Grace-7f3a")),
        Some(json!("")),
        Some(json!(null)),
        Some(json!(["grace-7f3a"])),
        None,
    ] {
        assert_eq!(setup.refused(about(subject.clone())).await, "login.oidc.userinfo_subject", "{subject:?}");
    }
    setup.let_in(about(Some(json!("grace-7f3a")))).await;

    let answering = |content_type: &str, text: &str| {
        let failure = Failure::Body { status: 200, content_type: content_type.into(), body: text.into() };
        Faults::default().failing(Endpoint::Userinfo, failure)
    };
    let good = r#"{"sub": "grace-7f3a"}"#;
    for (content_type, text, code) in [
        ("application/jwt", "a.b.c", "login.oidc.userinfo_signed"),
        ("text/html", good, "login.oidc.userinfo_unreadable"),
        ("application/json", "[]", "login.oidc.userinfo_unreadable"),
        ("application/json", r#"{"sub": "grace-7f3a", "sub": "sam-7f3a"}"#, "login.oidc.userinfo_unreadable"),
    ] {
        assert_eq!(setup.refused(answering(content_type, text)).await, code, "{content_type} {text}");
    }
    setup.let_in(answering("application/json; charset=utf-8", good)).await;
    let failing = Faults::default().failing(Endpoint::Userinfo, Failure::Status(403));
    assert_eq!(setup.refused(failing).await, "login.oidc.userinfo");
}

#[tokio::test]
async fn a_token_endpoint_that_answers_nonsense_or_not_at_all_is_told_within_its_time() {
    let setup = {
        let app = quick();
        let op = OidcOp::start(Options::default()).await.unwrap();
        let party = party(&app, &op).await;
        Setup { app, op, party }
    };
    for (failure, code) in [
        (Failure::Status(500), "login.oidc.token_request"),
        (Failure::Hang, "login.oidc.token_request"),
        (Failure::Drip, "login.oidc.token_request"),
        (Failure::Huge(100 << 20), "login.oidc.token_request"),
        (Failure::Redirect("http://127.0.0.1:1/".into()), "login.oidc.token_request"),
        (body("<html>"), "login.oidc.token_response"),
        (body("{}"), "login.oidc.no_id_token"),
        (body(r#"{"id_token": 5}"#), "login.oidc.token_response"),
    ] {
        let began = Instant::now();
        let code_found = setup.refused(Faults::default().failing(Endpoint::Token, failure.clone())).await;
        assert_eq!(code_found, code, "{failure:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{failure:?}");
    }
    let mut mac = Faults::default();
    mac.token_response.insert("token_type".into(), Some(json!("mac")));
    assert_eq!(setup.refused(mac).await, "login.oidc.token_response");
    setup.let_in(Faults::default()).await;
}

#[tokio::test]
async fn settings_that_no_longer_belong_to_the_discovered_provider_are_refused() {
    let mut setup = Setup::new().await;
    let issuer = std::mem::replace(&mut setup.party.issuer, "https://another.example".into());
    let handshake = usher::login::oidc::Handshake::new(&setup.app.entropy);
    assert!(usher::login::oidc::authorization_url(&setup.party, &handshake, None).is_err());
    setup.party.issuer = issuer;
    let parameters = setup.parameters(&handshake, "grace");
    setup.party.issuer = "https://another.example".into();
    let (outcome, _) = setup.finish(&handshake, parameters).await;
    assert_eq!(outcome.unwrap_err().code(), "login.oidc.provider");
}
