//! Invites and single sign-on: carried along, met on the way, and never taken by somebody else.

use serde_json::{Value, json};
use usher::invites;

use super::{INVITES, PASSWORD, Scene};
use crate::support::{App, Browser, Page, SamlScene};

/// A client whose connection owns `acme.example`, makes no learners and lets in only those in the group `sales`.
async fn start() -> (SamlScene, Scene) {
    let app = App::with().clock_at(chrono::Utc::now()).start().await;
    let closed = json!({ "jit": { "create": false }, "domains": ["acme.example"] });
    let saml = SamlScene::with(app, closed, json!({ "fallback": null })).await;
    let scene =
        Scene { app: saml.app.replica(), operator: saml.operator.clone(), client: saml.client.parse().unwrap() };
    (saml, scene)
}

async fn invite(scene: &Scene, email: &str, sublicense: &str) -> Value {
    scene.operator.post(INVITES, json!({ "email": email, "sublicenses": [sublicense] })).await.ok()
}

/// Opens the link, goes to the identity provider with it, and signs in there as `who`.
async fn accept_as(saml: &SamlScene, scene: &Scene, browser: &Browser, invite: &Value, who: &str) -> Page {
    let page = browser.open(scene.link(invite).await).await.expect(200);
    let leave = browser.submit(&page.form_with("invite")).await.expect(303);
    let form = saml.idp.sign_in(leave.location().as_str(), who).await.unwrap();
    saml.post_back(browser, &form).await
}

#[tokio::test]
async fn an_address_of_the_clients_provider_accepts_there_even_where_nobody_is_let_in_otherwise() {
    let (saml, scene) = start().await;
    scene.limit_seats(3).await;
    saml.sign_in(&saml.app.browser(), "nora").await.expect(403);
    let invite = invite(&scene, "nora@acme.example", "main").await;
    let browser = saml.app.browser();
    let page = browser.open(scene.link(&invite).await).await.expect(200);
    assert!(page.says("Your organisation signs you in") && page.forms().len() == 1, "{}", page.text());
    assert!(page.form().value("password").is_none());
    // A password is not taken, even from a form that the page does not show.
    let forged =
        page.form().fill("step", "password").fill("first_name", "N").fill("last_name", "N").fill("password", PASSWORD);
    let forged = crate::support::Form { action: format!("{}/accept", page.url.path()), ..forged };
    browser.submit(&forged).await.expect(409);
    let landed = accept_as(&saml, &scene, &browser, &invite, "nora").await.expect(303);
    assert_eq!(landed.location().path(), "/acme/dashboard");
    assert!(browser.follow(&landed).await.expect(200).says("nora@acme.example"));
    let learner = saml.learner("nora@acme.example").await;
    let after = scene.read(&invite).await;
    assert_eq!((&after["status"], &after["learner"]), (&json!("accepted"), &learner["id"]));
    assert_eq!((scene.seats().await, scene.events("invite.accepted").await), ((1, 0), 1));
}

#[tokio::test]
async fn somebody_else_at_the_provider_takes_nothing_and_reads_for_whom_it_is() {
    let (saml, scene) = start().await;
    let invite = invite(&scene, "zoe@acme.example", "main").await;
    let browser = saml.app.browser();
    let refused = accept_as(&saml, &scene, &browser, &invite, "nora").await.expect(403);
    assert!(refused.says("z•••@acme.example") && refused.says("n•••@acme.example"), "{}", refused.text());
    assert!(!refused.html.contains("zoe@acme.example"));
    assert_eq!((scene.status(&invite).await.as_str(), scene.events("invite.accepted").await), ("pending", 0));
    assert_eq!(saml.learners().await, 0, "who is refused leaves nothing behind");
}

#[tokio::test]
async fn a_sign_in_by_the_same_verified_address_uses_the_invite_up_once() {
    let (saml, scene) = start().await;
    scene
        .operator
        .patch(&format!("/api/v1/clients/acme/connections/{}", saml.connection), json!({ "jit": { "create": true } }))
        .await
        .ok();
    scene.limit_seats(3).await;
    // A new learner, whom the mapping lets in.
    let first = invite(&scene, "ada@acme.example", "main").await;
    saml.sign_in(&saml.app.browser(), "ada").await.expect(303);
    assert_eq!((scene.status(&first).await.as_str(), scene.seats().await), ("accepted", (1, 0)));
    // A returning one, with nothing else to change.
    let parts = "/api/v1/clients/acme/sublicenses";
    scene.operator.post(parts, json!({ "slug": "extra", "name": "Extra" })).await.ok();
    let second = invite(&scene, "Ada@ACME.example", "extra").await;
    saml.sign_in(&saml.app.browser(), "ada").await.expect(303);
    saml.sign_in(&saml.app.browser(), "ada").await.expect(303);
    assert_eq!((scene.status(&second).await.as_str(), scene.events("invite.accepted").await), ("accepted", 2));
    // Without trust in the domain the address proves nothing.
    let third = scene.operator.post(parts, json!({ "slug": "third", "name": "Third" })).await.ok();
    let third = invite(&scene, "ada@acme.example", third["slug"].as_str().unwrap()).await;
    sqlx::query("update learners set email_verified = false").execute(&scene.app.db).await.unwrap();
    scene.operator.delete("/api/v1/clients/acme/domains/acme.example/vouch").await.ok();
    saml.sign_in(&saml.app.browser(), "ada").await.expect(303);
    assert_eq!(scene.status(&third).await, "pending");
}

#[tokio::test]
async fn a_client_that_enforces_its_provider_sends_every_address_there() {
    let (saml, scene) = start().await;
    let invite = invite(&scene, "guest@elsewhere.example", "main").await;
    let page = saml.app.browser().open(scene.link(&invite).await).await.expect(200);
    assert!(page.says("Choose a password"));
    scene.operator.patch("/api/v1/clients/acme", json!({ "sso_required": true })).await.ok();
    let page = saml.app.browser().open(scene.link(&invite).await).await.expect(200);
    assert!(!page.says("Choose a password") && page.says("Continue with Acme SSO"), "{}", page.text());
    let action = page.form_with("invite").action;
    assert_eq!(action, format!("/acme/login/{}", saml.connection));
}

#[tokio::test]
async fn a_link_that_is_over_starts_no_sign_in() {
    let (saml, scene) = start().await;
    let invite = invite(&scene, "nora@acme.example", "main").await;
    let link = scene.link(&invite).await;
    let token = link.rsplit('/').next().unwrap().to_owned();
    let browser = saml.app.browser();
    let form = browser.open(&link).await.form_with("invite");
    scene.operator.post(&format!("{INVITES}/{}/revoke", super::id(&invite)), json!({})).await.ok();
    let answer = browser.submit(&form).await.expect(303);
    assert!(browser.follow(&answer).await.expect(410).says("taken back"));
    let mut conn = scene.app.acquire().await.unwrap();
    let now = scene.app.clock.now();
    assert_eq!(invites::find_open(&mut conn, scene.client, &token, now).await.unwrap(), None);
    assert_eq!(invites::find_open(&mut conn, scene.client, "x", now).await.unwrap(), None);
}
