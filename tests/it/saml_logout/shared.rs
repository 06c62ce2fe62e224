//! Single logout over a connection that serves several clients: every copy ends, and no client's trail names another's
//! people.

use serde_json::json;
use uuid::Uuid;

use super::{
    events,
    from_idp::{through_the_pages, to_the_end},
    is_in,
};
use crate::support::{SamlScene, client};

/// A connection of acme that serves acme and globex; everybody belongs to both.
async fn start() -> SamlScene {
    let scene = SamlScene::start().await;
    client(&scene.operator, "globex").await;
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    let rules = json!({
        "client": { "expr": "['acme', 'globex']" }, "profile": { "email": "email" }, "fallback": { "sublicenses": ["main"] },
    });
    scene.operator.put(&format!("{path}/mapping"), rules).await.ok();
    scene.operator.patch(&path, json!({ "clients": ["acme", "globex"], "status": "active" })).await.ok();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_of_a_learner_at_one_client_ends_the_session_at_the_other_and_each_trail_names_its_own() {
    let scene = start().await;
    let browser = scene.app.browser();
    through_the_pages(&scene, &browser, "acme", &scene.connection).await;
    through_the_pages(&scene, &browser, "globex", &scene.connection).await;
    let page = super::to_idp::sign_out(&scene, &browser).await;
    to_the_end(&browser, page).await;
    assert!(!is_in(&scene, &browser, "acme").await && !is_in(&scene, &browser, "globex").await);
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select client_id, actor_id, target from audit_events where action = 'session.ended' and actor_kind = 'learner'",
    )
    .fetch_all(&scene.app.db)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_ne!(rows[0].0, rows[1].0, "one in each client's trail");
    assert!(rows.iter().all(|(_, actor, target)| actor == target), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_at_the_idp_of_a_shared_connection_ends_both_clients_sessions_and_no_other_persons() {
    let scene = start().await;
    let (browser, other) = (scene.app.browser(), scene.app.browser());
    scene.sign_in(&other, "grace").await.expect(303);
    through_the_pages(&scene, &browser, "acme", &scene.connection).await;
    through_the_pages(&scene, &browser, "globex", &scene.connection).await;
    let page = browser.open(format!("{}/logout", scene.idp.base_url())).await;
    let page = browser.submit(&page.form()).await;
    to_the_end(&browser, page).await;
    assert!(!is_in(&scene, &browser, "acme").await && !is_in(&scene, &browser, "globex").await);
    assert!(is_in(&scene, &other, "acme").await);
    assert_eq!(events(&scene, "session.ended").await.len(), 2);
}
