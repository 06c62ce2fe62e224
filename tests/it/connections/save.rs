//! Creating, changing and deleting connections; nothing is half-saved.

use chrono::Duration;
use idp_fixtures::{
    oidc::{OidcOp, Options},
    saml::metadata::entities_descriptor,
    sign::{KeyKind, KeyPair},
};
use serde_json::{Value, json};
use usher::{
    clock::Clock,
    connections::{KeyUse, jwks_document, sp_keys},
};

use super::setup::{CONNECTIONS, Documents, IDP, acme, by_url, key, metadata, path, saml};
use crate::support::{Admin, App};

async fn count(operator: &Admin) -> usize {
    operator.get(CONNECTIONS).await.ok()["items"].as_array().unwrap().len()
}

fn pointers(reply: &crate::support::Reply) -> Vec<String> {
    let errors = reply.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn connections_a_saml_connection_comes_with_keys_and_its_presets_mapping() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    let body = json!({ "name": "Entra", "protocol": "saml", "preset": "entra", "status": "active",
        "domains": ["ACME.example"], "saml": { "metadata_url": documents.url } });
    let made = operator.post(CONNECTIONS, body).await.ok();

    let id = made["id"].as_str().unwrap();
    let provider = &made["service_provider"];
    assert_eq!(provider["entity_id"], app.url(&format!("/saml/{id}/metadata")));
    assert_eq!(provider["acs_url"], app.url(&format!("/saml/{id}/acs")));
    assert!(provider["certificate"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_ne!(provider["certificate"], provider["encryption_certificate"]);
    assert_eq!((&provider["redirect_uri"], &provider["jwks_uri"]), (&Value::Null, &Value::Null));
    assert_eq!(made["idp"]["entity_id"], IDP);
    assert_eq!(made["idp"]["certificates"].as_array().unwrap().len(), 1);
    assert_eq!((&made["status"], &made["missing"]), (&json!("active"), &json!([])));
    assert_eq!(made["domains"], json!(["acme.example"]));

    let mapping = operator.get(&format!("{}/mapping", path(&made))).await.ok();
    assert_eq!(mapping["version"], 1);
    let email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
    assert!(mapping["mapping"]["profile"]["email"].to_string().contains(email), "{mapping}");
    assert_eq!(operator.get(&path(&made)).await.ok(), made);

    let facts = app.connections.find(&app, id.parse().unwrap()).await.unwrap().unwrap();
    for key_use in [KeyUse::Signing, KeyUse::Encryption] {
        let keys = sp_keys(&app, &facts, key_use).await.unwrap();
        assert_eq!((keys.len(), keys[0].private_key.bits()), (1, 2048));
    }
}

#[tokio::test]
async fn connections_nothing_is_saved_when_the_idp_cannot_be_read_and_the_reason_is_told() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let good = metadata(&key("first"));
    let mut bare = good.clone();
    bare.signing.clear();
    let mut ended = good.clone();
    ended.valid_until = Some(Clock::system().now() - Duration::hours(1));
    let documents = Documents::serve("").await;
    let documents_url = documents.url.clone();
    let create =
        async |saml: Value| operator.post(CONNECTIONS, json!({ "name": "x", "protocol": "saml", "saml": saml })).await;
    for (body, code) in [
        (String::new(), "connections.metadata.document"),
        ("<html/>".to_owned(), "connections.metadata.not_metadata"),
        ("x".repeat(5 << 20), "outbound.too_large"),
        (bare.to_xml().unwrap(), "connections.metadata.no_certificate"),
        (ended.to_xml().unwrap(), "connections.metadata.expired"),
        (entities_descriptor(&[good.clone(), bare.clone()]).unwrap(), "connections.metadata.several_entities"),
    ] {
        documents.change(body);
        let reply = create(json!({ "metadata_url": documents_url })).await;
        assert_eq!((reply.problem(422), pointers(&reply)), (code.to_owned(), vec!["/saml/metadata_url".to_owned()]));
    }
    documents.fail(404);
    assert_eq!(create(json!({ "metadata_url": documents_url })).await.problem(422), "outbound.status");
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, code) in [
        (format!("http://{unused}/"), "outbound.connect"),
        ("https://10.0.0.1/metadata".to_owned(), "outbound.address_refused"),
        ("https://169.254.169.254/latest".to_owned(), "outbound.address_refused"),
        ("file:///etc/passwd".to_owned(), "connection.saml.metadata_url"),
        ("https://user:secret@idp.example/".to_owned(), "connection.saml.metadata_url"),
    ] {
        assert_eq!(create(json!({ "metadata_url": url })).await.problem(422), code, "{url}");
    }
    let wrong = json!({ "metadata_xml": good.to_xml().unwrap(), "entity_id": "https://other.example" });
    assert_eq!(create(wrong).await.problem(422), "connections.metadata.entity_not_found");
    assert_eq!(count(&operator).await, 0);

    documents.change(good.to_xml().unwrap());
    create(json!({ "metadata_url": documents_url })).await.ok();
    assert_eq!(count(&operator).await, 1);
}

