//! Our own keys of a connection, rolled over: what is published, what signs, what opens, and who may do it.

use idp_fixtures::{
    saml::request::SpMetadata,
    sign::{DataEncryption, Encryption, KeyTransport},
};
use openssl::x509::X509;
use serde_json::{Value, json};
use usher::connections::jwks_document;

use super::setup::{CONNECTIONS, acme, path, saml};
use crate::support::{Admin, App, Browser, SamlScene};

async fn scene() -> SamlScene {
    SamlScene::with(App::start().await, json!({ "saml": { "sign_requests": true } }), json!({})).await
}

fn at(scene: &SamlScene) -> String {
    format!("{CONNECTIONS}/{}/keys", scene.connection)
}

async fn make(operator: &Admin, at: &str, key_use: &str) -> Value {
    operator.post(at, json!({ "use": key_use })).await.ok()
}

async fn promote(operator: &Admin, at: &str, key: &Value) -> Value {
    operator.post(&format!("{at}/{}/promote", key["id"].as_str().unwrap()), json!({})).await.ok()
}

/// Keys of one use as `state id`.
async fn states(operator: &Admin, at: &str, key_use: &str) -> Vec<(String, Value)> {
    let list = operator.get(at).await.ok();
    let keys = list["items"].as_array().unwrap().iter().filter(|key| key["use"] == key_use);
    keys.map(|key| (key["state"].as_str().unwrap().to_owned(), key["id"].clone())).collect()
}

async fn published(scene: &SamlScene) -> SpMetadata {
    published_at(scene, &scene.app).await
}

async fn published_at(scene: &SamlScene, app: &App) -> SpMetadata {
    let document = Browser::new().via(app).open(scene.entity_id()).await.expect(200);
    SpMetadata::parse(&document.html).unwrap()
}

fn certificate(key: &Value) -> X509 {
    X509::from_pem(key["certificate"].as_str().unwrap().as_bytes()).unwrap()
}

