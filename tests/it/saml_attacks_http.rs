//! The catalogue of attacks on SAML responses once more, through the front door: a sign-in is begun by a browser, the attack
//! answers it in the very browser, and there is no session, no learner and one attempt with the reason.

use futures_util::{StreamExt, future, stream};
use idp_fixtures::{
    attacks::{Attack, Scene, Sent, saml_attacks},
    clock::now,
    saml::{AuthnRequest, Options, PostForm, SamlIdp, request::SpMetadata},
    sign::{KeyKind, shared},
};
use serde_json::json;

use crate::{
    saml_attacks::codes,
    support::{App, Browser, Page, SamlScene},
};

/// What is larger is refused unread: only that much is recorded.
const RECORDED_UP_TO: usize = 350_000;

/// What is larger than this is not even read; its sender may find the line cut.
const BODY_LIMIT: usize = 1_000_000;

/// Whether a form of this size is, against the rule, answered as if it had been read.
async fn refused_unread(gate: &SamlScene, value: String) -> bool {
    let body = format!("SAMLResponse={value}").replace('+', "%2B");
    let sent = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = gate.app.url(&format!("/saml/{}/acs", gate.connection));
    let answer = sent.post(url).header("content-type", "application/x-www-form-urlencoded").body(body).send().await;
    answer.is_ok_and(|answer| answer.status() != 413)
}

/// The SP's certificate, from its own metadata.
async fn recipient(gate: &SamlScene) -> openssl::x509::X509 {
    let metadata = gate.app.browser().open(gate.entity_id()).await.expect(200).html;
    SpMetadata::parse(&metadata).unwrap().encryption.swap_remove(0)
}

/// Begins a sign-in, and what an IdP would need to answer it.
async fn begin(gate: &SamlScene, browser: &Browser, recipient: &openssl::x509::X509) -> (Scene, AuthnRequest) {
    let location = browser.open(gate.start_url()).await.location();
    let request = AuthnRequest::from_query(location.query().unwrap()).unwrap();
    let foreign = shared(KeyKind::Rsa2048, "idp.other.example").unwrap();
    let (entity_id, acs_url) = (gate.entity_id(), gate.acs_url());
    let parties = (gate.idp.entity_id(), entity_id.as_str(), acs_url.as_str());
    let scene = Scene::new(parties, &request.id, (&gate.idp.key(), &foreign), now());
    (scene.encrypting_for(recipient.clone()), request)
}

async fn answer(gate: &SamlScene, browser: &Browser, request: &AuthnRequest, value: String) -> Page {
    let form = PostForm { action: gate.acs_url(), saml_response: value, relay_state: request.relay_state.clone() };
    gate.post_back(browser, &form).await
}

/// The codes of the attempts that the page's reference leads to.
async fn recorded(gate: &SamlScene, page: &Page) -> Vec<String> {
    let list = gate.operator.get(&format!("/api/v1/clients/acme/attempts?reference={}", page.reference())).await.ok();
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["code"].as_str().unwrap_or("none").to_owned()).collect()
}

/// Tries one attack; what is wrong with how the gateway took it.
async fn tried(gate: &SamlScene, attack: &Attack, recipient: &openssl::x509::X509) -> Option<String> {
    let browser = gate.app.browser();
    let (scene, request) = begin(gate, &browser, recipient).await;
    let value = attack.attack(&scene).unwrap().form_value();
    if value.len() > BODY_LIMIT {
        return refused_unread(gate, value).await.then(|| format!("{}: read to its end", attack.name));
    }
    let expected: &[&str] = if value.len() < RECORDED_UP_TO { codes(attack.breaks) } else { &["login.saml.document"] };
    let page = answer(gate, &browser, &request, value).await;
    if page.status.is_redirection() || page.status.is_server_error() {
        return Some(format!("{}: answered {}", attack.name, page.status));
    }
    if browser.cookies().iter().any(|cookie| cookie.name.contains("usher_cli")) {
        return Some(format!("{}: a session began", attack.name));
    }
    let found = recorded(gate, &page).await;
    if found != expected {
        return Some(format!("{}: recorded as {found:?} in place of {expected:?}", attack.name));
    }
    // The public answer has no detail of the check, and never what the document says.
    if page.says("mallory") || page.says("ada@acme.example") || page.says("login.saml") {
        return Some(format!("{}: the page tells too much: {}", attack.name, page.text()));
    }
    None
}

#[tokio::test]
async fn saml_attacks_over_http_begin_no_session_make_no_learner_and_leave_one_attempt_each() {
    // Normally the records of refusals are thinned out, so that a flood fills no disk.
    let app = App::with().settings(|raw| raw.limits.refused_records_per_connection = "100000/1m".into()).start().await;
    let gate = SamlScene::with(app, json!({}), json!({})).await;
    let (gate, recipient) = (&gate, &recipient(&gate).await);
    let attacks = saml_attacks();
    let tries = attacks.iter().map(|attack| tried(gate, attack, recipient));
    let wrong: Vec<String> = stream::iter(tries).buffer_unordered(4).filter_map(future::ready).collect().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(gate.learners().await, 0);
}