#[tokio::test]
async fn connections_a_change_that_cannot_be_read_leaves_everything_as_it_was() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    let broken = json!({ "name": "new", "saml": { "metadata_xml": "<a/>" } });
    assert_eq!(operator.patch(&path(&made), broken).await.problem(422), "connections.metadata.not_metadata");
    assert_eq!(operator.get(&path(&made)).await.ok(), made);

    let fine = json!({ "name": "new", "saml": { "metadata_xml": metadata(&key("second")).to_xml().unwrap() } });
    let changed = operator.patch(&path(&made), fine).await.ok();
    assert_eq!((&changed["name"], &changed["version"]), (&json!("new"), &json!(2)));
    assert_ne!(changed["idp"]["certificates"], made["idp"]["certificates"]);
    assert_eq!(changed["service_provider"], made["service_provider"]);
}

#[tokio::test]
async fn connections_activation_names_what_is_missing() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, json!({ "name": "x", "protocol": "saml" })).await.ok();
    assert_eq!(made["missing"], json!(["saml.metadata_url"]));
    let reply = operator.patch(&path(&made), json!({ "status": "active" })).await;
    assert_eq!(
        (reply.problem(422), pointers(&reply)),
        ("connection.not_ready".into(), vec!["/saml/metadata_url".into()])
    );

    let weak = KeyPair::generate(KeyKind::Rsa1024, "weak").unwrap();
    let with_weak = saml(json!({ "status": "active", "saml": { "metadata_xml": metadata(&weak).to_xml().unwrap() } }));
    let refused = operator.post(CONNECTIONS, with_weak).await;
    assert!(refused.status.as_u16() == 422, "{}", refused.text);

    let op = OidcOp::start(Options::default()).await.unwrap();
    let oidc = json!({ "issuer": op.issuer(), "client_id": "usher" });
    let body = json!({ "name": "y", "protocol": "oidc", "status": "active", "oidc": oidc });
    let reply = operator.post(CONNECTIONS, body).await;
    assert_eq!(
        (reply.problem(422), pointers(&reply)),
        ("connection.not_ready".into(), vec!["/oidc/client_secret".into()])
    );

    let xml = metadata(&key("first")).to_xml().unwrap();
    let both = json!({ "status": "active", "saml": { "metadata_xml": xml } });
    assert_eq!(operator.patch(&path(&made), both).await.ok()["status"], "active");
    let taken_away = json!({ "saml": { "metadata_xml": null } });
    assert_eq!(operator.patch(&path(&made), taken_away).await.problem(422), "connection.not_ready");
}

