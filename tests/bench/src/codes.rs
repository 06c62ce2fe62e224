//! Redeeming one registration code over HTTP by thousands who are signed in, beside pgbench with the very same
//! statements one redemption a transaction; and generating redemption codes beside COPY of the same rows. PostgreSQL
//! forces every commit to disk.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::process::Command;
use usher::{
    app::App,
    audit::Actor,
    clock::Clock,
    codes::{self, CodeText, RedeemOrder},
    config::{self, Settings},
    http::cookies,
    ids::{ClientId, LearnerId, SublicenseId},
    sessions::{self, Beginning, Session},
    telemetry,
};
use uuid::Uuid;

use crate::{
    Options, Part,
    gateway::Deployment,
    progress,
    report::{Limit, Report},
    statements::{self, FIRST, STRIDE},
    world::{self, Api},
};

/// Who redeems, and how many of them may.
const LEARNERS: u64 = 10_000;
const MAXIMUM: i64 = 9_000;
const AT_ONCE: usize = 200;
/// Connections of pgbench, and redemptions of each in a round.
const CONNECTIONS: u64 = 32;
const EACH: u64 = 100;
/// Codes that are generated.
const CODES: i64 = 100_000;

/// Where the programs and the server's log are.
#[derive(clap::Args, Debug, Clone)]
pub struct Tools {
    #[arg(long)]
    pgbench: PathBuf,
    /// What PostgreSQL logs.
    #[arg(long)]
    postgres_log: PathBuf,
}

