//! A forgotten password, set anew by a link.

use chrono::Duration;
use usher::http::text;

use super::{NEW, OLD, Scene};

const ZOE: &str = "zoe@acme.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_set_by_mail_and_every_session_everywhere_ends() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.sign_up("globex", ZOE, NEW).await;
    scene.signed_in("globex", ZOE, OLD).await;
    let (acme, globex) = (scene.signed_in("acme", ZOE, OLD).await, scene.signed_in("globex", ZOE, OLD).await);
    let page = scene.forgot("acme", ZOE).await.expect(200);
    assert!(page.says(text::accounts::forgot::SENT));
    let link = scene.link(ZOE, "password_reset").await;
    let browser = scene.app.browser();
    let page = browser.open(scene.app.url(&link)).await.expect(200);
    assert!(page.says(text::accounts::reset::HEADING));
    assert!(scene.is_in(&acme, "acme").await, "opening the link changes nothing");
    scene.tick();
    let page = browser.submit(&page.form().fill("password", "nine slow herons in a row")).await.expect(200);
    assert!(page.says(text::accounts::reset::DONE) && page.headers.get("set-cookie").is_none());
    assert!(!scene.is_in(&acme, "acme").await && !scene.is_in(&globex, "globex").await);
    scene.sign_in(&browser, "acme", ZOE, OLD).await.expect(422);
    scene.signed_in("acme", ZOE, "nine slow herons in a row").await;
    scene.signed_in("globex", ZOE, "nine slow herons in a row").await;
    assert_eq!(scene.kinds(ZOE).await.last().map(String::as_str), Some("password_changed"));
    let trail = scene.trail("acme").await;
    assert!(trail.contains(&("learner.password_changed".into(), None)), "{trail:?}");
    let elsewhere = scene.trail("globex").await;
    assert!(elsewhere.contains(&("learner.sessions_ended".into(), Some("password_changed".into()))), "{elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_is_good_once_for_an_hour_and_at_its_own_client() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await;
    let link = scene.link(ZOE, "password_reset").await;
    let (browser, origin) = (scene.app.browser(), scene.app.origin());
    let post = async |path: &str, password: &str| {
        browser.post_from(origin, scene.app.url(path), &[("password", password)]).await
    };
    post(&link.replace("/acme/", "/globex/"), NEW).await.expect(404);
    post(&link.replace("/password/reset/", "/confirm/"), NEW).await.expect(404);
    scene.app.clock.advance(Duration::minutes(61));
    let page = post(&link, NEW).await.expect(410);
    assert!(page.says(text::accounts::LINK_EXPIRED.title));
    scene.app.clock.advance(-Duration::minutes(2));
    let page = post(&link, "password1234").await.expect(422);
    assert!(page.says(text::accounts::GUESSABLE));
    post(&link, NEW).await.expect(200);
    let page = post(&link, OLD).await.expect(410);
    assert!(page.says(text::accounts::LINK_USED.title));
    scene.signed_in("acme", ZOE, NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_link_at_once_one_sets_the_password() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await;
    let link = scene.link(ZOE, "password_reset").await;
    let passwords = [NEW, "eleven quiet drums by noon", "twelve loud drums by night"];
    let uses = passwords.map(|password| {
        let (scene, link) = (&scene, &link);
        async move { scene.use_link(&scene.app.browser(), link, password).await.status.as_u16() }
    });
    let answers = futures_util::future::join_all(uses).await;
    let winner = answers.iter().position(|status| *status == 200).unwrap();
    assert_eq!(answers.iter().filter(|status| **status == 410).count(), 2, "{answers:?}");
    scene.signed_in("acme", ZOE, passwords[winner]).await;
    assert_eq!(scene.kinds(ZOE).await.iter().filter(|kind| *kind == "password_changed").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_kills_the_other_links_of_the_account() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await;
    scene.forgot("acme", ZOE).await;
    // Whoever had the password has also asked for another address.
    let thief = scene.signed_in("acme", ZOE, OLD).await;
    let page = thief.open(scene.app.url("/acme/account")).await;
    let form = page.form_with("email").fill("email", "thief@evil.example").fill("current", OLD);
    thief.submit(&form).await.expect(303);
    let change = scene.link("thief@evil.example", "change_email").await;
    let links: Vec<String> = scene.mails(ZOE).await.into_iter().filter_map(|(_, link)| link).collect();
    let browser = scene.app.browser();
    scene.use_link(&browser, &links[0], NEW).await.expect(200);
    browser.open(scene.app.url(&links[1])).await.expect(410);
    thief.open(scene.app.url(&change)).await.expect(410);
    thief.post_from(scene.app.origin(), scene.app.url(&change), &[("password", NEW)]).await.expect(410);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisional_learner_who_forgot_is_led_to_the_proof() {
    let scene = Scene::start().await;
    scene.sign_up("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await;
    assert_eq!(scene.kinds(ZOE).await, ["confirm_email", "confirm_email"]);
    let browser = scene.app.browser();
    scene.use_link(&browser, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    scene.signed_in("acme", ZOE, NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_waits_for_a_proof_here_can_be_reset_here_and_then_signs_in() {
    let scene = Scene::start().await;
    scene.account("globex", ZOE, "forgotten since a long time").await;
    let provisional = scene.sign_up("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await;
    let browser = scene.app.browser();
    scene.use_link(&browser, &scene.link(ZOE, "password_reset").await, NEW).await.expect(200);
    scene.signed_in("acme", ZOE, NEW).await;
    assert_eq!(scene.learners(ZOE).await, [(provisional, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_learner_gets_no_link() {
    let scene = Scene::start().await;
    let learner = scene.account("acme", ZOE, OLD).await;
    scene.suspend("acme", learner).await;
    scene.forgot("acme", ZOE).await.expect(200);
    assert!(scene.kinds(ZOE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_one_address_are_few_a_day_at_one_client_and_at_all_together() {
    let scene = Scene::with(crate::support::App::with().settings(|raw| {
        raw.accounts.mails_per_day = 2;
        raw.accounts.mails_per_address = "3/24h".into();
    }))
    .await;
    scene.account("acme", ZOE, OLD).await;
    scene.sign_up("globex", ZOE, OLD).await;
    for _ in 0..3 {
        scene.forgot("acme", ZOE).await.expect(200);
    }
    assert_eq!(scene.kinds(ZOE).await, ["account_exists", "password_reset", "password_reset"]);
    // The third was counted for all clients together, though not mailed: nothing is left for another client's form.
    scene.forgot("globex", ZOE).await.expect(200);
    assert_eq!(scene.kinds(ZOE).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_where_an_address_is_unknown_and_signing_up_with_it_take_nothing_from_its_owner() {
    let scene = Scene::with(crate::support::App::with().settings(|raw| {
        raw.accounts.mails_per_day = 2;
        raw.accounts.mails_per_address = "2/24h".into();
    }))
    .await;
    scene.account("acme", ZOE, OLD).await;
    for _ in 0..3 {
        scene.forgot("globex", ZOE).await.expect(200);
        scene.sign_up("acme", ZOE, NEW).await;
    }
    assert_eq!(scene.kinds(ZOE).await, ["account_exists", "account_exists"]);
    scene.forgot("acme", ZOE).await.expect(200);
    assert_eq!(scene.kinds(ZOE).await.last().map(String::as_str), Some("password_reset"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_links_of_one_account_at_once_one_sets_the_password() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.forgot("acme", ZOE).await;
    scene.forgot("acme", ZOE).await;
    let links: Vec<String> = scene.mails(ZOE).await.into_iter().filter_map(|(_, link)| link).collect();
    let uses = links.iter().flat_map(|link| [link, link]).map(|link| {
        let scene = &scene;
        async move {
            let browser = scene.app.browser();
            browser.post_from(scene.app.origin(), scene.app.url(link), &[("password", NEW)]).await.status.as_u16()
        }
    });
    let mut answers = futures_util::future::join_all(uses).await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 410, 410, 410]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_is_said_so() {
    let scene = Scene::start().await;
    let page = scene.forgot("acme", "zoe at acme").await.expect(422);
    assert!(page.says(text::accounts::EMAIL_INVALID));
    let url = scene.app.url("/acme/password/forgot");
    scene.app.browser().post_from("https://evil.example/", &url, &[("email", ZOE)]).await.expect(403);
}
