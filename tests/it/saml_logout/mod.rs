//! Single logout by SAML: the verifier on messages of `idp-fixtures`, and whole logouts over HTTP, both ways and by both
//! bindings.

mod attacks;
mod from_idp;
mod shared;
mod to_idp;
mod verify;

use idp_fixtures::saml::{LogoutBuilder, Participant, ReceivedLogout, SUCCESS, request::SpMetadata};
use serde_json::Value;

use crate::support::{Browser, Page, SamlScene};

/// Whether this browser is signed in at the client.
async fn is_in(scene: &SamlScene, browser: &Browser, slug: &str) -> bool {
    browser.open(scene.app.url(&format!("/{slug}/dashboard"))).await.status == 200
}

/// A browser in which this person has signed in, and what the identity provider knows of it.
async fn signed_in(scene: &SamlScene, who: &str) -> (Browser, Participant) {
    let browser = scene.app.browser();
    scene.sign_in(&browser, who).await.expect(303);
    assert!(is_in(scene, &browser, "acme").await);
    (browser, scene.idp.participants().pop().unwrap())
}

/// Sends a message by this binding through a browser that has no cookie of ours.
async fn deliver(scene: &SamlScene, message: &LogoutBuilder, by_post: bool) -> Page {
    let browser = scene.app.browser();
    if !by_post {
        return browser.open(format!("{}?{}", scene.slo_url(), message.query().unwrap())).await;
    }
    let fields = message.fields().unwrap();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post_from(scene.idp.base_url(), scene.slo_url(), &fields).await
}

/// Our answer as it leaves for the identity provider, with a signature that verifies, and where it goes.
async fn answer(scene: &SamlScene, page: &Page) -> (ReceivedLogout, String) {
    let (answer, url) = if page.status.is_redirection() {
        let url = page.location();
        (ReceivedLogout::from_query(url.query().unwrap()).unwrap(), url[..url::Position::AfterPath].to_owned())
    } else {
        let form = page.form_with("SAMLResponse");
        let relay_state = form.value("RelayState");
        (ReceivedLogout::from_form(form.value("SAMLResponse").unwrap(), relay_state).unwrap(), form.action.clone())
    };
    let metadata = scene.app.browser().open(scene.entity_id()).await.expect(200).html;
    answer.signature.verify(&answer.xml, &SpMetadata::parse(&metadata).unwrap().signing).unwrap();
    assert_eq!(answer.issuer, scene.entity_id());
    assert_eq!(answer.destination.as_deref(), Some(url.as_str()));
    (answer, url)
}

/// The audit trail's events of this kind, newest first.
async fn events(scene: &SamlScene, action: &str) -> Vec<Value> {
    let rows: Vec<(Option<String>, Value)> =
        sqlx::query_as("select reason, facts from audit_events where action = $1 order by id desc")
            .bind(action)
            .fetch_all(&scene.app.db)
            .await
            .unwrap();
    rows.into_iter().map(|(reason, facts)| serde_json::json!({ "reason": reason, "facts": facts })).collect()
}

/// Delivers a genuine request and expects that it is done.
async fn done(scene: &SamlScene, message: &LogoutBuilder, by_post: bool) {
    let page = deliver(scene, message, by_post).await;
    let (answer, _) = answer(scene, &page).await;
    assert_eq!(
        (answer.status, answer.in_response_to.as_deref()),
        (vec![SUCCESS.to_owned()], Some(message.id.as_str()))
    );
}
