//! The ID token's claims: whose it is, for whom, when (security.md, 17; at_hash and c_hash of 19).

use chrono::{DateTime, Duration};
use idp_fixtures::oidc::{Faults, jose::Algorithm};
use serde_json::{Value, json};
use usher::clock::Clock;

use super::setup::Setup;

fn claim(name: &str, value: Value) -> Faults {
    Faults::default().claim(name, value)
}

#[tokio::test]
async fn times_that_are_not_whole_numbers_of_seconds_are_refused() {
    let setup = Setup::new().await;
    let now = setup.app.clock.now().timestamp();
    for (name, good) in [("exp", now + 300), ("iat", now), ("nbf", now), ("auth_time", now)] {
        for odd in [
            json!(good.to_string()),
            json!(good as f64 + 0.5),
            serde_json::from_str(&format!("{good}.0")).unwrap(),
            serde_json::from_str("1e400000").unwrap_or(json!("huge")),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(253_402_300_800_i64),
            json!(-1),
            json!(null),
            json!([good]),
            json!({"seconds": good}),
            json!(true),
        ] {
            assert_eq!(setup.refused(claim(name, odd.clone())).await, "login.oidc.time", "{name}: {odd}");
        }
        setup.let_in(claim(name, json!(good))).await;
    }
    for required in ["exp", "iat"] {
        assert_eq!(setup.refused(Faults::default().without_claim(required)).await, "login.oidc.time", "{required}");
    }
    for optional in ["nbf", "auth_time"] {
        setup.let_in(Faults::default().without_claim(optional)).await;
    }
}

#[tokio::test]
async fn each_time_is_held_to_the_clock_with_the_skew_of_the_connection_to_the_second() {
    let now = idp_fixtures::clock::now().timestamp();
    // Our clock stands still, so that nothing hangs on how long a test takes.
    let clock = Clock::manual(DateTime::from_timestamp(now, 0).unwrap());
    let mut setup = Setup::with(Algorithm::Rs256, clock).await;
    let times = || claim("iat", json!(now)).claim("exp", json!(now + 300)).claim("auth_time", json!(now));
    for skew in [0, 60, 300] {
        setup.party.clock_skew = Duration::seconds(skew);
        for (name, last_good, first_bad, code) in [
            ("exp", now - skew + 1, now - skew, "login.oidc.expired"),
            ("iat", now + skew, now + skew + 1, "login.oidc.issued_at"),
            ("iat", now - skew, now - skew - 1, "login.oidc.issued_at"),
            ("nbf", now + skew, now + skew + 1, "login.oidc.not_yet_valid"),
            ("auth_time", now + skew, now + skew + 1, "login.oidc.auth_time"),
        ] {
            assert_eq!(setup.refused(times().claim(name, json!(first_bad))).await, code, "{name}, skew {skew}");
            setup.let_in(times().claim(name, json!(last_good))).await;
        }
    }
}

#[tokio::test]
async fn a_token_for_others_is_refused() {
    let setup = Setup::new().await;
    for audience in [
        json!("another"),
        json!("Usher"),
        json!("usher "),
        json!(""),
        json!([]),
        json!(["another"]),
        json!(["usher", 5]),
        json!([["usher"]]),
        json!({"usher": true}),
        json!(null),
    ] {
        assert_eq!(setup.refused(claim("aud", audience.clone())).await, "login.oidc.audience", "{audience}");
    }
    assert_eq!(setup.refused(Faults::default().without_claim("aud")).await, "login.oidc.audience");
    setup.let_in(claim("aud", json!("usher"))).await;
    setup.let_in(claim("aud", json!(["usher"]))).await;
}

#[tokio::test]
async fn a_token_for_several_must_say_that_it_was_issued_to_us() {
    let setup = Setup::new().await;
    let several = || claim("aud", json!(["usher", "another"]));
    assert_eq!(setup.refused(several()).await, "login.oidc.authorized_party");
    for party in [json!("another"), json!(""), json!(null), json!(["usher"])] {
        assert_eq!(
            setup.refused(several().claim("azp", party.clone())).await,
            "login.oidc.authorized_party",
            "{party}"
        );
    }
    setup.let_in(several().claim("azp", json!("usher"))).await;
    // Also for one audience: issued to somebody else is somebody else's.
    assert_eq!(setup.refused(claim("azp", json!("another"))).await, "login.oidc.authorized_party");
    setup.let_in(claim("azp", json!("usher"))).await;
}

