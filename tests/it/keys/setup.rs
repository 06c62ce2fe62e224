//! Rings, a client with something of every sealed kind, and a look at what is sealed under which key.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Utc;
use idp_fixtures::oidc::{OidcOp, Options};
use serde_json::json;
use usher::{
    admin,
    config::Raw,
    mail::{self, MailKind, NewMail},
};

use crate::support::{Admin, App, SamlScene};

/// The ring's entry of this number; the same one everywhere.
pub fn entry(number: u8) -> String {
    format!("{number}:{}", STANDARD.encode([number; 32]))
}

/// A change of settings: a ring of these keys.
pub fn ring(numbers: &'static [u8]) -> impl Fn(&mut Raw) + Send + 'static {
    move |raw| raw.secrets.sealing_keys = numbers.iter().map(|number| entry(*number).into()).collect()
}

/// A gateway with a ring of these keys, whose clock stands still.
pub async fn app(numbers: &'static [u8]) -> App {
    App::with().clock_at(Utc::now()).settings(ring(numbers)).start().await
}

/// A SAML connection that signs its requests.
pub async fn scene(numbers: &'static [u8]) -> SamlScene {
    SamlScene::with(app(numbers).await, json!({ "saml": { "sign_requests": true } }), json!({})).await
}

/// A connection to an OpenID provider with a client secret; its id.
pub async fn with_secret(operator: &Admin, secret: &str) -> String {
    let op = OidcOp::start(Options::default()).await.unwrap();
    let oidc = json!({ "issuer": op.issuer(), "client_id": "usher", "client_secret": secret });
    let body = json!({ "name": "By secret", "protocol": "oidc", "oidc": oidc });
    let made = operator.post("/api/v1/clients/acme/connections", body).await.ok();
    made["id"].as_str().unwrap().to_owned()
}

/// Mails of acme that wait with a link.
pub async fn mails(app: &App, count: usize) {
    let client = admin::find_client(&app.db, "acme").await.unwrap().unwrap();
    let mail = |_| NewMail {
        kind: MailKind::Invite,
        to: "ada@people.example",
        to_name: "Ada",
        locale: None,
        path: Some("/invites/secret".into()),
        values: json!({}),
        about: None,
    };
    let mails: Vec<_> = (0..count).map(mail).collect();
    let mut transaction = app.db.begin().await.unwrap();
    mail::queue_many(&mut transaction, app, client, &mails, app.clock.now()).await.unwrap();
    transaction.commit().await.unwrap();
}

/// How many values stand under each key, by column.
pub async fn sealed(app: &App) -> BTreeMap<(String, i32), i64> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        "select kind, get_byte(value, 1), count(*) from (
             select 'secret' as kind, secret_sealed as value from connections
             union all select 'key', private_key_sealed from connection_keys
             union all select 'claims', claims_sealed from attempts
             union all select 'link', link_sealed from mails) as sealed
         where value is not null group by 1, 2",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    rows.into_iter().map(|(kind, key, count)| ((kind, key), count)).collect()
}

/// The keys that anything is under.
pub async fn keys_in_use(app: &App) -> Vec<i32> {
    let mut keys: Vec<i32> = sealed(app).await.into_keys().map(|(_, key)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
