//! Seats, trust, suspension, status and rates: of the chosen client alone.

use serde_json::json;

use super::District;
use crate::support::App;

#[tokio::test(flavor = "multi_thread")]
async fn shared_the_seats_of_the_chosen_client_are_never_oversold_and_the_others_have_theirs() {
    let district = District::start().await;
    district.operator.patch("/api/v1/clients/north", json!({ "seat_limit": 3 })).await.ok();
    let mut forms = Vec::new();
    for number in 0..8 {
        let browser = district.app.browser();
        let page = browser.open(district.start_at("north")).await.expect(303);
        let form = district.idp.sign_in(page.location().as_str(), &format!("p{number}")).await.unwrap();
        forms.push((browser, form));
    }
    let done =
        futures_util::future::join_all(forms.iter().map(|(browser, form)| district.post_back(browser, form))).await;
    let count = |status: u16| done.iter().filter(|page| page.status == status).count();
    assert_eq!((count(303), count(403)), (3, 5));
    assert_eq!(district.learners_of("north").await.len(), 3);
    district.sign_in_at("south", &district.app.browser(), "ben").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_an_address_links_only_by_a_verified_domain_of_the_chosen_client() {
    let settings = json!({ "trusted_domains": [], "jit": { "link_by_email": true } });
    let district = District::with(App::start().await, settings, json!({})).await;
    // Each must be a verified domain of somebody on the list, or of the owner.
    let unknown = json!({ "trusted_domains": ["other.example"] });
    assert_eq!(district.operator.patch(&district.path(), unknown).await.problem(422), "connection.trusted_domains");
    district.patch(json!({ "trusted_domains": ["north.example", "acme.example"] })).await;
    for slug in ["north", "south"] {
        let who = if slug == "north" { "ann@north.example" } else { "ben@north.example" };
        crate::support::sign_in(&district.app, slug, who).await;
    }
    let page = district.sign_in_at("north", &district.app.browser(), "ann").await.expect(303);
    assert_eq!(page.location().path(), "/north/dashboard");
    assert_eq!(district.learners_of("north").await.len(), 1, "linked: the domain is north's own");
    district.sign_in_at("south", &district.app.browser(), "ben").await.expect(403);
    assert_eq!(district.attempts_of("south").await, ["login.link.untrusted_domain"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_suspension_a_block_and_a_closed_client_hold_in_their_client_only() {
    let district = District::start().await;
    for at in ["north", "south"] {
        district.sign_in_at(at, &district.app.browser(), "eva").await.expect(303);
    }
    let eva = district.learners_of("north").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/clients/north/learners/{eva}");
    district.operator.patch(&path, json!({ "status": "suspended" })).await.ok();
    district.sign_in_at("north", &district.app.browser(), "eva").await.expect(403);
    assert_eq!(district.attempts_of("north").await[0], "login.learner.suspended");
    district.sign_in_at("south", &district.app.browser(), "eva").await.expect(303);

    // Disabled between start and return, and at the start.
    let browser = district.app.browser();
    let page = browser.open(district.start_at("south")).await.expect(303);
    let form = district.idp.sign_in(page.location().as_str(), "ben").await.unwrap();
    district.operator.patch("/api/v1/clients/south", json!({ "status": "disabled" })).await.ok();
    district.post_back(&browser, &form).await.expect(403);
    assert_eq!(district.attempts_of("south").await[0], "login.client.disabled");
    browser.open(district.start_at("south")).await.expect(403);
    district.sign_in_at("north", &district.app.browser(), "ann").await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_flood_at_one_client_leaves_the_others_alone() {
    let app = App::with()
        .settings(|raw| {
            raw.limits.sign_in_per_client = "5/1h".into();
            raw.limits.sign_in_per_address = "1000/1m".into();
        })
        .start()
        .await;
    let district = District::with(app, json!({}), json!({})).await;
    for _ in 0..5 {
        district.app.browser().open(district.start_at("north")).await.expect(303);
    }
    district.app.browser().open(district.start_at("north")).await.expect(429);
    district.sign_in_at("south", &district.app.browser(), "ben").await.expect(303);
}
