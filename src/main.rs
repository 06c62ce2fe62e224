//! The command line: reads what was asked, prepares the process, and turns outcomes into exit codes.

use std::{panic, path::PathBuf, process::ExitCode};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Duration;
use clap::{Args, Parser, Subcommand};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use usher::{
    admin::{self, NewToken, Permission},
    app::App,
    apply::{self, Api, Mode},
    audit::Actor,
    clock::Clock,
    config::{self, ConfigError, Raw, Settings},
    crypto::Sealer,
    db, dev,
    entropy::Entropy,
    keys,
    server::{self, Sockets},
    telemetry, worker,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Signs the learners of many organisations in, by SAML and OpenID Connect, and hands them to a learning platform.
#[derive(Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "\
Configuration is read from the built-in defaults, then FILE, then the environment: server.listen is
USHER__SERVER__LISTEN. config/README.md explains every key.

Exit codes: 0 done, 1 failed, 2 the command line is wrong, 3 the configuration is wrong."
)]
struct Arguments {
    /// Configuration file in TOML, over the built-in defaults and under the environment.
    #[arg(long, global = true, value_name = "FILE", env = "USHER_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve sign-ins until SIGTERM or Ctrl-C, then finish what is in progress.
    ///
    /// Starts without PostgreSQL or Redis, answers 503 until both are there, and never changes the schema: run
    /// `usher migrate` before a new version is served. SIGHUP reads the TLS certificate again.
    Serve,
    /// Apply the migrations that PostgreSQL does not have yet.
    ///
    /// Uses database.migrate_url where it is set: migrations want a direct connection, not a transaction pooler.
    Migrate,
    /// Tokens of the admin API.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make clients what declarative files say: client, domains, sublicenses, connections, mappings, content.
    ///
    /// Creates and updates what the files name and nothing else; run again, it changes nothing. Prints what it did, field
    /// by field. `${NAME}` in a file stands for an environment variable, so that secrets stay out of it.
    /// config/clients/ holds examples.
    Apply {
        /// Client files in TOML.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Only print what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Run everything on this machine, for development and demonstration.
    ///
    /// Starts a private PostgreSQL and Redis and two fixture identity providers in .usher/, seeds two demo clients, and
    /// serves on loopback until Ctrl-C. PORT chooses the port. Needs a checkout; script/server runs it.
    Dev,
    /// The key ring that seals secrets: make a key, bring everything under it, see which key may leave.
    ///
    /// To change the key: `generate` one, put it first in secrets.sealing_keys of one replica after the other and keep the
    /// old one behind it, `rotate`, and take the old one off when `status` says so.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Check the configuration and print it, each key with where it came from, secrets left out.
    CheckConfig,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token and print its secret, which is not stored and cannot be shown again.
    Create(NewTokenArguments),
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Print a new entry for secrets.sealing_keys. Stores nothing.
    Generate,
    /// Seal every stored value anew under the first key of the ring.
    ///
    /// Refuses while a running replica does not hold that key. May be stopped at any moment and run again.
    Rotate,
    /// Say what is sealed under which key, which replicas hold which, and when a key may leave the ring.
    Status,
}

#[derive(Args)]
struct NewTokenArguments {
    /// What it is for, as lists and the audit trail show it.
    #[arg(long)]
    name: String,
    /// Bind it to one client, by slug or id. Without this it is an operator's token, which may do everything.
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// A permission, such as clients:read; give the option several times. Without it, every permission.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Permission>,
    /// The token ends after this many days. Without this it lasts until it is revoked.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    expires_in_days: Option<u16>,
}

fn scope(text: &str) -> Result<Permission, String> {
    text.parse().map_err(|_| {
        let known: Vec<_> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
        format!("there is no such permission; there are {}", known.join(", "))
    })
}

/// Why a command ended.
enum Failure {
    Config(ConfigError),
    Other(anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => {
            eprintln!("usher: the configuration is wrong.\n{error}");
            ExitCode::from(3)
        }
        Err(Failure::Other(error)) => {
            eprintln!("usher: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first and only installation");
    let file = arguments.config.as_deref();
    // The main thread drives the command itself, and lives as long as the process: children that are to die with it
    // are tied to it.
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("starting the async runtime")?;
    match arguments.command {
        Command::Serve => {
            let settings = Settings::try_from(config::load(file)?)?;
            prepare(&settings);
            runtime.block_on(serve(settings))?;
        }
        Command::Migrate => {
            let settings = Settings::try_from(config::load(file)?)?;
            prepare(&settings);
            runtime.block_on(db::migrate(&settings.database)).context("applying migrations")?;
            eprintln!("usher: the schema is up to date.");
        }
        Command::Token(TokenCommand::Create(new)) => {
            let settings = Settings::try_from(config::load(file)?)?;
            prepare(&settings);
            runtime.block_on(create_token(settings, new))?;
        }
        Command::Apply { files, dry_run } => {
            let settings = Settings::try_from(config::load(file)?)?;
            prepare(&settings);
            let mode = if dry_run { Mode::DryRun } else { Mode::Apply };
            runtime.block_on(Box::pin(apply_files(settings, &files, mode)))?;
        }
        Command::Dev => runtime.block_on(async { Box::pin(dev::run(stop_on_signal()?)).await })?,
        Command::Keys(KeysCommand::Generate) => generate_key(&config::load(file)?)?,
        Command::Keys(KeysCommand::Rotate) => {
            let settings = Settings::try_from(config::load(file)?)?;
            prepare(&settings);
            runtime.block_on(rotate_keys(settings))?;
        }
        Command::Keys(KeysCommand::Status) => {
            let settings = Settings::try_from(config::load(file)?)?;
            prepare(&settings);
            runtime.block_on(show_keys(settings))?;
        }
        Command::CheckConfig => {
            print!("{}", config::show(file)?);
            Settings::try_from(config::load(file)?)?;
            eprintln!("usher: the configuration is usable.");
        }
    }
    Ok(())
}

/// Logs, and panics that go to the log.
fn prepare(settings: &Settings) {
    telemetry::init_logs(&settings.logs);
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.place = place, panic.message = panic.payload_as_str().unwrap_or("-"), "panicked");
    }));
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let sockets = Sockets::bind(&settings.server)?;
    let app = App::new(settings, Clock::system(), telemetry::init_metrics().context("starting metrics")?)?;
    let stop = stop_on_signal()?;
    let worker = tokio::spawn(worker::run(app.clone(), stop.clone()));
    tracing::info!(server.origin = app.settings.server.origin(), server.listen = %app.settings.server.listen, "serving");
    let outcome = server::serve(app.clone(), sockets, stop.clone()).await;
    stop.cancel();
    worker.await.context("the worker")?;
    app.db.close().await;
    Ok(outcome?)
}

