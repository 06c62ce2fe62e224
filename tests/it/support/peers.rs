//! Identity providers that nobody here wrote (npm oidc-provider, PyPI pysaml2), as children on free ports.

use std::{collections::HashMap, process::Stdio, sync::OnceLock, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A running peer. It ends with its handle, and when this process dies, since its stdin closes.
pub struct Peer {
    /// What it printed when it was ready.
    pub ready: Value,
    _child: Child,
}

impl Peer {
    /// npm oidc-provider; `settings` are described in its `server.mjs`. Ready with `issuer`.
    pub async fn oidc_provider(settings: &Value) -> Self {
        let folder = &installed()["USHER_PEER_OIDC_PROVIDER"];
        let mut command = Command::new("node");
        command.arg(format!("{folder}/server.mjs")).arg(settings.to_string());
        Self::start(command).await
    }

    /// PyPI pysaml2; `settings` and its variants are described in its `idp.py`. Ready with `base_url`.
    pub async fn pysaml2(settings: &Value) -> Self {
        let folder = &installed()["USHER_PEER_PYSAML2"];
        let mut command = Command::new(format!("{folder}/bin/python"));
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/pysaml2/idp.py");
        command.args(["-W", "ignore", program]).arg(settings.to_string());
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(Duration::from_secs(60), lines.next_line()).await;
        let line = line.expect("the peer is ready within a minute").unwrap().expect("the peer says where it listens");
        // Whatever else it says is read, so that a full pipe never stops it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { ready: serde_json::from_str(&line).unwrap(), _child: child }
    }

    /// A member of the ready line.
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.ready))
    }
}

/// Where `script/peers` keeps them; it installs what is missing.
fn installed() -> &'static HashMap<String, String> {
    static FOLDERS: OnceLock<HashMap<String, String>> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/script/peers");
        let out = std::process::Command::new(script).output().unwrap();
        assert!(out.status.success(), "script/peers: {}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, at)| (name.into(), at.into())).collect()
    })
}
