//! The fixture identity providers: the program beside ours, on the same ports at each start, so that what was
//! configured for them keeps working.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdout,
};
use url::Url;

use super::{account, child::Child, home::Home, port};

const PATIENCE: Duration = Duration::from_secs(30);
/// The file that remembers what the providers said.
const REMEMBERED: &str = "idps.json";

/// Where the providers are, in their own words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Idps {
    pub saml: SamlIdp,
    pub oidc: OidcProvider,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SamlIdp {
    pub base_url: String,
    pub entity_id: String,
    pub metadata_url: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OidcProvider {
    /// As the provider spells it: a slash at its end would make it another one.
    pub issuer: String,
    pub client_id: String,
}

/// The secret that the OpenID provider knows the gateway by. It guards nothing: the provider has no passwords.
pub(super) const CLIENT_SECRET: &str = "usher-demo-secret";

/// Starts the providers. The pipe will say where they are.
pub(super) async fn start(home: &Home) -> anyhow::Result<(Child, ChildStdout)> {
    let program = std::env::current_exe().context("finding our own program")?.with_file_name("idp-fixtures");
    ensure!(
        program.is_file(),
        "{} is missing. Build it: cargo build --workspace (script/server does)",
        program.display()
    );
    let before: Option<Idps> = home.read(REMEMBERED).and_then(|text| serde_json::from_str(&text).ok());
    let keep = |url: Option<&str>| {
        let port = url.and_then(|url| Url::parse(url).ok()).and_then(|url| url.port());
        port.filter(|port| port::is_free(*port)).unwrap_or(0).to_string()
    };
    let mut command = account::command(program, None);
    command
        .args(["serve", "--client-id", "usher", "--client-secret", CLIENT_SECRET])
        .args(["--backchannel-logout-uri", "backchannel-logout"])
        .arg("--saml-port")
        .arg(keep(before.as_ref().map(|idps| idps.saml.base_url.as_str())))
        .arg("--oidc-port")
        .arg(keep(before.as_ref().map(|idps| idps.oidc.issuer.as_str())))
        .arg("--state-dir")
        .arg(home.root.join("idps"));
    let mut child = Child::start("idp-fixtures", command, libc::SIGTERM, &home.logs(), true)?;
    let output = child.take_output().context("the providers' output is piped")?;
    Ok((child, output))
}

/// Waits until the providers say where they are, and remembers it.
pub(super) async fn wait(home: &Home, output: ChildStdout) -> anyhow::Result<Idps> {
    let mut line = String::new();
    let mut output = BufReader::new(output);
    let log = home.logs().join("idp-fixtures.log");
    tokio::time::timeout(PATIENCE, output.read_line(&mut line))
        .await
        .with_context(|| format!("the fixture identity providers do not start; see {}", log.display()))??;
    let idps: Idps = serde_json::from_str(&line).with_context(|| {
        format!("the fixture identity providers did not start. They said:\n{}", super::child::last_words(&log))
    })?;
    home.write(REMEMBERED, &serde_json::to_string_pretty(&idps)?)?;
    Ok(idps)
}
