//! Proving an address by the link that was mailed, and what the proof does away with.

use chrono::Duration;
use serde_json::json;
use usher::http::text;

use super::{NEW, OLD, Scene};
use crate::support::log_text;

const ZOE: &str = "zoe@acme.example";

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_link_changes_nothing_and_its_form_proves_the_address() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    scene.grant("acme", learner, "main").await;
    let link = scene.link(ZOE, "confirm_email").await;
    let scanner = scene.app.browser();
    for _ in 0..2 {
        let page = scanner.open(scene.app.url(&link)).await.expect(200);
        assert!(page.says(text::accounts::confirm::HEADING) && page.says(ZOE));
        assert!(page.headers.get("set-cookie").is_none());
    }
    assert_eq!(scene.learners(ZOE).await, [(learner, false)]);
    let browser = scene.app.browser();
    let page = scene.use_link(&browser, &link, NEW).await.expect(303);
    let page = browser.follow(&page).await.expect(200);
    assert!(page.says(text::accounts::confirm::DONE) && !page.says(text::accounts::own::NOT_CONFIRMED));
    assert_eq!(scene.learners(ZOE).await, [(learner, true)]);
    assert!(page.says("main") || page.says("Main"), "access stays: {}", page.text());
    let told = scene.told("acme").await;
    assert!(told.contains(&"learner.created".into()) && told.contains(&"learner.email_verified".into()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_before_the_proof_does_not_survive_it() {
    let scene = Scene::start().await;
    // Somebody signs up with an address that is not theirs, and stays signed in.
    scene.sign_up("acme", ZOE, OLD).await;
    let attacker = scene.signed_in("acme", ZOE, OLD).await;
    let page = attacker.open(scene.app.url("/acme/account")).await;
    let resend = page.forms().into_iter().find(|form| form.action.ends_with("/account/confirm")).unwrap();
    attacker.submit(&resend).await.expect(303);
    let links: Vec<String> = scene.mails(ZOE).await.into_iter().filter_map(|(_, link)| link).collect();
    assert_eq!(links.len(), 2);
    // The owner of the mailbox confirms.
    let owner = scene.app.browser();
    scene.use_link(&owner, &links[1], NEW).await.expect(303);
    assert!(!scene.is_in(&attacker, "acme").await, "the session of before is dead");
    scene.sign_in(&attacker, "acme", ZOE, OLD).await.expect(422);
    assert_eq!(scene.count("select count(*) from provisional_passwords").await, 0);
    // The other link is dead too, and the account page of the old session leads to the sign-in.
    owner.open(scene.app.url(&links[0])).await.expect(410);
    attacker.open(scene.app.url("/acme/account")).await.expect(303);
    assert!(scene.is_in(&owner, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn even_redis_without_a_memory_of_it_does_not_bring_a_session_of_before_back() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let client = scene.client("acme").await.id;
    // As if Redis had not been told: only the epoch in PostgreSQL says that the session is over.
    sqlx::query("update learners set session_epoch = session_epoch + 1 where client_id = $1 and id = $2")
        .bind(client.uuid())
        .bind(learner.uuid())
        .execute(&scene.app.db)
        .await
        .unwrap();
    assert!(!scene.is_in(&browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_password_is_refused_and_the_link_stays_good() {
    let scene = Scene::start().await;
    scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.link(ZOE, "confirm_email").await;
    let browser = scene.app.browser();
    let long = "öÄ7 Wörter! ".repeat(11);
    for (weak, words) in [
        ("kurz7!", text::accounts::TOO_SHORT),
        (long.as_str(), text::accounts::TOO_LONG),
        ("password1234", text::accounts::GUESSABLE),
        ("zoe.mueller acme", text::accounts::GUESSABLE),
    ] {
        let page = scene.use_link(&browser, &link, weak).await.expect(422);
        assert!(page.says(words), "{weak}");
        assert!(!page.html.contains(weak), "a password is never shown again");
    }
    scene.use_link(&browser, &link, NEW).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_once_for_a_while_and_at_its_own_client() {
    let scene = Scene::start().await;
    scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.link(ZOE, "confirm_email").await;
    let browser = scene.app.browser();
    let elsewhere = link.replace("/acme/", "/globex/");
    let unknown = format!("/acme/confirm/{}", "A".repeat(43));
    for path in [&elsewhere, &unknown, "/acme/confirm/short", "/acme/confirm/%00"] {
        let page = browser.open(scene.app.url(path)).await.expect(404);
        assert!(page.says(text::accounts::LINK_UNKNOWN.title), "{path}");
        browser.post_from(scene.app.origin(), scene.app.url(path), &[("password", NEW)]).await.expect(404);
    }
    // A link of one kind opens no other door.
    let reset = link.replace("/confirm/", "/password/reset/");
    browser.post_from(scene.app.origin(), scene.app.url(&reset), &[("password", NEW)]).await.expect(404);
    scene.app.clock.advance(Duration::hours(168));
    let page = browser.open(scene.app.url(&link)).await.expect(410);
    assert!(page.says(text::accounts::LINK_EXPIRED.title));
    scene.app.clock.advance(-Duration::hours(1));
    scene.use_link(&browser, &link, NEW).await.expect(303);
    for _ in 0..2 {
        let page = browser.post_from(scene.app.origin(), scene.app.url(&link), &[("password", OLD)]).await.expect(410);
        assert!(page.says(text::accounts::LINK_USED.title));
    }
    scene.signed_in("acme", ZOE, NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_an_account_is_asked_for_its_sign_in_and_never_for_a_new_password() {
    let scene = Scene::start().await;
    scene.account("globex", ZOE, OLD).await;
    let provisional = scene.sign_up("acme", ZOE, NEW).await;
    let link = scene.link(ZOE, "account_exists").await;
    let browser = scene.app.browser();
    let page = browser.open(scene.app.url(&link)).await.expect(200);
    assert!(page.says(text::accounts::confirm::SIGN_IN_LEAD) && page.html.contains("current-password"));
    // The provisional password, or any new one, is no password of the account.
    for wrong in [NEW, "another fine sentence of mine"] {
        scene.use_link(&browser, &link, wrong).await.expect(422);
    }
    scene.signed_in("globex", ZOE, OLD).await;
    scene.use_link(&browser, &link, OLD).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(provisional, true)]);
    scene.signed_in("acme", ZOE, OLD).await;
    scene.sign_in(&scene.app.browser(), "acme", ZOE, NEW).await.expect(422);
    let globex: Vec<(String, Option<String>)> = scene.trail("globex").await;
    assert!(!globex.iter().any(|(action, _)| action.contains("verified")), "nothing is told at the other client");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_the_confirmation_is_slowed_like_a_sign_in() {
    let scene = Scene::start().await;
    scene.account("globex", ZOE, OLD).await;
    scene.sign_up("acme", ZOE, NEW).await;
    let link = scene.link(ZOE, "account_exists").await;
    let browser = scene.app.browser();
    for _ in 0..6 {
        scene.use_link(&browser, &link, NEW).await.expect(422);
    }
    let page = scene.use_link(&browser, &link, OLD).await.expect(429);
    assert!(page.says(text::accounts::SLOWED) && page.headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_forbids_passwords_asks_for_a_yes_alone_and_lets_nobody_in_by_it() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.link(ZOE, "confirm_email").await;
    scene.patch("acme", json!({ "sso_required": true })).await;
    let browser = scene.app.browser();
    let page = browser.open(scene.app.url(&link)).await.expect(200);
    assert!(!page.html.contains("type=\"password\""));
    let page = browser.submit(&page.form()).await.expect(303);
    assert_eq!(page.location().as_str(), scene.app.url("/acme"));
    assert!(page.headers.get("set-cookie").is_none());
    assert_eq!(scene.learners(ZOE).await, [(learner, true)]);
    assert_eq!(scene.count("select count(*) from accounts").await, 0);
    scene.patch("acme", json!({ "sso_required": false })).await;
    scene.sign_in(&scene.app.browser(), "acme", ZOE, OLD).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_learner_confirms_nothing() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.link(ZOE, "confirm_email").await;
    scene.suspend("acme", learner).await;
    let browser = scene.app.browser();
    let page = scene.use_link(&browser, &link, NEW).await.expect(403);
    assert!(page.says(text::refused::SUSPENDED.title) && page.headers.get("set-cookie").is_none());
    assert_eq!(scene.learners(ZOE).await, [(learner, false)]);
    assert_eq!(scene.count("select count(*) from accounts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_another_site_confirms_nothing() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.app.url(&scene.link(ZOE, "confirm_email").await);
    let browser = scene.app.browser();
    browser.post_from("https://evil.example/", &link, &[("password", NEW)]).await.expect(403);
    assert_eq!(scene.learners(ZOE).await, [(learner, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_fill_a_mailbox_and_is_not_told() {
    let scene = Scene::start().await;
    for _ in 0..7 {
        scene.sign_up("acme", ZOE, OLD).await;
    }
    assert_eq!(scene.kinds(ZOE).await.len(), 5, "five a day of one client");
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let page = browser.open(scene.app.url("/acme/account")).await;
    let page = browser.submit(&page.form()).await.expect(303);
    assert!(browser.follow(&page).await.says(text::accounts::own::SENT_AGAIN));
    assert_eq!(scene.kinds(ZOE).await.len(), 5);
    scene.app.clock.advance(Duration::hours(25));
    scene.sign_up("acme", ZOE, OLD).await;
    assert_eq!(scene.kinds(ZOE).await.len(), 6);
    let names: Vec<String> = sqlx::query_scalar("select name from mails").fetch_all(&scene.app.db).await.unwrap();
    assert!(names.iter().all(String::is_empty), "what a stranger typed as a name is not mailed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_token_or_address_is_logged_or_stored_in_the_open() {
    let scene = Scene::start().await;
    let address = "lena.logless@acme.example";
    let (first, second) = ("lantern quarry plum seventeen", "unlogged harbour violin ninety");
    scene.sign_up("acme", address, first).await;
    let link = scene.link(address, "confirm_email").await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "acme", address, second).await.expect(422);
    scene.use_link(&browser, &link, second).await.expect(303);
    let token = link.rsplit('/').next().unwrap();
    let stored: String = sqlx::query_scalar(
        "select string_agg(t::text, ' ') from (select to_jsonb(a) as t from accounts a union all select to_jsonb(p) from email_proofs p
         union all select to_jsonb(e) from audit_events e union all select to_jsonb(o) from outbox_events o) all_rows",
    )
    .fetch_one(&scene.app.db)
    .await
    .unwrap();
    let log = log_text();
    for secret in [first, second, token] {
        assert!(!log.contains(secret) && !stored.contains(secret), "{secret}");
    }
    assert!(!log.contains(address) && !log.contains("logless"));
    let events: String = sqlx::query_scalar("select coalesce(string_agg(facts::text, ' '), '') from audit_events")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert!(!events.contains("logless") && !events.contains("acc_"), "no address and no account in an event: {events}");
}
