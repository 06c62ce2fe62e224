//! The worker: claims what is due, writes and sends it, and says what became of it.
//!
//! A claim is a lease that is longer than sending may take. A worker that dies leaves its claims to run out, and others
//! send the mails again, with the same Message-ID. What became of a mail is written until the lease ends, so that a
//! restart of PostgreSQL after the server's yes does not send twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    letter,
    model::{MailKind, MailOutcome, MailStatus},
    smtp::Answer,
    store_send::{self as store, Claimed},
};
use crate::{
    app::App,
    audit::{self, Actor, NewEvent},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, MailId},
};

/// How often an idle worker looks for mails.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it knocks while the server is away.
const KNOCK_EVERY: Duration = Duration::from_secs(5);
/// How long a lease outlasts the time limit of sending.
const LEASE_MARGIN: TimeDelta = TimeDelta::seconds(60);
/// The first wait before another try, and the longest.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(15);
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(4);
/// Between two tries to write down what became of a mail.
const WRITE_AGAIN: Duration = Duration::from_millis(250);
/// So long a worker that has a free place waits for others, so that one statement claims for several.
const GATHER: Duration = Duration::from_millis(5);

/// Sends what is due until `stop`; what is under way then comes to its end.
pub async fn run(app: &App, stop: &CancellationToken) {
    if !app.carrier.is_set_up() {
        tracing::warn!("mail.url is not set: mails wait in the outbox");
        return stop.cancelled().await;
    }
    let most = app.settings.mail.connections;
    let places = Arc::new(Semaphore::new(most));
    let is_away = Arc::new(AtomicBool::new(false));
    let mut under_way = JoinSet::new();
    while let Some(Ok(place)) = stop.run_until_cancelled(places.clone().acquire_owned()).await {
        tokio::time::sleep(GATHER).await;
        while under_way.try_join_next().is_some() {}
        let was_away = is_away.load(Ordering::Relaxed);
        // While the server is away one mail knocks for all.
        let wanted = if was_away { 1 } else { places.available_permits() + 1 };
        let claimed = match claim(app, wanted).await {
            Ok(claimed) => claimed,
            Err(fault) => {
                tracing::warn!(error = %fault, "mails wait for a dependency");
                Vec::new()
            }
        };
        let is_idle = claimed.len() < wanted;
        drop(place);
        for (mail, lease_end) in claimed {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (app, is_away) = (app.clone(), is_away.clone());
            under_way.spawn(async move {
                is_away.store(!deliver(&app, &mail, lease_end).await, Ordering::Relaxed);
                drop(place);
            });
        }
        if is_idle || was_away {
            let pause = if was_away { KNOCK_EVERY } else { LOOK_EVERY };
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// Sends everything that is due now, each mail once; says how many were tried.
pub async fn deliver_due(app: &App) -> Result<usize, Fault> {
    let mut tried = 0;
    loop {
        let claimed = claim(app, app.settings.mail.connections).await?;
        if claimed.is_empty() {
            return Ok(tried);
        }
        tried += claimed.len();
        let mut under_way = JoinSet::new();
        for (mail, lease_end) in claimed {
            let app = app.clone();
            under_way.spawn(async move { deliver(&app, &mail, lease_end).await });
        }
        while under_way.join_next().await.is_some() {}
    }
}

async fn claim(app: &App, wanted: usize) -> Result<Vec<(Claimed, DateTime<Utc>)>, Fault> {
    let now = app.clock.now();
    let limit = TimeDelta::from_std(app.settings.mail.timeout).unwrap_or(LEASE_MARGIN);
    let lease_end = now + limit + LEASE_MARGIN;
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let mut tx = app.begin().await?;
    let claimed = store::claim(&mut tx, now, lease_end, limit).await?;
    app.commit(tx).await?;
    Ok(claimed.into_iter().map(|mail| (mail, lease_end)).collect())
}

/// Writes one mail, sends it and says what became of it. Answers whether the server was reached.
async fn deliver(app: &App, mail: &Claimed, lease_end: DateTime<Utc>) -> bool {
    let answer = match letter::write(app, mail).await {
        Ok(letter) => app.carrier.hand_over(&letter).await,
        Err(letter::Unwritten::NoAddress) => Answer::Unknown { code: "mail.address".into() },
        Err(letter::Unwritten::Fault(fault)) if fault.is_passing() => {
            Answer::Later { code: "mail.unavailable".into(), reached: true }
        }
        Err(letter::Unwritten::Fault(fault)) => {
            tracing::error!(mail.id = %mail.id, error = %fault, "a mail could not be written");
            Answer::Refused { code: "mail.unwritable".into() }
        }
    };
    let reached = !matches!(answer, Answer::Later { reached: false, .. });
    loop {
        match conclude(app, mail, &answer).await {
            Ok(()) => break,
            Err(fault) if app.clock.now() < lease_end && fault.is_passing() => {
                tracing::warn!(mail.id = %mail.id, error = %fault, "what became of a mail waits to be written");
                tokio::time::sleep(WRITE_AGAIN).await;
            }
            Err(fault) => {
                tracing::error!(mail.id = %mail.id, error = %fault, "what became of a mail could not be written");
                break;
            }
        }
    }
    reached
}

/// Writes down what became of a claimed mail.
async fn conclude(app: &App, mail: &Claimed, answer: &Answer) -> Result<(), Fault> {
    let now = app.clock.now();
    let mut transaction = app.begin().await?;
    let (outcome, code) = match answer {
        Answer::Taken => (MailOutcome::Sent, None),
        Answer::Unknown { code } => (MailOutcome::Bounced, Some(code.as_str())),
        Answer::Refused { code } => (MailOutcome::Dead, Some(code.as_str())),
        Answer::Later { code, .. } if mail.tries >= app.settings.mail.max_attempts => {
            (MailOutcome::Dead, Some(code.as_str()))
        }
        Answer::Later { code, .. } => {
            let due_at = now + wait(mail.tries, u8::from_be_bytes(app.entropy.bytes()));
            store::put_back(&mut transaction, mail, code, due_at).await?;
            app.commit(transaction).await?;
            tell(mail, "later", Some(code), now);
            return Ok(());
        }
    };
    let ended = Ended { client: mail.client, id: mail.id, kind: mail.kind, about: mail.about.as_deref() };
    let news = hear(&mut transaction, app, &ended, outcome, code, now, async |conn: &mut PgConnection| {
        store::end(conn, mail, status(outcome), code, now).await
    });
    if Box::pin(news).await? {
        app.commit(transaction).await?;
        tell(mail, status(outcome).as_str(), code, now);
    }
    Ok(())
}

/// A mail that has come to an end.
pub(super) struct Ended<'a> {
    pub client: ClientId,
    pub id: MailId,
    pub kind: MailKind,
    pub about: Option<&'a str>,
}

/// Tells the listener what became of a mail, and then writes it by `write`; undoes the telling where `write` says that
/// the mail was no longer there to be ended. What the mail is about is locked before the mail, as everywhere.
pub(super) async fn hear(
    conn: &mut PgConnection,
    app: &App,
    mail: &Ended<'_>,
    outcome: MailOutcome,
    code: Option<&str>,
    now: DateTime<Utc>,
    write: impl AsyncFnOnce(&mut PgConnection) -> Result<bool, Fault>,
) -> Result<bool, Fault> {
    let mut part = conn.begin().await?;
    if let Some(about) = mail.about {
        (app.mail_listener)(&mut part, &app.entropy, mail.client, about, outcome, now).await?;
    }
    if !write(&mut part).await? {
        part.rollback().await?;
        return Ok(false);
    }
    if outcome != MailOutcome::Sent {
        record(&mut part, &app.entropy, mail, outcome, code, now).await?;
    }
    part.commit().await?;
    Ok(true)
}

async fn record(
    conn: &mut PgConnection,
    entropy: &Entropy,
    mail: &Ended<'_>,
    outcome: MailOutcome,
    code: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let action = if outcome == MailOutcome::Bounced { "mail.bounced" } else { "mail.dead" };
    let event = NewEvent {
        client: Some(mail.client),
        at: now,
        action,
        actor: Actor::System,
        target: Some(mail.id.to_string()),
        reason: code,
        reference: None,
        facts: json!({ "kind": mail.kind, "about": mail.about }),
        values: None,
    };
    audit::record(conn, entropy, event).await?;
    let payload = json!({ "mail": mail.id, "kind": mail.kind, "about": mail.about, "reason": code });
    audit::announce(conn, entropy, mail.client, action, payload, now).await
}

const fn status(outcome: MailOutcome) -> MailStatus {
    match outcome {
        MailOutcome::Sent => MailStatus::Sent,
        MailOutcome::Bounced => MailStatus::Bounced,
        MailOutcome::Dead => MailStatus::Dead,
    }
}

/// The wait before another try: doubled each time, and shortened by chance to three quarters at least, so that what
/// failed together does not come back together.
fn wait(tries: i32, chance: u8) -> TimeDelta {
    let doublings = u32::try_from(tries - 1).unwrap_or(0).min(20);
    let whole = FIRST_WAIT.checked_mul(1 << doublings).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    whole - whole / 4 * i32::from(chance) / 255
}

/// Log and metrics: ids and codes, never an address.
fn tell(mail: &Claimed, result: &'static str, code: Option<&str>, now: DateTime<Utc>) {
    let kind = mail.kind.as_str();
    metrics::counter!("usher_mails_total", "kind" => kind, "result" => result).increment(1);
    match code {
        None => {
            let waited = (now - mail.created_at).to_std().unwrap_or_default();
            metrics::histogram!("usher_mail_wait_seconds", "kind" => kind).record(waited.as_secs_f64());
            tracing::info!(mail.id = %mail.id, mail.kind = kind, mail.attempts = mail.attempts, "mail sent");
        }
        Some(code) => tracing::warn!(
            mail.id = %mail.id, mail.kind = kind, mail.attempts = mail.attempts, mail.result = result,
            mail.answer = code, "mail not sent"
        ),
    }
}

/// Sets the gauges of what waits, and removes what has been kept long enough; says how many. For the clean-up job.
pub async fn tidy_up(app: &App, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let mut tx = app.begin().await?;
    let (count, oldest) = store::waiting(&mut tx).await?;
    let late = oldest.and_then(|oldest| (now - oldest).to_std().ok()).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "nobody looks at the last digit of so many mails")]
    metrics::gauge!("usher_mails_waiting").set(count as f64);
    metrics::gauge!("usher_mails_late_seconds").set(late.as_secs_f64());
    let before = now - TimeDelta::days(app.settings.mail.keep_days.into());
    let removed = store::remove_ended(&mut tx, before, limit).await?;
    app.commit(tx).await?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_seconds_to_hours_and_differ_by_chance() {
        assert_eq!(wait(1, 0), TimeDelta::seconds(15));
        assert_eq!(wait(2, 0), TimeDelta::seconds(30));
        assert_eq!(wait(11, 0), LONGEST_WAIT);
        assert_eq!(wait(i32::MAX, 0), LONGEST_WAIT);
        for tries in 1..30 {
            assert!(wait(tries, 255) < wait(tries, 0) && wait(tries, 255) >= wait(tries, 0) * 3 / 4, "{tries}");
        }
        let day: TimeDelta = (1..16).map(|tries| wait(tries, 255)).sum();
        assert!(day > TimeDelta::hours(18), "the default tries outlast a bad night: {day}");
    }
}
