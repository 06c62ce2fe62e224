//! Redeeming a code as somebody new: the form, one learner however often it is sent, and what a client may forbid.

use futures_util::future::join_all;
use serde_json::json;

use super::support::{
    App, Browser, Code, Form, Page, client,
    codes::{learners, redemptions},
};

const PASSWORD: &str = "tapir walks over seven bridges";

/// A client with a sublicense `sales` and a code for it.
async fn scene() -> App {
    let app = App::start().await;
    let operator = app.operator().await;
    client(&operator, "acme").await;
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" })).await.ok();
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    app
}

/// The account form behind the code's link, filled in.
async fn form(app: &App, browser: &Browser, email: &str) -> Form {
    let page = browser.visit(app.url("/acme/SPRING-2027")).await.expect(200);
    filled(&page, email)
}

fn filled(page: &Page, email: &str) -> Form {
    page.form_with("password")
        .fill("first_name", "Zoë")
        .fill("last_name", "Müller")
        .fill("email", email)
        .fill("password", PASSWORD)
}

async fn count(app: &App, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_signs_up_with_a_code_and_lands_with_the_access() {
    let app = scene().await;
    let browser = app.browser();
    let form = form(&app, &browser, "zoe@new.example").await;
    let landed = browser.submit(&form).await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert_eq!(home.url.path(), "/acme/dashboard");
    for words in ["Sales Academy: open for you now", "Your email address is not confirmed yet", "Zoë Müller"] {
        assert!(home.says(words), "{words}: {}", home.text());
    }
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 1));
    assert_eq!(count(&app, "select count(*) from learners where email_verified").await, 0);
    assert_eq!(count(&app, "select count(*) from mails where kind = 'confirm_email'").await, 1);
    assert_eq!(count(&app, "select count(*) from audit_events where action = 'code.redeemed'").await, 1);
    // The page is gone from the address, and the session is of this client's cookie alone.
    browser.open(app.url("/acme/dashboard")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_exists_lands_the_same_way() {
    let app = scene().await;
    sqlx::query(
        "insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, created_at, updated_at)
         select client_id, gen_random_uuid(), gen_random_uuid(), 'old@acme.example', 'old@acme.example', true, 'Old', now(), now()
         from slugs where slug = 'acme'",
    )
    .execute(&app.db)
    .await
    .unwrap();
    let mut homes = Vec::new();
    for email in ["old@acme.example", "new@acme.example"] {
        let browser = app.browser();
        let form = form(&app, &browser, email).await;
        let landed = browser.submit(&form).await.expect(303);
        assert!(landed.location().path().ends_with("/dashboard"));
        homes.push(browser.follow(&landed).await.expect(200).html.replace(email, "EMAIL"));
    }
    assert_eq!(homes[0], homes[1]);
    assert_eq!(learners(&app.db).await, 3, "a provisional learner each, beside the one who was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_says_what_is_wrong_and_keeps_the_code() {
    let app = scene().await;
    let browser = app.browser();
    let good = form(&app, &browser, "zoe@new.example").await;
    let long = "x".repeat(300);
    for (field, value, words) in [
        ("first_name", "  ", "Enter your name"),
        ("last_name", long.as_str(), "Enter your name"),
        ("email", "zoe@nowhere", "Enter a whole email address"),
        ("password", "short", "Choose at least"),
        ("password", "password1234", "easy to guess"),
        ("password", "", "Choose at least"),
    ] {
        let page = browser.submit(&good.clone().fill(field, value)).await.expect(422);
        assert!(page.says(words), "{field}: {}", page.text());
        let again = page.form_with("password");
        assert_eq!(again.value("codes"), Some("SPRING-2027"));
        assert_eq!(again.value("password"), Some(""), "a password is never sent back");
        assert!(!page.html.contains("password1234"));
    }
    assert_eq!(learners(&app.db).await, 0);
    // A form whose fields are missing altogether is answered, too.
    let bare = browser.submit(&good.without("email").without("first_name").without("password")).await.expect(422);
    assert!(bare.says("Something is missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_no_longer_good_makes_nobody_and_hashes_nothing() {
    let app = scene().await;
    let browser = app.browser();
    let form = form(&app, &browser, "zoe@new.example").await;
    sqlx::query("update code_offers set active = false, version = version + 1").execute(&app.db).await.unwrap();
    // With a password that would be refused: the code is judged first.
    let page = browser.submit(&form.clone().fill("password", "short")).await.expect(303);
    let page = browser.follow(&page).await.expect(200);
    assert!(page.says("This code does not work"), "{}", page.text());
    assert_eq!(learners(&app.db).await, 0);
    // Seats that are gone are met in the transaction: it leaves nobody behind, and no mail.
    sqlx::query("update code_offers set active = true, version = version + 1").execute(&app.db).await.unwrap();
    sqlx::query("update sublicenses set seat_limit = 0 where slug = 'sales'").execute(&app.db).await.unwrap();
    let page = browser.submit(&form).await.expect(422);
    assert!(page.says("All places are taken"), "{}", page.text());
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (0, 0));
    assert_eq!(count(&app, "select count(*) from mails").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_sent_many_times_at_once_is_one_learner_and_one_redemption() {
    let app = scene().await;
    let browser = app.browser();
    let one = form(&app, &browser, "zoe@new.example").await;
    // A second tab has a form of its own.
    let two = form(&app, &browser, "zoe@new.example").await;
    let clicks = join_all([&one, &one, &two, &one, &two].map(|form| browser.submit(form))).await;
    for click in clicks {
        assert!(click.expect(303).location().path().ends_with("/dashboard"));
    }
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 1));
    browser.open(app.url("/acme/dashboard")).await.expect(200);
    // A retry after the cookie was lost, and one on another replica.
    let replica = app.replica();
    let cookie = browser.cookie("usher_browser").unwrap();
    for gateway in [&app, &replica] {
        let again = gateway.browser();
        again.open(gateway.url("/acme/redeem")).await;
        again.set_cookie("localhost", "usher_browser", &cookie.value);
        let landed = again.submit(&one).await.expect(303);
        again.follow(&landed).await.expect(200);
    }
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_person_at_the_same_computer_does_not_become_the_one_before() {
    let app = scene().await;
    let browser = app.browser();
    let first = form(&app, &browser, "zoe@new.example").await;
    browser.submit(&first).await.expect(303);
    let kept = browser.cookie("usher_browser").unwrap();
    browser.forget_cookies();
    browser.set_cookie("localhost", "usher_browser", &kept.value);
    // The same address, typed by somebody who does not know the password.
    let second = form(&app, &browser, "zoe@new.example").await.fill("password", "nine quiet herons on stilts");
    browser.submit(&second).await.expect(303);
    assert_eq!(learners(&app.db).await, 2);
    let session = browser.cookies().into_iter().find(|cookie| cookie.name.starts_with("usher_cli_")).unwrap();
    assert!(!session.value.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_persons_code_of_one_use_is_told_to_be_used_up() {
    let app = scene().await;
    Code::redemption("ONCE-ONLY-1", &["sales"]).make(&app, "acme").await;
    let sign_up = async |email: &str| {
        let browser = app.browser();
        let page = browser.visit(app.url("/acme/ONCE-ONLY-1")).await.expect(200);
        (browser, filled(&page, email))
    };
    let people = join_all(["a@new.example", "b@new.example", "c@new.example"].map(sign_up)).await;
    let ends = join_all(people.iter().map(|(browser, form)| browser.submit(form))).await;
    let landed = ends.iter().filter(|end| end.status == 303 && end.location().path().ends_with("/dashboard")).count();
    assert_eq!(landed, 1);
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cookies_nobody_is_made() {
    let app = scene().await;
    let browser = app.browser();
    let form = form(&app, &browser, "zoe@new.example").await;
    browser.forget_cookies();
    let page = browser.submit(&form).await.expect(400);
    assert!(page.says("Allow cookies"), "{}", page.text());
    assert_eq!(learners(&app.db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_forbids_passwords_offers_no_form_and_takes_none() {
    for setting in [json!({ "password_login": false }), json!({ "sso_required": true })] {
        let app = scene().await;
        let browser = app.browser();
        let stale = form(&app, &browser, "zoe@new.example").await;
        app.operator().await.patch("/api/v1/clients/acme", setting.clone()).await.ok();
        let page = browser.visit(app.url("/acme/SPRING-2027")).await.expect(200);
        assert!(page.forms().iter().all(|form| form.value("password").is_none()), "{setting}");
        let page = browser.submit(&stale).await.expect(303);
        assert_eq!(page.location().path(), "/acme/redeem");
        assert_eq!(learners(&app.db).await, 0, "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_for_a_domain_waits_for_the_proof_of_the_address() {
    let app = scene().await;
    Code::registration("STAFF-2027", &["sales"]).domain("acme.example").make(&app, "acme").await;
    let browser = app.browser();
    let page = browser.visit(app.url("/acme/STAFF-2027")).await.expect(200);
    let landed = browser.submit(&filled(&page, "zoe@acme.example")).await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Confirm your email address") && !home.says("Sales Academy"), "{}", home.text());
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 0));
    assert_eq!(count(&app, "select count(*) from waiting_codes").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_signs_in_and_the_code_survives_a_wrong_password() {
    let app = scene().await;
    let browser = app.browser();
    let sign_up = form(&app, &browser, "zoe@new.example").await;
    browser.submit(&sign_up).await.expect(303);
    Code::registration("SUMMER-2027", &["main"]).make(&app, "acme").await;
    let browser = app.browser();
    let page = browser.visit(app.url("/acme/SUMMER-2027")).await.expect(200);
    let link = page.html.split("href=\"").find(|part| part.starts_with("/acme/login?")).unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    let login = browser.click(&link).await.expect(200);
    let asks = browser.submit(&login.form_with("email").fill("email", "zoe@new.example")).await;
    let asks = browser.follow_all(asks).await.expect(200);
    let wrong = browser
        .submit(&asks.form_with("password").fill("email", "zoe@new.example").fill("password", "not it at all"))
        .await;
    assert!(wrong.status.is_client_error(), "{}", wrong.status);
    let right = wrong.form_with("password").fill("email", "zoe@new.example").fill("password", PASSWORD);
    let page = browser.submit(&right).await.expect(303);
    let page = browser.follow(&page).await.expect(200);
    assert_eq!(page.url.path(), "/acme/redeem");
    assert!(page.says("SUMMER-2027") && page.says("You are signed in as Zoë Müller"), "{}", page.text());
    assert_eq!(redemptions(&app.db).await, 1);
    let landed = browser.submit(&page.form_with("codes")).await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Your code SUMMER-2027 has been used"), "{}", home.text());
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 2));
}
