//! The learner signs out here, and the identity provider is asked to do the same: what it is asked, what it may answer, and
//! what the learner reads.

use chrono::TimeDelta;
use idp_fixtures::saml::{self, LogoutBuilder, PARTIAL_LOGOUT, RESPONDER, ReceivedLogout, SUCCESS, Slo, Status};
use serde_json::json;

use super::{deliver, events, from_idp::to_the_end, is_in, signed_in};
use crate::support::{App, Browser, Page, SamlScene};

/// The button on the dashboard.
pub async fn sign_out(scene: &SamlScene, browser: &Browser) -> Page {
    let dashboard = browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    let form = dashboard.forms().into_iter().find(|form| form.action.ends_with("/logout")).unwrap();
    browser.submit(&form).await
}

async fn scene_by(binding: &str) -> SamlScene {
    let slo = Slo { redirect: binding == "redirect", post: binding == "post", ..Slo::default() };
    let options = saml::Options { behaviour: saml::Behaviour { slo, ..Default::default() }, ..Default::default() };
    SamlScene::with_idp(App::start().await, options, json!({}), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_asks_the_idp_by_a_binding_that_it_offers_and_says_that_all_is_over() {
    for binding in ["redirect", "post"] {
        let scene = scene_by(binding).await;
        let (browser, participant) = signed_in(&scene, "ada").await;
        let page = sign_out(&scene, &browser).await;
        assert_eq!(page.status.is_redirection(), binding == "redirect");
        let page = to_the_end(&browser, page).await.expect(200);
        assert!(page.says("You are signed out everywhere"), "{}", page.text());
        assert_eq!(page.url.path(), "/acme/logout");
        assert!(!is_in(&scene, &browser, "acme").await);
        // The fixture has verified the signature with the key in our metadata before it took the request.
        let asked = scene.idp.logouts().pop().unwrap();
        let (value, format, ..) = asked.name_id.unwrap();
        assert_eq!((value.as_str(), format.as_deref()), ("ada@acme.example", Some(saml::EMAIL_FORMAT)));
        assert_eq!(asked.session_indexes, [participant.session_index]);
        assert_eq!(asked.destination, Some(format!("{}/slo", scene.idp.base_url())));
        assert!(scene.idp.participants().is_empty(), "the session at the identity provider is over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_that_went_only_half_way_is_told_plainly() {
    let status = |code: &str, sub: Option<&str>| {
        Some(Status { code: code.to_owned(), sub_code: sub.map(str::to_owned), message: None })
    };
    let scene = SamlScene::start().await;
    for (said, words) in [
        (status(SUCCESS, Some(PARTIAL_LOGOUT)), "not everywhere"),
        (status(RESPONDER, Some(PARTIAL_LOGOUT)), "not everywhere"),
        (status(RESPONDER, None), "did not say that it signed you out"),
    ] {
        scene.idp.behave(|behaviour| behaviour.slo.status = said);
        let (browser, _) = signed_in(&scene, "ada").await;
        let page = sign_out(&scene, &browser).await;
        let page = to_the_end(&browser, page).await.expect(200);
        assert!(page.says(words), "{}", page.text());
        assert!(!is_in(&scene, &browser, "acme").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_is_local_where_the_idp_offers_none() {
    let slo = Slo { redirect: false, post: false, ..Slo::default() };
    let options = saml::Options { behaviour: saml::Behaviour { slo, ..Default::default() }, ..Default::default() };
    let scene = SamlScene::with_idp(App::start().await, options, json!({}), json!({})).await;
    let (browser, _) = signed_in(&scene, "ada").await;
    let page = sign_out(&scene, &browser).await.expect(303);
    let page = browser.follow(&page).await.expect(200);
    assert!(page.says("You are signed out here") && page.says("sign out at your organisation"), "{}", page.text());
    assert!(!is_in(&scene, &browser, "acme").await && scene.idp.logouts().is_empty());
}

/// A logout that is out at the identity provider, and the genuine answer to it.
async fn awaited(scene: &SamlScene) -> (Browser, LogoutBuilder) {
    let (browser, _) = signed_in(scene, "ada").await;
    let location = sign_out(scene, &browser).await.location();
    let asked = ReceivedLogout::from_query(location.query().unwrap()).unwrap();
    let now = scene.app.clock.now();
    let answer = LogoutBuilder::response(scene.idp.entity_id(), &scene.slo_url(), &asked.id, &scene.idp.key(), now);
    (browser, answer.with(|one| one.relay_state = asked.relay_state))
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_answers_that_are_not_to_be_believed_change_nothing_of_what_is_told() {
    let scene = SamlScene::start().await;
    type Bend = fn(&mut LogoutBuilder);
    let bends: [(&str, Bend); 5] = [
        ("logout.saml.unsigned", |one| one.signing = None),
        ("logout.saml.issuer", |one| one.issuer = Some("https://evil.example".into())),
        ("logout.saml.destination", |one| one.destination = None),
        ("logout.saml.expired", |one| one.issue_instant -= TimeDelta::hours(1)),
        ("logout.saml.not_awaited", |one| one.relay_state = Some("x".repeat(43))),
    ];
    for (reason, bend) in bends {
        for by_post in [false, true] {
            let (browser, genuine) = awaited(&scene).await;
            deliver(&scene, &genuine.clone().with(bend), by_post).await.expect(400);
            assert_eq!(events(&scene, "logout.refused").await[0]["reason"], reason);
            let told = browser.open(scene.app.url("/acme/logout")).await.expect(200);
            assert!(told.says("did not say that it signed you out"), "{}", told.text());
            // The genuine answer is still taken.
            deliver(&scene, &genuine, by_post).await.expect(303);
            let told = browser.open(scene.app.url("/acme/logout")).await.expect(200);
            assert!(told.says("You are signed out everywhere"), "{}", told.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_answers_are_taken_once_and_for_their_own_request_alone() {
    let scene = SamlScene::start().await;
    let (_, genuine) = awaited(&scene).await;
    deliver(&scene, &genuine, false).await.expect(303);
    let page = deliver(&scene, &genuine, false).await.expect(400);
    assert!(page.says("This sign-out is over"), "{}", page.text());
    let (browser, genuine) = awaited(&scene).await;
    let other = genuine.with(|one| one.in_response_to = Some("_another".to_owned()));
    deliver(&scene, &other, false).await.expect(400);
    assert_eq!(events(&scene, "logout.refused").await[0]["reason"], "logout.saml.in_response_to");
    let told = browser.open(scene.app.url("/acme/logout")).await.expect(200);
    assert!(told.says("did not say that it signed you out"), "{}", told.text());
}
