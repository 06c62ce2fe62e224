//! Codes and invites that go through single sign-on, by either protocol: what they stand in for, and what they never do.

use idp_fixtures::oidc;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{
    App, Browser, Code, Page, SamlScene, client,
    codes::{learners, redemptions},
};

/// A mapping that grants `sales` to the group `sales`, and nothing to anybody else.
async fn scene(connection: Value, mapping: Value) -> SamlScene {
    let mut rules = json!({ "fallback": null });
    super::support::merge(&mut rules, &mapping);
    SamlScene::with(App::start().await, connection, rules).await
}

/// From the code's link over the connection's button to the end of the sign-in.
async fn carry(scene: &SamlScene, browser: &Browser, code: &str, who: &str) -> Page {
    let page = browser.visit(scene.app.url(&format!("/acme/{code}"))).await.expect(200);
    let button = page.forms().into_iter().find(|form| form.action.contains("/login/con_")).expect("a way to sign in");
    let start = browser.submit(&button).await.expect(303);
    let form = scene.idp.sign_in(start.location().as_str(), who).await.unwrap();
    scene.post_back(browser, &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_through_saml_and_stands_in_for_what_the_mapping_yields() {
    let scene = scene(json!({}), json!({})).await;
    Code::registration("SPRING-2027", &["main"]).make(&scene.app, "acme").await;
    scene.sign_in(&scene.app.browser(), "nora").await.expect(403);
    let browser = scene.app.browser();
    let landed = carry(&scene, &browser, "SPRING-2027", "nora").await.expect(303);
    assert!(landed.location().query().unwrap().starts_with("told="), "{}", landed.location());
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("open for you now") && home.says("SPRING-2027"), "{}", home.text());
    assert_eq!((scene.learners().await, redemptions(&scene.app.db).await), (1, 1));
    // The same person with the same code again: in, and nothing is used up.
    let browser = scene.app.browser();
    let landed = carry(&scene, &browser, "SPRING-2027", "nora").await.expect(303);
    assert!(browser.follow(&landed).await.expect(200).says("You have used this code"));
    assert_eq!((scene.learners().await, redemptions(&scene.app.db).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_through_openid_connect() {
    let app = App::start().await;
    let operator = app.operator().await;
    client(&operator, "globex").await;
    let op = oidc::OidcOp::start(oidc::Options { org: idp_fixtures::people::Org::globex(), ..Default::default() });
    let op = op.await.unwrap();
    op.register(oidc::Client::with_secret("usher-rp", "a-very-secret-secret"));
    let body = json!({
        "name": "Globex ID", "protocol": "oidc", "status": "active", "trusted_domains": ["globex.example"],
        "oidc": { "issuer": op.issuer(), "client_id": "usher-rp", "client_secret": "a-very-secret-secret" },
    });
    let made = operator.post("/api/v1/clients/globex/connections", body).await.ok();
    let rules = json!({ "profile": { "email": "email" }, "access": [], "fallback": null });
    let path = format!("/api/v1/clients/globex/connections/{}/mapping", made["id"].as_str().unwrap());
    operator.put(&path, rules).await.ok();
    Code::redemption("ONCE-ONLY-1", &["main"]).make(&app, "globex").await;
    let browser = app.browser();
    let page = browser.visit(app.url("/globex/ONCE-ONLY-1")).await.expect(200);
    let button = page.forms().into_iter().find(|form| form.action.contains("/login/con_")).unwrap();
    let start = browser.submit(&button).await.expect(303);
    let callback = op.sign_in(start.location().as_str(), "grace").unwrap();
    let landed = browser.open(callback.url()).await.expect(303);
    assert!(browser.follow(&landed).await.expect(200).says("open for you now"));
    assert_eq!((learners(&app.db).await, redemptions(&app.db).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_overrules_no_requirement_no_block_and_no_suspension() {
    let require =
        json!({ "require": [{ "that": { "claim": "groups", "contains": "learning" }, "else": "Ask your desk." }] });
    let scene = scene(json!({}), require).await;
    Code::registration("SPRING-2027", &["main"]).make(&scene.app, "acme").await;
    let page = carry(&scene, &scene.app.browser(), "SPRING-2027", "nora").await.expect(403);
    assert!(page.says("Ask your desk."), "{}", page.text());
    assert_eq!((scene.learners().await, redemptions(&scene.app.db).await), (0, 0));

    let scene = self::scene(json!({}), json!({})).await;
    Code::registration("SPRING-2027", &["main"]).make(&scene.app, "acme").await;
    let browser = scene.app.browser();
    carry(&scene, &browser, "SPRING-2027", "nora").await.expect(303);
    Code::registration("SUMMER-2027", &["main"]).make(&scene.app, "acme").await;
    for statement in [
        "update access_grants set ends_at = starts_at, end_reason = 'admin'",
        "insert into blocks (client_id, learner_id, sublicense_id, created_at, created_by)
         select client_id, learner_id, sublicense_id, now(), 'a test' from access_grants",
    ] {
        sqlx::query(statement).execute(&scene.app.db).await.unwrap();
    }
    carry(&scene, &scene.app.browser(), "SUMMER-2027", "nora").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.learner.blocked");
    sqlx::query("delete from blocks").execute(&scene.app.db).await.unwrap();
    sqlx::query("update learners set status = 'suspended'").execute(&scene.app.db).await.unwrap();
    carry(&scene, &scene.app.browser(), "SUMMER-2027", "nora").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.learner.suspended");
    assert_eq!(redemptions(&scene.app.db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_nothing_leaves_the_sign_in_to_the_mapping() {
    for (fallback, status) in [(Value::Null, 403), (json!({ "sublicenses": ["main"] }), 303)] {
        let scene = scene(json!({}), json!({ "fallback": fallback })).await;
        Code::registration("LAST-ONE-1", &["sales"]).most(1).make(&scene.app, "acme").await;
        let browser = scene.app.browser();
        let page = browser.visit(scene.app.url("/acme/LAST-ONE-1")).await.expect(200);
        let button = page.forms().into_iter().find(|form| form.action.contains("/login/con_")).unwrap();
        let start = browser.submit(&button).await.expect(303);
        // Somebody else takes the last use while this one is at the identity provider.
        carry(&scene, &scene.app.browser(), "LAST-ONE-1", "zoe").await.expect(303);
        let taken = redemptions(&scene.app.db).await;
        let before = scene.learners().await;
        assert_eq!(taken, 1);
        let form = scene.idp.sign_in(start.location().as_str(), "nora").await.unwrap();
        let end = scene.post_back(&browser, &form).await.expect(status);
        assert_eq!(redemptions(&scene.app.db).await, taken);
        if status == 303 {
            let home = browser.follow(&end).await.expect(200);
            assert!(home.says("This code is used up"), "{}", home.text());
        } else {
            let path = format!("/api/v1/clients/acme/attempts?reference={}", end.reference());
            let attempts = scene.operator.get(&path).await.ok();
            assert_eq!(attempts["items"][0]["code"], "login.code.opens_nothing", "{attempts}");
            assert!(end.says("Your code opens nothing for you"), "{}", end.text());
            assert_eq!(scene.learners().await, before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_code_does_not_even_start_and_another_sites_form_neither() {
    let scene = scene(json!({}), json!({})).await;
    Code::registration("SPRING-2027", &["main"]).make(&scene.app, "acme").await;
    let browser = scene.app.browser();
    browser.open(scene.app.url("/acme/redeem")).await;
    let origin = scene.app.origin().to_owned();
    let page = browser.post_from(&origin, scene.start_url(), &[("codes", "NO-SUCH-CODE")]).await.expect(303);
    assert_eq!(page.location().path(), "/acme/redeem");
    let page = browser.follow(&page).await.expect(200);
    assert!(page.says("NO-SUCH-CODE is no code that works here"), "{}", page.text());
    browser.post_from("https://evil.example", scene.start_url(), &[("codes", "SPRING-2027")]).await.expect(403);
    // By link nothing is carried.
    let url = format!("{}?codes=SPRING-2027", scene.start_url());
    let start = browser.open(url).await.expect(303);
    let form = scene.idp.sign_in(start.location().as_str(), "nora").await.unwrap();
    scene.post_back(&browser, &form).await.expect(403);
    assert_eq!(redemptions(&scene.app.db).await, 0);
}

/// Invites an address to `sales`; the token of the link in the mail that waits.
async fn invite(scene: &SamlScene, email: &str) -> (String, String) {
    let body = json!({ "email": email, "first_name": "Ada", "last_name": "Lovelace", "sublicenses": ["sales"] });
    let made = scene.operator.post("/api/v1/clients/acme/invites", body).await.ok();
    let id = made["id"].as_str().unwrap().to_owned();
    let (mail, sealed): (Uuid, Vec<u8>) =
        sqlx::query_as("select id, link_sealed from mails where about = $1 order by id desc limit 1")
            .bind(&id)
            .fetch_one(&scene.app.db)
            .await
            .unwrap();
    let place = format!("mails.link:{}:{}", scene.client, usher::ids::MailId::from(mail));
    let path = String::from_utf8(scene.app.sealer.open(&place, &sealed).unwrap().to_vec()).unwrap();
    (id, path.rsplit('/').next().unwrap().to_owned())
}

async fn status(scene: &SamlScene, invite: &str) -> String {
    let invite = scene.operator.get(&format!("/api/v1/clients/acme/invites/{invite}")).await.ok();
    invite["status"].as_str().unwrap().to_owned()
}

async fn carry_invite(scene: &SamlScene, browser: &Browser, token: &str, who: &str) -> Page {
    browser.open(scene.app.url("/acme/redeem")).await;
    let origin = scene.app.origin().to_owned();
    let start = browser.post_from(&origin, scene.start_url(), &[("invite", token)]).await.expect(303);
    let form = scene.idp.sign_in(start.location().as_str(), who).await.unwrap();
    scene.post_back(browser, &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_makes_a_learner_where_the_connection_makes_none_and_a_code_does_not() {
    let scene = scene(json!({ "jit": { "create": false } }), json!({})).await;
    Code::registration("SPRING-2027", &["main"]).make(&scene.app, "acme").await;
    carry(&scene, &scene.app.browser(), "SPRING-2027", "nora").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.learner.not_provisioned");
    assert_eq!((scene.learners().await, redemptions(&scene.app.db).await), (0, 0));
    let (id, token) = invite(&scene, "nora@acme.example").await;
    let browser = scene.app.browser();
    let landed = carry_invite(&scene, &browser, &token, "nora").await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Your invitation has been accepted") && home.says("Sales Academy"), "{}", home.text());
    assert_eq!((scene.learners().await, status(&scene, &id).await.as_str()), (1, "accepted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_of_somebody_else_opens_nothing_and_stays_open() {
    let scene = scene(json!({ "jit": { "create": false } }), json!({})).await;
    let (id, token) = invite(&scene, "somebody@acme.example").await;
    let page = carry_invite(&scene, &scene.app.browser(), &token, "nora").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.invite.other_address");
    assert!(page.says("s•••@acme.example") && page.says("n•••@acme.example"), "{}", page.text());
    assert_eq!(scene.learners().await, 0);
    assert!(["pending", "sent"].contains(&status(&scene, &id).await.as_str()));
    // A link that was never mailed leads to its page, which says so.
    let browser = scene.app.browser();
    browser.open(scene.app.url("/acme/redeem")).await;
    let none = "A".repeat(43);
    let origin = scene.app.origin().to_owned();
    let page = browser.post_from(&origin, scene.start_url(), &[("invite", &none)]).await.expect(303);
    assert_eq!(page.location().path(), format!("/acme/invites/{none}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_of_somebody_else_makes_no_learner_whatever_comes_along_with_it() {
    // With a code that would open something, and with a mapping that grants.
    for mapping in [json!({}), json!({ "fallback": { "sublicenses": ["main"] } })] {
        let scene = scene(json!({ "jit": { "create": false } }), mapping).await;
        Code::registration("SPRING-2027", &["main"]).make(&scene.app, "acme").await;
        let (id, token) = invite(&scene, "somebody@acme.example").await;
        let browser = scene.app.browser();
        browser.open(scene.app.url("/acme/redeem")).await;
        let origin = scene.app.origin().to_owned();
        let fields = [("invite", token.as_str()), ("codes", "SPRING-2027")];
        let start = browser.post_from(&origin, scene.start_url(), &fields).await.expect(303);
        let form = scene.idp.sign_in(start.location().as_str(), "nora").await.unwrap();
        scene.post_back(&browser, &form).await.expect(403);
        assert_eq!(scene.last_attempt().await["code"], "login.invite.other_address");
        assert_eq!((scene.learners().await, redemptions(&scene.app.db).await), (0, 0));
        assert!(["pending", "sent"].contains(&status(&scene, &id).await.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_sign_in_uses_up_the_open_invite_of_its_address_once() {
    let scene = scene(json!({}), json!({ "fallback": { "sublicenses": ["main"] } })).await;
    scene.sign_in(&scene.app.browser(), "nora").await.expect(303);
    let (id, _) = invite(&scene, "nora@acme.example").await;
    let browser = scene.app.browser();
    let landed = scene.sign_in(&browser, "nora").await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Sales Academy: open for you now"), "{}", home.text());
    assert_eq!(status(&scene, &id).await, "accepted");
    let landed = scene.sign_in(&browser, "nora").await.expect(303);
    assert_eq!(landed.location().query(), None, "there is nothing more to tell");
    let grants: i64 = sqlx::query_scalar("select count(*) from access_grants where source = 'invite'")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert_eq!(grants, 1);
}
