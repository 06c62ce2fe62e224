//! A private Redis: nothing on disk, reachable by a socket only.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

use super::{account, child::Child, home::Home};
use crate::cache::Cache;

const PATIENCE: Duration = Duration::from_secs(20);

fn socket(home: &Home) -> PathBuf {
    home.run().join("redis.sock")
}

/// The URL over the private socket.
pub(super) fn url(home: &Home) -> String {
    url::Url::from_file_path(socket(home))
        .map_or_else(|()| String::new(), |file| file.as_str().replacen("file://", "redis+unix://", 1))
}

/// Starts it.
pub(super) fn start(home: &Home) -> anyhow::Result<Child> {
    let installed = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join("redis-server"))
        .find(|program| program.is_file());
    let program = installed
        .context("Redis is not installed. Install it: apt-get install redis-server (script/bootstrap does)")?;
    let mut command = account::command(program, home.account);
    command
        .current_dir(home.run())
        .args(["--port", "0", "--daemonize", "no", "--save", "", "--appendonly", "no"])
        // Replay protection and sessions must not be dropped for room.
        .args(["--maxmemory-policy", "noeviction", "--unixsocketperm", "700", "--unixsocket"])
        .arg(socket(home));
    Child::start("redis", command, libc::SIGTERM, &home.logs(), false)
}

/// Waits until it answers.
pub(super) async fn wait(home: &Home, cache: &Cache, child: &mut Child) -> anyhow::Result<()> {
    let answered = async {
        while cache.ping().await.is_err() {
            child.ensure_alive()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .with_context(|| format!("Redis does not answer; see {}", home.logs().join("redis.log").display()))?
}
