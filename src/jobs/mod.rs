//! What is done by nobody's request: identity providers are read again when their time has come, and what has served
//! its time is removed.
//!
//! | job | every | how replicas share it |
//! |---|---|---|
//! | refresh of metadata and discovery | 20 s | each claims rows with a lease (`for update skip locked`) |
//! | mails that are due | 1 s | each claims rows with a lease (`for update skip locked`) |
//! | reminders of invites, and their ends | 20 s | reminders are claimed (`for update skip locked`); an end is noted once, by a condition |
//! | large batches of codes, generated or revoked | 2 s | each claims one batch for one chunk (`for update skip locked`) |
//! | imports: their dry runs and what was confirmed | 1 s | one holds an import's lease and does batches, each one transaction |
//! | which sealing keys this replica holds | 5 s | each tells its own |
//! | values that are to be under a new sealing key | 2 s | each locks one walk for its next rows (`for update skip locked`) |
//! | successors of our own keys; certificates that end soon | 1 h | a successor is written once, by an index; a warning too |
//! | removal of sealed claims, used assertions, idempotency keys, old mails, expired links, learners nobody confirmed, rows of old imports | 60 s | in small batches; two replicas that meet skip each other's rows |
//!
//! Invariants: no job needs another, a leader, or an order; one that fails is tried again at its next turn, and the
//! others go on.

mod clean;
mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{app::App, codes, connections, fault::Fault, ids::ReplicaId, imports, invites, keys, mail};

pub use clean::{Cleaned, clean};

const REFRESH_EVERY: Duration = Duration::from_secs(20);
const INVITES_EVERY: Duration = Duration::from_secs(20);
/// Invites that one transaction reminds of or ends.
const INVITES_BATCH: i64 = 200;
const FILL_EVERY: Duration = Duration::from_secs(2);
const ANNOUNCE_EVERY: Duration = Duration::from_secs(5);
const RESEAL_EVERY: Duration = Duration::from_secs(2);
const CERTIFICATES_EVERY: Duration = Duration::from_secs(3600);
/// Successors of keys that one replica makes in one turn.
const PREPARE_BATCH: i64 = 100;
const CLEAN_EVERY: Duration = Duration::from_secs(60);
/// Identity providers that one replica reads in one turn.
const REFRESH_BATCH: i64 = 32;

/// Runs every job until `stop`. What is under way then comes to its end.
pub async fn run(app: App, stop: CancellationToken) {
    tokio::join!(
        refresh(&app, &stop),
        invite(&app, &stop),
        imports::run(&app, &stop),
        fill(&app, &stop),
        announce(&app, &stop),
        reseal(&app, &stop),
        certificates(&app, &stop),
        remove(&app, &stop),
        mail::run(&app, &stop)
    );
}

async fn refresh(app: &App, stop: &CancellationToken) {
    let mut turns = turns(app, REFRESH_EVERY);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        tell("refresh", connections::refresh_due(app, app.clock.now(), REFRESH_BATCH).await.map(|_| ()));
    }
}

async fn invite(app: &App, stop: &CancellationToken) {
    let mut turns = turns(app, INVITES_EVERY);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        tell("invites", follow_invites(app, app.clock.now()).await);
    }
}

/// Reminds of invites, and ends those whose time is over, until nothing is due.
pub async fn follow_invites(app: &App, now: DateTime<Utc>) -> Result<(), Fault> {
    while invites::expire_due(app, now, INVITES_BATCH).await? > 0 {}
    while invites::remind_due(app, now, INVITES_BATCH).await? > 0 {}
    Ok(())
}

/// Generates and revokes what is due of large batches of codes, until nothing is.
async fn fill(app: &App, stop: &CancellationToken) {
    let mut turns = turns(app, FILL_EVERY);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        let mut turn = codes::batches_due(app, app.clock.now()).await;
        while matches!(turn, Ok(true)) && !stop.is_cancelled() {
            turn = codes::batches_due(app, app.clock.now()).await;
        }
        tell("codes", turn.map(|_| ()));
    }
}

/// From the first moment, so that nobody seals with a key that this replica lacks.
async fn announce(app: &App, stop: &CancellationToken) {
    let replica: ReplicaId = app.entropy.id(app.clock.now());
    let mut turns = tokio::time::interval(ANNOUNCE_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        tell("rings", keys::announce(app, replica, app.clock.now()).await);
    }
    tell("rings", keys::leave(app, replica).await);
}

async fn reseal(app: &App, stop: &CancellationToken) {
    let mut turns = turns(app, RESEAL_EVERY);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        let mut turn = keys::reseal_due(app, app.clock.now()).await;
        while matches!(turn, Ok(true)) && !stop.is_cancelled() {
            turn = keys::reseal_due(app, app.clock.now()).await;
        }
        tell("reseal", turn.map(|_| ()));
    }
}

async fn certificates(app: &App, stop: &CancellationToken) {
    let mut turns = tokio::time::interval(CERTIFICATES_EVERY);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        let now = app.clock.now();
        tell("successors", connections::prepare_next_keys(app, now, PREPARE_BATCH).await.map(|_| ()));
        tell("certificates", keys::watch_certificates(app, now).await.map(|_| ()));
    }
}

async fn remove(app: &App, stop: &CancellationToken) {
    let mut turns = turns(app, CLEAN_EVERY);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        tell("clean", clean(app, app.clock.now()).await.map(|_| ()));
    }
}

/// Turns that begin at a random moment, so that replicas started together do not all ask at once.
fn turns(app: &App, every: Duration) -> tokio::time::Interval {
    let share = u32::from(u8::from_be_bytes(app.entropy.bytes()));
    let mut turns = tokio::time::interval_at(tokio::time::Instant::now() + every * share / 255, every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    turns
}

fn tell(job: &'static str, outcome: Result<(), Fault>) {
    let result = if outcome.is_ok() { "done" } else { "failed" };
    metrics::counter!("usher_job_turns_total", "job" => job, "result" => result).increment(1);
    match outcome {
        Ok(()) => {}
        Err(fault) if fault.is_passing() => tracing::warn!(job, error = %fault, "a job waits for a dependency"),
        Err(fault) => tracing::error!(job, error = %fault, "a job failed"),
    }
}
