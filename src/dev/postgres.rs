//! A private PostgreSQL: its data folder made once, reachable by a socket only.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use sqlx::{Connection, Executor, PgConnection};

use super::{account, child::Child, home::Home, progress};

/// The database that the gateway uses.
pub(super) const DATABASE: &str = "usher";
/// Written last, so that a folder without it is known to be half made.
const MARKER: &str = "usher-complete";
const PATIENCE: Duration = Duration::from_secs(60);

/// The URL of a database over the private socket.
pub(super) fn url(home: &Home, database: &str) -> String {
    let folder = home.run();
    let host = url::form_urlencoded::byte_serialize(folder.as_os_str().as_encoded_bytes()).collect::<String>();
    format!("postgres://usher@localhost/{database}?host={host}")
}

/// Starts it, making the data folder first where that is missing or half made.
pub(super) async fn start(home: &Home) -> anyhow::Result<Child> {
    let programs = programs()?;
    let data = home.data.join("postgres");
    if data.join(MARKER).is_file() {
        same_version(&programs, &data).await?;
    } else {
        if data.exists() {
            progress("an earlier start was cut short; making PostgreSQL's data folder anew");
            fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
        } else {
            progress("making PostgreSQL's data folder (once, some seconds)");
        }
        initialise(home, &programs).await?;
    }
    let mut command = account::command(programs.join("postgres"), home.account);
    command
        .current_dir(&data)
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=", "-c", "max_connections=200", "-c", "cluster_name=usher-dev"])
        .arg("-c")
        .arg(format!("unix_socket_directories={}", home.run().display()));
    // SIGINT is PostgreSQL's fast shutdown: sessions end, data is written.
    Child::start("postgresql", command, libc::SIGINT, &home.logs(), false)
}

/// Waits until it answers, and makes the database.
pub(super) async fn wait(home: &Home, child: &mut Child) -> anyhow::Result<()> {
    let administrative = url(home, "postgres");
    let answered = async {
        loop {
            child.ensure_alive()?;
            if let Ok(connection) = PgConnection::connect(&administrative).await {
                return anyhow::Ok(connection);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let mut connection = tokio::time::timeout(PATIENCE, answered).await.with_context(|| {
        format!("PostgreSQL does not answer; see {}", home.logs().join("postgresql.log").display())
    })??;
    match connection.execute("create database usher").await {
        Ok(_) => {}
        // 42P04: it is there from an earlier start.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P04") => {}
        Err(error) => return Err(error).context("making the database"),
    }
    connection.close().await.context("leaving PostgreSQL")
}

async fn initialise(home: &Home, programs: &Path) -> anyhow::Result<()> {
    let data = home.server_folder("postgres")?;
    let mut command = account::command(programs.join("initdb"), home.account);
    command.current_dir("/").arg("-D").arg(&data);
    // The socket's folder lets in nobody but the servers' user and root: no password beyond that.
    command.args(["-U", "usher", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"]);
    let output = command.output().await.context("running initdb")?;
    ensure!(
        output.status.success(),
        "PostgreSQL's data folder could not be made in {}:\n{}",
        data.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::write(data.join(MARKER), "").context("marking the data folder as complete")
}

async fn same_version(programs: &Path, data: &Path) -> anyhow::Result<()> {
    let made_by = fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
    let output = account::command(programs.join("postgres"), None).arg("--version").output().await?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let major = number.and_then(|number| number.split('.').next()).unwrap_or_default();
    if made_by.trim() == major {
        return Ok(());
    }
    bail!(
        "the demo's data was made by PostgreSQL {} and this is {major}. Nothing of value is lost by making it anew: rm -r {}",
        made_by.trim(),
        data.display()
    )
}

/// The folder of PostgreSQL's programs: Debian keeps them apart from the path, by version.
fn programs() -> anyhow::Result<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("PostgreSQL is not installed. Install it: apt-get install postgresql (script/bootstrap does)")
}
