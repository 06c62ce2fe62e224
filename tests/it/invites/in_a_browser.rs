//! Accepting an invite with Chromium, by keyboard alone, on a phone and on a desktop; every page without a fault that
//! axe knows.

use serde_json::{Value, json};

use super::{INVITES, Scene, id};
use crate::{browser, support::App};

/// The links that one screen's journey needs.
async fn links(scene: &Scene, screen: &str) -> Value {
    let old = scene.invite(&format!("old-{screen}@acme.example")).await;
    let replaced = scene.link(&old).await;
    scene.operator.post(&format!("{INVITES}/{}/resend", id(&old)), json!({})).await.ok();
    let fresh = scene.invite(&format!("fresh-{screen}@acme.example")).await;
    let other = scene.invite(&format!("other-{screen}@acme.example")).await;
    json!({ "replaced": replaced, "fresh": scene.link(&fresh).await, "other": scene.link(&other).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn people_accept_invites_with_a_real_browser() {
    let scene = Scene::with(App::start().await).await;
    let branding = json!({ "branding": {
        "accent_color": "#0b6e4f", "secondary_color": "#f2a541", "support_email": "help@acme.example",
        "welcome_text": "Learn what Acme is made of.", "footer": "Acme Learning, Bremen",
    } });
    scene.operator.patch("/api/v1/clients/acme", branding).await.ok();
    let journey = json!({
        "name": "invites", "origin": scene.app.origin(), "slug": "acme", "shows": ["Sales Academy"],
        "links": { "phone": links(&scene, "phone").await, "desktop": links(&scene, "desktop").await },
    });
    browser::run("invites.mjs", &[journey]).await;
    assert_eq!(scene.events("invite.accepted").await, 2);
}
