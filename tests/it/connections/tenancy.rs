//! A connection belongs to one client; and which of a client's connections an e-mail leads to.

use reqwest::Method;
use serde_json::json;
use usher::connections::{for_email, for_landing};

use super::setup::{CONNECTIONS, acme, key, metadata, path, saml};
use crate::support::App;

#[tokio::test]
async fn connections_another_clients_connection_answers_as_one_that_never_was() {
    let app = App::start().await;
    let operator = acme(&app).await;
    operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let globex = app.admin_of("globex").await;
    let id = made["id"].as_str().unwrap();
    let never = "con_00000000000000000000000000000001";
    let strip = |reply: crate::support::Reply| {
        let mut body = reply.json();
        body["reference"] = json!("");
        (reply.status, body)
    };
    for (method, below, body) in [
        (Method::GET, "", None),
        (Method::PATCH, "", Some(json!({ "name": "mine" }))),
        (Method::DELETE, "", None),
        (Method::POST, "/refresh", Some(json!({}))),
        (Method::GET, "/mapping", None),
        (Method::PUT, "/mapping", Some(json!({}))),
        (Method::GET, "/mapping/versions", None),
        (Method::POST, "/mapping/evaluate", Some(json!({ "claims": {} }))),
    ] {
        let call = async |id: &str| {
            let path = format!("/api/v1/clients/globex/connections/{id}{below}");
            strip(globex.call(method.clone(), &path, body.as_ref(), &[]).await)
        };
        let (theirs, nobodys) = (call(id).await, call(never).await);
        assert_eq!(theirs, nobodys, "{method} {below}");
        assert_eq!(theirs.0, 404, "{method} {below}");
    }
    assert_eq!(globex.get(CONNECTIONS).await.problem(404), "not_found");
    assert_eq!(operator.get(&path(&made)).await.ok(), made);
}

#[tokio::test]
async fn connections_an_email_leads_to_the_active_connection_of_its_domain() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let xml = metadata(&key("first")).to_xml().unwrap();
    let client = operator.get("/api/v1/clients/acme").await.ok()["id"].as_str().unwrap().parse().unwrap();
    let mut made = Vec::new();
    for (name, domains) in [("eu", json!(["eu.acme.example"])), ("all", json!(["acme.example", "Bücher.example"]))] {
        let body = json!({ "name": name, "protocol": "saml", "status": "active", "domains": domains, "saml": { "metadata_xml": xml } });
        made.push(operator.post(CONNECTIONS, body).await.ok());
    }
    let mut conn = app.db.acquire().await.unwrap();
    let mut names = async |email: &str| -> Vec<String> {
        let found = for_email(&mut conn, client, email).await.unwrap();
        found.into_iter().map(|connection| connection.name).collect()
    };
    assert_eq!(names("ann@eu.acme.example").await, ["eu"]);
    assert_eq!(names("Ann@ACME.example").await, ["all"]);
    assert_eq!(names("ann@xn--bcher-kva.example").await, ["all"]);
    assert!(names("ann@other.example").await.is_empty());
    operator.patch(&path(&made[0]), json!({ "status": "disabled" })).await.ok();
    assert!(names("ann@eu.acme.example").await.is_empty());
    let offered = for_landing(&mut app.db.acquire().await.unwrap(), client).await.unwrap();
    assert_eq!(offered.len(), 1);
}
