//! Accepting by the link: who sees what, who gets in, and what opening it leaves alone.

use chrono::Duration;
use reqwest::StatusCode;
use serde_json::json;

use super::{INVITES, PASSWORD, Scene, id};
use crate::support::{App, Browser, Page};

async fn post(browser: &Browser, page: &Page, fields: &[(&str, &str)]) -> Page {
    let form = page.form_with("password");
    let form = fields.iter().fold(form, |form, (name, value)| form.fill(name, *value));
    browser.submit(&form.press("step", "password")).await
}

#[tokio::test]
async fn somebody_new_chooses_a_password_and_is_in() {
    let scene = Scene::start().await;
    scene.limit_seats(5).await;
    let invite = scene.invite("ada@acme.example").await;
    let browser = scene.app.browser();
    let page = browser.open(scene.link(&invite).await).await.expect(200);
    for shown in ["Acme Learning invites you", "Sales Academy", "6 December 2026, 12:00", "Choose a password"] {
        assert!(page.says(shown), "{shown}: {}", page.text());
    }
    assert_eq!(page.form_with("password").value("first_name"), Some("Ada"));
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    assert!(page.html.contains("<meta name=\"robots\" content=\"noindex\">"));
    let form = page.form_with("first_name").fill("first_name", "Augusta").fill("password", PASSWORD);
    let answer = browser.submit(&form.press("step", "password")).await.expect(303);
    let home = browser.follow(&answer).await.expect(200);
    assert!(home.says("Hello, Augusta") && home.says("Sales Academy"), "{}", home.text());
    let learner = scene.learners().await.remove(0);
    assert_eq!((&learner["email"], &learner["email_verified"]), (&json!("ada@acme.example"), &json!(true)));
    let path = format!("/api/v1/clients/acme/learners/{}/access", learner["id"].as_str().unwrap());
    let access = scene.operator.get(&path).await.text;
    assert!(access.contains("\"invite\"") && access.contains(&id(&invite)), "{access}");
    let after = scene.read(&invite).await;
    assert_eq!((&after["status"], &after["learner"]), (&json!("accepted"), &learner["id"]));
    assert_eq!(scene.seats().await, (1, 0), "the reserved seat is the learner's");
    assert_eq!((scene.events("invite.accepted").await, scene.announced("invite.accepted").await), (1, 1));
    assert_eq!((scene.events("access.granted").await, scene.announced("access.granted").await), (1, 1));
    assert!(scene.links(&invite).await.is_empty());
}

#[tokio::test]
async fn opening_the_link_changes_nothing_however_often() {
    let scene = Scene::start().await;
    scene.limit_seats(5).await;
    let invite = scene.invite("ada@acme.example").await;
    let link = scene.link(&invite).await;
    let sum = async || -> String {
        let sql = "select md5(string_agg(t, ',')) from (
            select i::text as t from invites i union all select l::text from invite_links l
            union all select e.id::text from audit_events e union all select o.id::text from outbox_events o
            union all select m::text from mails m union all select n::text from learners n
            union all select s::text from seat_reservations s union all select a::text from accounts a order by 1) x";
        sqlx::query_scalar(sql).fetch_one(&scene.app.db).await.unwrap()
    };
    let before = sum().await;
    for _ in 0..3 {
        scene.app.browser().open(&link).await.expect(200);
        scene.app.browser().open(format!("{link}/accept")).await.expect(303);
    }
    assert_eq!(sum().await, before);
    // The positive twin: the form changes it.
    scene.accept_new(&scene.app.browser(), &invite).await.expect(303);
    assert_ne!(sum().await, before);
}

#[tokio::test]
async fn a_form_sent_twice_is_one_acceptance_and_ends_the_same() {
    let scene = Scene::start().await;
    let invite = scene.invite("ada@acme.example").await;
    let link = scene.link(&invite).await;
    let (browser, other) = (scene.app.browser(), scene.app.browser());
    let form = browser.open(&link).await.form_with("first_name").fill("password", PASSWORD).press("step", "password");
    let second = other.open(&link).await.form_with("first_name").fill("password", PASSWORD).press("step", "password");
    browser.submit(&form).await.expect(303);
    assert_eq!(browser.submit(&form).await.location().path(), "/acme/dashboard");
    // The back button in another tab that knows nothing of the session.
    assert_eq!(other.submit(&second).await.location().path(), "/acme/dashboard");
    assert!(other.open(scene.app.url("/acme/dashboard")).await.expect(200).says("Sales Academy"));
    let wrong = scene.app.browser();
    wrong.open(&link).await;
    let denied = wrong.submit(&form.clone().fill("password", "something else entirely")).await.expect(200);
    assert!(denied.says("This invitation was accepted"), "{}", denied.text());
    assert!(wrong.cookies().is_empty(), "who does not know the password gets no session");
    assert_eq!((scene.learners().await.len(), scene.events("invite.accepted").await), (1, 1));
    let page = scene.app.browser().open(&link).await.expect(200);
    assert!(page.says("This invitation was accepted") && page.html.contains("href=\"/acme/login\""), "{}", page.text());
    assert!(browser.open(&link).await.html.contains("href=\"/acme/dashboard\""));
}