#[tokio::test]
async fn saml_attacks_over_http_have_twins_that_let_their_person_in() {
    let gate = SamlScene::start().await;
    let recipient = recipient(&gate).await;
    for (number, attack) in saml_attacks().into_iter().enumerate().step_by(9) {
        let browser = gate.app.browser();
        let (mut scene, request) = begin(&gate, &browser, &recipient).await;
        // Everybody comes for the first time: some twins give the same person another NameID.
        scene.attacker = format!("mallory{number}@acme.example");
        let twin = Sent::from(attack.twin(&scene).unwrap());
        let page = answer(&gate, &browser, &request, twin.form_value()).await;
        assert_eq!(page.status, 303, "the twin of {}: {}", attack.name, page.text());
    }
}

#[tokio::test]
async fn saml_attacks_by_replay_are_refused_in_the_same_browser_in_another_and_on_another_replica() {
    let gate = SamlScene::start().await;
    let recipient = recipient(&gate).await;
    let browser = gate.app.browser();
    let (scene, request) = begin(&gate, &browser, &recipient).await;
    let value = Sent::from(scene.genuine().build().unwrap().xml).form_value();
    assert_eq!(answer(&gate, &browser, &request, value.clone()).await.status, 303);

    let replica = gate.app.replica();
    let elsewhere = [gate.app.browser(), replica.browser(), browser];
    for browser in elsewhere {
        browser.open(gate.start_url()).await;
        browser.set_cookie("localhost", "harmless", "1");
        let page = answer(&gate, &browser, &request, value.clone()).await;
        assert!(!page.status.is_redirection(), "{}", page.text());
    }
    assert_eq!(gate.learners().await, 1);
}

#[tokio::test]
async fn saml_attacks_by_a_race_of_the_same_response_let_in_once() {
    let gate = SamlScene::start().await;
    let recipient = recipient(&gate).await;
    let browser = gate.app.browser();
    let (scene, request) = begin(&gate, &browser, &recipient).await;
    let value = Sent::from(scene.genuine().build().unwrap().xml).form_value();
    let tries = (0..8).map(|_| answer(&gate, &browser, &request, value.clone()));
    let pages = future::join_all(tries).await;
    let let_in = pages.iter().filter(|page| page.status == 303).count();
    assert_eq!(let_in, 1, "{:?}", pages.iter().map(|page| page.status).collect::<Vec<_>>());
    assert_eq!(gate.learners().await, 1);
}

#[tokio::test]
async fn saml_attacks_by_somebody_elses_fresh_response_sign_nobody_in() {
    let gate = SamlScene::start().await;
    let recipient = recipient(&gate).await;
    // Login CSRF: the attacker begins, and the victim's browser is made to post the answer.
    let (attacker, victim) = (gate.app.browser(), gate.app.browser());
    let (scene, request) = begin(&gate, &attacker, &recipient).await;
    let value = Sent::from(scene.genuine().build().unwrap().xml).form_value();
    let page = answer(&gate, &victim, &request, value.clone()).await;
    assert!(!page.status.is_redirection(), "{}", page.text());
    begin(&gate, &victim, &recipient).await;
    let page = answer(&gate, &victim, &request, value.clone()).await;
    assert!(!page.status.is_redirection(), "{}", page.text());
    // The twin: the browser that began.
    assert_eq!(answer(&gate, &attacker, &request, value).await.status, 303);
}

#[tokio::test]
async fn saml_attacks_by_another_customers_identity_provider_are_refused() {
    let gate = SamlScene::start().await;
    let recipient = recipient(&gate).await;
    let key = shared(KeyKind::Rsa2048, "idp.other.example").unwrap();
    let other = SamlIdp::start(Options { key: Some(key), ..Options::default() }).await.unwrap();
    // It answers our request and signs well, under its own name or even under that of our IdP.
    for (issuer, code) in [(other.entity_id(), "login.saml.signature"), (gate.idp.entity_id(), "login.saml.signature")]
    {
        let browser = gate.app.browser();
        let (_, request) = begin(&gate, &browser, &recipient).await;
        let forged = other.response(&gate.entity_id(), &gate.acs_url(), &request.id).with(|response| {
            response.response_issuer = Some(issuer.into());
            response.assertion_issuer = Some(issuer.into());
        });
        let page = answer(&gate, &browser, &request, forged.build().unwrap().base64).await;
        assert!(!page.status.is_redirection(), "{issuer}");
        assert_eq!(gate.last_attempt().await["code"], code);
    }
    assert_eq!(gate.learners().await, 0);
    let browser = gate.app.browser();
    let (_, request) = begin(&gate, &browser, &recipient).await;
    let genuine = gate.idp.response(&gate.entity_id(), &gate.acs_url(), &request.id).build().unwrap().base64;
    assert_eq!(answer(&gate, &browser, &request, genuine).await.status, 303);
}
