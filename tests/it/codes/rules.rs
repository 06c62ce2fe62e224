//! What a code is worth to whom: used up only when it brings something, told or neutral as it must be, and waiting for a
//! verified address where one is asked for.

use chrono::Duration;
use serde_json::json;
use usher::{
    access::By,
    audit::Actor,
    codes::{self, CodeResult, CodeText, Verdict, Visitor},
    learners::EmailAddress,
};

use super::{Scene, is_redeemed, start, text};
use crate::support::App;

#[tokio::test]
async fn a_code_grants_each_of_its_sublicenses_and_leaves_its_traces() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({ "sublicenses": ["main", "sales"], "access_days": 30 })).await;
    let learner = scene.learner("ada@acme.example", true).await;
    let expected =
        CodeResult::Redeemed { sublicenses: vec![scene.sublicense("main").await, scene.sublicense("sales").await] };
    assert_eq!(scene.redeem(learner, &[text(&code)]).await, [expected]);
    let path = format!("/api/v1/clients/acme/learners/{learner}/access");
    let access = scene.operator.get(&path).await.ok();
    assert_eq!(access["access"].as_array().unwrap().len(), 2);
    assert_eq!(access["access"][0]["source"], "registration_code");
    assert_eq!(access["access"][0]["source_ref"], code["id"]);
    assert!(access["access"][0]["ends_at"].is_string());
    for (query, count) in [
        ("select count(*) from audit_events where client_id = $1 and action = 'code.redeemed'", 1),
        ("select count(*) from audit_events where client_id = $1 and action = 'access.granted'", 2),
        ("select count(*) from outbox_events where client_id = $1 and type = 'code.redeemed'", 1),
        ("select count(*) from outbox_events where client_id = $1 and type = 'access.granted'", 2),
        ("select count(*) from redemptions where client_id = $1", 1),
    ] {
        assert_eq!(scene.count(query).await, count, "{query}");
    }
    let events: String =
        sqlx::query_scalar("select string_agg(facts::text || coalesce(target, ''), ' ') from audit_events")
            .fetch_one(&scene.app.db)
            .await
            .unwrap();
    let key = text(&code).replace('-', "");
    assert!(!events.contains(text(&code)) && !events.contains(&key), "no event holds a code");
    assert!(!crate::support::log_text().contains(text(&code)));
}

#[tokio::test]
async fn case_dashes_and_spaces_do_not_matter_and_twice_is_once() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({ "code": "Spring-2027-Go" })).await;
    let learner = scene.learner("ada@acme.example", true).await;
    let outcomes = scene.redeem(learner, &["spring 2027 go", "SPRING2027GO"]).await;
    assert!(is_redeemed(&outcomes[0]));
    assert_eq!(outcomes[1], CodeResult::AlreadyUsedByYou);
    assert_eq!(scene.redeem(learner, &["Spring-2027-Go"]).await, [CodeResult::AlreadyUsedByYou]);
    let path = format!("{}/registration-codes/{}", super::BASE, code["id"].as_str().unwrap());
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 1);
}

