//! What a sign-in makes of learners and access: linking, trust, sync, seats, blocks, suspension, tenancy.

use idp_fixtures::saml::{Attribute, NameId};
use serde_json::{Value, json};

use crate::support::{App, SamlScene};

/// The IdP says of everybody that they have exactly these groups.
fn groups(scene: &SamlScene, groups: &'static [&'static str]) {
    describe(scene, "ada@acme.example", Some(groups));
}

/// The IdP says this of everybody; `None` sends no groups attribute at all.
fn describe(scene: &SamlScene, email: &'static str, groups: Option<&'static [&'static str]>) {
    scene.idp.behave(|behaviour| {
        behaviour.describe = Some(std::sync::Arc::new(move |person| {
            let mut attributes = vec![
                Attribute::new("email", [email]),
                Attribute::new("firstName", [person.first_name.as_str()]),
                Attribute::new("lastName", [person.last_name.as_str()]),
            ];
            if let Some(groups) = groups {
                attributes.push(Attribute::new("groups", groups.iter().copied()));
            }
            (NameId::of("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", &person.username), attributes)
        }));
    });
}

async fn access(scene: &SamlScene, email: &str) -> Vec<String> {
    let learner = scene.learner(email).await;
    let path = format!("/api/v1/clients/acme/learners/{}", learner["id"].as_str().unwrap());
    let detail = scene.operator.get(&path).await.ok();
    let slugs = sublicenses(scene).await;
    let mut held: Vec<String> = detail["effective_access"]
        .as_array()
        .unwrap()
        .iter()
        .map(|access| {
            slugs.iter().find(|one| one["id"] == access["sublicense"]).unwrap()["slug"].as_str().unwrap().to_owned()
        })
        .collect();
    held.sort();
    held
}

async fn sublicenses(scene: &SamlScene) -> Vec<Value> {
    scene.operator.get("/api/v1/clients/acme/sublicenses").await.ok()["items"].as_array().unwrap().clone()
}

async fn patch_connection(scene: &SamlScene, change: Value) {
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, change).await.ok();
}

async fn with_mapping(mapping: Value) -> SamlScene {
    SamlScene::with(App::start().await, json!({}), mapping).await
}

