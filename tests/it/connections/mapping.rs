//! Mappings: versions, conflicts, and rules that do not hold.

use reqwest::Method;
use serde_json::{Value, json};

use super::setup::{CONNECTIONS, acme, path, saml};
use crate::support::App;

fn rules() -> Value {
    json!({ "profile": { "email": "mail" }, "access": [{ "when": "always", "sublicenses": ["sales"] }], "sync": "replace" })
}

#[tokio::test]
async fn connections_each_saved_mapping_is_a_new_version_in_force_at_once() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let at = format!("{}/mapping", path(&made));
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let before = app.connections.find(&app, id).await.unwrap().unwrap();
    let saved = operator.put(&at, rules()).await;
    assert_eq!(saved.ok()["version"], 2);
    assert_eq!(saved.headers["etag"], "\"2\"");
    assert_eq!(operator.get(&at).await.ok()["mapping"], rules());
    let after = app.connections.find(&app, id).await.unwrap().unwrap();
    assert_eq!((after.mapping_version, after.version), (2, before.version + 1));

    operator.put(&at, json!({ "fallback": { "sublicenses": ["main"] } })).await.ok();
    let first = operator.get(&format!("{at}/versions?limit=2")).await.ok();
    let versions = |page: &Value| -> Vec<i64> {
        page["items"].as_array().unwrap().iter().map(|item| item["version"].as_i64().unwrap()).collect()
    };
    assert_eq!(versions(&first), [3, 2]);
    assert_eq!(first["items"][1]["mapping"], rules());
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = operator.get(&format!("{at}/versions?limit=2&cursor={cursor}")).await.ok();
    assert_eq!((versions(&rest), &rest["next_cursor"]), (vec![1], &Value::Null));
}

#[tokio::test]
async fn connections_a_mapping_is_not_saved_over_one_that_its_author_had_not_seen() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let at = format!("{}/mapping", path(&made));
    let put = async |tag: &str| operator.call(Method::PUT, &at, Some(&rules()), &[("if-match", tag)]).await;
    assert_eq!(put("\"1\"").await.ok()["version"], 2);
    assert_eq!(put("\"1\"").await.problem(412), "mapping.conflict");
    assert_eq!(put("\"2\"").await.ok()["version"], 3);
    assert_eq!(put("x").await.problem(422), "mapping.if_match");
    let (one, two) = tokio::join!(put("\"3\""), put("\"3\""));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test]
async fn connections_rules_that_do_not_hold_are_refused_whole_with_pointers() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let at = format!("{}/mapping", path(&made));
    for (rules, pointer) in [
        (json!({ "profil": {} }), "/profil"),
        (json!({ "access": [{ "when": { "expr": "1 +" }, "sublicenses": ["main"] }] }), "/access/0/when/expr"),
        (
            json!({ "access": [{ "when": { "claim": "a", "matches": "(" }, "sublicenses": ["main"] }] }),
            "/access/0/when/matches",
        ),
        (json!({ "access": [{ "when": "always", "sublicenses": ["nowhere"] }] }), "/access/0/sublicenses/0"),
        (json!({ "fallback": { "sublicenses": ["nowhere"] } }), "/fallback/sublicenses/0"),
        (json!({ "client": " tenant" }), "/client"),
    ] {
        let reply = operator.put(&at, rules).await;
        reply.problem(422);
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{}", reply.text);
    }
    assert_eq!(operator.get(&at).await.ok()["version"], 1);
    let versions = operator.get(&format!("{at}/versions")).await.ok();
    assert_eq!(versions["items"].as_array().unwrap().len(), 1);
}