#[tokio::test]
async fn what_is_missing_or_weak_is_told_at_its_field_and_nothing_is_made() {
    let scene = Scene::start().await;
    let invite = scene.invite("ada@acme.example").await;
    let browser = scene.app.browser();
    let page = browser.open(scene.link(&invite).await).await;
    let cases = [
        (vec![("password", "")], "Enter a password."),
        (vec![("password", PASSWORD), ("first_name", " ")], "Enter your name."),
        (vec![("password", "short")], "Use at least 10 characters."),
        (vec![("password", "ada lovelace")], "easy to guess"),
    ];
    for (fields, told) in cases {
        let answer = post(&browser, &page, &fields).await.expect(422);
        assert!(answer.says(told) && answer.html.contains("aria-invalid"), "{told}: {}", answer.text());
        assert!(!answer.html.contains(PASSWORD), "a password is never shown again");
    }
    assert_eq!((scene.learners().await.len(), scene.status(&invite).await.as_str()), (0, "pending"));
    assert_eq!(scene.app.browser().open(scene.link(&invite).await).await.status, 200);
}

#[tokio::test]
async fn an_address_with_an_account_accepts_with_its_password_and_never_sets_a_new_one() {
    let scene = Scene::start().await;
    scene.member("ada@acme.example").await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let there = scene.operator.post("/api/v1/clients/other/invites", json!({ "email": "Ada@acme.example" })).await.ok();
    let other = Scene { client: client_of(&scene.app, "other").await, ..scene };
    let browser = other.app.browser();
    let page = browser.open(other.link(&there).await).await.expect(200);
    assert!(page.says("already has a sign-in") && page.forms()[0].value("first_name").is_none());
    let wrong = post(&browser, &page, &[("password", "not the password"), ("first_name", "Eve")]).await.expect(422);
    assert!(wrong.says("This is not the password of this address"), "{}", wrong.text());
    let answer = post(&browser, &page, &[("password", PASSWORD)]).await;
    assert_eq!(answer.location().path(), "/other/dashboard");
    assert!(browser.follow(&answer).await.expect(200).says("ada@acme.example"));
    let accounts: i64 = sqlx::query_scalar("select count(*) from accounts").fetch_one(&other.app.db).await.unwrap();
    assert_eq!(accounts, 1);
}

