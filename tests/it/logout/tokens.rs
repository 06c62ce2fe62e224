//! Logout tokens that must not be taken: each differs in one thing from the honest one that ends the session afterwards.

use std::collections::BTreeMap;

use idp_fixtures::oidc::{Faults, TokenSigning};
use serde_json::{Value, json};

use super::{CLIENT, Scene};

fn claim(name: &str, value: Option<Value>) -> Faults {
    Faults::default().logout_claim(name, value)
}

fn header(name: &str, value: Value) -> Faults {
    Faults { logout_header: BTreeMap::from([(name.to_owned(), Some(value))]), ..Faults::default() }
}

fn signed(how: TokenSigning) -> Faults {
    Faults { logout_signing: how, ..Faults::default() }
}

/// What is wrong, and the reason that the audit trail names.
fn wrong() -> Vec<(Faults, &'static str)> {
    let now = chrono::Utc::now().timestamp();
    vec![
        (signed(TokenSigning::None), "logout.oidc.algorithm"),
        (signed(TokenSigning::Hs256WithPublicKey), "logout.oidc.algorithm"),
        (signed(TokenSigning::Hs256WithClientSecret), "logout.oidc.algorithm"),
        (signed(TokenSigning::ForeignKey), "logout.oidc.signature"),
        (signed(TokenSigning::Corrupted), "logout.oidc.signature"),
        (header("alg", json!("RS512")), "logout.oidc.algorithm"),
        (header("typ", json!("at+jwt")), "logout.oidc.header"),
        (header("crit", json!(["exp"])), "logout.oidc.header"),
        (header("kid", json!("nobody's")), "logout.oidc.unknown_key"),
        (claim("iss", Some(json!("https://evil.example"))), "logout.oidc.issuer"),
        (claim("aud", Some(json!("another"))), "logout.oidc.audience"),
        (claim("aud", Some(json!([CLIENT, "another"]))), "logout.oidc.authorized_party"),
        (claim("iat", None), "logout.oidc.time"),
        (claim("iat", Some(json!(now - 3600))), "logout.oidc.issued_at"),
        (claim("iat", Some(json!(now + 3600))), "logout.oidc.issued_at"),
        (claim("exp", None), "logout.oidc.time"),
        (claim("exp", Some(json!(now - 120))), "logout.oidc.expired"),
        (claim("jti", None), "logout.oidc.jti"),
        (claim("events", None), "logout.oidc.events"),
        (claim("events", Some(json!(["http://schemas.openid.net/event/backchannel-logout"]))), "logout.oidc.events"),
        (claim("nonce", Some(json!("n"))), "logout.oidc.nonce"),
        (claim("sid", Some(json!(7))), "logout.oidc.subject"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_logout_token_is_refused_with_its_reason_and_ends_nothing() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let sid = scene.sign_in(&browser, "grace").await;
    let mut reasons = Vec::new();
    for (faults, reason) in wrong() {
        scene.op.fault(faults);
        let (status, body) = scene.tell(&scene.token(Some("grace"), Some(&sid))).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]), (400, &json!("invalid_request")), "{reason}");
        assert!(!body["error_description"].as_str().unwrap().is_empty());
        reasons.push(reason);
    }
    assert!(scene.is_in(&browser).await, "nothing of it ended anything");
    let mut found: Vec<String> = Vec::new();
    for event in scene.events("logout.refused").await {
        found.insert(0, event["reason"].as_str().unwrap().to_owned());
    }
    assert_eq!(found, reasons);
    scene.op.fault(Faults::default());
    assert_eq!(scene.tell(&scene.token(Some("grace"), Some(&sid))).await, (200, String::new()));
    assert!(!scene.is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_names_nobody_is_refused() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "grace").await;
    assert_eq!(scene.tell(&scene.token(None, None)).await.0, 400);
    assert!(scene.is_in(&browser).await);
    assert_eq!(scene.tell(&scene.token(Some("grace"), None)).await.0, 200);
    assert!(!scene.is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_no_logout_token() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let sid = scene.sign_in(&browser, "grace").await;
    let like_an_id_token = claim("events", None).logout_claim("nonce", Some(json!("n")));
    scene.op.fault(like_an_id_token);
    assert_eq!(scene.tell(&scene.token(Some("grace"), Some(&sid))).await.0, 400);
    assert!(scene.is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_is_good_once_and_of_two_at_once_on_two_replicas_one_is_taken() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let sid = scene.sign_in(&browser, "grace").await;
    let token = scene.token(Some("grace"), Some(&sid));
    let fields = [("logout_token", token.as_str())];
    let (here, there) = tokio::join!(
        scene.post(&scene.app, &scene.connection, &fields),
        scene.post(&scene.replica, &scene.connection, &fields)
    );
    let mut both = [here.0, there.0];
    both.sort_unstable();
    assert_eq!(both, [200, 400]);
    assert_eq!(scene.tell(&token).await.0, 400, "replayed");
    assert_eq!(scene.events("logout.refused").await[0]["reason"], "logout.oidc.replayed");
    // Replayed against a session that began since, it ends nothing.
    scene.sign_in(&browser, "grace").await;
    assert_eq!(scene.post(&scene.replica, &scene.connection, &fields).await.0, 400);
    assert!(scene.is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_holds_not_exactly_one_token_in_a_form_is_refused() {
    let scene = Scene::start().await;
    let browser = scene.app.browser();
    let sid = scene.sign_in(&browser, "grace").await;
    let token = scene.token(Some("grace"), Some(&sid));
    let (app, connection) = (&scene.app, scene.connection.as_str());
    let one = ("logout_token", token.as_str());
    for fields in [&[][..], &[("logout_token", "")], &[one, one], &[("id_token", token.as_str())]] {
        assert_eq!(scene.post(app, connection, fields).await.0, 400, "{}", fields.len());
    }
    let json = json!({ "logout_token": token }).to_string();
    assert_eq!(scene.send(app, connection, "application/json", json).await.0, 400);
    assert_eq!(scene.post(app, &connection.replace("con_", "con_f"), &[one]).await.0, 404);
    assert!(scene.is_in(&browser).await);
    assert_eq!(scene.post(app, connection, &[("more", "ignored"), one]).await.0, 200);
    assert!(!scene.is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_redis_could_not_be_told_may_be_tried_again_with_the_same_token() {
    let app = crate::support::App::with().flaky().start().await;
    let op = idp_fixtures::oidc::OidcOp::start(idp_fixtures::oidc::Options::default()).await.unwrap();
    let scene = Scene::with(app, op).await;
    let browser = scene.app.browser();
    let sid = scene.sign_in(&browser, "grace").await;
    let token = scene.token(Some("grace"), Some(&sid));
    scene.app.redis().cut();
    assert_eq!(scene.tell(&token).await.0, 503);
    scene.app.redis().restore();
    let mut answer = scene.tell(&token).await.0;
    while answer == 503 {
        answer = scene.tell(&token).await.0;
    }
    assert_eq!(answer, 200);
    assert!(!scene.is_in(&browser).await);
}
