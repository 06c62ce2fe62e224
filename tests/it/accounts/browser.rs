//! Password reset, sign-in, the account page and the proof of an address in Chromium, on a phone and on a desktop, by
//! keyboard alone.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use serde_json::json;

use super::{OLD, Scene};
use crate::browser;

/// Answers what the mailbox of a person holds, as they would read it: `?email=…&kind=…`.
async fn newest(
    State(scene): State<Arc<Scene>>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<String, StatusCode> {
    let mails = scene.mails(&asked["email"]).await;
    let newest = mails.into_iter().rev().find(|(kind, _)| *kind == asked["kind"]);
    newest.and_then(|(_, link)| link).ok_or(StatusCode::NOT_FOUND)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_reset_a_password_and_prove_an_address_with_a_real_browser() {
    let scene = Arc::new(Scene::start().await);
    let branding = json!({
        "accent_color": "#0b57d0", "secondary_color": "#0a1f44", "welcome_text": "Skills for everybody who builds, ships and repairs.",
        "support_email": "learning@acme.example", "footer": "Acme Academy is a service of Acme Corporation."
    });
    scene.patch("acme", json!({ "name": "Acme Academy", "branding": branding })).await;
    for size in ["phone", "desktop"] {
        let owner = scene.account("acme", &format!("owner-{size}@mail.example"), OLD).await;
        scene.grant("acme", owner, "main").await;
        let newcomer = scene.sign_up("acme", &format!("newcomer-{size}@mail.example"), OLD).await;
        scene.grant("acme", newcomer, "main").await;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let links = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(newest)).with_state(scene.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let journey = json!({ "name": "accounts", "origin": scene.app.origin(), "slug": "acme", "links": links });
    browser::run("accounts.mjs", &[journey]).await;
    serving.abort();
}
