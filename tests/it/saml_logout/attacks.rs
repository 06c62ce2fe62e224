//! The catalogue of attacks on logout requests once more, through the front door: about a real session, which outlives them
//! all, and ends by the genuine request.

use idp_fixtures::{
    attacks::{LogoutScene, LogoutSent, logout_attacks},
    saml::request::SpMetadata,
    sign::{KeyKind, shared},
};

use super::{events, is_in, signed_in};
use crate::{
    saml_attacks::codes,
    support::{App, Page, SamlScene},
};
use serde_json::json;

async fn sent(scene: &SamlScene, sent: &LogoutSent) -> Page {
    let browser = scene.app.browser();
    match sent {
        LogoutSent::Query(query) => browser.open(format!("{}?{query}", scene.slo_url())).await,
        LogoutSent::Form(fields) => {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            browser.post_from(scene.idp.base_url(), scene.slo_url(), &fields).await
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saml_logout_attacks_end_no_session_and_each_leaves_its_reason() {
    let app = App::with()
        .settings(|raw| {
            raw.limits.sign_in_per_address = "100000/1m".into();
            raw.limits.refused_records_per_connection = "100000/1m".into();
        })
        .start()
        .await;
    let gate = SamlScene::with(app, json!({}), json!({})).await;
    let (browser, participant) = signed_in(&gate, "ada").await;
    let metadata = gate.app.browser().open(gate.entity_id()).await.expect(200).html;
    let recipient = SpMetadata::parse(&metadata).unwrap().encryption.swap_remove(0);
    let foreign = shared(KeyKind::Rsa2048, "idp.other.example").unwrap();
    let slo_url = gate.slo_url();
    let scene = LogoutScene::new(
        (gate.idp.entity_id(), &slo_url),
        (&gate.idp.key(), &foreign),
        recipient,
        (participant.name_id.clone(), &participant.session_index),
        gate.app.clock.now(),
    );
    for attack in logout_attacks() {
        let page = sent(&gate, &attack.attack(&scene).unwrap()).await;
        assert_eq!(page.status, 400, "{}: {}", attack.name, page.text());
        let reason =
            events(&gate, "logout.refused").await[0]["reason"].as_str().unwrap().replacen("logout.", "login.", 1);
        assert!(codes(attack.breaks).contains(&reason.as_str()), "{}: {reason}", attack.name);
    }
    assert!(is_in(&gate, &browser, "acme").await, "an attack has ended the session");
    let genuine = logout_attacks().swap_remove(0).twin(&scene).unwrap();
    sent(&gate, &genuine).await.expect(303);
    assert!(!is_in(&gate, &browser, "acme").await);
}
