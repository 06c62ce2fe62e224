//! Whole sign-ins with Chromium, over both protocols, on a phone and on a desktop: the self-posting form and cookies as
//! they really behave, the keyboard, and pages without a fault that axe knows. The demo clients are what is looked at.

use std::{collections::HashMap, fs, path::Path, path::PathBuf, process::Stdio, time::Duration};

use idp_fixtures::{oidc, saml};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};
use usher::apply::{self, Api, Mode};

use crate::support::App;

/// Where `script/browser` keeps what drives the browser; it installs what is missing.
fn installed() -> HashMap<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/script/browser");
    let out = std::process::Command::new(script).output().unwrap();
    assert!(out.status.success(), "script/browser: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, at)| (name.into(), at.into())).collect()
}

/// The demo clients, over fixture providers of this test.
pub async fn seed(app: &App, saml: &saml::SamlIdp, oidc: &oidc::OidcOp) {
    let token = app.operator().await.token;
    let api = Api::new(app, token.into());
    let variable = |name: &str| match name {
        "USHER_DEV_SAML_METADATA_URL" => Some(saml.metadata_url()),
        "USHER_DEV_OIDC_ISSUER" => Some(oidc.issuer().to_owned()),
        "USHER_DEV_OIDC_CLIENT_ID" => Some("usher".to_owned()),
        "USHER_DEV_OIDC_CLIENT_SECRET" => Some("usher-demo-secret".to_owned()),
        _ => None,
    };
    for name in ["acme", "globex"] {
        let file = apply::read(Path::new(&format!("config/clients/{name}.toml")), &variable).unwrap();
        apply::apply(&api, &file, Mode::Apply).await.unwrap();
    }
}

/// A folder for the pictures of the pages, for whoever wants to look at them.
fn pictures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Walks journeys with one of the programs in `tests/browser`, and fails with what went wrong.
pub async fn run(program: &str, journeys: &[Value]) {
    let installed = installed();
    let task = json!({ "chromium": installed["USHER_CHROMIUM"], "shots": pictures(), "journeys": journeys });
    let mut command = Command::new("node");
    command.arg(format!("{}/{program}", installed["USHER_BROWSER"])).arg(task.to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let out = timeout(Duration::from_secs(300), command.output()).await.expect("the browser is done in five minutes");
    let out = out.unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap();
    let problems: Vec<&str> = told["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_with_a_real_browser_over_both_protocols() {
    let app = App::start().await;
    let saml = saml::SamlIdp::start(saml::Options::default()).await.unwrap();
    let oidc = oidc::OidcOp::start(oidc::Options::default()).await.unwrap();
    seed(&app, &saml, &oidc).await;
    let own_host = app.origin().replace("localhost", "learn.acme.localhost");
    let journeys = [
        json!({
            "name": "acme-at-its-own-host", "protocol": "saml", "origin": own_host, "slug": "",
            "way": "Acme single sign-on", "person": "zoe", "email": "zoe@acme.example", "outsider": "nora",
            "shows": ["Zoë Müller", "zoe@acme.example", "Safety around anvils"],
        }),
        json!({
            "name": "acme", "protocol": "saml", "origin": app.origin(), "slug": "acme",
            "way": "Acme single sign-on", "person": "zoe", "email": "zoe@acme.example", "outsider": "nora",
            "shows": ["Zoë Müller", "zoe@acme.example", "Vertrieb Süd", "Kunden im Süden", "Safety around anvils"],
        }),
        json!({
            "name": "globex", "protocol": "oidc", "origin": app.origin(), "slug": "globex",
            "way": "Globex account", "person": "grace", "email": "grace@globex.example", "outsider": null,
            "shows": ["Grace Hopper", "grace@globex.example", "Engineering", "Reviewing code kindly"],
        }),
    ];
    run("signin.mjs", &journeys).await;
}