#[tokio::test]
async fn connections_a_client_secret_goes_in_and_never_comes_out() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let op = OidcOp::start(Options::default()).await.unwrap();
    let secret = "hunter2-hunter2-hunter2";
    let oidc = json!({ "issuer": op.issuer(), "client_id": "usher", "client_secret": secret });
    let body = json!({ "name": "Globex", "protocol": "oidc", "status": "active", "oidc": oidc });
    let reply = operator.post(CONNECTIONS, body).await;
    let made = reply.ok();
    assert!(!reply.text.contains(secret));
    assert_eq!((&made["has_client_secret"], &made["oidc"]["client_secret"]), (&json!(true), &Value::Null));
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["service_provider"]["redirect_uri"], app.url(&format!("/oidc/{id}/callback")));
    let opened = async || {
        let facts = app.connections.reload(&app, id.parse().unwrap()).await.unwrap().unwrap();
        let opened = facts.oidc.as_ref().unwrap().client_secret(&app).unwrap();
        opened.map(|secret| secrecy::ExposeSecret::expose_secret(&secret).to_owned())
    };
    assert_eq!(opened().await.as_deref(), Some(secret));

    let kept = operator.patch(&path(&made), json!({ "oidc": { "scopes": ["openid", "groups"] } })).await;
    assert_eq!(kept.ok()["oidc"]["scopes"], json!(["openid", "groups"]));
    assert!(!kept.text.contains(secret));
    assert_eq!(opened().await.as_deref(), Some(secret));

    let cleared = json!({ "status": "draft", "oidc": { "client_secret": null } });
    assert_eq!(operator.patch(&path(&made), cleared).await.ok()["has_client_secret"], false);
    assert_eq!(opened().await, None);
    let events = operator.get("/api/v1/clients/acme/events").await;
    assert!(events.text.contains("oidc.client_secret") && !events.text.contains(secret), "{}", events.text);
}

#[tokio::test]
async fn connections_private_key_jwt_publishes_the_public_half_of_its_key_only() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let op = OidcOp::start(Options::default()).await.unwrap();
    let oidc = json!({ "issuer": op.issuer(), "client_id": "usher", "token_auth": "none" });
    let made = operator.post(CONNECTIONS, json!({ "name": "G", "protocol": "oidc", "oidc": oidc })).await.ok();
    let id = made["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(jwks_document(&app, id).await.unwrap(), Some(json!({ "keys": [] })));

    let changed = operator.patch(&path(&made), json!({ "oidc": { "token_auth": "private_key_jwt" } })).await.ok();
    assert!(changed["service_provider"]["jwks_uri"].as_str().unwrap().ends_with("/jwks"));
    let jwks = jwks_document(&app, id).await.unwrap().unwrap();
    let jwk = &jwks["keys"][0];
    assert_eq!((&jwk["kty"], &jwk["alg"], &jwk["e"]), (&json!("RSA"), &json!("RS256"), &json!("AQAB")));
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        assert_eq!(jwk[private], Value::Null, "{private}");
    }
    let facts = app.connections.find(&app, id).await.unwrap().unwrap();
    let keys = sp_keys(&app, &facts, KeyUse::Signing).await.unwrap();
    assert_eq!(jwk["kid"], keys[0].id.to_string());
}

#[tokio::test]
async fn connections_fields_of_the_operator_are_refused_to_a_clients_own_token() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let own = app.admin_of("acme").await;
    let xml = metadata(&key("first")).to_xml().unwrap();
    let sha1 = saml(json!({ "saml": { "metadata_xml": xml, "allow_sha1": true } }));
    assert_eq!(own.post(CONNECTIONS, sha1.clone()).await.problem(403), "api.operator_only");
    let by_operator = operator.post(CONNECTIONS, sha1).await.ok();
    assert_eq!(by_operator["saml"]["allow_sha1"], true);
    assert_eq!(
        own.patch(&path(&by_operator), json!({ "saml": { "allow_sha1": false } })).await.problem(403),
        "api.operator_only"
    );
    own.patch(&path(&by_operator), json!({ "name": "still ours" })).await.ok();

    let made = own.post(CONNECTIONS, saml(json!({}))).await.ok();
    assert_eq!(
        own.patch(&path(&made), json!({ "saml": { "allow_sha1": true } })).await.problem(403),
        "api.operator_only"
    );
    let shared = json!({ "clients": ["globex"] });
    assert_eq!(own.patch(&path(&made), shared.clone()).await.problem(403), "api.operator_only");
    assert_eq!(operator.patch(&path(&made), shared).await.problem(422), "connection.client_unknown");
}

#[tokio::test]
async fn connections_trusted_domains_are_verified_domains_of_the_client() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let domain = json!({ "email_domains": [{ "domain": "acme.example" }] });
    operator.patch("/api/v1/clients/acme", domain).await.ok();
    let trusting = saml(json!({ "trusted_domains": ["acme.example"] }));
    let reply = operator.post(CONNECTIONS, trusting.clone()).await;
    assert_eq!(reply.problem(422), "connection.trusted_domains");
    assert_eq!(count(&operator).await, 0);
    operator.post("/api/v1/clients/acme/domains/acme.example/vouch", json!({})).await.ok();
    assert_eq!(operator.post(CONNECTIONS, trusting).await.ok()["trusted_domains"], json!(["acme.example"]));
    let below = saml(json!({ "trusted_domains": ["mail.acme.example"] }));
    assert_eq!(operator.post(CONNECTIONS, below).await.problem(422), "connection.trusted_domains");
}

