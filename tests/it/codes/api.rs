//! Registration codes over the admin API: fields, refusals, lists, repetition.

use reqwest::Method;
use serde_json::json;
use usher::codes::CodeResult;

use super::{BASE, Scene, is_redeemed, text};

#[tokio::test]
async fn a_registration_code_is_made_shown_changed_and_listed() {
    let scene = Scene::start().await;
    let (main, sales) = (scene.sublicense("main").await, scene.sublicense("sales").await);
    let made = scene
        .registration(json!({
            "sublicenses": ["sales", main], "max_redemptions": 10, "access_days": 30,
            "email_domains": ["ACME.example", "BÜCHER.example"], "expires_at": "2030-01-01T00:00:00Z",
        }))
        .await;
    assert_eq!(made["sublicenses"], json!([main, sales]));
    assert_eq!(made["email_domains"], json!(["acme.example", "xn--bcher-kva.example"]));
    assert_eq!((&made["times_redeemed"], &made["redemptions_left"]), (&json!(0), &json!(10)));
    assert_eq!(text(&made).replace('-', "").len(), 12, "generated");
    let path = format!("{BASE}/registration-codes/{}", made["id"].as_str().unwrap());
    assert_eq!(scene.operator.get(&path).await.ok(), made);
    let body = json!({ "label": "Autumn", "access_days": null, "access_ends_at": "2031-01-01T00:00:00Z" });
    let changed = scene.operator.patch(&path, body).await.ok();
    assert_eq!(
        (&changed["label"], &changed["access_days"], &changed["active"]),
        (&json!("Autumn"), &json!(null), &json!(true))
    );
    assert_eq!(changed["code"], made["code"]);
    let list = scene.operator.get(&format!("{BASE}/registration-codes")).await.ok();
    assert_eq!(list["items"], json!([changed]));
    let own = scene.app.admin_of("acme").await;
    assert_eq!(own.get(&path).await.ok(), changed);
}

#[tokio::test]
async fn what_does_not_hold_is_refused_with_a_pointer() {
    let scene = Scene::start().await;
    let path = format!("{BASE}/registration-codes");
    let base = json!({ "label": "Spring", "sublicenses": ["main"] });
    let cases = [
        (json!({ "label": "" }), "api.invalid", "/label"),
        (json!({ "sublicenses": [] }), "codes.no_sublicenses", "/sublicenses"),
        (json!({ "sublicenses": ["nothing"] }), "sublicense.unknown", "/sublicenses/0"),
        (json!({ "code": "SHORT-7" }), "codes.malformed", "/code"),
        (json!({ "code": "with space" }), "codes.malformed", "/code"),
        (json!({ "code": "Dash-Board" }), "codes.reserved", "/code"),
        (json!({ "max_redemptions": 0 }), "api.invalid", "/max_redemptions"),
        (json!({ "access_days": 0 }), "api.invalid", "/access_days"),
        (json!({ "access_ends_at": "+200000-01-01T00:00:00Z" }), "api.invalid", "/access_ends_at"),
        (json!({ "expires_at": "+10000-01-01T00:00:00Z" }), "api.invalid", "/expires_at"),
        (json!({ "access_days": 3, "access_ends_at": "2030-01-01T00:00:00Z" }), "codes.access_both", "/access_ends_at"),
        (
            json!({ "starts_at": "2030-01-02T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z" }),
            "codes.expires_before_start",
            "/expires_at",
        ),
        (json!({ "email_domains": ["ada@acme.example"] }), "domain.invalid", "/email_domains/0"),
        (json!({ "email_domains": ["co.uk"] }), "domain.public_suffix", "/email_domains/0"),
        (json!({ "times_redeemed": 3 }), "api.read_only_field", "/times_redeemed"),
        (json!({ "seats": 3 }), "api.unknown_field", "/seats"),
    ];
    for (change, code, pointer) in cases {
        let mut body = base.clone();
        crate::support::merge(&mut body, &change);
        let reply = scene.operator.post(&path, body).await;
        assert_eq!(reply.problem(422), code, "{change}");
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{change}");
    }
    assert_eq!(
        scene.operator.post(&path, json!({ "label": "x" })).await.json()["errors"][0]["pointer"],
        "/sublicenses"
    );
    assert_eq!(scene.count("select count(*) from code_offers where client_id = $1").await, 0);
}

