//! Two records of one person become one: access moves, spare seats come back, and two who do it at once end the same.

use serde_json::{Value, json};
use usher::{
    audit::Actor,
    codes::{self, CodeOutcome, CodeText, RedeemOrder},
    ids::LearnerId,
};

use super::{NEW, OLD, Scene};

const ZOE: &str = "zoe@acme.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_provisional_learner_becomes_part_of_the_one_who_has_the_address() {
    let scene = Scene::start().await;
    scene.patch("acme", json!({ "seat_limit": 5 })).await;
    scene.operator.post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales" })).await.ok();
    let holder = scene.sso_learner("acme", ZOE).await;
    scene.grant("acme", holder, "main").await;
    let provisional = scene.sign_up("acme", ZOE, OLD).await;
    scene.grant("acme", provisional, "main").await;
    scene.grant("acme", provisional, "sales").await;
    let seats = async || scene.operator.get("/api/v1/clients/acme").await.ok()["seats_used"].as_i64().unwrap();
    assert_eq!(seats().await, 2);
    let browser = scene.app.browser();
    scene.use_link(&browser, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(holder, true)], "one record is left, the one that was proved first");
    assert_eq!(seats().await, 1, "the spare seat comes back");
    let page = browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    assert!(page.says("Hello, Sam") && page.says("Sales"), "{}", page.text());
    let told = scene.told("acme").await;
    assert!(told.contains(&"learner.merged".into()), "{told:?}");
    let left = scene
        .count(
            "select count(*) from audit_values v where v.learner_id is not null and not exists (select from learners l where l.id = v.learner_id)",
        )
        .await;
    assert_eq!(left, 0, "personal values of the record that went belong to the one that stays");
    // The link still says what became of it.
    browser.open(scene.app.url(&scene.link(ZOE, "confirm_email").await)).await.expect(410);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_block_goes_along_with_the_person() {
    let scene = Scene::start().await;
    let holder = scene.sso_learner("acme", ZOE).await;
    let provisional = scene.sign_up("acme", ZOE, OLD).await;
    scene.grant("acme", provisional, "main").await;
    let blocks = |learner| format!("/api/v1/clients/acme/learners/{learner}/blocks");
    assert_eq!(scene.operator.put(&format!("{}/main", blocks(provisional)), json!({})).await.status, 204);
    scene.use_link(&scene.app.browser(), &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(holder, true)]);
    assert_eq!(scene.operator.get(&blocks(holder)).await.ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(scene.count("select count(*) from access_grants where ends_at is null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sign_up_of_one_person_joins_the_first() {
    let scene = Scene::start().await;
    let first = scene.sign_up("acme", ZOE, OLD).await;
    let second = scene.sign_up("acme", ZOE, OLD).await;
    scene.grant("acme", second, "main").await;
    let links: Vec<String> = scene.mails(ZOE).await.into_iter().filter_map(|(_, link)| link).collect();
    let browser = scene.app.browser();
    scene.use_link(&browser, &links[0], NEW).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(first, true), (second, false)]);
    // The second link now asks for the password that was chosen with the first.
    scene.use_link(&browser, &links[1], "quite another sentence here").await.expect(422);
    scene.use_link(&browser, &links[1], NEW).await.expect(303);
    assert_eq!(scene.learners(ZOE).await, [(first, true)]);
    assert_eq!(scene.count("select count(*) from access_grants where ends_at is null").await, 1);
    assert_eq!(scene.count("select count(*) from accounts").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_link_at_once_one_confirms() {
    let scene = Scene::start().await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    let link = scene.link(ZOE, "confirm_email").await;
    let uses = [NEW, "eleven quiet drums by noon", "twelve loud drums by night"].map(|password| {
        let (scene, link) = (&scene, &link);
        async move { scene.use_link(&scene.app.browser(), link, password).await.status.as_u16() }
    });
    let mut answers = futures_util::future::join_all(uses).await;
    answers.sort_unstable();
    assert_eq!(answers, [303, 410, 410]);
    assert_eq!(scene.learners(ZOE).await, [(learner, true)]);
    assert_eq!(scene.count("select count(*) from accounts").await, 1);
    assert_eq!(scene.count("select count(*) from audit_events where action = 'learner.email_verified'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proofs_of_one_address_at_once_make_one_account_and_one_verified_learner() {
    let scene = Scene::start().await;
    scene.sign_up("acme", ZOE, OLD).await;
    scene.sign_up("acme", ZOE, OLD).await;
    let links: Vec<String> = scene.mails(ZOE).await.into_iter().filter_map(|(_, link)| link).collect();
    let uses = links.iter().map(|link| async { scene.use_link(&scene.app.browser(), link, NEW).await });
    let pages = futures_util::future::join_all(uses).await;
    assert!(
        pages.iter().all(|page| page.status == 303),
        "{:?}",
        pages.iter().map(|page| page.status).collect::<Vec<_>>()
    );
    let to_itself = pages.iter().filter(|page| page.location().path().contains("/confirm/")).count();
    assert!(to_itself <= 1, "one is in, the other is asked for the password that was just chosen, or is in too");
    assert_eq!(scene.count("select count(*) from accounts").await, 1);
    assert_eq!(scene.learners(ZOE).await.iter().filter(|(_, verified)| *verified).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proofs_of_one_address_at_once_without_passwords_make_one_learner() {
    let scene = Scene::start().await;
    for _ in 0..3 {
        let learner = scene.sign_up("acme", ZOE, OLD).await;
        scene.grant("acme", learner, "main").await;
    }
    scene.patch("acme", json!({ "password_login": false, "seat_limit": 9 })).await;
    let links: Vec<String> = scene.mails(ZOE).await.into_iter().filter_map(|(_, link)| link).collect();
    let uses = links.iter().map(|link| async { scene.use_link(&scene.app.browser(), link, "").await.status.as_u16() });
    assert_eq!(futures_util::future::join_all(uses).await, [303, 303, 303]);
    let left = scene.learners(ZOE).await;
    assert!(matches!(left.as_slice(), [(_, true)]), "{left:?}");
    assert_eq!(scene.count("select count(*) from access_grants where ends_at is null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_who_signs_in_with_another_account_is_not_taken_over() {
    let scene = Scene::start().await;
    let learner = scene.account("acme", "old@acme.example", OLD).await;
    // Their account has moved on to another address; the record kept this one.
    sqlx::query("update accounts set email = 'new@acme.example', email_key = 'new@acme.example'")
        .execute(&scene.app.db)
        .await
        .unwrap();
    scene.sign_up("acme", "old@acme.example", NEW).await;
    let browser = scene.app.browser();
    let page = scene.use_link(&browser, &scene.link("old@acme.example", "confirm_email").await, NEW).await;
    let page = page.expect(409);
    assert!(page.says(usher::http::text::accounts::ADDRESS_TAKEN.title) && page.headers.get("set-cookie").is_none());
    assert_eq!(scene.learners("old@acme.example").await.first(), Some(&(learner, true)));
    assert_eq!(scene.count("select count(*) from accounts").await, 1);
    scene.signed_in("acme", "new@acme.example", OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_invite_of_the_address_is_accepted_by_its_proof() {
    let scene = Scene::start().await;
    let invite = json!({ "email": ZOE, "first_name": "Zoë", "last_name": "Müller", "sublicenses": ["main"] });
    scene.operator.post("/api/v1/clients/acme/invites", invite).await.ok();
    scene.sign_up("acme", ZOE, OLD).await;
    let browser = scene.app.browser();
    scene.use_link(&browser, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    let invites = scene.operator.get("/api/v1/clients/acme/invites").await.ok();
    assert_eq!(invites["items"][0]["status"], "accepted");
    assert_eq!(scene.count("select count(*) from access_grants where source = 'invite' and ends_at is null").await, 1);
}

/// Redeems a code for a learner whose address is not proved.
async fn redeem(scene: &Scene, learner: LearnerId, code: &str) -> Vec<CodeOutcome> {
    let order = RedeemOrder {
        client: scene.client("acme").await,
        learner,
        verified_email: None,
        codes: vec![CodeText::read(code).unwrap()],
        actor: Actor::Learner(learner),
        reference: None,
        now: scene.now(),
    };
    let mut tx = scene.app.db.begin().await.unwrap();
    let outcomes = codes::redeem_within(&mut tx, &scene.app.entropy, &order).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

async fn code(scene: &Scene, body: Value) -> String {
    let made = scene.operator.post("/api/v1/clients/acme/registration-codes", body).await.ok();
    format!("/api/v1/clients/acme/registration-codes/{}", made["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_gives_back_the_use_of_a_code_that_the_person_did_not_need() {
    let scene = Scene::start().await;
    let body = json!({ "label": "Spring", "code": "SPRING-2027", "sublicenses": ["main"], "max_redemptions": 1 });
    let path = code(&scene, body).await;
    let holder = scene.sso_learner("acme", ZOE).await;
    scene.grant("acme", holder, "main").await;
    let provisional = scene.sign_up("acme", ZOE, OLD).await;
    redeem(&scene, provisional, "SPRING-2027").await;
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 1);
    let browser = scene.app.browser();
    scene.use_link(&browser, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_waits_for_a_proved_address_is_redeemed_by_the_proof() {
    let scene = Scene::start().await;
    let body =
        json!({ "label": "Ours", "code": "OURS-ONLY-27", "sublicenses": ["main"], "email_domains": ["acme.example"] });
    let path = code(&scene, body).await;
    let learner = scene.sign_up("acme", ZOE, OLD).await;
    redeem(&scene, learner, "OURS-ONLY-27").await;
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 0);
    let browser = scene.app.browser();
    let page = scene.use_link(&browser, &scene.link(ZOE, "confirm_email").await, NEW).await.expect(303);
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 1);
    assert!(!browser.follow(&page).await.says(usher::http::text::dashboard::NO_ACCESS));
}