#[tokio::test]
async fn a_code_that_brings_nothing_is_not_used_up() {
    let scene = Scene::start().await;
    let open = scene.registration(json!({})).await;
    let (_, short) = scene.batch(json!({ "count": 1, "access_days": 5 })).await;
    let (_, both) = scene.batch(json!({ "count": 1, "sublicenses": ["main", "sales"] })).await;
    let learner = scene.learner("ada@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem(learner, &[text(&open)]).await[0]));
    assert_eq!(scene.redeem(learner, &[text(&short[0])]).await, [CodeResult::AlreadyHave]);
    assert_eq!(scene.count("select count(*) from codes where client_id = $1 and state = 'redeemed'").await, 0);
    // Of two sublicenses one is new: that one is told, and the code is used.
    let sales = scene.sublicense("sales").await;
    assert_eq!(scene.redeem(learner, &[text(&both[0])]).await, [CodeResult::Redeemed { sublicenses: vec![sales] }]);
    // Somebody else may still use what was not used.
    let other = scene.learner("bob@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem(other, &[text(&short[0])]).await[0]));
}

#[tokio::test]
async fn a_longer_code_lengthens_and_a_shorter_one_does_not() {
    let scene = Scene::with(App::with().clock_at(start()).start().await).await;
    let (_, codes) = scene.batch(json!({ "count": 1, "access_days": 10 })).await;
    let (_, longer) = scene.batch(json!({ "count": 1, "access_days": 20 })).await;
    let (_, again) = scene.batch(json!({ "count": 1, "access_days": 19 })).await;
    let learner = scene.learner("ada@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem(learner, &[text(&codes[0])]).await[0]));
    assert!(is_redeemed(&scene.redeem(learner, &[text(&longer[0])]).await[0]));
    assert_eq!(scene.redeem(learner, &[text(&again[0])]).await, [CodeResult::AlreadyHave]);
    scene.app.clock.advance(Duration::days(2));
    assert!(is_redeemed(&scene.redeem(learner, &[text(&again[0])]).await[0]));
    let query = "select count(*) from audit_events where client_id = $1 and action = 'access.lengthened'";
    assert_eq!(scene.count(query).await, 2);
}

#[tokio::test]
async fn the_holder_of_a_genuine_code_is_told_and_everybody_else_hears_one_answer() {
    let scene = Scene::with(App::with().clock_at(start()).start().await).await;
    let later = start() + Duration::days(2);
    let early = scene.registration(json!({ "starts_at": later })).await;
    let ending = scene.registration(json!({ "expires_at": start() + Duration::days(1) })).await;
    let single = scene.registration(json!({ "max_redemptions": 1 })).await;
    let off = scene.registration(json!({ "active": false })).await;
    let domain = scene.registration(json!({ "email_domains": ["other.example"] })).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    let redeem = async |code: &str| scene.redeem_as(ada, Some("ada@acme.example"), &[code]).await.remove(0);
    assert!(is_redeemed(&scene.redeem(bob, &[text(&single)]).await[0]));
    assert_eq!(redeem(text(&early)).await, CodeResult::NotYet(later));
    assert_eq!(redeem(text(&single)).await, CodeResult::UsedUp);
    for code in [text(&off), text(&domain), "NEVER-WAS-7777"] {
        assert_eq!(redeem(code).await, CodeResult::NotValid, "{code}");
    }
    scene.app.clock.advance(Duration::days(1));
    assert_eq!(redeem(text(&ending)).await, CodeResult::Expired);
    scene.app.clock.advance(Duration::days(1));
    assert!(is_redeemed(&redeem(text(&early)).await));
    let mut reasons = scene.refusals().await;
    reasons.sort();
    assert_eq!(
        reasons,
        ["codes.disabled", "codes.expired", "codes.not_yet", "codes.unknown", "codes.used_up", "codes.wrong_domain"]
    );
}

#[tokio::test]
async fn another_clients_code_reads_like_one_that_never_was() {
    let scene = Scene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let body = json!({ "label": "Theirs", "sublicenses": ["main"], "code": "GLOBEX-CODE-1" });
    scene.operator.post("/api/v1/clients/globex/registration-codes", body).await.ok();
    let learner = scene.learner("ada@acme.example", true).await;
    assert_eq!(scene.redeem(learner, &["GLOBEX-CODE-1"]).await, [CodeResult::NotValid]);
    assert_eq!(scene.refusals().await, ["codes.unknown"]);
    // The same text may be a code of both.
    scene.registration(json!({ "code": "GLOBEX-CODE-1" })).await;
    assert!(is_redeemed(&scene.redeem(learner, &["GLOBEX-CODE-1"]).await[0]));
}

#[tokio::test]
async fn a_code_for_domains_waits_for_the_address_and_takes_sub_domains_and_idn() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({ "email_domains": ["acme.example", "bücher.example"] })).await;
    let cases = [
        ("ada@acme.example", true),
        ("bob@mail.acme.example", true),
        ("eve@notacme.example", false),
        ("zoe@xn--bcher-kva.example", true),
        ("tim@example", false),
    ];
    for (email, fits) in cases {
        let Some(address) = EmailAddress::parse(email) else { continue };
        let learner = scene.learner(email, true).await;
        let result = scene.redeem_as(learner, Some(address.as_str()), &[text(&code)]).await.remove(0);
        assert_eq!(is_redeemed(&result), fits, "{email}: {result:?}");
    }
    let new = scene.learner("new@acme.example", false).await;
    assert_eq!(scene.redeem(new, &[text(&code)]).await, [CodeResult::WaitsForAddress]);
    assert_eq!(scene.redeem(new, &[text(&code)]).await, [CodeResult::WaitsForAddress]);
    assert_eq!(scene.grants(new).await, 0);
    let prove = async |email: &str| {
        let facts = scene.facts().await;
        let mut transaction = scene.app.begin().await.unwrap();
        let by = By { actor: Actor::Learner(new), reference: None };
        let address = EmailAddress::parse(email).unwrap();
        let now = scene.app.clock.now();
        let outcomes =
            codes::redeem_waiting(&mut transaction, &scene.app.entropy, &facts, new, address, by, now).await.unwrap();
        scene.app.commit(transaction).await.unwrap();
        outcomes
    };
    let outcomes = prove("new@acme.example").await;
    assert!(outcomes.len() == 1 && is_redeemed(&outcomes[0].result), "{outcomes:?}");
    assert_eq!(scene.grants(new).await, 1);
    assert!(prove("new@acme.example").await.is_empty(), "what waited is redeemed once");
}

#[tokio::test]
async fn a_client_that_verifies_first_makes_only_unproved_people_wait() {
    let scene = Scene::start().await;
    scene.operator.patch(super::BASE, json!({ "verify_email_first": true })).await.ok();
    let code = scene.registration(json!({})).await;
    let new = scene.learner("new@acme.example", false).await;
    assert_eq!(scene.redeem(new, &[text(&code)]).await, [CodeResult::WaitsForAddress]);
    let proved = scene.learner("ada@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem_as(proved, Some("ada@acme.example"), &[text(&code)]).await[0]));
}

#[tokio::test]
async fn full_seats_leave_the_code_unused_and_tell_the_admins() {
    let scene = Scene::start().await;
    let sales = scene.sublicense("sales").await;
    scene.operator.patch(&format!("{}/sublicenses/{sales}", super::BASE), json!({ "seat_limit": 1 })).await.ok();
    let (_, codes) = scene.batch(json!({ "count": 2, "sublicenses": ["main", "sales"] })).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(ada, &[text(&codes[0])]).await[0]));
    assert_eq!(scene.redeem(bob, &[text(&codes[1])]).await, [CodeResult::SeatsFull]);
    assert_eq!(scene.grants(bob).await, 0, "all of it or nothing");
    let query = "select count(*) from outbox_events where client_id = $1 and type = 'seats.full'";
    assert_eq!(scene.count(query).await, 1);
    scene.operator.patch(&format!("{}/sublicenses/{sales}", super::BASE), json!({ "seat_limit": 2 })).await.ok();
    assert!(is_redeemed(&scene.redeem(bob, &[text(&codes[1])]).await[0]));
}