#[tokio::test]
async fn both_kinds_share_one_namespace_and_a_code_is_not_changed() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({ "code": "SPRING-2027" })).await;
    let path = format!("{BASE}/registration-codes");
    let again = json!({ "label": "Again", "sublicenses": ["main"], "code": "spring2027" });
    assert_eq!(scene.operator.post(&path, again).await.problem(409), "codes.taken");
    let (_, codes) = scene.batch(json!({ "codes": ["SPRING 2027", "SPRING-2027", "SUMMER-2027"] })).await;
    assert_eq!(codes.len(), 1);
    let path = format!("{path}/{}", code["id"].as_str().unwrap());
    let reply = scene.operator.patch(&path, json!({ "code": "OTHER-2027" })).await;
    assert_eq!(reply.problem(422), "codes.code_immutable");
}

#[tokio::test]
async fn a_repeated_post_makes_one_code() {
    let scene = Scene::start().await;
    let path = format!("{BASE}/registration-codes");
    let body = json!({ "label": "Spring", "sublicenses": ["main"] });
    let call = async || scene.operator.call(Method::POST, &path, Some(&body), &[("idempotency-key", "k-1")]).await;
    let (first, second) = (call().await, call().await);
    assert_eq!(first.ok(), second.ok());
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(scene.operator.get(&path).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_redeemed_when_is_listed() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({})).await;
    let learners = scene.learners(3).await;
    for learner in &learners {
        scene.redeem(*learner, &[text(&code)]).await;
    }
    let path = format!("{BASE}/registration-codes/{}/redemptions", code["id"].as_str().unwrap());
    let first = scene.operator.get(&format!("{path}?limit=2")).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = scene.operator.get(&format!("{path}?limit=2&cursor={cursor}")).await.ok();
    let mut found: Vec<String> = [first, second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap().clone())
        .map(|item| item["learner"].as_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<String> = learners.iter().map(ToString::to_string).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let other = format!("{BASE}/registration-codes/reg_{}/redemptions", "0".repeat(32));
    assert_eq!(scene.operator.get(&other).await.problem(404), "not_found");
}

#[tokio::test]
async fn another_clients_codes_are_not_there() {
    let scene = Scene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let code = scene.registration(json!({})).await;
    let (batch, codes) = scene.batch(json!({ "count": 1 })).await;
    let own = scene.app.admin_of("globex").await;
    let globex = "/api/v1/clients/globex";
    for path in [
        format!("registration-codes/{}", code["id"].as_str().unwrap()),
        format!("redemption-batches/{batch}"),
        format!("redemption-batches/{batch}/codes"),
        format!("redemption-batches/{batch}/codes.csv"),
    ] {
        assert_eq!(own.get(&format!("{globex}/{path}")).await.problem(404), "not_found", "{path}");
    }
    let id = codes[0]["id"].as_str().unwrap();
    for path in
        [format!("codes/{id}/revoke"), format!("codes/{id}/restore"), format!("redemption-batches/{batch}/revoke")]
    {
        assert_eq!(own.post(&format!("{globex}/{path}"), json!({})).await.problem(404), "not_found", "{path}");
    }
    // A registration code is not reached by the paths of redemption codes.
    let twisted = code["id"].as_str().unwrap().replace("reg_", "red_");
    assert_eq!(
        scene.operator.post(&format!("{BASE}/codes/{twisted}/revoke"), json!({})).await.problem(404),
        "not_found"
    );
    let sales = scene.sublicense("main").await;
    let deleted = scene.operator.delete(&format!("{BASE}/sublicenses/{sales}")).await;
    assert!(deleted.status.is_client_error());
}

#[tokio::test]
async fn one_use_of_a_registration_code_is_undone_and_stays_in_the_history() {
    let scene = Scene::start().await;
    let code = scene.registration(json!({ "max_redemptions": 1 })).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(ada, &[text(&code)]).await[0]));
    assert_eq!(scene.redeem(bob, &[text(&code)]).await, [CodeResult::UsedUp]);
    let path = format!("{BASE}/registration-codes/{}", code["id"].as_str().unwrap());
    let list = async || scene.operator.get(&format!("{path}/redemptions")).await.ok()["items"].clone();
    let use_of = list().await[0].clone();
    let undo = format!("{path}/redemptions/{}/undo", use_of["id"].as_str().unwrap());
    // Without more words the learner keeps what they got.
    let undone = scene.operator.post(&undo, json!({})).await.ok();
    assert_eq!((&undone["learner"], &undone["undone_why"]), (&use_of["learner"], &json!("undone")));
    assert_eq!(scene.grants(ada).await, 1);
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 0);
    assert!(is_redeemed(&scene.redeem(bob, &[text(&code)]).await[0]), "the use is there for somebody else");
    // Said again, it takes nothing from Bob.
    assert_eq!(scene.operator.post(&undo, json!({ "ends_access": true })).await.ok(), undone);
    assert_eq!(scene.operator.get(&path).await.ok()["times_redeemed"], 1);
    assert_eq!(scene.grants(ada).await, 1);
    assert_eq!(list().await.as_array().unwrap().len(), 2);
    let told = "select count(*) from outbox_events where client_id = $1 and type = 'redemption.undone'";
    assert_eq!(scene.count(told).await, 1);
}

