//! Whole SAML sign-ins over HTTP: from the start URL to the dashboard, and what refuses them.

use idp_fixtures::sign::{DataEncryption, KeyTransport};
use serde_json::json;

use crate::support::{App, SamlScene};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sign_in_creates_the_learner_with_the_access_that_the_groups_give() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    let page = scene.sign_in(&browser, "ada").await.expect(303);
    assert_eq!(page.location().path(), "/acme/dashboard");
    let learner = scene.learner("ada@acme.example").await;
    assert_eq!((learner["first_name"].as_str(), learner["last_name"].as_str()), (Some("Ada"), Some("Lovelace")));
    assert_eq!(learner["email_verified"], json!(true));
    let attempt = scene.last_attempt().await;
    assert_eq!(attempt["outcome"], "succeeded", "{attempt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_learner_is_the_same_learner() {
    let scene = SamlScene::start().await;
    for _ in 0..3 {
        scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    }
    assert_eq!(scene.learners().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_taken_only_by_the_browser_that_began() {
    let scene = SamlScene::start().await;
    let (mine, theirs) = (scene.app.browser(), scene.app.browser());
    let form = scene.to_idp(&mine, "ada").await;
    scene.to_idp(&theirs, "ada").await;
    // Login CSRF: somebody else's fresh response in my browser (security 14).
    let page = scene.post_back(&theirs, &form).await.expect(400);
    assert!(page.says("no longer good"), "{}", page.text());
    assert_eq!(scene.learners().await, 0);
    scene.post_back(&mine, &form).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_response_opens_one_session_only() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    let form = scene.to_idp(&browser, "ada").await;
    scene.post_back(&browser, &form).await.expect(303);
    scene.post_back(&browser, &form).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_sign_ins_of_one_person_at_once_end_in_one_learner() {
    let scene = SamlScene::start().await;
    let mut forms = Vec::new();
    for _ in 0..8 {
        let browser = scene.app.browser();
        let form = scene.to_idp(&browser, "ada").await;
        forms.push((browser, form));
    }
    let done = futures_util::future::join_all(forms.iter().map(|(browser, form)| scene.post_back(browser, form))).await;
    for page in done {
        page.expect(303);
    }
    assert_eq!(scene.learners().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_disabled_while_the_learner_was_away_is_refused() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    let form = scene.to_idp(&browser, "ada").await;
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    scene.post_back(&browser, &form).await.expect(403);
    browser.open(scene.start_url()).await.expect(403);
    assert_eq!(scene.learners().await, 0);
    assert_eq!(scene.last_attempt().await["code"], "login.connection.closed");
}

/// The attempt that the reference on a page leads to.
async fn found_by_reference(scene: &SamlScene, page: &crate::support::Page) -> serde_json::Value {
    let path = format!("/api/v1/clients/acme/attempts?reference={}", page.reference());
    let list = scene.operator.get(&path).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    list["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_refused_at_its_start_is_found_by_the_reference_on_its_page() {
    let scene = SamlScene::start().await;
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    let page = scene.app.browser().open(scene.start_url()).await.expect(403);
    assert!(page.says(&page.reference()), "{}", page.text());
    assert_eq!(found_by_reference(&scene, &page).await["code"], "login.connection.closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_readable_response_is_found_by_the_reference_on_its_page() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    scene.to_idp(&browser, "ada").await;
    let origin = scene.app.origin().to_owned();
    for (fields, code) in
        [(vec![("RelayState", "x")], "login.malformed"), (vec![("SAMLResponse", "no base64!")], "login.saml.base64")]
    {
        let page = browser.post_from(&origin, scene.acs_url(), &fields).await.expect(403);
        assert_eq!(found_by_reference(&scene, &page).await["code"], code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_yields_nothing_lets_nobody_in_and_leaves_nothing() {
    let scene = SamlScene::with(App::start().await, json!({}), json!({ "fallback": null })).await;
    let page = scene.sign_in(&scene.app.browser(), "nora").await.expect(403);
    let attempt = scene.last_attempt().await;
    assert_eq!(
        (attempt["code"].as_str(), attempt["fix_side"].as_str()),
        (Some("mapping.nothing_granted"), Some("mapping"))
    );
    assert_eq!(attempt["reference"], page.reference());
    assert_eq!(scene.learners().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_travels_by_redirect_and_by_post_and_the_idp_verifies_it() {
    for binding in ["redirect", "post"] {
        let settings = json!({ "saml": { "sign_requests": true, "binding": binding, "force_authn": true } });
        let scene = SamlScene::with(App::start().await, settings, json!({})).await;
        scene.idp.behave(|behaviour| behaviour.require_signed_requests = true);
        let browser = scene.app.browser();
        let start = browser.open(scene.start_url()).await;
        let login = match binding {
            "redirect" => browser.follow_all(start).await,
            _ => browser.submit(&start.form_with("SAMLRequest")).await,
        }
        .expect(200);
        let mut form = login.form_with("username");
        form.fields.retain(|field| field.0 != "username");
        form.fields.push(("username".into(), "ada".into()));
        let answer = browser.submit(&form).await;
        let answer = browser.follow_all(answer).await.expect(200);
        let again = browser.submit(&answer.form_with("SAMLResponse")).await.expect(200);
        browser.submit(&again.form_with("reposted")).await.expect(303);
        assert_eq!(scene.learners().await, 1, "{binding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_assertion_is_opened_with_the_connections_own_key() {
    let scene = SamlScene::start().await;
    for data in [DataEncryption::Aes256Gcm, DataEncryption::Aes128Gcm] {
        scene.idp.behave(|behaviour| behaviour.encrypt = Some((data, KeyTransport::OaepMgf1p)));
        scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    }
    // CBC without an outer signature is an oracle: only by the connection's flag.
    scene.idp.behave(|behaviour| behaviour.encrypt = Some((DataEncryption::Aes256Cbc, KeyTransport::OaepMgf1p)));
    scene.sign_in(&scene.app.browser(), "ada").await.expect(403);
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "saml": { "allow_cbc_unsigned_response": true } })).await.ok();
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_idp_is_read_when_it_is_met() {
    let scene = SamlScene::start().await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    scene.idp.replace_key(idp_fixtures::sign::shared(idp_fixtures::sign::KeyKind::P256, "rolled over").unwrap());
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    assert_eq!(scene.learners().await, 1);
}