async fn client_of(app: &App, slug: &str) -> usher::ids::ClientId {
    usher::admin::find_client(&app.db, slug).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_invited_person_who_is_signed_in_accepts_with_one_click() {
    let scene = Scene::start().await;
    let (browser, _) = scene.member("ada@acme.example").await;
    let body = json!({ "email": "ada@acme.example", "sublicenses": ["main"] });
    let invite = scene.operator.post(INVITES, body).await.ok();
    let page = browser.open(scene.link(&invite).await).await.expect(200);
    assert!(page.says("You are signed in as ada@acme.example") && page.forms().len() == 1);
    let answer = browser.submit(&page.form().press("step", "me")).await;
    assert_eq!(answer.location().path(), "/acme/dashboard");
    assert_eq!(scene.status(&invite).await, "accepted");
    assert_eq!(browser.submit(&page.form().press("step", "me")).await.location().path(), "/acme/dashboard");
}

#[tokio::test]
async fn another_learner_in_the_browser_is_told_and_asked_and_never_accepts_for_somebody_else() {
    let scene = Scene::start().await;
    let (browser, bob) = scene.member("bob@acme.example").await;
    let invite = scene.invite("ada@elsewhere.example").await;
    let link = scene.link(&invite).await;
    let page = browser.open(&link).await.expect(200);
    assert!(page.says("You are signed in as bob@acme.example, and this invitation is for a•••@elsewhere.example"));
    assert!(!page.html.contains("ada@elsewhere.example"), "the invited address is masked");
    assert!(!page.html.contains("Ada") && !page.html.contains("Lovelace"), "{}", page.text());
    assert_eq!(page.form().buttons, [("step".to_owned(), "sign_out".to_owned())]);
    // Forged: the button that the page does not show, and the form of a page from before.
    let forged = browser.submit(&page.form().press("step", "me")).await.expect(409);
    assert!(forged.says("Somebody else is signed in here"));
    let fields = [("step", "password"), ("first_name", "Eve"), ("last_name", "E"), ("password", PASSWORD)];
    let stale = fields.iter().fold(page.form(), |form, (name, value)| form.fill(name, *value));
    assert!(browser.submit(&stale).await.expect(409).says("Somebody else is signed in here"));
    assert_eq!(scene.status(&invite).await, "pending");
    // Sign out and continue: the invite is shown as to somebody new.
    let answer = browser.submit(&page.form().press("step", "sign_out")).await.expect(303);
    let again = browser.follow(&answer).await.expect(200);
    assert!(again.html.contains("ada@elsewhere.example") && again.says("Choose a password"));
    browser.open(scene.app.url("/acme/dashboard")).await.expect(303);
    assert_eq!(bob["status"], "active");
}

#[tokio::test]
async fn a_client_may_let_any_verified_address_of_its_proved_domains_accept() {
    let scene = Scene::start().await;
    let (browser, bob) = scene.member("bob@acme.example").await;
    let (stranger, _) = scene.member("eve@elsewhere.example").await;
    let body = json!({ "email": "ada@acme.example", "sublicenses": ["main"] });
    let invite = scene.operator.post(INVITES, body).await.ok();
    let link = scene.link(&invite).await;
    let allow = json!({ "invite_any_domain_address": true });
    assert_eq!(scene.operator.patch("/api/v1/clients/acme", allow).await.ok()["invite_any_domain_address"], true);
    let page = stranger.open(&link).await;
    assert!(stranger.submit(&page.form().press("step", "me")).await.expect(409).says("Somebody else"));
    // A domain that is named and not proved opens nothing.
    scene.operator.delete("/api/v1/clients/acme/domains/acme.example/vouch").await.ok();
    let page = browser.open(&link).await;
    assert!(browser.submit(&page.form().press("step", "me")).await.expect(409).says("Somebody else"));
    scene.operator.post("/api/v1/clients/acme/domains/acme.example/vouch", json!({})).await.ok();
    let page = browser.open(&link).await;
    assert!(page.says("Accept as bob@acme.example"));
    browser.submit(&page.form().press("step", "me")).await.expect(303);
    assert_eq!(scene.read(&invite).await["learner"], bob["id"]);
}

#[tokio::test]
async fn each_link_that_opens_nothing_says_why_and_tells_a_stranger_nothing() {
    let scene = Scene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let invite = scene.invite("ada@acme.example").await;
    let link = scene.link(&invite).await;
    let browser = scene.app.browser();
    let unknown = browser.open(scene.app.url(&format!("/other/invites/{}", "A".repeat(43)))).await.expect(404);
    assert!(unknown.says("We do not know this invitation link"));
    let elsewhere = browser.open(link.replace("/acme/", "/other/")).await.expect(404);
    let token = link.rsplit('/').next().unwrap();
    assert_eq!(elsewhere.html.replace(token, ""), unknown.html.replace(&"A".repeat(43), ""));
    for cut in ["A", &token[..42], &format!("{token}A"), "%00", "..%2Flogin"] {
        let answer = browser.open(scene.app.url(&format!("/acme/invites/{cut}"))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{cut}");
    }
    browser.open(scene.app.url(&format!("/nobody/invites/{token}"))).await.expect(404);
    scene.operator.patch("/api/v1/clients/acme", json!({ "status": "disabled" })).await.ok();
    browser.open(&link).await.expect(403);
    scene.operator.patch("/api/v1/clients/acme", json!({ "status": "active" })).await.ok();
    scene.app.clock.advance(Duration::days(14));
    let page = browser.open(&link).await.expect(410);
    assert!(page.says("This invitation has run out") && !page.html.contains("ada@acme.example"));
}

#[tokio::test]
async fn a_form_of_another_site_accepts_nothing() {
    let scene = Scene::start().await;
    let invite = scene.invite("ada@acme.example").await;
    let target = format!("{}/accept", scene.link(&invite).await);
    let fields = [("step", "password"), ("first_name", "A"), ("last_name", "L"), ("password", PASSWORD)];
    scene.app.browser().post_from("https://evil.example/", &target, &fields).await.expect(403);
    assert_eq!(scene.status(&invite).await, "pending");
    let own = scene.app.origin().to_owned();
    scene.app.browser().post_from(&own, &target, &fields).await.expect(303);
}

#[tokio::test]
async fn what_is_over_deleted_or_closed_to_the_learner_meanwhile_is_left_out_or_refused() {
    let scene = Scene::start().await;
    let parts = "/api/v1/clients/acme/sublicenses";
    let extra = scene.operator.post(parts, json!({ "slug": "extra", "name": "Extra" })).await.ok();
    let short = scene.operator.post(parts, json!({ "slug": "short", "name": "Short" })).await.ok();
    let path = |part: &serde_json::Value| format!("{parts}/{}", part["id"].as_str().unwrap());
    let body = |names: &[&str], email: &str| json!({ "email": email, "sublicenses": names });
    let both = scene.operator.post(INVITES, body(&["sales", "extra", "short"], "ada@acme.example")).await.ok();
    let only = scene.operator.post(INVITES, body(&["extra"], "bob@acme.example")).await.ok();
    scene.operator.delete(&path(&extra)).await.ok();
    scene.operator.patch(&path(&short), json!({ "ends_at": "2026-11-22T12:00:00Z" })).await.ok();
    let browser = scene.app.browser();
    let page = browser.open(scene.link(&both).await).await.expect(200);
    let form = page.form_with("first_name").fill("first_name", "A").fill("last_name", "L").fill("password", PASSWORD);
    let home = browser.submit(&form.press("step", "password")).await;
    let home = browser.follow(&home).await.expect(200);
    assert!(home.says("Sales Academy") && !home.says("Short"), "{}", home.text());
    let browser = scene.app.browser();
    let page = browser.open(scene.link(&only).await).await.expect(200);
    let form = page.form_with("first_name").fill("first_name", "B").fill("last_name", "L").fill("password", PASSWORD);
    let refused = browser.submit(&form.press("step", "password")).await.expect(410);
    assert!(refused.says("What this invitation opened is over"));
    assert_eq!(scene.learners().await.len(), 1, "who is refused leaves nothing behind");
    let resend = format!("{INVITES}/{}/resend", id(&only));
    assert_eq!(scene.operator.post(&resend, json!({})).await.problem(409), "invites.nothing_left");
}

#[tokio::test]
async fn a_learner_who_is_suspended_or_blocked_meanwhile_is_told_so() {
    let scene = Scene::start().await;
    let (_, ada) = scene.member("ada@acme.example").await;
    let body = json!({ "email": "ada@acme.example", "sublicenses": ["main"] });
    let invite = scene.operator.post(INVITES, body).await.ok();
    let learner = format!("/api/v1/clients/acme/learners/{}", ada["id"].as_str().unwrap());
    scene.block(&ada, "main", true).await;
    let browser = scene.app.browser();
    let page = browser.open(scene.link(&invite).await).await;
    let blocked = post(&browser, &page, &[("password", PASSWORD)]).await.expect(403);
    assert!(blocked.says("An administrator has removed you from this"), "{}", blocked.text());
    scene.block(&ada, "main", false).await;
    scene.operator.patch(&learner, json!({ "status": "suspended" })).await.ok();
    let suspended = post(&browser, &page, &[("password", PASSWORD)]).await.expect(403);
    assert!(suspended.says("Your access is suspended"), "{}", suspended.text());
    scene.operator.patch(&learner, json!({ "status": "active" })).await.ok();
    post(&browser, &page, &[("password", PASSWORD)]).await.expect(303);
}

#[tokio::test]
async fn a_client_that_forbids_passwords_takes_none() {
    let scene = Scene::start().await;
    let invite = scene.invite("ada@acme.example").await;
    let link = scene.link(&invite).await;
    let browser = scene.app.browser();
    let form = browser.open(&link).await.form_with("first_name").fill("password", PASSWORD).press("step", "password");
    scene.operator.patch("/api/v1/clients/acme", json!({ "password_login": false })).await.ok();
    let page = browser.open(&link).await.expect(200);
    assert!(page.says("This invitation cannot be accepted just now") && page.forms().is_empty());
    assert!(browser.submit(&form).await.expect(409).says("This invitation cannot be accepted just now"));
    assert_eq!((scene.learners().await.len(), scene.status(&invite).await.as_str()), (0, "pending"));
}
