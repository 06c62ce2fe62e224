//! The list of clients of a connection: written, validated, and what ends with a place on it.

use serde_json::json;

use super::District;
use crate::support::{App, SamlScene, client};

#[tokio::test(flavor = "multi_thread")]
async fn shared_the_list_and_the_selector_of_an_active_connection_go_together() {
    let scene = SamlScene::start().await;
    client(&scene.operator, "north").await;
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    let mapping = format!("{path}/mapping");
    let plain = json!({ "profile": { "email": "email" }, "fallback": { "sublicenses": ["main"] } });
    let mut choosing = plain.clone();
    choosing["client"] = json!("school");
    let operator = &scene.operator;
    assert_eq!(operator.patch(&path, json!({ "clients": ["north"] })).await.problem(422), "connection.shared_mapping");
    assert_eq!(operator.put(&mapping, choosing.clone()).await.problem(422), "mapping.client_not_shared");
    operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    assert_eq!(operator.patch(&path, json!({ "clients": ["nobody"] })).await.problem(422), "connection.client_unknown");
    let shown = operator.patch(&path, json!({ "clients": ["north", "north", scene.client] })).await.ok();
    assert_eq!(shown["clients"], json!(["north", "acme"]), "each once, by its slug, in the order written");
    let active = json!({ "status": "active" });
    assert_eq!(operator.patch(&path, active.clone()).await.problem(422), "connection.shared_mapping");
    operator.put(&mapping, choosing).await.ok();
    operator.patch(&path, active.clone()).await.ok();
    assert_eq!(operator.put(&mapping, plain.clone()).await.problem(422), "mapping.client_missing");
    assert_eq!(operator.patch(&path, json!({ "clients": [] })).await.problem(422), "connection.shared_mapping");
    operator.patch(&path, json!({ "status": "disabled", "clients": [] })).await.ok();
    operator.put(&mapping, plain).await.ok();
    operator.patch(&path, active).await.ok();
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_client_taken_off_the_list_between_start_and_return_is_refused() {
    let district = District::start().await;
    let browser = district.app.browser();
    let page = browser.open(district.start_at("north")).await.expect(303);
    let form = district.idp.sign_in(page.location().as_str(), "ann").await.unwrap();
    district.patch(json!({ "clients": ["south"] })).await;
    district.post_back(&browser, &form).await.expect(403);
    assert_eq!(district.attempts_of("acme").await, ["login.client.not_listed"]);
    assert_eq!(district.learners_of("north").await.len(), 0);
    browser.open(district.start_at("north")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_connection_that_becomes_its_owners_alone_meanwhile_lets_nobody_in_elsewhere() {
    let district = District::start().await;
    let browser = district.app.browser();
    let page = browser.open(district.start_at("north")).await.expect(303);
    let form = district.idp.sign_in(page.location().as_str(), "ann").await.unwrap();
    district.patch(json!({ "clients": [], "status": "disabled" })).await;
    let rules = json!({ "profile": { "email": "email" }, "fallback": { "sublicenses": ["main"] } });
    district.operator.put(&format!("{}/mapping", district.path()), rules).await.ok();
    district.patch(json!({ "status": "active" })).await;
    district.post_back(&browser, &form).await.expect(403);
    assert_eq!(district.census().await.map(|(learners, _)| learners), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_who_is_taken_off_the_list_loses_what_it_gave_there_and_the_others_keep_theirs() {
    let district = District::start().await;
    let (north, south) = (district.app.browser(), district.app.browser());
    let page = district.sign_in_at("north", &north, "ann").await.expect(303);
    north.follow(&page).await.expect(200);
    let page = district.sign_in_at("south", &south, "ben").await.expect(303);
    south.follow(&page).await.expect(200);
    district.patch(json!({ "clients": ["south"] })).await;
    north.open(district.app.url("/north/dashboard")).await.expect(303);
    south.open(district.app.url("/south/dashboard")).await.expect(200);
    let ann = district.learners_of("north").await[0]["id"].as_str().unwrap().to_owned();
    let access = district.operator.get(&format!("/api/v1/clients/north/learners/{ann}/access")).await.ok();
    assert_eq!(access["access"][0]["end_reason"], "connection_unshared", "{access}");
    let events = district.operator.get("/api/v1/clients/north/events").await.ok();
    let told = events["items"].as_array().unwrap().iter().find(|event| event["action"] == "connection.unshared");
    assert_eq!(told.unwrap()["facts"], json!({ "grants_ended": 1, "learners_signed_out": 1 }));
    // Listed again, the same person is somebody new to it: what it knew is gone.
    district.patch(json!({ "clients": ["south", "north"] })).await;
    district.sign_in_at("north", &district.app.browser(), "ann").await.expect(303);
    assert_eq!(district.learners_of("north").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_taking_a_client_off_while_its_people_sign_in_leaves_no_access_behind() {
    let district = District::start().await;
    let mut forms = Vec::new();
    for number in 0..8 {
        let browser = district.app.browser();
        let page = browser.open(district.start_at("north")).await.expect(303);
        let form = district.idp.sign_in(page.location().as_str(), &format!("p{number}")).await.unwrap();
        forms.push((browser, form));
    }
    let arriving =
        futures_util::future::join_all(forms.iter().map(|(browser, form)| district.post_back(browser, form)));
    let (pages, _) = tokio::join!(arriving, district.patch(json!({ "clients": ["south"] })));
    assert!(pages.iter().all(|page| matches!(page.status.as_u16(), 303 | 403)), "nobody fails");
    let left: i64 = sqlx::query_scalar(
        "select count(*) from access_grants g join slugs s on s.client_id = g.client_id
         where s.slug = 'north' and (g.ends_at is null or g.ends_at > now())",
    )
    .fetch_one(&district.app.db)
    .await
    .unwrap();
    assert_eq!(left, 0);
    for (browser, _) in &forms {
        browser.open(district.app.url("/north/dashboard")).await.expect(303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_replica_that_remembers_the_old_list_asks_before_it_says_no_or_yes() {
    let district = District::start().await;
    let other = district.app.replica();
    let browser = || crate::support::Browser::new().via(&other);
    browser().open(district.start_at("north")).await.expect(303);
    browser().open(district.start_at("globex")).await.expect(404);
    district.patch(json!({ "clients": ["south", "globex"] })).await;
    browser().open(district.start_at("globex")).await.expect(303);
    // The replica's copy is of the new list by now; a third one still has the old.
    let third = district.app.replica();
    let warm = crate::support::Browser::new().via(&third);
    warm.open(district.start_at("south")).await.expect(303);
    district.patch(json!({ "clients": ["globex"] })).await;
    warm.open(district.start_at("south")).await.expect(403);
    warm.open(district.start_at("globex")).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_deleting_the_connection_ends_what_it_gave_in_every_client() {
    let district = District::start().await;
    let browser = district.app.browser();
    district.sign_in_at("north", &browser, "ann").await.expect(303);
    district.sign_in_at("south", &browser, "ben").await.expect(303);
    district.patch(json!({ "status": "disabled" })).await;
    district.operator.delete(&district.path()).await.ok();
    for slug in ["north", "south"] {
        let learner = district.learners_of(slug).await[0]["id"].as_str().unwrap().to_owned();
        let access = district.operator.get(&format!("/api/v1/clients/{slug}/learners/{learner}/access")).await.ok();
        assert_eq!(access["access"][0]["end_reason"], "connection_deleted", "{slug}");
        browser.open(district.app.url(&format!("/{slug}/dashboard"))).await.expect(303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_two_clients_in_one_browser_each_have_their_session() {
    let district = District::with(App::start().await, json!({}), json!({})).await;
    let browser = district.app.browser();
    district.sign_in_at("north", &browser, "eva").await.expect(303);
    district.sign_in_at("south", &browser, "eva").await.expect(303);
    for slug in ["north", "south"] {
        browser.open(district.app.url(&format!("/{slug}/dashboard"))).await.expect(200);
    }
}