#[tokio::test(flavor = "multi_thread")]
async fn add_keeps_what_a_later_sign_in_no_longer_yields_and_replace_removes_it() {
    for (sync, left) in [("add", vec!["main", "sales"]), ("replace", vec!["main"])] {
        let scene = with_mapping(json!({ "sync": sync })).await;
        groups(&scene, &["sales"]);
        scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
        assert_eq!(access(&scene, "ada@acme.example").await, ["sales"]);
        groups(&scene, &["other"]);
        scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
        assert_eq!(access(&scene, "ada@acme.example").await, left, "{sync}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_takes_nothing_away_when_the_claim_is_missing() {
    let scene = with_mapping(json!({ "sync": "replace" })).await;
    groups(&scene, &["sales"]);
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    describe(&scene, "ada@acme.example", None);
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    assert!(access(&scene, "ada@acme.example").await.contains(&"sales".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_entitled_loses_grants_and_sessions_and_is_refused() {
    let scene = with_mapping(json!({ "sync": "replace", "fallback": null })).await;
    groups(&scene, &["sales"]);
    let browser = scene.app.browser();
    scene.sign_in(&browser, "ada").await.expect(303);
    browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    groups(&scene, &["other"]);
    scene.sign_in(&scene.app.browser(), "ada").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "mapping.nothing_granted");
    assert!(access(&scene, "ada@acme.example").await.is_empty());
    // The session of the first browser is over too.
    browser.open(scene.app.url("/acme/dashboard")).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_sublicense_is_not_granted_again() {
    let scene = SamlScene::start().await;
    groups(&scene, &["sales"]);
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    let learner = scene.learner("ada@acme.example").await["id"].as_str().unwrap().to_owned();
    let block = format!("/api/v1/clients/acme/learners/{learner}/blocks/sales");
    scene.operator.put(&block, json!({})).await.ok();
    scene.sign_in(&scene.app.browser(), "ada").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.learner.blocked");
    scene.operator.delete(&block).await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_learner_is_out_at_once_and_stays_out() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "ada").await.expect(303);
    let learner = scene.learner("ada@acme.example").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/clients/acme/learners/{learner}");
    scene.operator.patch(&path, json!({ "status": "suspended" })).await.ok();
    browser.open(scene.app.url("/acme/dashboard")).await.expect(303);
    scene.sign_in(&browser, "ada").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.learner.suspended");
    scene.operator.patch(&path, json!({ "status": "active" })).await.ok();
    scene.sign_in(&browser, "ada").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_seat_is_given_once_however_many_come() {
    let scene = SamlScene::start().await;
    scene.operator.patch("/api/v1/clients/acme", json!({ "seat_limit": 2 })).await.ok();
    let mut forms = Vec::new();
    for who in ["ada", "zoe", "taro", "nora"] {
        let browser = scene.app.browser();
        let form = scene.to_idp(&browser, who).await;
        forms.push((browser, form));
    }
    let pages =
        futures_util::future::join_all(forms.iter().map(|(browser, form)| scene.post_back(browser, form))).await;
    let mut codes: Vec<u16> = pages.iter().map(|page| page.status.as_u16()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [303, 303, 403, 403]);
    assert_eq!(scene.learners().await, 2, "who found no seat left nothing behind");
    scene.operator.patch("/api/v1/clients/acme", json!({ "seat_limit": 4 })).await.ok();
    for who in ["ada", "zoe", "taro", "nora"] {
        scene.sign_in(&scene.app.browser(), who).await.expect(303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sublicense_leaves_the_other_access_alone() {
    let scene = with_mapping(json!({
        "access": [
            { "when": "always", "sublicenses": ["main"] },
            { "when": { "claim": "groups", "contains": "sales" }, "sublicenses": ["sales"] },
        ],
    }))
    .await;
    let sales = sublicenses(&scene).await.into_iter().find(|one| one["slug"] == "sales").unwrap();
    let path = format!("/api/v1/clients/acme/sublicenses/{}", sales["id"].as_str().unwrap());
    scene.operator.patch(&path, json!({ "seat_limit": 0 })).await.ok();
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    assert_eq!(access(&scene, "ada@acme.example").await, ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sign_in_links_by_a_verified_address_only_where_the_connection_is_trusted_for_it() {
    let scene = SamlScene::start().await;
    groups(&scene, &["sales"]);
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    // The same address by another subject of the same IdP: a recycled address is no proof.
    patch_connection(&scene, json!({ "jit": { "link_by_email": true } })).await;
    scene.sign_in(&scene.app.browser(), "zoe").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.link.other_subject");
    // Linking off: the address is somebody's.
    patch_connection(&scene, json!({ "jit": { "link_by_email": false } })).await;
    scene.sign_in(&scene.app.browser(), "zoe").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.link.off");
    // Not trusted for the domain.
    patch_connection(&scene, json!({ "trusted_domains": [], "jit": { "link_by_email": true } })).await;
    scene.sign_in(&scene.app.browser(), "zoe").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.link.untrusted_domain");
    assert_eq!(scene.learners().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_vouch_ends_trust_at_once() {
    let scene = SamlScene::start().await;
    scene.operator.delete("/api/v1/clients/acme/domains/acme.example/vouch").await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    assert_eq!(scene.learner("ada@acme.example").await["email_verified"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_creation_only_known_people_get_in() {
    let scene = SamlScene::start().await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    patch_connection(&scene, json!({ "jit": { "create": false } })).await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    scene.sign_in(&scene.app.browser(), "zoe").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.learner.not_provisioned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_name_is_taken_over_and_one_that_is_missing_is_left() {
    let scene = SamlScene::start().await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    scene.idp.behave(|behaviour| {
        behaviour.rewrite = Some(std::sync::Arc::new(|response| {
            response.with(|response| {
                response.attributes.retain(|attribute| attribute.name != "lastName" && attribute.name != "firstName");
                response.attributes.push(Attribute::new("firstName", ["Augusta"]));
            })
        }));
    });
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    let learner = scene.learner("ada@acme.example").await;
    assert_eq!((learner["first_name"].as_str(), learner["last_name"].as_str()), (Some("Augusta"), Some("Lovelace")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_that_ended_lets_nobody_in() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "ada").await.expect(303);
    scene.operator.patch("/api/v1/clients/acme", json!({ "license_ends_at": "2020-01-01T00:00:00Z" })).await.ok();
    scene.sign_in(&scene.app.browser(), "ada").await.expect(403);
    assert_eq!(scene.last_attempt().await["code"], "login.client.license_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clients_connection_is_no_way_into_another_client() {
    let scene = SamlScene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let browser = scene.app.browser();
    browser.open(scene.app.url(&format!("/globex/login/{}", scene.connection))).await.expect(404);
    // A session of one client opens nothing of another.
    scene.sign_in(&browser, "ada").await.expect(303);
    browser.open(scene.app.url("/globex/dashboard")).await.expect(303);
    browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_the_session_and_a_foreign_form_does_not() {
    let scene = SamlScene::start().await;
    let browser = scene.app.browser();
    scene.sign_in(&browser, "ada").await.expect(303);
    browser.post_from("https://evil.example/", scene.app.url("/acme/logout"), &[]).await.expect(403);
    let dashboard = browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
    let form = dashboard.forms().into_iter().find(|form| form.action.ends_with("/logout")).unwrap();
    let page = browser.submit(&form).await;
    browser.follow_all(page).await.expect(200);
    browser.open(scene.app.url("/acme/dashboard")).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_claim_token_or_assertion_is_ever_logged() {
    let scene = SamlScene::start().await;
    scene.idp.behave(|behaviour| {
        behaviour.rewrite = Some(std::sync::Arc::new(|response| {
            response.with(|response| response.attributes.push(Attribute::new("secretive", ["Xylophone-4711"])))
        }));
    });
    let browser = scene.app.browser();
    scene.sign_in(&browser, "ada").await.expect(303);
    let session = browser.cookies().into_iter().find(|cookie| cookie.name.contains("usher_cli_")).unwrap().value;
    let log = crate::support::log_text();
    for secret in ["Xylophone-4711", session.as_str(), "Lovelace"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_exactly_what_is_theirs() {
    let scene = SamlScene::start().await;
    let all = [
        ("For everybody", "client", json!([])),
        ("For sales", "sublicenses", json!(["sales"])),
        ("For main", "sublicenses", json!(["main"])),
    ];
    for (title, audience, sublicenses) in all {
        let body = json!({ "title": title, "url": "https://learn.example/1", "audience": audience, "sublicenses": sublicenses });
        scene.operator.post("/api/v1/clients/acme/content", body).await.ok();
    }
    for (who, shown, hidden) in [("ada", "For sales", "For main"), ("nora", "For main", "For sales")] {
        let browser = scene.app.browser();
        scene.sign_in(&browser, who).await.expect(303);
        let page = browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
        assert!(page.says("For everybody") && page.says(shown) && !page.says(hidden), "{}", page.text());
    }
}
