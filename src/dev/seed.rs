//! The demo clients, made of the declarative files in `config/clients/`, a few codes to type, and the operator's token.

use std::{fs, path::Path};

use anyhow::Context;
use http::Method;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use super::{home::Home, idps, progress};
use crate::{
    admin::{self, NewToken, Permission},
    app::App,
    apply::{self, Api, Mode},
    audit::Actor,
    ids::ConnectionId,
};

/// Where the operator's token is kept between starts.
const TOKEN: &str = "admin-token";

/// A registration code for each demo client: by slug, the code, what it is called, and the sublicense that it opens.
const CODES: &[(&str, &str, &str, &str)] =
    &[("acme", "ACME-SALES", "Sales onboarding", "sales"), ("globex", "GLOBEX-START", "New engineers", "engineering")];

/// A connection as `.usher/dev.json` tells it.
#[derive(Debug, Serialize)]
pub(super) struct DemoConnection {
    pub id: String,
    pub protocol: String,
    pub start_url: String,
}

/// A client as `.usher/dev.json` tells it.
#[derive(Debug, Serialize)]
pub(super) struct DemoClient {
    pub slug: String,
    pub id: String,
    /// The origins of its own hosts.
    pub hosts: Vec<String>,
    pub connections: Vec<DemoConnection>,
    /// A registration code that opens something here.
    pub registration_code: Option<&'static str>,
    #[serde(skip)]
    pub name: String,
}

/// What was seeded.
pub(super) struct Demo {
    pub token: String,
    pub clients: Vec<DemoClient>,
}

/// Makes the clients what their files say, and a token if the one of before is no longer good.
pub(super) async fn seed(app: &App, checkout: &Path, home: &Home, idps: &idps::Idps) -> anyhow::Result<Demo> {
    let (api, token) = operator(app, home).await?;
    let variable = |name: &str| match name {
        "USHER_DEV_SAML_METADATA_URL" => Some(idps.saml.metadata_url.clone()),
        "USHER_DEV_OIDC_ISSUER" => Some(idps.oidc.issuer.clone()),
        "USHER_DEV_OIDC_CLIENT_ID" => Some(idps.oidc.client_id.clone()),
        "USHER_DEV_OIDC_CLIENT_SECRET" => Some(idps::CLIENT_SECRET.to_owned()),
        other => std::env::var(other).ok(),
    };
    let folder = checkout.join("config/clients");
    let mut files: Vec<_> = fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    for file in &files {
        let client = apply::read(file, &variable)?;
        let plan = apply::apply(&api, &client, Mode::Apply)
            .await
            .with_context(|| format!("seeding from {}", file.display()))?;
        if !plan.is_unchanged() {
            progress(&format!("seeded from {}", file.display()));
        }
    }
    for (slug, code, label, sublicense) in CODES {
        seed_code(&api, slug, code, label, sublicense).await?;
    }
    let clients = demo_clients(app, &api).await?;
    Ok(Demo { token, clients })
}

/// Makes a registration code once; what was changed of it since stays.
async fn seed_code(api: &Api, slug: &str, code: &str, label: &str, sublicense: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/clients/{slug}/registration-codes");
    if api.find(&format!("/api/v1/clients/{slug}")).await?.is_none() {
        return Ok(());
    }
    let there = api.list(&path).await?;
    if there.iter().any(|known| known.get("code").and_then(Value::as_str) == Some(code)) {
        return Ok(());
    }
    let body = json!({ "label": label, "code": code, "sublicenses": [sublicense], "max_redemptions": 100 });
    api.send(&format!("making the code {code}"), Method::POST, &path, &body).await?;
    Ok(())
}

async fn operator(app: &App, home: &Home) -> anyhow::Result<(Api, String)> {
    if let Some(token) = home.read(TOKEN) {
        let api = Api::new(app, SecretString::from(token.clone()));
        if api.is_let_in().await? {
            return Ok((api, token));
        }
    }
    let now = app.clock.now();
    let new = NewToken { name: "usher dev".into(), client: None, scopes: Permission::ALL.to_vec(), expires_at: None };
    let mut transaction = app.db.begin().await?;
    let made = admin::create_token(&mut transaction, &app.entropy, Actor::System, new, None, now).await?;
    transaction.commit().await?;
    let token = made.secret.expose().to_owned();
    home.write(TOKEN, &token)?;
    Ok((Api::new(app, SecretString::from(token.clone())), token))
}

async fn demo_clients(app: &App, api: &Api) -> anyhow::Result<Vec<DemoClient>> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut clients = Vec::new();
    let mut ways = Vec::new();
    for client in api.list("/api/v1/clients").await? {
        let slug = text(&client, "slug");
        for connection in api.list(&format!("/api/v1/clients/{slug}/connections")).await? {
            let id: ConnectionId = text(&connection, "id").parse().context("a connection has an id")?;
            let listed = connection.get("clients").and_then(Value::as_array).into_iter().flatten();
            let mut served: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
            if served.is_empty() {
                served.push(slug.clone());
            }
            for slug in served {
                let start_url = format!("{}/{slug}/login/{id}", app.settings.server.origin());
                let protocol = text(&connection, "protocol");
                ways.push((slug, DemoConnection { id: id.to_string(), protocol, start_url }));
            }
        }
        let code = CODES.iter().find(|(of, ..)| *of == slug).map(|(_, code, ..)| *code);
        let (id, name) = (text(&client, "id"), text(&client, "name"));
        let hosts = client.get("hosts").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let hosts = hosts.map(|host| app.settings.server.origin_of(host)).collect();
        clients.push(DemoClient { id, name, slug, hosts, connections: Vec::new(), registration_code: code });
    }
    for (slug, way) in ways {
        if let Some(client) = clients.iter_mut().find(|client| client.slug == slug) {
            client.connections.push(way);
        }
    }
    Ok(clients)
}
