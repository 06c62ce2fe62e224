//! `usher dev`: the whole product on one machine, by one command. Starts private servers and fixture identity
//! providers, seeds two demo clients, and serves; ends with everything it started.
//!
//! | step | file | what |
//! |---|---|---|
//! | where | `home.rs` | `.usher/`: one start at a time, and a place that the database's user may enter |
//! | who | `account.rs` | the user that the servers run as, never root |
//! | servers | `postgres.rs`, `redis.rs`, `idps.rs` | found, made ready once, started, waited for |
//! | mail | `catcher/` | a mail server that keeps all mails, and the page that shows them |
//! | children | `child.rs` | they die with us, whatever kills us |
//! | port | `port.rs` | `PORT`, and who has it when it is taken |
//! | people | `seed.rs` | the demo clients and the admin token |
//! | told | `report.rs` | the table, and the same in `.usher/dev.json` |
//!
//! Never used in production, and nothing of production knows it.

use std::{future::Future, net::TcpListener, path::Path};

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    clock::Clock,
    config::{self, Settings},
    db,
    server::{self, Sockets},
    telemetry, worker,
};

mod account;
pub mod catcher;
mod child;
mod home;
mod idps;
mod port;
mod postgres;
mod redis;
mod report;
mod seed;

use catcher::Catcher;
use child::Child;
use home::Home;

/// The file that remembers where mails were caught.
const MAIL_PORTS: &str = "mail-ports.json";
/// Where other catchers of mail are, too.
const DEFAULT_MAIL_PORTS: (u16, u16) = (1025, 8025);

/// What runs beside us. Stopped in this order.
struct Servers {
    idps: Option<Child>,
    redis: Option<Child>,
    postgres: Option<Child>,
}

/// Runs until `stop`. The future must be driven by the main thread: children are tied to the thread that starts them.
pub async fn run(stop: CancellationToken) -> anyhow::Result<()> {
    let checkout = std::env::current_dir().context("finding the current folder")?;
    anyhow::ensure!(
        checkout.join("config/dev.toml").is_file() && checkout.join("config/clients").is_dir(),
        "run `usher dev` in a checkout of Usher: {} has no config/dev.toml",
        checkout.display()
    );
    let home = Home::open(&checkout)?;
    let socket = port::bind()?;
    let mut servers = Servers { idps: None, redis: None, postgres: None };
    let outcome = Box::pin(live(&checkout, &home, socket, &mut servers, &stop)).await;
    stop.cancel();
    for child in [servers.idps, servers.redis, servers.postgres].into_iter().flatten() {
        child.stop().await;
    }
    outcome
}

async fn live(
    checkout: &Path,
    home: &Home,
    socket: TcpListener,
    servers: &mut Servers,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(app) = stop.run_until_cancelled(start(checkout, home, &socket, servers)).await.transpose()? else {
        return Ok(());
    };
    let (app, idps, catcher) = app;
    let served = serve(app.clone(), socket, stop.clone());
    let seeding = Box::pin(seed::seed(&app, checkout, home, &idps));
    let Some(demo) = stop.run_until_cancelled(seeding).await.transpose()? else {
        return finish(served).await;
    };
    let told = report::Report::new(home, &app, idps, demo, &catcher);
    told.write(home)?;
    print!("{told}");

    let died = tokio::select! {
        () = stop.cancelled() => None,
        name = first_death(servers) => Some(name),
    };
    stop.cancel();
    finish(served).await?;
    match died {
        None => Ok(()),
        Some(name) => anyhow::bail!("{name} ended by itself; its last words are in {}", home.logs().display()),
    }
}

/// Brings the servers up side by side, and the schema up to date.
async fn start(
    checkout: &Path,
    home: &Home,
    socket: &TcpListener,
    servers: &mut Servers,
) -> anyhow::Result<(App, idps::Idps, Catcher)> {
    servers.redis = Some(redis::start(home)?);
    let (idps, ready) = idps::start(home).await?;
    servers.idps = Some(idps);
    servers.postgres = Some(postgres::start(home).await?);

    let mut raw = config::load(Some(&checkout.join("config/dev.toml")))?;
    let port = socket.local_addr()?.port();
    raw.server.listen = format!("127.0.0.1:{port}");
    raw.server.public_origin = format!("http://localhost:{port}");
    raw.database.url = postgres::url(home, postgres::DATABASE).into();
    raw.redis.url = redis::url(home).into();
    raw.secrets.sealing_keys = vec![home.sealing_key()?];
    let catcher = catch_mails(home)?;
    raw.mail.url = catcher.smtp_url().into();
    let settings = Settings::try_from(raw)?;
    telemetry::init_logs(&settings.logs);

    postgres::wait(home, servers.postgres.as_mut().context("PostgreSQL was started")?).await?;
    db::migrate(&settings.database).await.context("applying migrations")?;
    let app = App::new(settings, Clock::system(), telemetry::init_metrics()?)?;
    redis::wait(home, &app.cache, servers.redis.as_mut().context("Redis was started")?).await?;
    let idps = idps::wait(home, ready).await?;
    Ok((app, idps, catcher))
}

/// On the ports of before where they are free, so that a page that is open stays good.
fn catch_mails(home: &Home) -> anyhow::Result<Catcher> {
    let before = home.read(MAIL_PORTS).and_then(|text| serde_json::from_str::<(u16, u16)>(&text).ok());
    let (smtp, page) = before.unwrap_or(DEFAULT_MAIL_PORTS);
    let catcher = Catcher::start(smtp, page, Some(home.root.join("mails")), Clock::system())?;
    home.write(MAIL_PORTS, &serde_json::to_string(&catcher.ports())?)?;
    Ok(catcher)
}

fn serve(app: App, socket: TcpListener, stop: CancellationToken) -> JoinHandle<anyhow::Result<()>> {
    tokio::spawn(async move {
        let worker = tokio::spawn(worker::run(app.clone(), stop.clone()));
        let outcome = server::serve(app.clone(), Sockets { public: socket, operator: None }, stop.clone()).await;
        stop.cancel();
        worker.await?;
        app.db.close().await;
        Ok(outcome?)
    })
}

async fn finish(served: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    served.await.context("the gateway")?
}

fn first_death(servers: &mut Servers) -> impl Future<Output = &'static str> {
    let mut children: Vec<&mut Child> =
        [&mut servers.idps, &mut servers.redis, &mut servers.postgres].into_iter().flatten().collect();
    async move {
        let deaths: Vec<_> = children.iter_mut().map(|child| Box::pin(child.died())).collect();
        futures_util::future::select_all(deaths).await.0
    }
}

/// Says what takes long.
fn progress(what: &str) {
    eprintln!("usher dev: {what}");
}