async fn create_token(settings: Settings, arguments: NewTokenArguments) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system(), telemetry::detached_metrics())?;
    let now = app.clock.now();
    let client = match arguments.client.as_deref() {
        None => None,
        Some(name) => Some(
            admin::find_client(&app.db, name)
                .await?
                .with_context(|| format!("no client has the slug or id `{name}`"))?,
        ),
    };
    let scopes = if arguments.scopes.is_empty() { Permission::ALL.to_vec() } else { arguments.scopes };
    let expires_at = arguments.expires_in_days.map(|days| now + Duration::days(days.into()));
    let new = NewToken { name: arguments.name, client, scopes, expires_at };
    let mut transaction = app.db.begin().await?;
    let token = admin::create_token(&mut transaction, &app.entropy, Actor::System, new, None, now).await?;
    transaction.commit().await?;
    eprintln!("usher: made {}. Keep the secret now: it is shown this once.", token.id);
    println!("{}", token.secret.expose());
    Ok(())
}

/// A key under a number that the ring does not use yet.
fn generate_key(raw: &Raw) -> anyhow::Result<()> {
    let ring = Sealer::new(&raw.secrets.sealing_keys).map(|sealer| sealer.names()).unwrap_or_default();
    let next = (0..=u8::MAX).filter(|number| *number > 0 && ring.iter().all(|key| key.number != *number));
    let last = ring.iter().map(|key| key.number).max().unwrap_or(0);
    let number = next.clone().find(|number| *number > last).or_else(|| next.clone().next());
    let number = number.context("every number from 1 to 255 is on the ring: take keys off that are not needed")?;
    eprintln!(
        "usher: put it first in secrets.sealing_keys, and keep it where secrets are kept: lost keys cannot be replaced."
    );
    println!("{number}:{}", STANDARD.encode(Entropy::default().bytes::<32>()));
    Ok(())
}

async fn show_keys(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system(), telemetry::detached_metrics())?;
    print!("{}", keys::status(&app, app.clock.now()).await?);
    Ok(())
}

async fn rotate_keys(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system(), telemetry::detached_metrics())?;
    let mut shown = None;
    let done = keys::rotate(&app, |progress| {
        if shown != Some(progress) {
            eprintln!("usher: {} of {} values sealed anew", progress.resealed, progress.total);
            shown = Some(progress);
        }
    });
    let done = done.await?;
    eprintln!("usher: every value that opens is under key {}; sealed anew: {}.", done.key, done.resealed);
    anyhow::ensure!(
        done.left == 0,
        "{} values are under other keys and stay there; `usher keys status` says under which. Put those keys on the ring and run this again",
        done.left
    );
    eprintln!("usher: `usher keys status` says when the old key may leave the ring.");
    Ok(())
}

async fn apply_files(settings: Settings, files: &[PathBuf], mode: Mode) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    // All are read before the first is applied: a slip in the last one stops them all.
    let clients: Vec<_> = files.iter().map(|file| apply::read(file, &variable)).collect::<Result<_, _>>()?;
    let app = App::new(settings, Clock::system(), telemetry::detached_metrics())?;
    let now = app.clock.now();
    // Secrets in the files are sealed with a key that every replica holds.
    keys::agree(&app, now).await?;
    // A token of its own, so that the audit trail shows what came from a file.
    let expires_at = Some(now + Duration::minutes(10));
    let scopes = Permission::ALL.to_vec();
    let new = NewToken { name: "usher apply".into(), client: None, scopes, expires_at };
    let mut transaction = app.db.begin().await?;
    let token = admin::create_token(&mut transaction, &app.entropy, Actor::System, new, None, now).await?;
    transaction.commit().await?;
    let api = Api::new(&app, token.secret.expose().to_owned().into());
    for (file, client) in files.iter().zip(&clients) {
        let plan = apply::apply(&api, client, mode).await.with_context(|| format!("applying {}", file.display()))?;
        print!("{plan}");
    }
    if mode == Mode::DryRun {
        eprintln!("usher: a dry run: nothing was changed.");
    }
    Ok(())
}

/// Cancelled by the first SIGTERM or Ctrl-C. A second one ends the process at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        for exit in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if exit {
                std::process::exit(1);
            }
            stopping.cancel();
        }
    });
    Ok(stop)
}
