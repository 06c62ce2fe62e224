//! Work on imports by whichever replica has time: claim the one that has waited longest, do a few batches, let go. A
//! batch and the note that it is done are one transaction, so that a replica that dies leaves no row half done and none
//! done twice; its lease lapses, and another goes on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    batch::BATCH,
    check, effects,
    model::State,
    run::{self, Refused, Turn},
    store_rows,
    store_work::{self, Finish, Job},
    undo,
};
use crate::{
    app::App,
    audit,
    fault::Fault,
    ids::{ClientId, ImportId},
};

/// How long a replica that has died keeps others waiting. A batch takes a fraction of it.
const LEASE: chrono::Duration = chrono::Duration::seconds(60);
/// Batches before another import has its turn.
const SLICE: usize = 5;
/// How often a batch is done again because something moved under it.
const TRIES: usize = 8;
const POLL: Duration = Duration::from_secs(1);

/// A replica as imports know it.
#[derive(Debug, Clone, Copy)]
pub struct Worker(Uuid);

/// What came of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more.
    More,
    /// The import has come to the end of its state.
    Finished,
    /// The lease is another's by now.
    Lost,
}

/// An import under this replica's lease.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    client: ClientId,
    import: ImportId,
}

impl Worker {
    pub fn new(app: &App) -> Self {
        Self(Uuid::from_bytes(app.entropy.bytes()))
    }

    /// Claims the import that has waited longest.
    pub async fn claim(self, app: &App, now: DateTime<Utc>) -> Result<Option<Claimed>, Fault> {
        let mut tx = app.begin().await?;
        let claimed = store_work::claim(&mut tx, self.0, now, now + LEASE).await?;
        app.commit(tx).await?;
        Ok(claimed.map(|(client, import)| Claimed { client, import }))
    }

    /// Does the next batch of an import.
    pub async fn step(self, app: &App, claimed: Claimed, now: DateTime<Utc>) -> Result<Step, Fault> {
        let mut refused = Refused::new();
        for _ in 0..TRIES {
            match self.attempt(app, claimed, &mut refused, now).await {
                Ok(Some(step)) => return Ok(step),
                Ok(None) => {}
                Err(fault) if is_race(&fault) => tracing::debug!(error = %fault, "a batch met another"),
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Busy("imports"))
    }

    async fn attempt(
        self,
        app: &App,
        claimed: Claimed,
        refused: &mut Refused,
        now: DateTime<Utc>,
    ) -> Result<Option<Step>, Fault> {
        let mut tx = app.begin().await?;
        let Some(job) = store_work::hold(&mut tx, claimed.client, claimed.import, self.0).await? else {
            return Ok(Some(Step::Lost));
        };
        store_work::plan_anew(&mut tx).await?;
        let rows = store_rows::next(&mut tx, job.client, job.id, job.next_row, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.number) else {
            finish(&mut tx, app, &job, now).await?;
            app.commit(tx).await?;
            return Ok(Some(Step::Finished));
        };
        let turn = match job.state {
            State::Checking => check::check(&mut tx, &job, &rows, now).await.map(|()| Turn::Done)?,
            State::Running => run::run(&mut tx, app, &job, &rows, refused, now).await?,
            _ => undo::revoke(&mut tx, app, &job, &rows, now).await.map(|()| Turn::Done)?,
        };
        if turn == Turn::Again {
            return Ok(None);
        }
        let count = i32::try_from(rows.len()).unwrap_or(i32::MAX);
        store_work::advance(&mut tx, &job, last, count, now, now + LEASE).await?;
        app.commit(tx).await?;
        Ok(Some(Step::More))
    }

    /// Does a few batches of one import; says whether there was one.
    pub async fn turn(self, app: &App) -> Result<bool, Fault> {
        let Some(claimed) = self.claim(app, app.clock.now()).await? else { return Ok(false) };
        for _ in 0..SLICE {
            match self.step(app, claimed, app.clock.now()).await {
                Ok(Step::More) => {}
                Ok(Step::Finished | Step::Lost) => return Ok(true),
                // The lease stays with this replica, which tries again.
                Err(fault) if fault.is_passing() => return Err(fault),
                Err(fault) => {
                    self.fail(app, claimed, app.clock.now()).await?;
                    return Err(fault);
                }
            }
        }
        let mut tx = app.begin().await?;
        store_work::release(&mut tx, claimed.client, claimed.import, self.0, app.clock.now()).await?;
        app.commit(tx).await?;
        Ok(true)
    }

    /// Gives an import up that would fail for ever. What was done of it stands.
    async fn fail(self, app: &App, claimed: Claimed, now: DateTime<Utc>) -> Result<(), Fault> {
        let mut tx = app.begin().await?;
        let Some(job) = store_work::hold(&mut tx, claimed.client, claimed.import, self.0).await? else { return Ok(()) };
        end(&mut tx, app, &job, State::Failed, Some("imports.internal"), now).await?;
        app.commit(tx).await
    }
}

/// Runs until `stop`: whenever there is an import to work on, it is.
pub async fn run(app: &App, stop: &CancellationToken) {
    let worker = Worker::new(app);
    while !stop.is_cancelled() {
        let turn = worker.turn(app).await;
        let result = if turn.is_ok() { "done" } else { "failed" };
        if !matches!(turn, Ok(false)) {
            metrics::counter!("usher_job_turns_total", "job" => "imports", "result" => result).increment(1);
        }
        match turn {
            Ok(true) => continue,
            Ok(false) => {}
            Err(fault) if fault.is_passing() => tracing::warn!(error = %fault, "imports wait for a dependency"),
            Err(fault) => tracing::error!(error = %fault, "an import failed"),
        }
        stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
}

/// The state is done with; the import goes on to the next.
async fn finish(conn: &mut PgConnection, app: &App, job: &Job, now: DateTime<Utc>) -> Result<(), Fault> {
    let next = match job.state {
        State::Checking => State::Ready,
        State::Running => State::Done,
        _ => State::Undone,
    };
    end(conn, app, job, next, None, now).await
}

async fn end(
    conn: &mut PgConnection,
    app: &App,
    job: &Job,
    state: State,
    failure: Option<&'static str>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let (counts, results) = store_rows::count(conn, job.client, job.id).await?;
    let action = match state {
        State::Ready => "import.checked",
        State::Done => "import.finished",
        State::Undone => "import.undone",
        _ => "import.failed",
    };
    let facts: Value = json!({ "import": job.id, "counts": counts, "results": results, "failure": failure });
    store_work::finish(conn, job, &Finish { state, counts, results, failure }, now).await?;
    let author = effects::author(&app.entropy, job.author.as_deref(), job.reference.as_deref(), now);
    author.record(conn, job.client, action, job.id.to_string(), facts.clone(), None).await?;
    audit::announce(conn, &app.entropy, job.client, action, facts, now).await
}

/// Whether two transactions stood in each other's way: one was told to try again.
fn is_race(fault: &Fault) -> bool {
    match fault {
        Fault::Database(sqlx::Error::Database(error)) => {
            matches!(error.code().as_deref(), Some("40001" | "40P01"))
                || fault.constraint().is_some_and(|name| name.starts_with("learners_"))
        }
        _ => false,
    }
}
