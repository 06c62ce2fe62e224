//! `usher dev` as a person meets it: one command, and nothing is left when it ends, however it ends.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout},
};

use crate::support::Admin;

/// A checkout that the database's user may enter, with nothing but what the demo needs.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(folder.path().join("config/clients")).unwrap();
    fs::copy("config/dev.toml", folder.path().join("config/dev.toml")).unwrap();
    for file in fs::read_dir("config/clients").unwrap().flatten() {
        fs::copy(file.path(), folder.path().join(file.path())).unwrap();
    }
    folder
}

fn command(checkout: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
    command.arg("dev").current_dir(checkout).env("PORT", port.to_string());
    command
}

struct Demo {
    process: Child,
    told: String,
    _output: BufReader<ChildStdout>,
}

impl Demo {
    /// Starts it and reads the table.
    async fn start(checkout: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = tokio::process::Command::from(command(checkout, port));
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut told = String::new();
        let table =
            async { while !told.contains("Stop with Ctrl-C") && output.read_line(&mut told).await.unwrap() > 0 {} };
        tokio::time::timeout(Duration::from_secs(90), table).await.expect("the table within a minute and a half");
        assert!(told.contains("Stop with Ctrl-C"), "it ended before it served: {told}");
        Self { process, told, _output: output }
    }

    fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Sends a signal and waits for the end.
    async fn end(mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
        tokio::time::timeout(Duration::from_secs(20), self.process.wait()).await.expect("it ends").unwrap().code()
    }
}

/// Every live process below this one.
fn descendants(parent: u32) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let children: Vec<PathBuf> = processes.filter(|process| parent_of(process) == Some(parent)).collect();
    let of = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().parse().unwrap();
    let below: Vec<PathBuf> = children.iter().flat_map(|child| descendants(of(child))).collect();
    children.into_iter().chain(below).collect()
}

/// The parent's number; none for what is no process, or a dead one that nobody has waited for.
fn parent_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    fields.next()?.parse().ok().filter(|_| state != "Z")
}

async fn all_gone(processes: &[PathBuf]) {
    let gone = async {
        while processes.iter().any(|process| parent_of(process).is_some()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), gone).await.expect("no child is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_starts_is_told_and_leaves_no_child_behind_however_it_ends() {
    let checkout = checkout();
    let demo = Demo::start(checkout.path()).await;
    let file = fs::read_to_string(checkout.path().join(".usher/dev.json")).unwrap();
    let told: Value = serde_json::from_str(&file).unwrap();
    let base = told["base_url"].as_str().unwrap();
    let slugs: Vec<_> =
        told["clients"].as_array().unwrap().iter().map(|client| client["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["acme", "elm-school", "globex", "oak-school", "school-district"], "{told}");
    let connections = |client: &Value| client["connections"].as_array().unwrap().clone();
    let ways: Vec<Value> = told["clients"].as_array().unwrap().iter().flat_map(connections).collect();
    // The district's own is offered by its two schools.
    assert_eq!(ways.len(), 4, "{told}");
    for way in ways {
        let start = way["start_url"].as_str().unwrap();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let reply = client.get(start).send().await.unwrap();
        assert_eq!(reply.status(), 303, "{start}");
    }
    let address = base.trim_start_matches("http://localhost:").parse::<u16>().unwrap();
    let host = format!("localhost:{address}");
    let admin = Admin::new(([127, 0, 0, 1], address).into(), host, told["admin_token"].as_str().unwrap().into());
    assert_eq!(admin.get("/api/v1/clients").await.status, 200);
    assert!(demo.told.contains(&admin.token) && demo.told.contains(base), "{}", demo.told);
    let mails = told["mail"]["page"].as_str().unwrap();
    assert!(demo.told.contains(mails), "{}", demo.told);
    assert!(reqwest::get(mails).await.unwrap().text().await.unwrap().contains("No mail yet"));
    let secret = fs::metadata(checkout.path().join(".usher/sealing-key")).unwrap().permissions().mode();
    assert_eq!(secret & 0o777, 0o600);

    let children = descendants(demo.id());
    assert!(children.len() > 3, "{children:?}");
    assert_eq!(demo.end("-TERM").await, Some(0));
    all_gone(&children).await;

    // The second start finds what the first one made, and is killed without a chance to tidy.
    let demo = Demo::start(checkout.path()).await;
    let children = descendants(demo.id());
    demo.end("-KILL").await;
    all_gone(&children).await;

    // A start that was cut short while it made the data folder.
    fs::remove_file(checkout.path().join(".usher/data/postgres/usher-complete")).unwrap();
    let demo = Demo::start(checkout.path()).await;
    let children = descendants(demo.id());
    assert_eq!(demo.end("-INT").await, Some(0));
    all_gone(&children).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_told_with_what_to_do() {
    let checkout = checkout();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let told = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let busy = told(&mut command(checkout.path(), port));
    assert!(busy.contains(&format!("port {port} is in use by")) && busy.contains("PORT="), "{busy}");
    let nonsense = told(command(checkout.path(), 1).env("PORT", "eighty"));
    assert!(nonsense.contains("PORT=eighty is not a port"), "{nonsense}");
    let elsewhere = told(&mut command(Path::new("/"), 0));
    assert!(elsewhere.contains("run `usher dev` in a checkout"), "{elsewhere}");
    let missing = told(command(checkout.path(), 0).env("PATH", "/nowhere"));
    assert!(missing.contains("apt-get install"), "{missing}");
}
