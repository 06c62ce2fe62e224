//! Content items over the admin API.

use serde_json::json;

use crate::support::{Admin, App};

const BASE: &str = "/api/v1/clients/acme/content";

async fn acme(app: &App) -> Admin {
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "name": "Sales", "slug": "sales" })).await.ok();
    operator
}

#[tokio::test]
async fn an_item_is_made_read_changed_and_deleted() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let body = json!({ "title": "Intro", "url": "https://learn.example/1", "external_id": "c-1", "audience": "sublicenses", "sublicenses": ["sales"] });
    let made = operator.post(BASE, body).await.ok();
    assert!(made["sublicenses"][0].as_str().unwrap().starts_with("sub_"));
    let path = format!("{BASE}/{}", made["id"].as_str().unwrap());
    assert_eq!(operator.get(&path).await.ok(), made);
    let after = operator.patch(&path, json!({ "audience": "client", "description": "For all" })).await.ok();
    assert_eq!((&after["sublicenses"], &after["title"]), (&json!([]), &json!("Intro")));
    assert_eq!(operator.delete(&path).await.status, 204);
    assert_eq!(operator.get(&path).await.problem(404), "not_found");
    let events = operator.get("/api/v1/clients/acme/events").await.ok();
    let of_content = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["action"].as_str().unwrap().starts_with("content."));
    assert_eq!(of_content.count(), 3);
}

#[tokio::test]
async fn an_item_that_does_not_hold_is_refused() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let fine = json!({ "title": "Intro", "url": "https://learn.example/1", "external_id": "c-1" });
    operator.post(BASE, fine.clone()).await.ok();
    assert_eq!(operator.post(BASE, fine.clone()).await.problem(409), "content.external_id_taken");
    let cases = [
        (json!({ "url": "javascript:alert(1)" }), "api.invalid", "/url"),
        (json!({ "url": "http://learn.example/" }), "api.invalid", "/url"),
        (json!({ "title": "" }), "api.invalid", "/title"),
        (json!({ "audience": "everybody" }), "api.invalid", "/audience"),
        (json!({ "audience": "sublicenses" }), "content.audience", "/sublicenses"),
        (json!({ "sublicenses": ["sales"] }), "content.audience", "/sublicenses"),
        (json!({ "audience": "sublicenses", "sublicenses": ["nothing"] }), "sublicense.unknown", "/sublicenses/0"),
    ];
    for (change, code, pointer) in cases {
        let mut body = fine.clone();
        body["external_id"] = json!("c-2");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = operator.post(BASE, body).await;
        assert_eq!(reply.problem(422), code, "{change}");
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{change}");
    }
}

#[tokio::test]
async fn another_clients_sublicense_or_item_is_as_one_that_never_was() {
    let app = App::start().await;
    let operator = acme(&app).await;
    operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let theirs = operator.get("/api/v1/clients/other/sublicenses").await.ok()["items"][0]["id"].clone();
    let body =
        json!({ "title": "x", "url": "https://learn.example/1", "audience": "sublicenses", "sublicenses": [theirs] });
    assert_eq!(operator.post(BASE, body).await.problem(422), "sublicense.unknown");
    let item = operator
        .post("/api/v1/clients/other/content", json!({ "title": "x", "url": "https://learn.example/1" }))
        .await
        .ok();
    let id = item["id"].as_str().unwrap();
    assert_eq!(operator.get(&format!("{BASE}/{id}")).await.problem(404), "not_found");
    assert_eq!(operator.delete(&format!("{BASE}/{id}")).await.problem(404), "not_found");
    assert_eq!(operator.get(&format!("/api/v1/clients/other/content/{id}")).await.status, 200);
}