/// Measures everything about codes.
pub async fn run(options: &Options, tools: &Tools) -> Result<Report> {
    let mut report = Report::default();
    if !options.does(Part::Codes) {
        return Ok(report);
    }
    let folder = std::env::temp_dir().join(format!("usher-bench-codes-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let deployment = Deployment::new(options, "bench_codes", &folder)?.on_every_core();
    world::create(options, &deployment).await?;
    let mut place = Place::open(options, tools, deployment, folder).await?;
    let (mut http, mut plain, mut statements) = (Vec::new(), Vec::new(), 0);
    let (mut generated, mut copied) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        progress(&format!("codes, round {}", round + 1));
        http.push(place.redeem(round).await?);
        let (rate, count) = place.pgbench(round).await?;
        plain.push(rate);
        statements = count;
        let (seconds, of_copy) = place.generate().await?;
        generated.push(seconds);
        copied.push(of_copy);
    }
    place.close().await?;
    report.note(format!(
        "codes: {LEARNERS} learners, {AT_ONCE} at a time, one code for {MAXIMUM}: exactly {MAXIMUM} redeemed in each round; \
         pgbench: the same {statements} statements a redemption, {CONNECTIONS} connections, fsync on for both"
    ));
    report.figure("redemptions over HTTP", "1/s", &http);
    report.figure("redemptions by pgbench, one a transaction", "1/s", &plain);
    report.figure("100,000 codes generated and stored, over HTTP", "s", &generated);
    report.figure("COPY of the same rows", "s", &copied);
    report.ratio("redemptions: HTTP to pgbench", &http, &plain, Limit::AtLeast(3.0));
    report.ratio("100,000 codes: generated to COPY", &generated, &copied, Limit::AtMost(3.0));
    Ok(report)
}

/// A deployment with one client, and its state in this process for what no browser does.
struct Place {
    deployment: Deployment,
    gateway: crate::gateway::Gateway,
    api: Api,
    app: App,
    client: ClientId,
    sublicense: SublicenseId,
    folder: PathBuf,
    tools: Tools,
    conn: PgConnection,
}

impl Place {
    async fn open(options: &Options, tools: &Tools, deployment: Deployment, folder: PathBuf) -> Result<Self> {
        let gateway = deployment.start(options).await?;
        let token = deployment.command_output(options, &["token", "create", "--name", "bench"]).await?;
        let api = Api::new(&deployment, &token)?;
        let made = api.post("", json!({ "slug": "acme", "name": "Acme" })).await?;
        let client = made["id"].as_str().context("an id")?.parse()?;
        let list = api.send(reqwest::Method::GET, "/acme/sublicenses", Value::Null).await?;
        let sublicense = list["items"][0]["id"].as_str().context("main")?.parse()?;
        let app = state(&deployment, "")?;
        let conn = PgConnection::connect(&deployment.database_url).await?;
        Ok(Self { deployment, gateway, api, app, client, sublicense, folder, tools: tools.clone(), conn })
    }

    async fn close(self) -> Result<()> {
        self.gateway.stop().await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }

    /// Learners with these numbers, and none of any redemption.
    async fn learners(&mut self, numbers: impl Iterator<Item = u64>) -> Result<Vec<LearnerId>> {
        self.conn.execute("delete from learners").await?;
        let ids: Vec<Uuid> = numbers.map(statements::learner).collect();
        sqlx::query(
            "insert into learners (client_id, id, sub, first_name, created_at, updated_at)
             select $1, id, id, 'Ada', now(), now() from unnest($2::uuid[]) t (id)",
        )
        .bind(self.client.uuid())
        .bind(&ids)
        .execute(&mut self.conn)
        .await?;
        self.conn.execute("vacuum analyze").await?;
        self.conn.execute("checkpoint").await?;
        Ok(ids.into_iter().map(LearnerId::from).collect())
    }

    async fn code(&self, maximum: i64) -> Result<Value> {
        let body = json!({ "label": "Bench", "sublicenses": ["main"], "max_redemptions": maximum });
        self.api.post("/acme/registration-codes", body).await
    }

    /// Everybody redeems one code; redemptions a second.
    async fn redeem(&mut self, round: usize) -> Result<f64> {
        let first = FIRST + 500_000_000 + 100_000 * round as u64;
        let learners = self.learners(first..first + LEARNERS).await?;
        let code = self.code(MAXIMUM).await?;
        let (name, now) = (cookies::session_name(self.client), self.app.clock.now());
        let signed_in = stream::iter(learners).map(async |learner| {
            let ends_at = now + chrono::Duration::hours(8);
            let session = Session { learner, epoch: 1, began_at: now, ends_at, idp: None };
            let idle = Duration::from_secs(28_800);
            let beginning = Beginning { client: self.client, session: &session, idle, replaces: None };
            let token = sessions::begin(&self.app, &beginning, now).await?.context("the session begins")?;
            Ok::<_, anyhow::Error>(format!("{name}={}", token.expose()))
        });
        let people: Vec<Result<String>> = signed_in.buffer_unordered(32).collect().await;
        let people: Vec<String> = people.into_iter().collect::<Result<_>>()?;

        let browser = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(AT_ONCE)
            .build()?;
        let url = format!("{}/acme/redeem", self.deployment.origin());
        let (origin, host) = (self.deployment.origin(), self.deployment.origin().replace("http://", ""));
        let body = format!("codes={}", code["code"].as_str().context("a code")?);
        let started = Instant::now();
        let sent = stream::iter(people).map(async |cookie| {
            let request = browser.post(&url).header("cookie", cookie).header("origin", &origin).header("host", &host);
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.clone());
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            answer.bytes().await?;
            Ok::<_, reqwest::Error>(status)
        });
        let answers: Vec<Result<u16, reqwest::Error>> = sent.buffer_unordered(AT_ONCE).collect().await;
        let elapsed = started.elapsed().as_secs_f64();
        let answers: Vec<u16> = answers.into_iter().collect::<Result<_, _>>()?;
        let redeemed = answers.iter().filter(|status| **status == 303).count();
        let told = answers.iter().filter(|status| **status == 422).count();
        ensure!(redeemed as i64 == MAXIMUM && (redeemed + told) as u64 == LEARNERS, "{redeemed} redeemed, {told} told");
        let stored: i64 = sqlx::query_scalar("select count(*) from access_grants").fetch_one(&mut self.conn).await?;
        ensure!(stored == MAXIMUM, "{stored} grants for a maximum of {MAXIMUM}");
        Ok(MAXIMUM as f64 / elapsed)
    }

    /// pgbench with the statements of one redemption; redemptions a second, and how many statements each has.
    async fn pgbench(&mut self, round: usize) -> Result<(f64, usize)> {
        let numbers = (0..CONNECTIONS).flat_map(|client| (0..=EACH).map(move |i| FIRST + client * STRIDE + i));
        let learners = self.learners(numbers).await?;
        let code = self.code(1_000_000).await?;
        let id: Uuid = code["id"].as_str().and_then(|id| id.split_once('_')).context("an id")?.1.parse()?;
        // The first of them shows what is sent; pgbench begins with the second.
        let learner = *learners.first().context("learners")?;
        self.show(learner, code["code"].as_str().context("a code")?).await?;
        let constant = [self.client.uuid(), self.sublicense.uuid(), id];
        let log = &self.tools.postgres_log;
        let (script, count) = statements::script(&mut self.conn, log, learner.uuid(), &constant).await?;
        let file = self.folder.join(format!("redeem-{round}.sql"));
        std::fs::write(&file, script)?;
        let rate = pgbench(&self.tools.pgbench, &self.deployment.database_url, &file).await?;
        let stored: i64 = sqlx::query_scalar("select count(*) from access_grants").fetch_one(&mut self.conn).await?;
        ensure!(stored as u64 == CONNECTIONS * EACH + 1, "pgbench redeemed {stored} times");
        Ok((rate, count))
    }

    /// Redeems once while PostgreSQL logs what it is sent.
    async fn show(&self, learner: LearnerId, code: &str) -> Result<()> {
        let app = state(&self.deployment, "?options[log_statement]=all")?;
        let client = app.clients.by_slug(&app.db, "acme").await?.context("the client")?;
        let order = RedeemOrder {
            client,
            learner,
            verified_email: None,
            codes: vec![CodeText::read(code).context("a code")?],
            actor: Actor::Learner(learner),
            reference: Some("AAAA-BBBB-CCCC".into()),
            now: app.clock.now(),
        };
        codes::redeem(&app, order).await?;
        app.db.close().await;
        Ok(())
    }

    /// Generates a batch over HTTP, and copies the same rows into the same table; seconds of each.
    async fn generate(&mut self) -> Result<(f64, f64)> {
        self.conn.execute("delete from codes").await?;
        self.conn.execute("vacuum analyze codes").await?;
        self.conn.execute("checkpoint").await?;
        let started = Instant::now();
        let body = json!({ "label": "Bench", "sublicenses": ["main"], "count": CODES });
        let made = self.api.post("/acme/redemption-batches", body).await?;
        let generated = started.elapsed().as_secs_f64();
        ensure!(made["batch"]["codes_total"] == CODES, "{made}");
        let mut rows = Vec::new();
        let mut out =
            self.conn.copy_out_raw("copy (select * from codes order by id) to stdout").await.context("copy out")?;
        while let Some(part) = out.next().await {
            rows.extend_from_slice(&part?);
        }
        drop(out);
        self.conn.execute("delete from codes").await?;
        self.conn.execute("vacuum analyze codes").await?;
        self.conn.execute("checkpoint").await?;
        let started = Instant::now();
        let mut copy = self.conn.copy_in_raw("copy codes from stdin").await?;
        for part in rows.chunks(1 << 20) {
            copy.send(part).await?;
        }
        copy.finish().await?;
        Ok((generated, started.elapsed().as_secs_f64()))
    }
}

/// The application's own state in this process, on the deployment's servers.
fn state(deployment: &Deployment, url_options: &str) -> Result<App> {
    let mut raw = config::load(None)?;
    raw.server.public_origin = deployment.origin();
    raw.database.url = format!("{}{url_options}", deployment.database_url).into();
    raw.redis.url = deployment.redis_url().into();
    raw.redis.key_prefix = deployment.key_prefix().to_owned();
    raw.secrets.sealing_keys = vec![format!("1:{}", BASE64_STANDARD.encode([7u8; 32])).into()];
    let settings = Settings::try_from(raw)?;
    Ok(App::new(settings, Clock::default(), telemetry::detached_metrics())?)
}

async fn pgbench(program: &Path, database_url: &str, script: &Path) -> Result<f64> {
    let output = Command::new(program)
        .args(["-n", "-M", "prepared", "-D", "i=0", "-c", &CONNECTIONS.to_string(), "-j", "2"])
        .args(["-t", &EACH.to_string(), "-f"])
        .arg(script)
        .arg(database_url)
        .stdin(Stdio::null())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    match rate {
        Some(rate) if output.status.success() => Ok(rate),
        _ => bail!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
