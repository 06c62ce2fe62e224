//! What a signed-in learner changes of their own.

use usher::http::text;

use super::{NEW, OLD, Scene};
use crate::support::{Browser, Page};

const ZOE: &str = "zoe@acme.example";
const LATER: &str = "zoe@later.example";

async fn change_password(scene: &Scene, browser: &Browser, current: &str, password: &str) -> Page {
    let page = browser.open(scene.app.url("/acme/account")).await.expect(200);
    let form = page.form_with("password");
    browser.submit(&form.fill("current", current).fill("password", password)).await
}

async fn change_email(scene: &Scene, browser: &Browser, current: &str, email: &str) -> Page {
    let page = browser.open(scene.app.url("/acme/account")).await.expect(200);
    browser.submit(&page.form_with("email").fill("current", current).fill("email", email)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_every_session_but_this_browsers() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let (here, elsewhere) = (scene.signed_in("acme", ZOE, OLD).await, scene.signed_in("acme", ZOE, OLD).await);
    let page = change_password(&scene, &here, NEW, NEW).await.expect(422);
    assert!(page.says(text::accounts::WRONG_CURRENT));
    let page = change_password(&scene, &here, OLD, "zoe acme").await.expect(422);
    assert!(page.says(text::accounts::TOO_SHORT));
    assert!(scene.is_in(&elsewhere, "acme").await, "nothing has changed so far");
    let page = change_password(&scene, &here, OLD, NEW).await.expect(303);
    assert!(here.follow(&page).await.says(text::accounts::own::PASSWORD_DONE));
    assert!(scene.is_in(&here, "acme").await && !scene.is_in(&elsewhere, "acme").await);
    scene.sign_in(&elsewhere, "acme", ZOE, OLD).await.expect(422);
    scene.sign_in(&elsewhere, "acme", ZOE, NEW).await.expect(303);
    assert_eq!(scene.kinds(ZOE).await, ["password_changed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_proved_first_and_the_old_one_is_told() {
    let scene = Scene::start().await;
    let learner = scene.account("acme", ZOE, OLD).await;
    scene.sign_up("globex", ZOE, OLD).await;
    scene.signed_in("globex", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let other = scene.signed_in("acme", ZOE, OLD).await;
    change_email(&scene, &browser, NEW, LATER).await.expect(422);
    assert!(scene.kinds(LATER).await.is_empty());
    let page = change_email(&scene, &browser, OLD, ZOE).await.expect(422);
    assert!(page.says(text::accounts::own::SAME_EMAIL));
    let page = change_email(&scene, &browser, OLD, LATER).await.expect(303);
    assert!(browser.follow(&page).await.says(text::accounts::own::EMAIL_SENT));
    let link = scene.link(LATER, "change_email").await;
    let page = browser.open(scene.app.url(&link)).await.expect(200);
    assert!(page.says(text::accounts::change::HEADING));
    assert_eq!(scene.learners(LATER).await, [], "nothing has changed so far");
    browser.submit(&page.form().fill("password", NEW)).await.expect(422);
    let page = browser.submit(&page.form().fill("password", OLD)).await.expect(303);
    assert!(browser.follow(&page).await.says(text::accounts::change::DONE));
    assert_eq!(scene.learners(LATER).await, [(learner, true)]);
    assert!(!scene.is_in(&other, "acme").await && scene.is_in(&browser, "acme").await);
    scene.sign_in(&other, "acme", ZOE, OLD).await.expect(422);
    scene.signed_in("acme", LATER, OLD).await;
    scene.signed_in("globex", LATER, OLD).await;
    assert!(scene.kinds(ZOE).await.contains(&"email_changed".to_owned()));
    let told: String = sqlx::query_scalar("select content::text from mails where kind = 'email_changed'")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert!(!told.contains(LATER), "the old mailbox reads the new address masked: {told}");
    browser.open(scene.app.url(&link)).await.expect(410);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_somebody_else_asked_for_changes_nothing_without_their_password() {
    let scene = Scene::start().await;
    scene.account("acme", "eve@evil.example", OLD).await;
    let eve = scene.signed_in("acme", "eve@evil.example", OLD).await;
    change_email(&scene, &eve, OLD, ZOE).await.expect(303);
    let link = scene.link(ZOE, "change_email").await;
    // Zoë opens the mail, with an account of her own elsewhere or a password that she just makes up.
    let zoe = scene.app.browser();
    scene.use_link(&zoe, &link, NEW).await.expect(422);
    assert_eq!(scene.learners(ZOE).await, []);
    // And she can still sign up with her address.
    let learner = scene.sign_up("acme", ZOE, NEW).await;
    scene.use_link(&zoe, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(learner, true)]);
    let page = scene.use_link(&eve, &link, OLD).await.expect(409);
    assert!(page.says(text::accounts::ADDRESS_TAKEN.title), "only whoever has the mailbox would read this");
    scene.signed_in("acme", "eve@evil.example", OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_an_address_that_somebody_has_is_answered_like_any_other() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.account("acme", "taken@acme.example", NEW).await;
    scene.sso_learner("acme", "sso@acme.example").await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    for email in ["taken@acme.example", "free@acme.example", "sso@acme.example"] {
        let page = change_email(&scene, &browser, OLD, email).await.expect(303);
        let page = browser.follow(&page).await.expect(200);
        assert!(page.says(text::accounts::own::EMAIL_SENT), "{email}");
    }
    for email in ["taken@acme.example", "sso@acme.example"] {
        let link = scene.link(email, "change_email").await;
        scene.use_link(&browser, &link, OLD).await.expect(409);
    }
    scene.signed_in("acme", ZOE, OLD).await;
    scene.signed_in("acme", "taken@acme.example", NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_address_is_corrected_before_it_was_ever_proved() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", "zeo@acme.example", OLD).await;
    let browser = scene.signed_in("acme", "zeo@acme.example", OLD).await;
    change_email(&scene, &browser, NEW, ZOE).await.expect(422);
    change_email(&scene, &browser, OLD, ZOE).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(learner, false)]);
    let wrong = scene.link("zeo@acme.example", "confirm_email").await;
    scene.app.browser().open(scene.app.url(&wrong)).await.expect(410);
    scene.use_link(&browser, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(learner, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_signed_in_or_has_no_password_changes_nothing() {
    let scene = Scene::start().await;
    let learner = scene.account("acme", ZOE, OLD).await;
    let (stranger, origin) = (scene.app.browser(), scene.app.origin());
    let page = stranger.open(scene.app.url("/acme/account")).await.expect(303);
    assert_eq!(page.location().as_str(), scene.app.url("/acme?return_to=%2Facme%2Faccount"));
    let fields = [("current", OLD), ("password", NEW), ("email", LATER)];
    for path in ["/acme/account/password", "/acme/account/email", "/acme/account/confirm"] {
        stranger.post_from(origin, scene.app.url(path), &fields).await.expect(303);
        stranger.post_from("https://evil.example/", scene.app.url(path), &fields).await.expect(403);
    }
    // The same learner without a password of their own: by single sign-on alone.
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    sqlx::query("delete from account_learners where learner_id = $1")
        .bind(learner.uuid())
        .execute(&scene.app.db)
        .await
        .unwrap();
    let page = browser.open(scene.app.url("/acme/account")).await.expect(200);
    assert!(page.says(text::accounts::own::SSO) && page.forms().is_empty());
    for path in ["/acme/account/password", "/acme/account/email"] {
        browser.post_from(origin, scene.app.url(path), &fields).await.expect(404);
    }
    assert!(scene.kinds(LATER).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_current_password_is_slowed_like_a_sign_in() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    for _ in 0..6 {
        change_password(&scene, &browser, NEW, NEW).await.expect(422);
    }
    let page = change_password(&scene, &browser, OLD, NEW).await.expect(429);
    assert!(page.says(text::accounts::SLOWED));
}
