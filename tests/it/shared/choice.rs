//! Which client a sign-in is for.

use serde_json::{Value, json};

use super::District;
use crate::support::{App, Page};

fn path(page: &Page) -> String {
    page.location().path().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_the_claims_choose_the_client_by_slug_or_sku_whatever_their_case() {
    let district = District::start().await;
    for (at, who, census) in [
        ("north", "ann", [(0, 0), (1, 1), (0, 0)]),
        ("south", "ben", [(0, 0), (1, 1), (1, 1)]),
        ("south", "cho", [(0, 0), (1, 1), (2, 2)]),
    ] {
        let browser = district.app.browser();
        let page = district.sign_in_at(at, &browser, who).await.expect(303);
        assert_eq!(path(&page), format!("/{at}/dashboard"));
        browser.follow(&page).await.expect(200);
        assert_eq!(district.census().await, census, "{who}");
    }
    assert_eq!(district.attempts_of("north").await, [Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_every_listed_client_offers_it_and_no_other_does() {
    let district = District::start().await;
    for (slug, offers) in [("north", true), ("south", true), ("acme", false), ("globex", false)] {
        let page = district.app.browser().open(district.app.url(&format!("/{slug}"))).await.expect(200);
        assert_eq!(page.says("District sign-on"), offers, "{slug}");
        let start = district.app.browser().open(district.start_at(slug)).await;
        assert_eq!(start.status, if offers { 303 } else { 404 }, "{slug}");
    }
    district.patch(json!({ "domains": ["north.example"] })).await;
    let browser = district.app.browser();
    let page = browser.open(district.app.url("/south/login")).await.expect(200);
    let page = browser.submit(&page.form_with("email").fill("email", "x@north.example")).await.expect(303);
    assert_eq!(path(&page), format!("/south/login/{}", district.connection));
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_who_begins_at_another_client_is_shown_the_way_and_nothing_of_that_client_is_touched() {
    let district = District::start().await;
    let browser = district.app.browser();
    let page = district.sign_in_at("south", &browser, "ann").await.expect(403);
    assert!(page.says("Continue to north Learning") && page.says("south Learning"), "{}", page.text());
    assert_eq!(district.census().await, [(0, 0), (0, 1), (0, 0)]);
    assert_eq!(district.attempts_of("north").await, ["login.client.other"]);
    let start = format!("/north/login/{}", district.connection);
    assert!(page.html.contains(&format!("href=\"{start}\"")), "{}", page.html);
    let page = browser.click(&start).await.expect(303);
    let form = district.idp.sign_in(page.location().as_str(), "ann").await.unwrap();
    let page = district.post_back(&browser, &form).await.expect(303);
    assert_eq!(path(&page), "/north/dashboard");
    assert_eq!(district.census().await, [(0, 0), (1, 2), (0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_who_belongs_to_two_clients_signs_in_where_they_began() {
    let district = District::start().await;
    for at in ["south", "north"] {
        let page = district.sign_in_at(at, &district.app.browser(), "eva").await.expect(303);
        assert_eq!(path(&page), format!("/{at}/dashboard"));
    }
    assert_eq!(district.census().await, [(0, 0), (1, 1), (1, 1)]);
    let form = district.tile("eva", None).await;
    let browser = district.app.browser();
    let page = district.post_back(&browser, &form).await.expect(303);
    let form = district.idp.sign_in(page.location().as_str(), "eva").await.unwrap();
    let page = district.post_back(&browser, &form).await.expect(403);
    assert!(page.says("Continue to north Learning") && page.says("Continue to south Learning"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_claims_that_name_no_listed_client_let_nobody_in() {
    let district = District::start().await;
    for (who, code) in [
        ("foe", "login.client.not_listed"),
        // The owner counts only where it is listed.
        ("own", "login.client.not_listed"),
        ("nil", "login.client.missing"),
    ] {
        district.sign_in_at("north", &district.app.browser(), who).await.expect(403);
        assert_eq!(district.attempts_of("acme").await[0], code, "{who}");
    }
    assert_eq!(district.census().await, [(0, 3), (0, 0), (0, 0)]);
    district.patch(json!({ "clients": ["north", "south", "acme"] })).await;
    let page = district.sign_in_at("acme", &district.app.browser(), "own").await.expect(303);
    assert_eq!(path(&page), "/acme/dashboard");
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_what_cannot_be_verified_is_the_owners_record() {
    let district = District::start().await;
    let browser = district.app.browser();
    let page = browser.open(district.start_at("north")).await.expect(303);
    let mut form = district.idp.sign_in(page.location().as_str(), "ann").await.unwrap();
    form.saml_response.insert_str(0, "AAAA");
    let page = district.post_back(&browser, &form).await.expect(403);
    assert!(page.html.contains("href=\"/north\""), "the page is that of the client where it began");
    assert_eq!(district.census().await, [(0, 1), (0, 0), (0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_sign_in_that_the_identity_provider_begins_lands_where_the_claims_say() {
    for (relay_state, who, expected) in [
        (None, "ben", "/south/dashboard"),
        (Some("/south/account"), "ben", "/south/account"),
        (Some("/north/account"), "ben", "/south/dashboard"),
        (Some("/globex/account"), "ann", "/north/dashboard"),
    ] {
        let district = District::start().await;
        let browser = district.app.browser();
        let form = district.tile(who, relay_state).await;
        let page = district.post_back(&browser, &form).await.expect(303);
        let form = district.idp.sign_in(page.location().as_str(), who).await.unwrap();
        let page = district.post_back(&browser, &form).await.expect(303);
        assert_eq!(path(&page), expected, "{relay_state:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_an_unsolicited_response_asks_in_the_look_of_the_chosen_client_and_goes_nowhere_else() {
    let district = District::with(App::start().await, json!({ "idp_initiated": "accept" }), json!({})).await;
    let browser = district.app.browser();
    let question = district.post_back(&browser, &district.tile("ben", None).await).await.expect(200);
    assert!(question.says("south Learning"), "{}", question.text());
    let mut yes = question.form_with("handle");
    // The same handle at another client's page takes nothing.
    let action = yes.action.clone();
    yes.action = action.replace("/south/", "/north/");
    browser.submit(&yes).await.expect(400);
    let question = district.post_back(&browser, &district.tile("ben", None).await).await.expect(200);
    let page = browser.submit(&question.form_with("handle")).await.expect(303);
    assert_eq!(path(&page), "/south/dashboard");
    assert_eq!(district.learners_of("north").await.len(), 0);

    // What the claims lead to has changed since the question was asked.
    let question = district.post_back(&browser, &district.tile("cho", None).await).await.expect(200);
    let rules = json!({
        "profile": { "email": "email" }, "client": { "expr": "'north'" }, "fallback": { "sublicenses": ["main"] },
    });
    district.operator.put(&format!("{}/mapping", district.path()), rules).await.ok();
    let page = browser.submit(&question.form_with("handle")).await.expect(403);
    assert!(page.says("Continue to north Learning"), "{}", page.text());
    assert_eq!(district.learners_of("north").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_a_dry_run_says_which_client_is_chosen_and_for_whom_none_is() {
    let district = District::start().await;
    let at = format!("{}/mapping/evaluate", district.path());
    let run = async |body: Value| district.operator.post(&at, body).await.ok();
    let claims = |school: Value| json!({ "claims": { "school": school }, "subject": "x" });
    let chosen = run(claims(json!("s-40"))).await;
    assert_eq!((chosen["client"]["slug"].as_str(), chosen["would_sign_in"].as_bool()), (Some("south"), Some(true)));
    let nobody = run(claims(json!("globex"))).await;
    assert_eq!(
        (nobody["client"].is_null(), nobody["refusal"]["code"].as_str()),
        (true, Some("login.client.not_listed"))
    );
    assert_eq!(run(claims(json!(["north", "south"]))).await["refusal"]["code"], "login.client.other");
    let mut begun = claims(json!(["north", "south"]));
    begun["client"] = json!("south");
    assert_eq!(run(begun).await["client"]["slug"], "south");
    // The claims of a recorded sign-in lie with the chosen client, whose trail says that they were opened.
    district.sign_in_at("north", &district.app.browser(), "ann").await.expect(303);
    let attempts = district.operator.get("/api/v1/clients/north/attempts").await.ok();
    let again = run(json!({ "attempt": attempts["items"][0]["id"] })).await;
    assert_eq!(
        (again["client"]["slug"].as_str(), again["provision"]["action"].as_str()),
        (Some("north"), Some("unchanged"))
    );
    let events = district.operator.get("/api/v1/clients/north/events").await.ok();
    assert!(events["items"].as_array().unwrap().iter().any(|event| event["action"] == "attempt.claims_opened"));
}