#[tokio::test]
async fn connections_settings_that_do_not_hold_together_are_told_with_pointers() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let body = json!({ "name": " ", "protocol": "oidc", "clock_skew_s": 301, "domains": ["ok.example", "*.acme.example"],
        "oidc": { "issuer": "https://op.example?x=1", "client_id": "", "scopes": ["email"], "prompt": "none", "id_token_algs": [] } });
    let reply = operator.post(CONNECTIONS, body).await;
    reply.problem(422);
    assert_eq!(
        pointers(&reply),
        [
            "/name",
            "/clock_skew_s",
            "/domains/1",
            "/oidc/issuer",
            "/oidc/client_id",
            "/oidc/scopes",
            "/oidc/prompt",
            "/oidc/id_token_algs"
        ]
    );
    for algorithm in ["none", "HS256"] {
        let oidc = json!({ "issuer": "https://op.example", "client_id": "x", "id_token_algs": [algorithm] });
        let reply = operator.post(CONNECTIONS, json!({ "name": "x", "protocol": "oidc", "oidc": oidc })).await;
        assert_eq!(pointers(&reply), ["/oidc/id_token_algs/0"], "{}", reply.text);
    }
    for (field, value) in [("version", json!(7)), ("service_provider", json!({})), ("unheard_of", json!(1))] {
        let reply = operator.post(CONNECTIONS, saml(json!({ field: value }))).await;
        assert_eq!(pointers(&reply), [format!("/{field}")], "{}", reply.text);
    }
    let made = operator.post(CONNECTIONS, saml(json!({}))).await.ok();
    assert_eq!(operator.patch(&path(&made), json!({ "protocol": "oidc", "saml": null, "oidc": { "issuer": "https://op.example", "client_id": "x" } })).await.problem(422), "connection.protocol");
    assert_eq!(
        operator.patch(&path(&made), json!({ "idp": null, "id": "con_x" })).await.problem(422),
        "api.read_only_field"
    );
}

#[tokio::test]
async fn connections_only_a_draft_or_disabled_one_is_deleted() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let made = operator.post(CONNECTIONS, saml(json!({ "status": "active" }))).await.ok();
    assert_eq!(operator.delete(&path(&made)).await.problem(409), "connection.active");
    operator.patch(&path(&made), json!({ "status": "disabled" })).await.ok();
    assert_eq!(operator.delete(&path(&made)).await.status, 204);
    assert_eq!(operator.get(&path(&made)).await.problem(404), "not_found");
    let id = made["id"].as_str().unwrap().parse().unwrap();
    assert!(app.connections.find(&app, id).await.unwrap().is_none());
}

#[tokio::test]
async fn connections_a_repeated_post_makes_one_connection_and_asks_the_idp_once() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    let body = json!({ "name": "x", "protocol": "saml", "saml": { "metadata_url": documents.url } });
    let post =
        async || operator.call(reqwest::Method::POST, CONNECTIONS, Some(&body), &[("idempotency-key", "one")]).await;
    let first = post().await.ok();
    let asked = documents.asked();
    assert_eq!(post().await.ok(), first);
    assert_eq!((count(&operator).await, documents.asked()), (1, asked));
}

#[tokio::test]
async fn connections_two_changes_at_once_both_stand() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let documents = Documents::serve(metadata(&key("first")).to_xml().unwrap()).await;
    let made = by_url(&operator, &documents).await;
    let path = path(&made);
    let (name, skew) = tokio::join!(
        operator.patch(&path, json!({ "name": "renamed" })),
        operator.patch(&path, json!({ "clock_skew_s": 120 })),
    );
    for reply in [name, skew] {
        reply.ok();
    }
    let now = operator.get(&path).await.ok();
    assert_eq!((&now["name"], &now["clock_skew_s"], &now["version"]), (&json!("renamed"), &json!(120), &json!(3)));
}
