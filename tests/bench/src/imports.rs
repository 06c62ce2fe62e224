//! A file of very many people: uploaded, checked and done by a gateway, beside PostgreSQL's own COPY of every row that
//! doing it has written, into the same tables with their indexes and references; and the memory that the gateway takes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::{
    Options,
    gateway::{Deployment, Gateway},
    progress,
    report::{Limit, Report},
    world,
};

/// How often the gateway's memory is looked at, and how far the import has come.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(600);

/// What doing an import writes, in the order in which references allow it.
const WRITTEN: &[&str] = &["learners", "access_grants", "audit_events", "audit_values", "outbox_events"];

#[derive(Default)]
struct Series {
    upload: Vec<f64>,
    check: Vec<f64>,
    run: Vec<f64>,
    copy: Vec<f64>,
    grown: Vec<f64>,
}

struct Caller {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Caller {
    async fn send(&self, path: &str, media: &'static str, body: String) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", media).body(body);
        Self::read(request.bearer_auth(&self.token).send().await?).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Self::read(self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token).send().await?).await
    }

    async fn read(answer: reqwest::Response) -> Result<Value> {
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status} {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

/// Measures imports of `options.import_rows` people.
pub async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Result<()> {
    progress(&format!("an import of {} people", options.import_rows));
    let deployment = Deployment::new(options, "usher_bench_imports", folder)?;
    world::create(options, &deployment).await?;
    let mut conn = PgConnection::connect(&deployment.database_url).await?;
    let durable: String = conn.fetch_one("show fsync").await?.get(0);
    ensure!(durable == "on", "PostgreSQL must force to disk what it commits (fsync=on)");
    let gateway = deployment.start(options).await?;
    let token = deployment.command_output(options, &["token", "create", "--name", "bench"]).await?;
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let caller = Caller { client, base: format!("{}/api/v1/clients", deployment.origin()), token };
    let mut series = Series::default();
    for round in 0..options.rounds {
        // Every round on empty tables, so that none pays for the one before.
        conn.execute("truncate imports, learners, audit_events, outbox_events cascade").await?;
        conn.execute("vacuum analyze").await?;
        one(options, &caller, &gateway, &mut conn, round, &mut series).await?;
    }
    gateway.stop().await?;
    report.note(format!(
        "\nAn import of {} people over HTTP: new learners with one grant each, and every event of it; fsync on. COPY writes the \
         same rows of {} again, with indexes and references.",
        options.import_rows,
        WRITTEN.join(", ")
    ));
    report.figure("upload", "s", &series.upload);
    report.figure("dry run", "s", &series.check);
    report.figure("confirmation to done", "s", &series.run);
    report.figure("COPY of every row written", "s", &series.copy);
    report.figure("memory that the gateway grew by, at most, from before the upload", "MB", &series.grown);
    report.ratio("confirmation to done, to COPY of every row written", &series.run, &series.copy, Limit::AtMost(5.0));
    report.demand("memory that the gateway grew by, MB", series.grown, Limit::AtMost(150.0));
    Ok(())
}

async fn one(
    options: &Options,
    caller: &Caller,
    gateway: &Gateway,
    conn: &mut PgConnection,
    round: usize,
    series: &mut Series,
) -> Result<()> {
    let slug = format!("bench-import-{round}");
    caller.send("", "application/json", json!({ "slug": slug, "name": slug }).to_string()).await?;
    let before = gateway.memory_mb()?;
    let mut peak = before;
    let started = Instant::now();
    let target = format!("/{slug}/imports");
    let upload = caller.send(&target, "text/csv", file(options.import_rows));
    let made = watched(gateway, &mut peak, upload).await?;
    series.upload.push(started.elapsed().as_secs_f64());
    let path = format!("/{slug}/imports/{}", made["id"].as_str().context("an id")?);
    let started = Instant::now();
    until(caller, gateway, &mut peak, &path, "ready").await?;
    series.check.push(started.elapsed().as_secs_f64());
    let choice = json!({ "rows": "all" }).to_string();
    let started = Instant::now();
    caller.send(&format!("{path}/confirm"), "application/json", choice).await?;
    let done = until(caller, gateway, &mut peak, &path, "done").await?;
    series.run.push(started.elapsed().as_secs_f64());
    ensure!(done["results"] == json!({ "create": options.import_rows }), "{done}");
    series.grown.push(peak - before);
    series.copy.push(copy_again(conn).await?);
    Ok(())
}

/// A file as a human resources department would send it.
fn file(rows: usize) -> String {
    let mut text = "email,first_name,last_name,external_id,language,attributes.department\r\n".to_owned();
    for number in 0..rows {
        let line = format!(
            "person.{number}@people.bench.example,First{number},\"Last, Nr {number}\",E-{number},en,Department {}\r\n",
            number % 40
        );
        text.push_str(&line);
    }
    text
}

/// Looks at the gateway's memory while `work` runs.
async fn watched<T>(gateway: &Gateway, peak: &mut f64, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(LOOK) => *peak = peak.max(gateway.memory_mb()?),
        }
    }
}

async fn until(caller: &Caller, gateway: &Gateway, peak: &mut f64, path: &str, state: &str) -> Result<Value> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let found = caller.get(path).await?;
        ensure!(found["state"] != "failed", "{found}");
        if found["state"] == state {
            return Ok(found);
        }
        *peak = peak.max(gateway.memory_mb()?);
        tokio::time::sleep(LOOK).await;
    }
    bail!("the import does not get {state}")
}

/// Takes what was written out, empties the tables, and has COPY write it again: seconds of COPY alone.
async fn copy_again(conn: &mut PgConnection) -> Result<f64> {
    let mut kept = Vec::with_capacity(WRITTEN.len());
    for table in WRITTEN {
        let columns: String = conn
            .fetch_one(AssertSqlSafe(format!(
                "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
                 where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = ''"
            )))
            .await?
            .get(0);
        let mut bytes = Vec::new();
        let mut stream = conn
            .copy_out_raw(&format!("copy (select {columns} from {table} order by ctid) to stdout (format binary)"))
            .await?;
        while let Some(piece) = futures_util::StreamExt::next(&mut stream).await {
            bytes.extend_from_slice(&piece?);
        }
        drop(stream);
        kept.push((table, columns, bytes));
    }
    conn.execute("truncate learners, audit_events, outbox_events cascade").await?;
    conn.execute("checkpoint").await?;
    let mut seconds = 0.0;
    for (table, columns, bytes) in kept {
        let started = Instant::now();
        let mut copy = conn.copy_in_raw(&format!("copy {table} ({columns}) from stdin (format binary)")).await?;
        for piece in bytes.chunks(1 << 20) {
            copy.send(piece).await?;
        }
        let rows = copy.finish().await?;
        seconds += started.elapsed().as_secs_f64();
        ensure!(rows > 0, "{table} holds what was imported");
    }
    Ok(seconds)
}
