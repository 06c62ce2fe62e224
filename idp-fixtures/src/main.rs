//! `idp-fixtures serve`: both fixture identity providers on loopback, for the demo and for tries by hand.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use idp_fixtures::{
    oidc::{self, OidcOp},
    saml::{self, SamlIdp},
    sign::{KeyKind, KeyPair},
};
use std::path::PathBuf;
use tokio::{
    io::AsyncReadExt,
    signal::unix::{Signal, SignalKind, signal},
};

#[derive(Parser)]
#[command(
    version,
    about = "Identity providers for demos and tests. They know no passwords and listen on loopback only."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a SAML identity provider (Acme) and an OpenID provider (Globex) until stdin closes or SIGTERM comes.
    Serve {
        /// Port of the SAML identity provider; 0 takes any free one.
        #[arg(long, default_value_t = 0)]
        saml_port: u16,
        /// Port of the OpenID provider; 0 takes any free one.
        #[arg(long, default_value_t = 0)]
        oidc_port: u16,
        /// Host in their URLs: `localhost` and `127.0.0.1` are different sites to a browser.
        #[arg(long, default_value = "127.0.0.1", value_parser = ["127.0.0.1", "localhost"])]
        host: String,
        /// Where the signing keys are kept, so that they outlive a restart.
        #[arg(long)]
        state_dir: PathBuf,
        /// Client id that the OpenID provider knows.
        #[arg(long, default_value = "usher")]
        client_id: String,
        /// Secret of that client.
        #[arg(long, default_value = "usher-demo-secret")]
        client_secret: String,
        /// Where that client is told of logouts; may be relative to its redirect URI.
        #[arg(long)]
        backchannel_logout_uri: Option<String>,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    match Arguments::parse().command {
        Command::Serve { saml_port, oidc_port, host, state_dir, client_id, client_secret, backchannel_logout_uri } => {
            std::fs::create_dir_all(&state_dir)
                .with_context(|| format!("cannot make the folder {}", state_dir.display()))?;
            let keep = |name: &str| KeyPair::kept_in(&state_dir.join(name), KeyKind::Rsa2048, "demonstration IdP");
            let saml = SamlIdp::start(saml::Options {
                port: saml_port,
                host: host.clone(),
                key: Some(keep("saml.pem")?),
                ..saml::Options::default()
            })
            .await?;
            let oidc = OidcOp::start(oidc::Options {
                port: oidc_port,
                host,
                key: Some(keep("oidc.pem")?),
                clients: vec![oidc::Client {
                    backchannel_logout_uri,
                    ..oidc::Client::with_secret(&client_id, &client_secret)
                }],
                ..oidc::Options::default()
            })
            .await?;
            let end = Ending::listen()?;
            println!("{}", ready_line(&saml, &oidc, &client_id));
            end.wait().await;
            saml.stop().await;
            oidc.stop().await;
            // The blocked read of stdin would hold the runtime's shutdown; nothing is left to flush.
            std::process::exit(0)
        }
    }
}

fn ready_line(saml: &SamlIdp, oidc: &OidcOp, client_id: &str) -> serde_json::Value {
    serde_json::json!({
        "saml": {
            "base_url": saml.base_url(),
            "entity_id": saml.entity_id(),
            "metadata_url": saml.metadata_url(),
        },
        "oidc": { "issuer": oidc.issuer(), "client_id": client_id },
    })
}

/// The ways in which a run ends; listened to before the ready line, so that no early signal is lost.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    fn listen() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when the parent has closed our stdin (also by dying) or asks us to stop.
    async fn wait(mut self) {
        let stdin_closes = async {
            let mut stdin = tokio::io::stdin();
            let mut buffer = [0u8; 256];
            while matches!(stdin.read(&mut buffer).await, Ok(count) if count > 0) {}
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = stdin_closes => {}
        }
    }
}
