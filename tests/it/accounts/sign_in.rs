//! Signing in with a password.

use chrono::Duration;
use serde_json::json;
use usher::{
    http::{cookies, text},
    sessions::{self, Beginning, Session},
};

use super::{NEW, OLD, Scene};
use crate::support::idp_session;

const ZOE: &str = "zoe@acme.example";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_to_no_organisation_is_asked_for_its_password_and_led_back() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    let page = browser.open(scene.app.url("/acme/login?return_to=%2Facme%2Fdashboard%3Ftab%3D2")).await;
    let page = browser.submit(&page.form().fill("email", " Zoe@ACME.example ")).await.expect(200);
    assert!(page.says(text::accounts::sign_in::HEADING));
    assert_eq!(page.form().value("email"), Some("Zoe@ACME.example"));
    let page = browser.submit(&page.form().fill("password", OLD)).await.expect(303);
    assert_eq!(page.location().as_str(), scene.app.url("/acme/dashboard?tab=2"));
    assert!(browser.follow(&page).await.expect(200).says("Hello, Zoë"));
    let trail = scene.trail("acme").await;
    assert!(trail.contains(&("sign_in.succeeded".into(), None)), "{trail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisional_learner_signs_in_and_is_told_to_confirm_the_address() {
    let scene = Scene::start().await;
    scene.sign_up("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let page = browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    assert!(page.says(text::accounts::own::NOT_CONFIRMED) && page.says(text::accounts::own::NOT_CONFIRMED_NEXT));
    scene.patch("acme", json!({ "verify_email_first": true })).await;
    let page = browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    assert!(page.says(text::accounts::own::NOT_CONFIRMED_FIRST) && !page.says(text::dashboard::NO_ACCESS));
    // The button on it sends the mail again.
    let form = page.forms().into_iter().find(|form| form.action.ends_with("/account/confirm")).unwrap();
    let page = browser.submit(&form).await.expect(303);
    assert!(browser.follow(&page).await.says(text::accounts::own::SENT_AGAIN));
    assert_eq!(scene.kinds(ZOE).await, ["confirm_email", "confirm_email"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_over_no_token_of_the_browser_and_ends_the_one_before() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    let name = cookies::session_name(scene.client("acme").await.id);
    let planted = "a".repeat(43);
    browser.set_cookie("localhost", &name, &planted);
    scene.sign_in(&browser, "acme", ZOE, OLD).await.expect(303);
    let first = browser.cookie(&name).unwrap();
    assert_ne!(first.value, planted);
    assert!(first.attributes.contains("HttpOnly") && first.attributes.contains("SameSite=Lax"), "{}", first.attributes);
    scene.sign_in(&browser, "acme", ZOE, OLD).await.expect(303);
    assert_ne!(browser.cookie(&name).unwrap().value, first.value);
    let copy = scene.app.browser();
    copy.set_cookie("localhost", &name, &first.value);
    assert!(!scene.is_in(&copy, "acme").await, "the session before is over, wherever its token went");
    assert!(scene.is_in(&browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_client_opens_nothing_at_another() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let cookie = browser.cookie(&cookies::session_name(scene.client("acme").await.id)).unwrap();
    let globex = cookies::session_name(scene.client("globex").await.id);
    browser.set_cookie("localhost", &globex, &cookie.value);
    assert!(!scene.is_in(&browser, "globex").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_another_site_signs_nobody_in() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    let (url, fields) = (scene.app.url("/acme/login/password"), [("email", ZOE), ("password", OLD)]);
    let page = browser.post_from("https://evil.example/", &url, &fields).await.expect(403);
    assert!(page.headers.get("set-cookie").is_none() && browser.cookies().is_empty());
    browser.post_from(scene.app.origin(), &url, &fields).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_or_far_too_long_is_refused_quietly() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    let page = scene.sign_in(&browser, "acme", "zoe", OLD).await.expect(422);
    assert!(page.says(text::accounts::EMAIL_INVALID));
    for password in [String::new(), "x".repeat(100_000), format!("{OLD}{}", "\u{0}".repeat(3))] {
        let page = scene.sign_in(&browser, "acme", ZOE, &password).await.expect(422);
        assert!(page.says(text::accounts::sign_in::WRONG));
    }
    // Twice the same field, or none: no form of ours.
    let url = scene.app.url("/acme/login/password");
    browser.post_from(scene.app.origin(), &url, &[]).await.expect(422);
    browser.post_from(scene.app.origin(), &url, &[("email", ZOE), ("email", ZOE), ("password", OLD)]).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_leads_elsewhere_is_dropped() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    for wanted in ["https://evil.example/", "//evil.example", "/globex/dashboard"] {
        let url = scene.app.url("/acme/login/password");
        let fields = [("email", ZOE), ("password", OLD), ("return_to", wanted)];
        let page = browser.post_from(scene.app.origin(), &url, &fields).await.expect(303);
        assert_eq!(page.location().as_str(), scene.app.url("/acme/dashboard"), "{wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whoever_knows_the_password_hears_of_a_suspension() {
    let scene = Scene::start().await;
    let learner = scene.account("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    scene.suspend("acme", learner).await;
    assert!(!scene.is_in(&browser, "acme").await, "the session is dead");
    let page = scene.sign_in(&scene.app.browser(), "acme", ZOE, NEW).await.expect(422);
    assert!(!page.says(text::refused::SUSPENDED.title));
    let page = scene.sign_in(&browser, "acme", ZOE, OLD).await.expect(403);
    assert!(page.says(text::refused::SUSPENDED.title));
    let trail = scene.trail("acme").await;
    assert!(trail.contains(&("sign_in.refused".into(), Some("login.learner.suspended".into()))), "{trail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_forbids_passwords_says_so_at_every_door() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await.expect(200);
    let reset = scene.link(ZOE, "password_reset").await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    for change in [json!({ "password_login": false }), json!({ "password_login": true, "sso_required": true })] {
        scene.patch("acme", change).await;
        let origin = scene.app.origin();
        for path in ["/acme/login/password", "/acme/password/forgot", &reset] {
            let page = browser.open(scene.app.url(path)).await.expect(403);
            assert!(page.says(text::accounts::NO_PASSWORDS.title), "{path}");
            let fields = [("email", ZOE), ("password", OLD)];
            browser.post_from(origin, scene.app.url(path), &fields).await.expect(403);
        }
        let page = browser.open(scene.app.url("/acme/login")).await;
        assert!(!page.html.contains("/acme/login/password"));
        let page = browser.submit(&page.form().fill("email", ZOE)).await.expect(200);
        assert!(page.says(text::login::UNKNOWN));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_began_with_a_password_die_when_the_client_forbids_them_and_others_live_on() {
    let scene = Scene::start().await;
    let learner = scene.account("acme", ZOE, OLD).await;
    let by_password = scene.signed_in("acme", ZOE, OLD).await;
    let client = scene.client("acme").await.id;
    let session = Session {
        learner,
        epoch: 1,
        began_at: scene.now(),
        ends_at: scene.now() + Duration::hours(8),
        idp: Some(idp_session(&scene.app, client).await),
    };
    let idle = std::time::Duration::from_secs(600);
    let beginning = Beginning { client, session: &session, idle, replaces: None };
    let token = sessions::begin(&scene.app, &beginning, scene.now()).await.unwrap().unwrap();
    let by_sso = scene.app.browser();
    by_sso.set_cookie("localhost", &cookies::session_name(client), token.expose());
    assert!(scene.is_in(&by_password, "acme").await && scene.is_in(&by_sso, "acme").await);
    scene.patch("acme", json!({ "sso_required": true })).await;
    assert!(!scene.is_in(&by_password, "acme").await);
    let account = scene.app.url("/acme/account");
    by_password.open(&account).await.expect(303);
    assert!(scene.is_in(&by_sso, "acme").await);
    by_sso.open(&account).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_signs_in_only_where_it_has_a_learner() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let page = scene.sign_in(&scene.app.browser(), "globex", ZOE, OLD).await.expect(422);
    assert!(page.says(text::accounts::sign_in::WRONG));
    // Somebody who has the address by single sign-on there is not signed in by it either.
    scene.sso_learner("globex", ZOE).await;
    scene.sign_in(&scene.app.browser(), "globex", ZOE, OLD).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_of_an_account_proves_the_address_of_its_provisional_learner() {
    let scene = Scene::start().await;
    scene.account("globex", ZOE, OLD).await;
    let provisional = scene.sign_up("acme", ZOE, NEW).await;
    assert_eq!(scene.kinds(ZOE).await, ["account_exists"]);
    scene.grant("acme", provisional, "main").await;
    let stranger = scene.signed_in("acme", ZOE, NEW).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    assert!(scene.is_in(&browser, "acme").await);
    assert_eq!(scene.learners(ZOE).await, [(provisional, true)]);
    assert!(!scene.is_in(&stranger, "acme").await, "what was set before the proof is gone");
    scene.sign_in(&scene.app.browser(), "acme", ZOE, NEW).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_the_same_however_a_keyboard_spells_it() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, "Zwölf Kühe grasen im Nebel").await;
    let spelled = "Zwo\u{308}lf\u{a0}Ku\u{308}he grasen im Nebel";
    scene.signed_in("acme", ZOE, spelled).await;
    scene.sign_in(&scene.app.browser(), "acme", ZOE, "zwölf kühe grasen im nebel").await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_another_cost_is_renewed_at_the_next_sign_in() {
    use argon2::{Argon2, Params, PasswordHasher};
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let cheap = Argon2::from(Params::new(8192, 1, 1, None).unwrap());
    let hash = cheap.hash_password_with_salt(OLD.as_bytes(), &scene.app.entropy.bytes::<16>()).unwrap().to_string();
    sqlx::query("update accounts set password_hash = $1").bind(&hash).execute(&scene.app.db).await.unwrap();
    let stored = async || {
        sqlx::query_scalar::<_, String>("select password_hash from accounts").fetch_one(&scene.app.db).await.unwrap()
    };
    scene.sign_in(&scene.app.browser(), "acme", ZOE, NEW).await.expect(422);
    assert_eq!(stored().await, hash, "a wrong password renews nothing");
    scene.signed_in("acme", ZOE, OLD).await;
    let renewed = stored().await;
    assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    scene.signed_in("acme", ZOE, OLD).await;
    assert_eq!(stored().await, renewed);
}
