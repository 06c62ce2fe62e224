//! A client that wants addresses confirmed first: codes wait for the proof, take no seat meanwhile, and whoever an
//! identity provider vouches for waits for nothing.

use serde_json::json;
use usher::http::text;

use super::{NEW, OLD, Scene};
use crate::support::{Browser, Code, Page, codes::redemptions};

const ZOE: &str = "zoe@new.example";

/// `acme` has one seat, and a code for Sales.
async fn scene(verify_email_first: bool) -> Scene {
    let scene = Scene::start().await;
    scene.patch("acme", json!({ "verify_email_first": verify_email_first, "seat_limit": 1 })).await;
    scene
        .operator
        .post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" }))
        .await
        .ok();
    Code::registration("SPRING-2027", &["sales"]).make(&scene.app, "acme").await;
    scene
}

/// Signs up by the code's link; the dashboard.
async fn sign_up(scene: &Scene, browser: &Browser) -> Page {
    let page = browser.visit(scene.app.url("/acme/SPRING-2027")).await.expect(200);
    let form = page.form_with("password").fill("first_name", "Zoë").fill("last_name", "Müller");
    let landed = browser.submit(&form.fill("email", ZOE).fill("password", OLD)).await.expect(303);
    browser.follow(&landed).await.expect(200)
}

async fn seats_used(scene: &Scene) -> i64 {
    scene.operator.get("/api/v1/clients/acme").await.ok()["seats_used"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_waits_for_the_proof_of_the_address_and_is_redeemed_by_it() {
    let scene = scene(true).await;
    let home = sign_up(&scene, &scene.app.browser()).await;
    assert!(home.says(text::accounts::own::NOT_CONFIRMED_FIRST), "{}", home.text());
    assert!(!home.says("Sales Academy"), "{}", home.text());
    assert_eq!((redemptions(&scene.app.db).await, seats_used(&scene).await), (0, 0));
    let link = scene.link(ZOE, "confirm_email").await;
    let browser = scene.app.browser();
    let landed = scene.use_link(&browser, &link, NEW).await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Sales Academy") && !home.says(text::accounts::own::NOT_CONFIRMED_FIRST), "{}", home.text());
    assert_eq!((redemptions(&scene.app.db).await, seats_used(&scene).await), (1, 1));
    assert_eq!(scene.count("select count(*) from waiting_codes").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_ask_for_it_opens_the_code_at_once() {
    let scene = scene(false).await;
    let home = sign_up(&scene, &scene.app.browser()).await;
    assert!(home.says("Sales Academy"), "{}", home.text());
    assert!(!home.says(text::accounts::own::NOT_CONFIRMED_FIRST), "{}", home.text());
    assert_eq!((redemptions(&scene.app.db).await, seats_used(&scene).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_later_waits_as_well_and_is_told_to() {
    let scene = scene(true).await;
    scene.sign_up("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let page = browser.visit(scene.app.url("/acme/SPRING-2027")).await.expect(200);
    let landed = browser.submit(&page.form_with("codes")).await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Confirm your email address") && !home.says("Sales Academy"), "{}", home.text());
    assert_eq!(redemptions(&scene.app.db).await, 0);
    assert_eq!(scene.count("select count(*) from waiting_codes").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proved_address_waits_for_nothing() {
    let scene = scene(true).await;
    scene.account("acme", ZOE, OLD).await;
    let browser = scene.signed_in("acme", ZOE, OLD).await;
    let page = browser.visit(scene.app.url("/acme/SPRING-2027")).await.expect(200);
    let landed = browser.submit(&page.form_with("codes")).await.expect(303);
    let home = browser.follow(&landed).await.expect(200);
    assert!(home.says("Sales Academy"), "{}", home.text());
    assert_eq!(redemptions(&scene.app.db).await, 1);
}
