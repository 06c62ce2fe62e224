//! The identity provider ends sessions: by both bindings, without our cookie, of that subject and session alone, on every
//! replica and at every application.

use idp_fixtures::{
    saml::{self, LogoutBuilder, NameId, QueryStyle, REQUESTER, RESPONDER, SUCCESS, Slo, TRANSIENT_FORMAT},
    vendor::Vendor,
};
use serde_json::json;

use super::{answer, deliver, done, events, is_in, signed_in};
use crate::support::{App, Browser, Page, SamlScene, client};

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_by_the_idp_ends_the_session_without_our_cookie_by_both_bindings() {
    let scene = SamlScene::start().await;
    for by_post in [false, true] {
        let (browser, participant) = signed_in(&scene, "ada").await;
        let message = scene.idp.logout_request(&participant).await.unwrap().with(|one| {
            one.relay_state = Some("a b/c+d=é".to_owned());
        });
        let page = deliver(&scene, &message, by_post).await;
        let (answer, url) = answer(&scene, &page).await;
        assert_eq!(url, format!("{}/slo", scene.idp.base_url()));
        assert_eq!(page.status.is_redirection(), !by_post);
        assert_eq!(answer.status, [SUCCESS]);
        assert_eq!(answer.in_response_to.as_deref(), Some(message.id.as_str()));
        assert_eq!(answer.relay_state.as_deref(), Some("a b/c+d=é"));
        assert!(!is_in(&scene, &browser, "acme").await, "by POST: {by_post}");
    }
    assert_eq!(events(&scene, "session.ended").await.len(), 2);
    assert!(events(&scene, "logout.refused").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_with_a_session_index_ends_that_session_alone_and_without_one_all_of_the_subject() {
    let scene = SamlScene::start().await;
    let (one, first) = signed_in(&scene, "ada").await;
    let (two, _) = signed_in(&scene, "ada").await;
    let (three, _) = signed_in(&scene, "ada").await;
    let (other, _) = signed_in(&scene, "grace").await;
    done(&scene, &scene.idp.logout_request(&first).await.unwrap(), false).await;
    assert!(
        !is_in(&scene, &one, "acme").await && is_in(&scene, &two, "acme").await && is_in(&scene, &three, "acme").await
    );
    let all = scene.idp.logout_request(&first).await.unwrap().with(|one| one.session_indexes.clear());
    done(&scene, &all, true).await;
    assert!(!is_in(&scene, &two, "acme").await && !is_in(&scene, &three, "acme").await);
    assert!(is_in(&scene, &other, "acme").await, "another person stays");
    // What is over already is no error: the identity provider cannot know.
    done(&scene, &scene.idp.logout_request(&first).await.unwrap(), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_of_another_users_session_ends_nothing_and_says_so() {
    let scene = SamlScene::start().await;
    let (hers, ada) = signed_in(&scene, "ada").await;
    let (theirs, grace) = signed_in(&scene, "grace").await;
    for by_post in [false, true] {
        // Ada's own session beside Grace's: not even hers ends.
        let message = scene.idp.logout_request(&ada).await.unwrap().with(|one| {
            one.session_indexes.push(grace.session_index.clone());
        });
        let page = deliver(&scene, &message, by_post).await;
        let (answer, _) = answer(&scene, &page).await;
        assert_eq!(answer.status, [REQUESTER, "urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal"]);
        assert!(is_in(&scene, &hers, "acme").await && is_in(&scene, &theirs, "acme").await);
    }
    let refused = events(&scene, "logout.refused").await;
    assert!(refused.iter().all(|event| event["reason"] == "logout.saml.unknown_principal") && refused.len() == 2);
    done(&scene, &scene.idp.logout_request(&ada).await.unwrap(), false).await;
    assert!(!is_in(&scene, &hers, "acme").await && is_in(&scene, &theirs, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_requests_are_good_once_on_every_replica() {
    let scene = SamlScene::start().await;
    let replica = scene.app.replica();
    let (browser, participant) = signed_in(&scene, "ada").await;
    let message = scene.idp.logout_request(&participant).await.unwrap().with(|one| one.session_indexes.clear());
    let at_replica = Browser::new().via(&replica);
    let url = format!("{}?{}", scene.slo_url(), message.query().unwrap());
    at_replica.open(&url).await.expect(303);
    assert!(!is_in(&scene, &browser, "acme").await, "ended on the other replica");
    let (browser, _) = signed_in(&scene, "ada").await;
    for by_post in [false, true] {
        let page = deliver(&scene, &message, by_post).await.expect(400);
        assert!(page.says("could not accept this sign-out") && page.says(&page.reference()), "{}", page.text());
    }
    assert!(is_in(&scene, &browser, "acme").await, "a replay ends nothing");
    assert_eq!(events(&scene, "logout.refused").await[0]["reason"], "logout.saml.replayed");
    let fresh = scene.idp.logout_request(&participant).await.unwrap().with(|one| one.session_indexes.clear());
    done(&scene, &fresh, false).await;
    assert!(!is_in(&scene, &browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_is_answered_where_the_idp_wants_answers() {
    let slo = Slo { redirect: false, other_address_for_answers: true, ..Slo::default() };
    let options = saml::Options { behaviour: saml::Behaviour { slo, ..Default::default() }, ..Default::default() };
    let scene = SamlScene::with_idp(App::start().await, options, json!({}), json!({})).await;
    let (browser, participant) = signed_in(&scene, "ada").await;
    // Asked by Redirect; answered by POST, because that is all it offers, and at the other address.
    let message = scene.idp.logout_request(&participant).await.unwrap();
    let page = deliver(&scene, &message, false).await.expect(200);
    let (_, url) = answer(&scene, &page).await;
    assert_eq!(url, format!("{}/slo/answers", scene.idp.base_url()));
    assert!(!is_in(&scene, &browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_by_an_idp_that_takes_no_answers_ends_on_a_page_of_ours() {
    let slo = Slo { redirect: false, post: false, ..Slo::default() };
    let options = saml::Options { behaviour: saml::Behaviour { slo, ..Default::default() }, ..Default::default() };
    let scene = SamlScene::with_idp(App::start().await, options, json!({}), json!({})).await;
    let (browser, participant) = signed_in(&scene, "ada").await;
    let page = deliver(&scene, &scene.idp.logout_request(&participant).await.unwrap(), false).await.expect(200);
    assert!(page.says("You are signed out here"), "{}", page.text());
    assert!(!is_in(&scene, &browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_names_the_name_id_where_an_attribute_is_the_subject() {
    let settings = json!({ "saml": { "subject_attribute": "email" } });
    let scene = SamlScene::with(App::start().await, settings, json!({})).await;
    scene.idp.behave(|behaviour| {
        behaviour.describe = Some(std::sync::Arc::new(|person| {
            let name_id = NameId::of(TRANSIENT_FORMAT, &idp_fixtures::xml::random_id());
            (name_id, vec![saml::Attribute::new("email", [person.email.as_str()])])
        }));
    });
    let (one, first) = signed_in(&scene, "ada").await;
    let (two, _) = signed_in(&scene, "ada").await;
    let message = scene.idp.logout_request(&first).await.unwrap().with(|one| one.session_indexes.clear());
    done(&scene, &message, false).await;
    assert!(!is_in(&scene, &one, "acme").await && is_in(&scene, &two, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_that_cannot_be_done_is_told_as_partial_and_the_chain_goes_on() {
    let app = App::with().flaky().start().await;
    let scene = SamlScene::with(app, json!({}), json!({})).await;
    let (browser, participant) = signed_in(&scene, "ada").await;
    let message = scene.idp.logout_request(&participant).await.unwrap();
    scene.app.redis().cut();
    let page = deliver(&scene, &message, false).await.expect(303);
    scene.app.redis().restore();
    let (answer, _) = answer(&scene, &page).await;
    assert_eq!(answer.status, [RESPONDER, saml::PARTIAL_LOGOUT]);
    assert!(is_in(&scene, &browser, "acme").await, "nothing was ended, and nobody was told that it was");
    done(&scene, &scene.idp.logout_request(&participant).await.unwrap(), false).await;
    assert!(!is_in(&scene, &browser, "acme").await);
}

/// Signs in through the identity provider's own pages, so that the browser has its session there too.
pub async fn through_the_pages(scene: &SamlScene, browser: &Browser, slug: &str, connection: &str) {
    let start = browser.open(scene.app.url(&format!("/{slug}/login/{connection}"))).await;
    let mut page = browser.follow_all(start).await.expect(200);
    if let Some(mut form) = page.forms().into_iter().find(|form| form.value("flow").is_some()) {
        form.fields.retain(|field| field.0 != "username");
        form.fields.push(("username".into(), "ada".into()));
        page = browser.submit(&form).await;
    }
    let page = browser.follow_all(page).await.expect(200);
    let again = browser.submit(&page.form_with("SAMLResponse")).await;
    if again.status == 200 {
        browser.submit(&again.form_with("reposted")).await.expect(303);
    }
    assert!(is_in(scene, browser, slug).await);
}

/// Carries what pages and redirects say until neither leads on.
pub async fn to_the_end(browser: &Browser, mut page: Page) -> Page {
    for _ in 0..20 {
        let form =
            page.forms().into_iter().find(|form| form.value("SAMLRequest").or(form.value("SAMLResponse")).is_some());
        page = match form {
            _ if page.status.is_redirection() => browser.follow(&page).await,
            Some(form) => browser.submit(&form).await,
            None => return page,
        };
    }
    panic!("the logout goes round in circles: {}", page.url)
}

/// A second client whose people sign in at the same identity provider; the connection.
async fn second_client(scene: &SamlScene) -> String {
    client(&scene.operator, "globex").await;
    let body = json!({
        "name": "Globex SSO", "protocol": "saml", "status": "active", "saml": { "metadata_url": scene.idp.metadata_url() },
    });
    let made = scene.operator.post("/api/v1/clients/globex/connections", body).await.ok();
    let id = made["id"].as_str().unwrap().to_owned();
    let rules = json!({ "profile": { "email": "email" }, "fallback": { "sublicenses": ["main"] } });
    scene.operator.put(&format!("/api/v1/clients/globex/connections/{id}/mapping"), rules).await.ok();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_at_the_idp_ends_the_sessions_at_both_clients() {
    let scene = SamlScene::start().await;
    let globex = second_client(&scene).await;
    for sends_by_post in [false, true] {
        scene.idp.behave(|behaviour| behaviour.slo.sends_by_post = sends_by_post);
        let browser = scene.app.browser();
        through_the_pages(&scene, &browser, "acme", &scene.connection).await;
        through_the_pages(&scene, &browser, "globex", &globex).await;
        let page = browser.open(format!("{}/logout", scene.idp.base_url())).await;
        let page = browser.submit(&page.form()).await;
        let page = to_the_end(&browser, page).await;
        assert!(page.says("Signed out everywhere"), "{}", page.text());
        assert!(!is_in(&scene, &browser, "acme").await && !is_in(&scene, &browser, "globex").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_works_in_every_vendors_manner_both_ways() {
    for vendor in Vendor::all().unwrap() {
        let Some(speech) = vendor.saml.clone() else { continue };
        let slo = speech.logout();
        if !slo.redirect && !slo.post {
            assert_eq!(vendor.name, "google");
            continue;
        }
        let by_post = slo.sends_by_post;
        let behaviour = saml::Behaviour {
            slo,
            describe: Some(std::sync::Arc::new(move |person| {
                (speech.describe(person).0, vec![saml::Attribute::new("email", [person.email.as_str()])])
            })),
            ..Default::default()
        };
        let options = saml::Options { behaviour, ..Default::default() };
        let settings = json!({ "saml": { "subject_attribute": "email" } });
        let scene = SamlScene::with_idp(App::start().await, options, settings, json!({})).await;
        let (browser, participant) = signed_in(&scene, "ada").await;
        let message = scene.idp.logout_request(&participant).await.unwrap().with(|one| {
            one.relay_state = Some("https://idp.example/after?x=y".to_owned());
        });
        done(&scene, &message, by_post).await;
        assert!(!is_in(&scene, &browser, "acme").await, "{}", vendor.name);
        let (browser, _) = signed_in(&scene, "ada").await;
        let page = super::to_idp::sign_out(&scene, &browser).await;
        let page = to_the_end(&browser, page).await;
        assert!(page.says("You are signed out everywhere"), "{}: {}", vendor.name, page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_by_a_key_that_the_connection_no_longer_has_is_refused_on_a_warm_replica() {
    let scene = SamlScene::start().await;
    let replica = scene.app.replica();
    let (browser, participant) = signed_in(&scene, "ada").await;
    let old_key = scene.idp.key();
    let at_replica = Browser::new().via(&replica);
    // The replica has met the connection, with the old key.
    let unknown =
        LogoutBuilder::response(scene.idp.entity_id(), &scene.slo_url(), "_r", &old_key, scene.app.clock.now());
    at_replica.open(format!("{}?{}", scene.slo_url(), unknown.query().unwrap())).await.expect(400);
    let new_key = idp_fixtures::sign::shared(idp_fixtures::sign::KeyKind::P256, "rolled over").unwrap();
    scene.idp.replace_key(new_key);
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene
        .operator
        .patch(&path, json!({ "saml": { "metadata_url": format!("{}?", scene.idp.metadata_url()) } }))
        .await
        .ok();
    let message = scene.idp.logout_request(&participant).await.unwrap();
    let stale = message.clone().with(|one| one.signing = Some(idp_fixtures::sign::Signing::with(old_key)));
    at_replica.open(format!("{}?{}", scene.slo_url(), stale.query().unwrap())).await.expect(400);
    assert!(is_in(&scene, &browser, "acme").await);
    at_replica.open(format!("{}?{}", scene.slo_url(), message.query().unwrap())).await.expect(303);
    assert!(!is_in(&scene, &browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_by_keys_of_metadata_that_has_ended_is_refused() {
    let scene = SamlScene::start().await;
    let (browser, participant) = signed_in(&scene, "ada").await;
    let ends = async |at: Option<chrono::DateTime<chrono::Utc>>| {
        sqlx::query("update connections set idp_valid_until = $1, version = version + 1")
            .bind(at)
            .execute(&scene.app.db)
            .await
            .unwrap();
    };
    ends(Some(scene.app.clock.now() - chrono::TimeDelta::hours(1))).await;
    deliver(&scene, &scene.idp.logout_request(&participant).await.unwrap(), false).await.expect(400);
    assert_eq!(events(&scene, "logout.refused").await[0]["reason"], "logout.saml.metadata_expired");
    assert!(is_in(&scene, &browser, "acme").await);
    ends(None).await;
    done(&scene, &scene.idp.logout_request(&participant).await.unwrap(), false).await;
    assert!(!is_in(&scene, &browser, "acme").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_addresses_are_published_and_belong_to_saml_connections() {
    let scene = SamlScene::start().await;
    let metadata = scene.app.browser().open(scene.entity_id()).await.expect(200).html;
    let published = idp_fixtures::saml::request::SpMetadata::parse(&metadata).unwrap();
    let bindings: Vec<&str> = published.slo.iter().map(|service| service.binding.as_str()).collect();
    assert_eq!(bindings, [saml::REDIRECT_BINDING, saml::POST_BINDING]);
    assert!(published.slo.iter().all(|service| service.location == scene.slo_url()));
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    let shown = scene.operator.get(&path).await.ok();
    assert_eq!(shown["service_provider"]["slo_url"], scene.slo_url());
    let style = QueryStyle { signature_first: true, ..QueryStyle::default() };
    let (_, participant) = signed_in(&scene, "ada").await;
    let message = scene.idp.logout_request(&participant).await.unwrap().with(|one| one.style = style);
    let elsewhere = scene.slo_url().replace(&scene.connection, "con_00000000000000000000000000000000");
    scene.app.browser().open(format!("{elsewhere}?{}", message.query().unwrap())).await.expect(404);
    done(&scene, &message, false).await;
}
