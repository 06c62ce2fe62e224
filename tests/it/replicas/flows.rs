//! Each request of a flow at the other gateway.

use idp_fixtures::{oidc, people::Org};
use serde_json::json;

use super::{everything_holds, let_in, scene};
use crate::support::{
    App, Browser, Code, SamlScene, client,
    codes::{learners, redemptions},
    sign_in,
};

#[tokio::test(flavor = "multi_thread")]
async fn by_saml_everything_holds_whichever_gateway_is_asked() {
    everything_holds(&scene(App::with()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_openid_connect_the_callback_is_taken_once_whichever_gateway_is_asked() {
    let app = App::with().twin().start().await;
    let operator = app.operator().await;
    let op = oidc::OidcOp::start(oidc::Options { org: Org::globex(), ..oidc::Options::default() }).await.unwrap();
    op.register(oidc::Client::with_secret("usher-rp", "a-very-secret-secret"));
    client(&operator, "globex").await;
    let body = json!({
        "name": "Globex ID", "protocol": "oidc", "status": "active", "trusted_domains": ["globex.example"],
        "oidc": { "issuer": op.issuer(), "client_id": "usher-rp", "client_secret": "a-very-secret-secret" },
    });
    let made = operator.post("/api/v1/clients/globex/connections", body).await.ok();
    let start = app.url(&format!("/globex/login/{}", made["id"].as_str().unwrap()));
    let browser = app.browser();
    let callback = op.sign_in(browser.open(&start).await.location().as_str(), "grace").unwrap();
    assert_eq!(browser.open(callback.url()).await.expect(303).location().path(), "/globex/dashboard");
    browser.open(callback.url()).await.expect(400);
    for _ in 0..2 {
        browser.open(app.url("/globex/dashboard")).await.expect(200);
    }
    assert_eq!(learners(&app.db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_posted_to_both_at_once_lets_in_once() {
    let scene = scene(App::with()).await;
    let browser = scene.app.browser();
    for _ in 0..5 {
        let form = scene.to_idp(&browser, "ada").await;
        let relay_state = form.relay_state.clone().unwrap();
        let fields = [("SAMLResponse", form.saml_response.as_str()), ("RelayState", &relay_state), ("reposted", "yes")];
        let origin = scene.app.origin();
        let pages =
            futures_util::future::join_all((0..4).map(|_| browser.post_from(origin, &form.action, &fields))).await;
        let mut answers: Vec<u16> = pages.iter().map(|page| page.status.as_u16()).collect();
        answers.sort_unstable();
        assert_eq!(answers, [303, 400, 400, 400]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_gateways_count_the_sign_ins_of_an_address_together() {
    let limit = |raw: &mut usher::config::Raw| raw.limits.sign_in_per_address = "5/1h".into();
    let scene = scene(App::with().settings(limit)).await;
    let browser = scene.app.browser();
    for _ in 0..5 {
        browser.open(scene.start_url()).await.expect(303);
    }
    for _ in 0..2 {
        browser.open(scene.start_url()).await.expect(429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_redeemed_once_and_wrong_ones_slow_whichever_gateway_is_asked() {
    let limit = |raw: &mut usher::config::Raw| raw.limits.code_failures_per_learner = "4/1h".into();
    let app = App::with().settings(limit).twin().start().await;
    client(&app.operator().await, "acme").await;
    Code::redemption("SPRING-2027", &["main"]).make(&app, "acme").await;
    let (first, second) =
        (sign_in(&app, "acme", "zoe@acme.example").await.0, sign_in(&app, "acme", "eve@acme.example").await.0);
    let send = async |browser: &Browser, code: &str| {
        let page = browser.open(app.url("/acme/redeem")).await;
        browser.submit(&page.form_with("codes").fill("codes", code)).await
    };
    let (one, other) = tokio::join!(send(&first, "SPRING-2027"), send(&second, "SPRING-2027"));
    let mut answers = [one.status.as_u16(), other.status.as_u16()];
    answers.sort_unstable();
    assert_eq!((answers, redemptions(&app.db).await), ([303, 422], 1));
    for number in 0..5 {
        send(&second, &format!("GUESS-{number:04}")).await;
    }
    for _ in 0..2 {
        send(&second, "GUESS-9999").await.expect(429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_connection_is_known_at_both_before_the_next_sign_in() {
    let scene = scene(App::with()).await;
    for _ in 0..2 {
        let_in(scene.sign_in(&scene.app.browser(), "ada").await);
    }
    let mapping = format!("/api/v1/clients/acme/connections/{}/mapping", scene.connection);
    let rules = json!({
        "profile": { "email": "email", "first_name": "firstName", "last_name": "lastName" },
        "require": [{ "that": { "claim": "groups", "contains": "nobody" }, "else": "Ask your desk." }],
        "fallback": { "sublicenses": ["main"] },
    });
    scene.operator.put(&mapping, rules).await.ok();
    for _ in 0..2 {
        let page = scene.sign_in(&scene.app.browser(), "ada").await.expect(403);
        assert!(page.says("Ask your desk."), "{}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_takes_nothing_with_it() {
    let scene = SamlScene::start().await;
    let other = scene.app.replica();
    let browser = Browser::new().via(&other);
    let form = scene.to_idp(&browser, "ada").await;
    let (signed_in, _) = sign_in(&other, "acme", "zoe@acme.example").await;
    other.stop().await;
    let (browser, signed_in) = (browser.via(&scene.app), signed_in.via(&scene.app));
    let_in(scene.post_back(&browser, &form).await);
    signed_in.open(scene.app.url("/acme/dashboard")).await.expect(200);
}
