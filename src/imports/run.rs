//! Doing what was confirmed, one batch in one transaction: records, access, invites, events and the note of what became
//! of each row. A row that is refused late (the last seat has gone meanwhile) must leave nothing behind: the batch is
//! rolled back and done again without it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    batch::{self, Grip},
    effects::{self, Effects},
    model::Outcome,
    plan::Plan,
    problem::{Flaw, Found},
    store_rows::{self, Verdict, WorkRow},
    store_work::Job,
    target::Wish,
};
use crate::{
    access::Answer,
    admin::Author,
    app::App,
    fault::Fault,
    ids::{ClientId, InviteId},
    invites::{self, Again, Order},
};

/// Rows that were refused late, and why.
pub(super) type Refused = BTreeMap<i32, (Outcome, Option<Found>)>;

/// Whether a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Done,
    /// Roll back, and do it again.
    Again,
}

/// Does one batch of rows.
pub(super) async fn run(
    conn: &mut PgConnection,
    app: &App,
    job: &Job,
    rows: &[WorkRow],
    refused: &mut Refused,
    now: DateTime<Utc>,
) -> Result<Turn, Fault> {
    let author = effects::author(&app.entropy, job.author.as_deref(), job.reference.as_deref(), now);
    // Rows that found no seat when they were checked are tried as well: seats may have become free since.
    let is_meant =
        |row: &WorkRow| row.outcome.is_some_and(|outcome| outcome.is_to_do() || outcome == Outcome::SeatsFull);
    let before = refused.len();
    let mut verdicts = Vec::with_capacity(rows.len());
    for (client, rows) in batch::by_target(rows) {
        let rows: Vec<&WorkRow> = rows.into_iter().filter(|row| is_meant(row)).collect();
        if rows.is_empty() {
            continue;
        }
        if one_client(conn, app, job, author, client, &rows, refused, &mut verdicts).await? == Turn::Again {
            return Ok(Turn::Again);
        }
    }
    if refused.len() > before {
        return Ok(Turn::Again);
    }
    store_rows::mark_done(conn, job.client, job.id, &verdicts).await?;
    Ok(Turn::Done)
}

#[allow(clippy::too_many_arguments, reason = "a step of `run`, with all that it has")]
async fn one_client(
    conn: &mut PgConnection,
    app: &App,
    job: &Job,
    author: Author<'_>,
    client: ClientId,
    rows: &[&WorkRow],
    refused: &mut Refused,
    verdicts: &mut Vec<Verdict>,
) -> Result<Turn, Fault> {
    let (target, directory) = batch::scene(conn, client, rows, Grip::Lock, author.now).await?;
    let mut effects = Effects::new(job.id, author);
    let first = verdicts.len();
    for planned in batch::plan_all(job, &target, &directory, rows, author.now) {
        let late = refused.get(&planned.number);
        let mut verdict = decided(planned.number, &planned.plan, late);
        if let (None, Ok((wish, plan))) = (late, planned.plan)
            && plan.outcome.is_to_do()
        {
            let message = job.options.message.as_deref();
            verdict.learner = effects.add(author, &directory, (planned.number, planned.data), &wish, plan, message);
        }
        verdicts.push(verdict);
    }
    if !effects.write_people(conn, author, client).await? {
        return Ok(Turn::Again);
    }
    for (row, answer) in effects.write_access(conn, author, client).await? {
        if let Some(reason) = refusal(&answer) {
            refused.insert(row, reason);
        }
    }
    let made = invite(conn, app, job, author, client, &effects, refused).await?;
    for verdict in verdicts.iter_mut().skip(first) {
        verdict.invite = made.get(&verdict.number).map(|id| id.uuid());
    }
    invites::revoke_many(conn, author, client, &effects.revokes).await?;
    effects.tell(conn, author, client).await?;
    Ok(Turn::Done)
}

/// What became of a row, as far as the plan tells.
fn decided(number: i32, plan: &Result<(Wish, Plan), Found>, late: Option<&(Outcome, Option<Found>)>) -> Verdict {
    let (outcome, found) = match (late, plan) {
        (Some((outcome, found)), _) => (*outcome, found.clone()),
        (None, Ok((_, plan))) => (plan.outcome, None),
        (None, Err(found)) => (Outcome::Invalid, Some(found.clone())),
    };
    let learner = plan.as_ref().ok().and_then(|(_, plan)| plan.learner);
    Verdict { number, outcome, found, learner, invite: None }
}

/// Why an offer was not taken, where it was not.
fn refusal(answer: &Answer) -> Option<(Outcome, Option<Found>)> {
    match answer {
        Answer::Changed { .. } | Answer::Nothing => None,
        Answer::Full(_) => Some((Outcome::SeatsFull, None)),
        Answer::Blocked(_) => Some((Outcome::Blocked, None)),
        Answer::Ended(_) => Some((Outcome::Invalid, Some(Flaw::SublicenseEnded.at("sublicenses")))),
        // Merged or erased in this moment.
        Answer::NoLearner => Some((Outcome::Invalid, Some(Flaw::Vanished.whole()))),
    }
}

/// Makes the invites; by row those that were made.
async fn invite(
    conn: &mut PgConnection,
    app: &App,
    job: &Job,
    author: Author<'_>,
    client: ClientId,
    effects: &Effects,
    refused: &mut Refused,
) -> Result<BTreeMap<i32, InviteId>, Fault> {
    let new: Vec<invites::NewInvite> = effects.invites.iter().map(|(_, new)| new.clone()).collect();
    let import = job.id.to_string();
    let order = Order { invites: &new, again: Again::Leave, import: Some(&import) };
    let outcomes = invites::create_many(conn, app, author, client, order).await?;
    let mut made = BTreeMap::new();
    for ((row, _), outcome) in effects.invites.iter().zip(outcomes) {
        use invites::Outcome as Of;
        let reason = match outcome {
            Of::Invited(id) | Of::Renewed(id) => {
                made.insert(*row, id);
                continue;
            }
            Of::AlreadyInvited(_) => (Outcome::AlreadyInvited, None),
            Of::AlreadyLearner(_) => (Outcome::AlreadyThere, None),
            Of::Suspended(_) => (Outcome::Suspended, None),
            Of::Blocked(..) => (Outcome::Blocked, None),
            Of::SeatsFull(_) => (Outcome::SeatsFull, None),
            Of::TooOften { .. } => (Outcome::Invalid, Some(Flaw::InvitedTooOften.at("email"))),
            Of::Ended(_) => (Outcome::Invalid, Some(Flaw::SublicenseEnded.at("sublicenses"))),
            Of::Bounced(_) | Of::Closed => (Outcome::Invalid, Some(Flaw::InviteRefused.whole())),
        };
        refused.insert(*row, reason);
    }
    Ok(made)
}