#[tokio::test]
async fn an_issuer_that_is_not_the_connections_letter_by_letter_is_refused() {
    let setup = Setup::new().await;
    let issuer = setup.op.issuer().to_owned();
    for wrong in [
        json!(format!("{issuer}/")),
        json!(issuer.replace("http", "https")),
        json!(issuer.replace("127.0.0.1", "localhost")),
        json!(issuer.to_uppercase()),
        json!(format!(" {issuer}")),
        json!("https://accounts.google.com"),
        json!(""),
        json!(null),
        json!([issuer]),
    ] {
        assert_eq!(setup.refused(claim("iss", wrong.clone())).await, "login.oidc.issuer", "{wrong}");
    }
    assert_eq!(setup.refused(Faults::default().without_claim("iss")).await, "login.oidc.issuer");
    setup.let_in(claim("iss", json!(issuer))).await;
}

#[tokio::test]
async fn a_subject_that_cannot_be_a_key_is_refused() {
    let setup = Setup::new().await;
    for subject in [
        json!(""),
        json!("   "),
        json!(null),
        json!(17),
        json!(["grace"]),
        json!("s".repeat(256)),
        json!("gr\u{0}ace"),
        json!("grace\n"),
        json!("gräce"),
        json!("grace\u{202e}"),
    ] {
        assert_eq!(setup.refused(claim("sub", subject.clone())).await, "login.oidc.subject", "{subject}");
    }
    assert_eq!(setup.refused(Faults::default().without_claim("sub")).await, "login.oidc.subject");
    for subject in ["s".repeat(255), "auth0|5f 7c".to_owned(), "G".to_owned()] {
        assert_eq!(setup.let_in(claim("sub", json!(subject))).await.subject(), subject);
    }
}

#[tokio::test]
async fn hashes_must_hold_where_they_are_given() {
    let setup = Setup::new().await;
    for (name, code) in [("at_hash", "login.oidc.access_token_hash"), ("c_hash", "login.oidc.code_hash")] {
        let other = setup.op.signing_key().unwrap().half_hash("another token").unwrap();
        for wrong in [json!(other), json!(""), json!(null), json!(5), json!("AA")] {
            assert_eq!(setup.refused(claim(name, wrong.clone())).await, code, "{name}: {wrong}");
        }
        setup.let_in(Faults::default().without_claim(name)).await;
    }
    // Without an access token there is nothing that `at_hash` could hold for.
    let mut alone = Faults::default();
    alone.token_response.insert("access_token".into(), None);
    assert_eq!(setup.refused(alone.clone()).await, "login.oidc.access_token_hash");
    setup.let_in(alone.without_claim("at_hash")).await;
}

#[tokio::test]
async fn a_recent_sign_in_is_required_where_it_was_asked_for() {
    let mut setup = Setup::new().await;
    let ago = |seconds: i64| claim("auth_time", json!(setup.app.clock.now().timestamp() - seconds));
    let (hour, minutes, future) = (ago(3600), ago(120), ago(-120));
    setup.let_in(hour.clone()).await;
    assert_eq!(setup.refused(future).await, "login.oidc.auth_time");
    setup.party.max_age = Some(600);
    assert_eq!(setup.refused(hour).await, "login.oidc.auth_time");
    assert_eq!(setup.refused(Faults::default().without_claim("auth_time")).await, "login.oidc.auth_time");
    setup.let_in(minutes.clone()).await;
    setup.party.max_age = None;
    setup.party.prompt = Some("login".into());
    assert_eq!(setup.refused(minutes.clone()).await, "login.oidc.auth_time");
    setup.party.prompt = Some("consent".into());
    setup.let_in(minutes).await;
}

#[tokio::test]
async fn a_way_of_signing_in_that_was_asked_for_is_required() {
    let mut setup = Setup::new().await;
    assert_eq!(setup.let_in(Faults::default()).await.acr(), Some("urn:fixture:password"));
    setup.party.acr_values = Some("urn:fixture:mfa urn:fixture:card".into());
    assert_eq!(setup.let_in(Faults::default()).await.acr(), Some("urn:fixture:mfa"));
    setup.let_in(claim("acr", json!("urn:fixture:card"))).await;
    for weaker in [json!("urn:fixture:password"), json!("urn:fixture:mfa urn:fixture:card"), json!(null), json!(1)] {
        assert_eq!(setup.refused(claim("acr", weaker.clone())).await, "login.oidc.acr", "{weaker}");
    }
    assert_eq!(setup.refused(Faults::default().without_claim("acr")).await, "login.oidc.acr");
}