fn ders(certificates: &[X509]) -> Vec<Vec<u8>> {
    certificates.iter().map(|certificate| certificate.to_der().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_a_signing_key_is_published_before_it_signs_and_after_it_did() {
    let scene = scene().await;
    let at = at(&scene);
    let replica = scene.app.replica();
    // A start at either replica; whether the request is signed by this certificate.
    let signs = async |app: &App, certificate: &X509| {
        let page = Browser::new().via(app).open(scene.start_url()).await.expect(303);
        scene.idp.sign_in(page.location().as_str(), "ada").await.unwrap();
        let request = scene.idp.requests().pop().unwrap();
        request.verify_signature(std::slice::from_ref(certificate)).is_ok()
    };
    let list = scene.operator.get(&at).await.ok();
    let before = list["items"].as_array().unwrap().iter().find(|key| key["use"] == "signing").unwrap().clone();
    assert_eq!((before["state"].as_str(), list["items"].as_array().unwrap().len()), (Some("current"), 2));
    let old = certificate(&before);
    assert!(signs(&scene.app, &old).await && signs(&replica, &old).await);

    assert_eq!(ders(&published_at(&scene, &replica).await.signing), ders(std::slice::from_ref(&old)));
    let next = make(&scene.operator, &at, "signing").await;
    let new = certificate(&next);
    for app in [&scene.app, &replica] {
        assert_eq!(ders(&published_at(&scene, app).await.signing), ders(&[old.clone(), new.clone()]));
    }
    assert!(signs(&scene.app, &old).await && !signs(&scene.app, &new).await);

    let promoted = promote(&scene.operator, &at, &next).await;
    assert_eq!(promoted["state"], "current");
    assert!(signs(&scene.app, &new).await);
    assert!(signs(&replica, &new).await, "a replica that had the old one open notices");
    assert_eq!(ders(&published(&scene).await.signing), ders(&[new.clone(), old]));
    assert_eq!(
        states(&scene.operator, &at, "signing").await,
        [("current".to_owned(), next["id"].clone()), ("retired".to_owned(), before["id"].clone())]
    );
    let shown = scene.operator.get(&format!("{CONNECTIONS}/{}", scene.connection)).await.ok();
    assert_eq!(shown["service_provider"]["certificate"], next["certificate"]);

    scene.operator.delete(&format!("{at}/{}", before["id"].as_str().unwrap())).await.ok();
    assert_eq!(ders(&published(&scene).await.signing), ders(&[new]));
    let events = scene.operator.get("/api/v1/clients/acme/events").await.text;
    for action in ["connection.key_prepared", "connection.key_promoted", "connection.key_deleted"] {
        assert!(events.contains(action), "{action}");
    }
    assert!(!events.contains("BEGIN"), "no key stands in an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_what_was_encrypted_for_a_key_opens_until_the_key_is_deleted() {
    let scene = scene().await;
    let at = at(&scene);
    let current = states(&scene.operator, &at, "encryption").await[0].1.clone();
    let list = scene.operator.get(&at).await.ok();
    let old = certificate(list["items"].as_array().unwrap().iter().find(|key| key["id"] == current).unwrap());
    let next = make(&scene.operator, &at, "encryption").await;
    let new = certificate(&next);
    assert_eq!(ders(&published(&scene).await.encryption), ders(&[old.clone(), new.clone()]));
    let opens = async |recipient: &X509| {
        let recipient = recipient.clone();
        scene.idp.behave(move |behaviour| {
            behaviour.rewrite = Some(std::sync::Arc::new(move |mut response| {
                let encryption = Encryption::to(recipient.clone()).data(DataEncryption::Aes256Gcm);
                response.encryption = Some(encryption.key_transport(KeyTransport::OaepMgf1p));
                response
            }));
        });
        scene.sign_in(&scene.app.browser(), "ada").await.status.as_u16()
    };
    assert_eq!((opens(&old).await, opens(&new).await), (303, 303), "the next one opens as soon as it is published");
    promote(&scene.operator, &at, &next).await;
    assert_eq!(
        ders(&published(&scene).await.encryption),
        ders(std::slice::from_ref(&new)),
        "nobody is to begin with a retired key"
    );
    assert_eq!((opens(&old).await, opens(&new).await), (303, 303));
    scene.operator.delete(&format!("{at}/{}", current.as_str().unwrap())).await.ok();
    assert_eq!((opens(&old).await, opens(&new).await), (403, 303));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_a_replica_that_has_not_met_a_key_opens_what_is_encrypted_for_it() {
    let scene = scene().await;
    let (at, replica) = (at(&scene), scene.app.replica());
    let current = states(&scene.operator, &at, "encryption").await[0].1.clone();
    let list = scene.operator.get(&at).await.ok();
    let current = certificate(list["items"].as_array().unwrap().iter().find(|key| key["id"] == current).unwrap());
    let next = std::sync::Arc::new(std::sync::Mutex::new(current));
    let recipient = next.clone();
    scene.idp.behave(move |behaviour| {
        behaviour.rewrite = Some(std::sync::Arc::new(move |mut response| {
            let encryption = Encryption::to(recipient.lock().unwrap().clone()).data(DataEncryption::Aes256Gcm);
            response.encryption = Some(encryption.key_transport(KeyTransport::OaepMgf1p));
            response
        }));
    });
    // The replica has met the connection with its keys of now; the next sign-in begins at the other one.
    scene.sign_in(&Browser::new().via(&replica), "ada").await.expect(303);
    *next.lock().unwrap() = certificate(&make(&scene.operator, &at, "encryption").await);
    let browser = scene.app.browser();
    let form = scene.to_idp(&browser, "ada").await;
    scene.post_back(&browser.via(&replica), &form).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_keys_roll_one_step_at_a_time() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let at = format!("{}/keys", path(&made));
    let current = states(&operator, &at, "signing").await[0].1.as_str().unwrap().to_owned();
    assert_eq!(operator.delete(&format!("{at}/{current}")).await.problem(409), "connection.key.current");
    let promoted = operator.post(&format!("{at}/{current}/promote"), json!({})).await;
    assert_eq!(promoted.problem(409), "connection.key.not_next");
    assert_eq!(operator.post(&at, json!({ "use": "decoration" })).await.problem(422), "api.invalid");
    assert_eq!(operator.post(&at, json!({})).await.problem(422), "api.required");

    // Two at once make one.
    let (one, two) = (json!({ "use": "signing" }), json!({ "use": "signing" }));
    let (one, two) = tokio::join!(operator.post(&at, one), operator.post(&at, two));
    let mut answers = [one.status.as_u16(), two.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [201, 409]);
    assert_eq!(operator.post(&at, json!({ "use": "signing" })).await.problem(409), "connection.key.next_exists");

    // Repeated with its key it changes nothing twice.
    let post = |path: String| {
        let operator = &operator;
        async move {
            let headers = [("idempotency-key", "k-1")];
            operator.call(reqwest::Method::POST, &path, Some(&json!({ "use": "encryption" })), &headers).await
        }
    };
    let (first, again) = (post(at.clone()).await, post(at.clone()).await);
    assert_eq!((first.status.as_u16(), first.json()), (again.status.as_u16(), again.json()));
    assert_eq!(states(&operator, &at, "encryption").await.len(), 2);
    let next = first.json()["id"].as_str().unwrap().to_owned();
    operator.delete(&format!("{at}/{next}")).await.ok();
    assert_eq!(operator.delete(&format!("{at}/{next}")).await.problem(404), "not_found");
    assert_eq!(operator.delete(&format!("{at}/nonsense")).await.problem(404), "not_found");

    // Retired keys do not pile up without end.
    for _ in 0..20 {
        let made = operator.post(&at, json!({ "use": "encryption" })).await;
        if made.status == 409 {
            assert_eq!(made.problem(409), "connection.key.too_many");
            return;
        }
        promote(&operator, &at, &made.ok()).await;
    }
    panic!("twenty keys were made");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_a_client_key_is_in_the_jwks_before_it_is_used_and_other_connections_have_none() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let op = idp_fixtures::oidc::OidcOp::start(idp_fixtures::oidc::Options::default()).await.unwrap();
    let oidc = json!({ "issuer": op.issuer(), "client_id": "usher", "token_auth": "private_key_jwt" });
    let made = operator.post(CONNECTIONS, json!({ "name": "G", "protocol": "oidc", "oidc": oidc })).await.ok();
    let at = format!("{}/keys", path(&made));
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let kids = async || -> Vec<Value> {
        let document = jwks_document(&app, id).await.unwrap().unwrap();
        document["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
    };
    let before = kids().await;
    let next = make(&operator, &at, "signing").await;
    assert_eq!(kids().await, [before[0].clone(), next["id"].clone()]);
    promote(&operator, &at, &next).await;
    assert_eq!(kids().await, [next["id"].clone(), before[0].clone()]);
    assert_eq!(operator.post(&at, json!({ "use": "encryption" })).await.problem(422), "connection.key.unused");

    let oidc = json!({ "issuer": op.issuer(), "client_id": "usher", "token_auth": "none" });
    let open = operator.post(CONNECTIONS, json!({ "name": "H", "protocol": "oidc", "oidc": oidc })).await.ok();
    let at = format!("{}/keys", path(&open));
    assert_eq!(operator.get(&at).await.ok()["items"], json!([]));
    assert_eq!(operator.post(&at, json!({ "use": "signing" })).await.problem(422), "connection.key.unused");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_another_clients_keys_answer_as_keys_that_never_were() {
    let app = App::start().await;
    let operator = acme(&app).await;
    operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })).await.ok();
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let own = format!("{}/keys", path(&made));
    let next = make(&operator, &own, "signing").await["id"].as_str().unwrap().to_owned();
    let (globex, acme) = (app.admin_of("globex").await, app.admin_of("acme").await);
    let id = made["id"].as_str().unwrap();
    for at in [own.clone(), format!("/api/v1/clients/globex/connections/{id}/keys")] {
        assert_eq!(globex.get(&at).await.problem(404), "not_found");
        assert_eq!(globex.post(&at, json!({ "use": "signing" })).await.problem(404), "not_found");
        assert_eq!(globex.post(&format!("{at}/{next}/promote"), json!({})).await.problem(404), "not_found");
        assert_eq!(globex.delete(&format!("{at}/{next}")).await.problem(404), "not_found");
    }
    assert_eq!(states(&operator, &own, "signing").await.len(), 2);
    // A client's own token may: its identity provider is its own affair.
    acme.post(&format!("{own}/{next}/promote"), json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_keys_of_a_shared_connection_are_the_operators_alone() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let id: usher::ids::ConnectionId = made["id"].as_str().unwrap().parse().unwrap();
    sqlx::query("update connection_clients set position = 0 where connection_id = $1")
        .bind(id.uuid())
        .execute(&app.db)
        .await
        .unwrap();
    let at = format!("{}/keys", path(&made));
    let next = make(&operator, &at, "signing").await["id"].as_str().unwrap().to_owned();
    let own = app.admin_of("acme").await;
    let tried = [
        own.post(&at, json!({ "use": "encryption" })).await,
        own.post(&format!("{at}/{next}/promote"), json!({})).await,
        own.delete(&format!("{at}/{next}")).await,
    ];
    for reply in tried {
        assert_eq!(reply.problem(403), "api.operator_only");
    }
    assert_eq!(states(&operator, &at, "signing").await.len(), 2);
    operator.post(&format!("{at}/{next}/promote"), json!({})).await.ok();
}