#[tokio::test]
async fn a_block_is_not_undone_by_a_code() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let learner = scene.learner("ada@acme.example", true).await;
    sqlx::query("insert into blocks (client_id, learner_id, sublicense_id, created_at, created_by) values ($1, $2, $3, $4, 'x')")
        .bind(scene.client.uuid())
        .bind(learner.uuid())
        .bind(scene.sublicense("main").await.uuid())
        .bind(scene.app.clock.now())
        .execute(&scene.app.db)
        .await
        .unwrap();
    assert_eq!(scene.redeem(learner, &[text(&code)]).await, [CodeResult::Blocked]);
    assert_eq!(scene.grants(learner).await, 0);
}

#[tokio::test]
async fn turning_a_code_off_stops_new_redemptions_and_leaves_earlier_learners_alone() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(ada, &[text(&code)]).await[0]));
    let path = format!("{}/registration-codes/{}", super::BASE, code["id"].as_str().unwrap());
    scene.operator.patch(&path, json!({ "active": false })).await.ok();
    assert_eq!(scene.redeem(bob, &[text(&code)]).await, [CodeResult::NotValid]);
    assert_eq!((scene.grants(ada).await, scene.grants(bob).await), (1, 0));
    assert_eq!(scene.redeem(ada, &[text(&code)]).await, [CodeResult::AlreadyUsedByYou]);
}

#[tokio::test]
async fn checking_says_what_redeeming_would_and_uses_nothing() {
    let scene = Scene::start().await;
    let good = scene.registration(json!({ "max_redemptions": 1 })).await;
    let off = scene.registration(json!({ "active": false })).await;
    let facts = scene.facts().await;
    let codes = [CodeText::read(text(&good)).unwrap(), CodeText::read(text(&off)).unwrap()];
    let mut conn = scene.app.acquire().await.unwrap();
    for _ in 0..2 {
        let now = scene.app.clock.now();
        let checked = codes::check(&mut conn, &facts, &codes, Visitor::default(), now).await.unwrap();
        assert_eq!(checked[0].verdict, Verdict::Good);
        assert_eq!(checked[0].sublicenses, [scene.sublicense("main").await]);
        assert!(matches!(checked[1].verdict, Verdict::NotValid(_)) && checked[1].sublicenses.is_empty());
    }
    assert_eq!(scene.count("select count(*) from redemptions where client_id = $1").await, 0);
}

#[tokio::test]
async fn a_suspended_learner_redeems_nothing() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let learner = scene.learner("ada@acme.example", true).await;
    let path = format!("{}/learners/{learner}", super::BASE);
    scene.operator.patch(&path, json!({ "status": "suspended" })).await.ok();
    assert_eq!(scene.redeem(learner, &[text(&code)]).await, [CodeResult::NotValid]);
    assert_eq!(scene.grants(learner).await, 0);
}