#[tokio::test]
async fn undoing_a_use_with_its_access_ends_what_this_code_gave_and_frees_the_seat() {
    let scene = Scene::start().await;
    scene.operator.patch(BASE, json!({ "seat_limit": 1 })).await.ok();
    let code = scene.registration(json!({})).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(ada, &[text(&code)]).await[0]));
    assert_eq!(scene.redeem(bob, &[text(&code)]).await, [CodeResult::SeatsFull]);
    let path = format!("{BASE}/registration-codes/{}/redemptions", code["id"].as_str().unwrap());
    let id = scene.operator.get(&path).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let undone = scene.operator.post(&format!("{path}/{id}/undo"), json!({ "ends_access": true })).await.ok();
    assert!(undone["undone_at"].is_string());
    assert_eq!(scene.grants(ada).await, 0);
    assert_eq!(scene.operator.get(BASE).await.ok()["seats_used"], 0);
    assert!(is_redeemed(&scene.redeem(bob, &[text(&code)]).await[0]));
}

#[tokio::test]
async fn a_use_is_undone_by_its_own_code_and_client_only() {
    let scene = Scene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let (code, other) = (scene.registration(json!({})).await, scene.registration(json!({})).await);
    let (_, single) = scene.batch(json!({ "count": 1, "sublicenses": ["sales"] })).await;
    let ada = scene.learner("ada@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem(ada, &[text(&code)]).await[0]));
    assert!(is_redeemed(&scene.redeem(ada, &[text(&single[0])]).await[0]));
    let code = code["id"].as_str().unwrap();
    let list = scene.operator.get(&format!("{BASE}/registration-codes/{code}/redemptions")).await.ok();
    let id = list["items"][0]["id"].as_str().unwrap();
    let batch = single[0]["batch"].as_str().unwrap().replace("bat_", "reg_");
    let of_batch: uuid::Uuid = sqlx::query_scalar(
        "select r.id from redemptions r join code_offers o on o.id = r.offer_id and o.kind = 'redemption'",
    )
    .fetch_one(&scene.app.db)
    .await
    .unwrap();
    let own = scene.app.admin_of("globex").await;
    let other = other["id"].as_str().unwrap();
    for (caller, base, code, id) in [
        (&own, "/api/v1/clients/globex", code, id.to_owned()),
        (&own, BASE, code, id.to_owned()),
        (&scene.operator, BASE, other, id.to_owned()),
        (&scene.operator, BASE, code, format!("rdm_{}", "0".repeat(32))),
        (&scene.operator, BASE, batch.as_str(), format!("rdm_{}", of_batch.simple())),
    ] {
        let path = format!("{base}/registration-codes/{code}/redemptions/{id}/undo");
        assert_eq!(caller.post(&path, json!({ "ends_access": true })).await.problem(404), "not_found", "{path}");
    }
    assert_eq!(scene.grants(ada).await, 2);
}
