//! Whom nobody can invite, and why: each with its own code, and nothing written.

use serde_json::json;

use super::{INVITES, Scene};

async fn refused(scene: &Scene, email: &str) -> String {
    let before = scene.operator.get(INVITES).await.text;
    let body = json!({ "email": email, "sublicenses": ["sales"] });
    let code = scene.operator.post(INVITES, body).await.problem(409);
    assert_eq!(scene.operator.get(INVITES).await.text, before, "{code}: nothing is written");
    code
}

#[tokio::test]
async fn a_learner_with_all_of_it_is_told_and_one_with_less_is_invited_to_the_rest() {
    let scene = Scene::start().await;
    scene.limit_seats(5).await;
    let (_, _) = scene.member("ada@acme.example").await;
    assert_eq!(refused(&scene, "Ada@acme.example").await, "invites.already_learner");
    assert_eq!(scene.seats().await, (1, 0));
    let more = json!({ "email": "ada@acme.example", "sublicenses": ["sales", "main"] });
    scene.operator.post(INVITES, more).await.ok();
    assert_eq!(scene.seats().await, (1, 0), "who holds a seat of the client reserves none");
    let raised = json!({ "email": "ada@acme.example", "sublicenses": ["sales"], "role": "manager" });
    assert_eq!(scene.operator.post(INVITES, raised).await.status, 200);
}

#[tokio::test]
async fn the_suspended_and_the_blocked_are_not_invited() {
    let scene = Scene::start().await;
    let (_, learner) = scene.member("ada@acme.example").await;
    let ada = format!("/api/v1/clients/acme/learners/{}", learner["id"].as_str().unwrap());
    scene.block(&learner, "sales", true).await;
    assert_eq!(refused(&scene, "ada@acme.example").await, "invites.learner_blocked");
    scene.operator.patch(&ada, json!({ "status": "suspended" })).await.ok();
    assert_eq!(refused(&scene, "ada@acme.example").await, "invites.learner_suspended");
}

#[tokio::test]
async fn without_a_seat_nobody_is_invited_and_an_open_invite_holds_its_own() {
    let scene = Scene::start().await;
    scene.limit_seats(1).await;
    scene.invite("ada@acme.example").await;
    assert_eq!(refused(&scene, "bob@acme.example").await, "invites.seats_full");
    // A renewal needs no second seat.
    scene.invite("ada@acme.example").await;
    assert_eq!(scene.seats().await, (0, 1));
    scene.limit_seats(9).await;
    let sales = scene.operator.get("/api/v1/clients/acme/sublicenses").await.ok();
    let sales = sales["items"].as_array().unwrap().iter().find(|part| part["slug"] == "sales").unwrap()["id"].clone();
    let sales = format!("/api/v1/clients/acme/sublicenses/{}", sales.as_str().unwrap());
    scene.operator.patch(&sales, json!({ "seat_limit": 1 })).await.ok();
    assert_eq!(refused(&scene, "bob@acme.example").await, "invites.seats_full");
    scene.operator.post(INVITES, json!({ "email": "bob@acme.example", "sublicenses": ["main"] })).await.ok();
    scene.operator.patch(&sales, json!({ "ends_at": "2026-11-22T12:00:00Z" })).await.ok();
    let over = scene.operator.post(INVITES, json!({ "email": "eve@acme.example", "sublicenses": ["sales"] })).await;
    assert_eq!(over.problem(422), "invites.sublicense_ended");
}

#[tokio::test]
async fn a_closed_client_invites_nobody() {
    let scene = Scene::start().await;
    scene.operator.patch("/api/v1/clients/acme", json!({ "license_ends_at": "2026-11-22T12:00:00Z" })).await.ok();
    assert_eq!(refused(&scene, "ada@acme.example").await, "invites.client_closed");
    let open = json!({ "license_ends_at": null, "status": "disabled" });
    scene.operator.patch("/api/v1/clients/acme", open).await.ok();
    assert_eq!(refused(&scene, "ada@acme.example").await, "invites.client_closed");
}
