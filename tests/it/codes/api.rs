//! Registration codes over the admin API: fields, refusals, lists, repetition.

use reqwest::Method;
use serde_json::json;

use super::{BASE, Scene, text};

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
