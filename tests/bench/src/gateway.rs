//! A gateway as a process of its own on the measured core: how long until it is ready, what CPU time it has had, what
//! memory it holds.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::process::{Child, Command};

use crate::Options;

/// Ticks of `/proc/PID/stat` in a second (USER_HZ, 100 on every Linux).
const TICKS: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that runs on one core.
pub fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program).kill_on_drop(true);
    command
}

/// User and system CPU seconds of a process with all its threads, those that have ended too.
pub fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, which may hold anything, ends at the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// How gateways of one deployment are configured.
pub struct Deployment {
    pub database_url: String,
    redis_url: String,
    key_prefix: String,
    sealing_key: String,
    /// The same for every process of the deployment: URLs and cookies hold it.
    port: u16,
    log: PathBuf,
    is_pinned: bool,
}

impl Deployment {
    /// A deployment on a database of its own, with Redis keys of its own.
    pub fn new(options: &Options, name: &str, folder: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self {
            database_url: format!("{}/{name}", options.postgres),
            redis_url: options.redis.clone(),
            key_prefix: name.to_owned(),
            sealing_key: format!("1:{}", BASE64_STANDARD.encode([7u8; 32])),
            port,
            log: folder.join(format!("{name}.log")),
            is_pinned: true,
        })
    }

    /// The same on whatever cores there are, as everything that it is measured beside.
    pub fn on_every_core(self) -> Self {
        Self { is_pinned: false, ..self }
    }

    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    pub fn key_prefix(&self) -> &str {
        &self.key_prefix
    }

    fn command(&self, options: &Options) -> Result<Command> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = if self.is_pinned {
            pinned(options.core, &options.usher)
        } else {
            let mut command = Command::new(&options.usher);
            command.kill_on_drop(true);
            command
        };
        let limits = ["SIGN_IN_PER_ADDRESS", "SIGN_IN_PER_CLIENT", "API_PER_TOKEN"];
        // Everything else is as `config/default.toml` has it, the log in JSON at `info` too.
        command
            .env("USHER__SERVER__LISTEN", format!("127.0.0.1:{}", self.port))
            .env("USHER__SERVER__PUBLIC_ORIGIN", self.origin())
            .env("USHER__SERVER__DRAIN_NOTICE_S", "0")
            .env("USHER__DATABASE__URL", &self.database_url)
            .env("USHER__REDIS__URL", &self.redis_url)
            .env("USHER__REDIS__KEY_PREFIX", &self.key_prefix)
            .env("USHER__SECRETS__SEALING_KEYS", format!("[\"{}\"]", self.sealing_key))
            .envs(limits.map(|name| (format!("USHER__LIMITS__{name}"), "1000000/1s")))
            .stdin(Stdio::null())
            .stderr(log);
        Ok(command)
    }

    /// What browsers see, without a name being looked up.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs one of the other commands of the program, and gives what it printed.
    pub async fn command_output(&self, options: &Options, arguments: &[&str]) -> Result<String> {
        let output = self.command(options)?.args(arguments).stdout(Stdio::piped()).output().await?;
        ensure!(output.status.success(), "usher {arguments:?} failed; see {}", self.log.display());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts a gateway and waits until it says that it is ready.
    pub async fn start(&self, options: &Options) -> Result<Gateway> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}/readyz", self.origin());
        let started = Instant::now();
        let mut child = self.command(options)?.arg("serve").spawn().context("starting the gateway")?;
        loop {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            if child.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                bail!("the gateway does not get ready; see {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let process = child.id().context("it runs")?.to_string();
        Ok(Gateway { child, process, ready_after: started.elapsed() })
    }
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    process: String,
    pub ready_after: Duration,
}

impl Gateway {
    /// CPU seconds so far.
    pub fn cpu(&self) -> Result<f64> {
        cpu_seconds(&self.process)
    }

    /// Resident memory in megabytes.
    pub fn memory_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Stops it as an operator would.
    pub async fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.process]).status().await?;
        ensure!(asked.success(), "kill -TERM");
        self.child.wait().await?;
        Ok(())
    }
}
