//! Redeeming codes as a learner who is signed in: from the box, from a link, and what never redeems.

use chrono::Duration;
use serde_json::json;

use super::support::{
    App, Browser, Code, Page, client,
    codes::{learners, redemptions},
    sign_in,
};

/// Two clients; acme has a sublicense `sales` beside `main`.
async fn scene() -> App {
    scene_of(App::start().await).await
}

async fn scene_of(app: App) -> App {
    let operator = app.operator().await;
    client(&operator, "acme").await;
    client(&operator, "globex").await;
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" })).await.ok();
    app
}

/// Types codes into the box and sends it.
async fn send(app: &App, browser: &Browser, codes: &str) -> Page {
    let page = browser.open(app.url("/acme/redeem")).await.expect(200);
    browser.submit(&page.form_with("codes").fill("codes", codes)).await
}

/// Sends codes and follows to where the learner lands.
async fn land(app: &App, browser: &Browser, codes: &str) -> Page {
    let page = send(app, browser, codes).await.expect(303);
    assert!(page.location().path().ends_with("/dashboard"), "{}", page.location());
    browser.follow(&page).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_redeems_a_code_and_sees_what_it_opened() {
    let app = scene().await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let home = land(&app, &browser, " spring 2027 ").await;
    assert!(home.says("Sales Academy: open for you now"), "{}", home.text());
    assert!(home.html.contains("<h3 dir=\"auto\">Sales Academy</h3>"), "{}", home.text());
    // It is told once: the same address shows the access and no notice.
    let again = browser.open(home.url.as_str()).await.expect(200);
    assert!(!again.says("open for you now") && again.says("Sales Academy"), "{}", again.text());
    assert_eq!(redemptions(&app.db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_codes_has_its_own_outcome() {
    let app = scene().await;
    let now = app.clock.now();
    Code::registration("GOOD-CODE-1", &["main"]).make(&app, "acme").await;
    Code::redemption("GOOD-CODE-2", &["sales"]).make(&app, "acme").await;
    Code::registration("SAME-AGAIN", &["main"]).make(&app, "acme").await;
    Code::registration("TOO-LATE-1", &["main"]).expires_at(now - Duration::days(1)).make(&app, "acme").await;
    Code::registration("TOO-EARLY-1", &["main"]).starts_at(now + Duration::days(1)).make(&app, "acme").await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let home =
        land(&app, &browser, "GOOD-CODE-1\nGOOD-CODE-2\nSAME-AGAIN\nTOO-LATE-1\nTOO-EARLY-1\nNO-SUCH-CODE\nx!").await;
    for words in [
        "Your code GOOD-CODE-1 has been used",
        "Your code GOOD-CODE-2 has been used",
        "The code SAME-AGAIN gives you nothing more",
        "The time of TOO-LATE-1 is over",
        "TOO-EARLY-1 works from",
        "NO-SUCH-CODE is no code that works here",
        "x! is no code that works here",
    ] {
        assert!(home.says(words), "{words}: {}", home.text());
    }
    assert_eq!(redemptions(&app.db).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_fills_in_the_code_leaves_the_address_and_redeems_nothing() {
    let app = scene().await;
    Code::redemption("ABCD-EFGH-2345", &["sales"]).make(&app, "acme").await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let link = browser.open(app.url("/acme/ABCD-EFGH-2345")).await.expect(303);
    assert_eq!(link.headers["referrer-policy"], "no-referrer");
    assert_eq!(link.headers["cache-control"], "no-store");
    assert_eq!(link.headers["x-robots-tag"], "noindex");
    let page = browser.follow(&link).await.expect(200);
    assert!(!page.url.as_str().to_uppercase().contains("ABCD"), "{}", page.url);
    assert!(page.says("ABCD-EFGH-2345") && page.says("Sales Academy") && page.says("Zoë Müller"), "{}", page.text());
    assert!(page.html.contains("<meta name=\"robots\" content=\"noindex\">"));
    // Scanners open it again and again, with every safe method, and with the form's fields in the address.
    for _ in 0..3 {
        browser.visit(app.url("/acme/ABCD-EFGH-2345")).await.expect(200);
        browser.open(page.url.as_str()).await.expect(200);
        browser.open(app.url("/acme/redeem?codes=ABCD-EFGH-2345&account=new")).await.expect(200);
    }
    let head = reqwest::Client::builder().no_proxy().build().unwrap();
    head.head(app.url("/acme/ABCD-EFGH-2345")).send().await.unwrap();
    assert_eq!(redemptions(&app.db).await, 0);
    // The back button: the page is still good, and its button redeems.
    let page = browser.open(page.url.as_str()).await.expect(200);
    let done = browser.submit(&page.form_with("codes")).await.expect(303);
    browser.follow(&done).await.expect(200);
    assert_eq!(redemptions(&app.db).await, 1);
    let after = browser.open(page.url.as_str()).await.expect(200);
    assert!(after.says("You have used this code"), "{}", after.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_keep_their_own_codes_and_another_browser_reads_neither() {
    let app = scene().await;
    Code::registration("FIRST-CODE", &["main"]).make(&app, "acme").await;
    Code::registration("SECOND-CODE", &["sales"]).make(&app, "acme").await;
    let browser = app.browser();
    let one = browser.visit(app.url("/acme/FIRST-CODE")).await.expect(200);
    let two = browser.visit(app.url("/acme/SECOND-CODE")).await.expect(200);
    let again = browser.open(one.url.as_str()).await.expect(200);
    assert!(again.says("FIRST-CODE") && !again.says("SECOND-CODE"), "{}", again.text());
    let stranger = app.browser().open(two.url.as_str()).await.expect(200);
    assert!(!stranger.html.contains("SECOND-CODE") && stranger.says("enter your code again"), "{}", stranger.text());
    // Nor does the handle open at another client.
    let elsewhere = two.url.as_str().replace("/acme/", "/globex/");
    assert!(!browser.open(elsewhere).await.expect(200).html.contains("SECOND-CODE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_disabled_foreign_and_wrong_domain_read_the_same() {
    let app = scene().await;
    Code::registration("OF-GLOBEX-1", &["main"]).make(&app, "globex").await;
    Code::registration("SWITCHED-1", &["main"]).disabled().make(&app, "acme").await;
    Code::registration("OF-DOMAIN-1", &["main"]).domain("other.example").make(&app, "acme").await;
    let mut seen = Vec::new();
    for code in ["NO-SUCH-111", "OF-GLOBEX-1", "SWITCHED-1", "OF-DOMAIN-1"] {
        let (browser, _) = sign_in(&app, "acme", &format!("{}@acme.example", code.to_lowercase())).await;
        let page = send(&app, &browser, code).await;
        seen.push((page.status, page.html.replace(code, "CODE")));
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    assert_eq!(seen[0].0, 422);
    // The audit trail knows the truth, and no code's text.
    let reasons: Vec<String> =
        sqlx::query_scalar("select reason from audit_events where action = 'code.refused' order by id")
            .fetch_all(&app.db)
            .await
            .unwrap();
    assert_eq!(reasons, ["codes.unknown", "codes.unknown", "codes.disabled", "codes.wrong_domain"]);
    let events: String = sqlx::query_scalar("select string_agg(to_jsonb(e)::text, '') from audit_events e")
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert!(!events.contains("OF-DOMAIN-1") && !events.contains("NO-SUCH-111"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_form_redeems_nothing() {
    let app = scene().await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let url = app.url("/acme/redeem");
    let page = browser.post_from("https://evil.example", &url, &[("codes", "SPRING-2027")]).await;
    assert_eq!(page.status, 403);
    assert_eq!(redemptions(&app.db).await, 0);
    let origin = app.origin().to_owned();
    browser.post_from(&origin, &url, &[("codes", "SPRING-2027")]).await.expect(303);
    assert_eq!(redemptions(&app.db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_repeated_ten_times_at_once_is_one_redemption() {
    let app = scene().await;
    Code::registration("SPRING-2027", &["sales"]).most(5).make(&app, "acme").await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let page = browser.open(app.url("/acme/redeem")).await;
    let form = page.form_with("codes").fill("codes", "SPRING-2027");
    let clicks = futures_util::future::join_all((0..10).map(|_| browser.submit(&form))).await;
    for click in clicks {
        assert!(click.expect(303).location().path().ends_with("/dashboard"));
    }
    assert_eq!(redemptions(&app.db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_gets_an_answer_that_says_what_to_do() {
    let app = scene().await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let many: String = (0..200).map(|number| format!("CODE-{number:06}\n")).collect();
    for (typed, words) in [
        ("", "There is no code in the box"),
        (" ,;\n\t ", "There is no code in the box"),
        (many.as_str(), "up to 20 codes at a time"),
        ("АВСD-1234-ЕFGH", "Check each letter and digit"),
        ("<script>alert(1)</script>", "Check each letter and digit"),
        ("\u{202e}\u{0}CODE", "Check each letter and digit"),
        (&"X".repeat(900_000), "Check each letter and digit"),
    ] {
        let page = send(&app, &browser, typed).await.expect(422);
        assert!(page.says(words), "{typed:.40}: {}", page.text());
        assert!(!page.html.contains("<script>alert"), "{typed:.40}");
    }
    let huge = send(&app, &browser, &"X".repeat(2_000_000)).await;
    assert_eq!(huge.status, 413);
    let origin = app.origin().to_owned();
    let none = browser.post_from(&origin, app.url("/acme/redeem"), &[]).await.expect(422);
    assert!(none.says("There is no code in the box"));
}

#[tokio::test(flavor = "multi_thread")]
async fn path_words_lead_to_their_page_to_the_box_or_nowhere() {
    let app = scene().await;
    let browser = app.browser();
    for (path, page) in
        [("/acme/Redeem", "/acme/redeem"), ("/acme/LOGIN", "/acme/login"), ("/acme/Dash-Board", "/acme/dashboard")]
    {
        assert_eq!(browser.open(app.url(path)).await.expect(303).location().path(), page, "{path}");
    }
    for path in [
        "/acme/wp-login.php",
        "/acme/.env",
        "/acme/x",
        "/acme/HELP",
        "/acme/join",
        "/nobody/ABCD-1234",
        "/ACME/ABCD-1234",
    ] {
        let page = browser.visit(app.url(path)).await.expect(404);
        assert!(page.says("Check the address"), "{path}: {}", page.text());
    }
    for path in ["/acme/dashbord", "/acme/%D0%90%D0%92%D0%A1D-1234", "/acme/%EF%BC%A1BCD-1234"] {
        let page = browser.visit(app.url(path)).await.expect(200);
        assert!(page.says("This code does not work"), "{path}: {}", page.text());
        assert_eq!(page.url.path(), "/acme/redeem");
    }
    assert_eq!(learners(&app.db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_is_slowed_and_the_colleague_in_the_same_office_is_not() {
    let limit = |raw: &mut usher::config::Raw| raw.limits.code_failures_per_learner = "5/1h".into();
    let app = scene_of(App::with().settings(limit).start().await).await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    let (guesser, _) = sign_in(&app, "acme", "eve@acme.example").await;
    for number in 0..5 {
        send(&app, &guesser, &format!("GUESS-{number:04}")).await.expect(422);
    }
    let slowed = send(&app, &guesser, "SPRING-2027").await.expect(429);
    assert!(slowed.headers.contains_key("retry-after"));
    assert!(slowed.says("Nothing was used up") && slowed.html.contains("SPRING-2027"), "{}", slowed.text());
    // By link and on another replica it is the same.
    guesser.visit(app.url("/acme/SPRING-2027")).await.expect(429);
    let replica = app.replica();
    let guesser = guesser.via(&replica);
    send(&app, &guesser, "SPRING-2027").await.expect(429);
    assert_eq!(redemptions(&app.db).await, 0);
    let (colleague, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    land(&app, &colleague, "SPRING-2027").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_signed_in_is_slowed_by_their_address_however_they_ask() {
    let limit = |raw: &mut usher::config::Raw| raw.limits.code_failures_per_address = "6/1h".into();
    let app = scene_of(App::with().settings(limit).start().await).await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    for number in 0..2 {
        app.browser().visit(app.url(&format!("/acme/LINK-{number:04}"))).await.expect(200);
        send(&app, &app.browser(), &format!("BOXED-{number:04}")).await.expect(303);
        let browser = app.browser();
        let page = browser.open(app.url("/acme/redeem")).await;
        let form = page.form_with("codes").fill("codes", format!("FORM-{number:04}")).fill("account", "new");
        browser.submit(&form).await.expect(303);
    }
    send(&app, &app.browser(), "SPRING-2027").await.expect(429);
    app.browser().visit(app.url("/acme/SPRING-2027")).await.expect(429);
    // Who is signed in is judged apart from their neighbours.
    let (member, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    land(&app, &member, "SPRING-2027").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_or_postgresql_nothing_is_looked_at_or_used() {
    let app = scene_of(App::with().flaky().start().await).await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let page = browser.open(app.url("/acme/redeem")).await.expect(200);
    let form = page.form_with("codes").fill("codes", "SPRING-2027");
    for server in [app.redis(), app.postgres()] {
        server.cut();
        browser.submit(&form).await.expect(503);
        server.restore();
        let back = async { while browser.open(app.url("/acme/redeem")).await.status == 503 {} };
        tokio::time::timeout(std::time::Duration::from_secs(20), back).await.expect("it recovers by itself");
    }
    assert_eq!(redemptions(&app.db).await, 0);
    browser.submit(&form).await.expect(303);
    assert_eq!(redemptions(&app.db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_learner_redeems_nothing() {
    let app = scene().await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    let (browser, learner) = sign_in(&app, "acme", "zoe@acme.example").await;
    sqlx::query("update learners set status = 'suspended' where id = $1")
        .bind(learner.uuid())
        .execute(&app.db)
        .await
        .unwrap();
    let page = send(&app, &browser, "SPRING-2027").await.expect(303);
    assert_eq!(page.location().path(), "/acme/redeem");
    assert_eq!(redemptions(&app.db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sublicense_is_told_and_uses_up_nothing() {
    let app = scene().await;
    Code::registration("SPRING-2027", &["sales"]).make(&app, "acme").await;
    sqlx::query("update sublicenses set seat_limit = 0 where slug = 'sales'").execute(&app.db).await.unwrap();
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let page = send(&app, &browser, "SPRING-2027").await.expect(422);
    assert!(page.says("All places are taken") && page.says("was not used up"), "{}", page.text());
    assert_eq!(redemptions(&app.db).await, 0);
}
