//! What tokens of the owner and of a listed client see of a shared connection and may do with it.

use serde_json::json;

use super::District;

#[tokio::test(flavor = "multi_thread")]
async fn shared_no_bound_token_changes_it_or_reads_its_mapping_or_list() {
    let district = District::start().await;
    let owner = district.app.admin_of("acme").await;
    let path = district.path();
    let shown = owner.get(&path).await.ok();
    assert_eq!((&shown["clients"], &shown["trusted_domains"]), (&json!([]), &json!([])), "{shown}");
    let listed = owner.get("/api/v1/clients/acme/connections").await.ok();
    assert_eq!(listed["items"][0]["clients"], json!([]));
    assert!(!listed.to_string().contains("north") && !shown.to_string().contains("north"));
    let rules = json!({ "profile": { "email": "email" }, "client": "school", "fallback": { "sublicenses": ["main"] } });
    let evaluate = json!({ "claims": { "school": "north" }, "subject": "x" });
    let tried = [
        owner.patch(&path, json!({ "name": "Mine" })).await,
        owner.patch(&path, json!({ "clients": [] })).await,
        owner.patch(&path, json!({ "status": "disabled" })).await,
        owner.post(&format!("{path}/refresh"), json!({})).await,
        owner.get(&format!("{path}/mapping")).await,
        owner.get(&format!("{path}/mapping/versions")).await,
        owner.put(&format!("{path}/mapping"), rules.clone()).await,
        owner.post(&format!("{path}/mapping/evaluate"), evaluate.clone()).await,
        owner.post(&format!("{path}/keys"), json!({ "use": "signing" })).await,
        owner.delete(&path).await,
    ];
    for reply in tried {
        assert_eq!(reply.problem(403), "api.operator_only");
    }
    let own = json!({ "name": "Own", "protocol": "saml", "clients": ["north"] });
    assert_eq!(owner.post("/api/v1/clients/acme/connections", own).await.problem(403), "api.operator_only");
    // The positive twins.
    let operator = &district.operator;
    assert_eq!(operator.get(&path).await.ok()["clients"], json!(["north", "south"]));
    operator.get(&format!("{path}/mapping")).await.ok();
    operator.put(&format!("{path}/mapping"), rules).await.ok();
    operator.post(&format!("{path}/mapping/evaluate"), evaluate).await.ok();
    operator.patch(&path, json!({ "name": "Renamed", "status": "disabled" })).await.ok();
    // A draft or disabled one stays the operator's.
    assert_eq!(owner.delete(&path).await.problem(403), "api.operator_only");
    operator.delete(&path).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_it_is_no_connection_of_a_listed_clients_token() {
    let district = District::start().await;
    district.sign_in_at("north", &district.app.browser(), "ann").await.expect(303);
    let north = district.app.admin_of("north").await;
    assert_eq!(north.get("/api/v1/clients/north/connections").await.ok()["items"], json!([]));
    for client in ["north", "acme"] {
        let path = format!("/api/v1/clients/{client}/connections/{}", district.connection);
        let rules = json!({ "profile": {}, "fallback": { "sublicenses": ["main"] } });
        let tried = [
            north.get(&path).await,
            north.patch(&path, json!({ "name": "Mine" })).await,
            north.delete(&path).await,
            north.post(&format!("{path}/refresh"), json!({})).await,
            north.get(&format!("{path}/mapping")).await,
            north.put(&format!("{path}/mapping"), rules).await,
            north.get(&format!("{path}/mapping/versions")).await,
            north.post(&format!("{path}/mapping/evaluate"), json!({ "claims": {} })).await,
            north.get(&format!("{path}/keys")).await,
            north.post(&format!("{path}/keys"), json!({ "use": "signing" })).await,
        ];
        for reply in tried {
            let status = reply.status.as_u16();
            assert!(status == 404 || (status == 200 && reply.json()["items"] == json!([])), "{client}: {reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_learners_attempts_and_events_are_the_chosen_clients_and_its_mapping_stays_unread() {
    let district = District::start().await;
    district.sign_in_at("north", &district.app.browser(), "ann").await.expect(303);
    let (owner, north, south) = (
        district.app.admin_of("acme").await,
        district.app.admin_of("north").await,
        district.app.admin_of("south").await,
    );
    for (admin, slug, count) in [(&owner, "acme", 0), (&north, "north", 1), (&south, "south", 0)] {
        for list in ["learners", "attempts"] {
            let items = admin.get(&format!("/api/v1/clients/{slug}/{list}")).await.ok();
            assert_eq!(items["items"].as_array().unwrap().len(), count, "{list} of {slug}");
        }
        let events = admin.get(&format!("/api/v1/clients/{slug}/events")).await.ok();
        let signed_in = events["items"].as_array().unwrap().iter().filter(|one| one["action"] == "sign_in.succeeded");
        assert_eq!(signed_in.count(), count, "{slug}");
    }
    let id = north.get("/api/v1/clients/north/attempts").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let attempt = north.get(&format!("/api/v1/clients/north/attempts/{id}")).await.ok();
    assert!(attempt["mapping_outcome"].is_null() && attempt["checks"].as_array().unwrap().len() > 5, "{attempt}");
    assert_eq!(south.get(&format!("/api/v1/clients/south/attempts/{id}")).await.problem(404), "not_found");
    assert_eq!(owner.get(&format!("/api/v1/clients/acme/attempts/{id}")).await.problem(404), "not_found");
    let attempt = district.operator.get(&format!("/api/v1/clients/north/attempts/{id}")).await.ok();
    assert!(attempt["mapping_outcome"].is_object());
}
