//! Writing what a sign-in changes: seats, grants, audit and outgoing events, inside the caller's transaction.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    entries::Told,
    ledger::Ledger,
    offer::{By, Ending},
    seats::Full,
    store::{GrantKey, GrantRow},
    sync::{Change, Plan, SIGN_IN},
};
use crate::{
    audit::Actor,
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, ConnectionId, LearnerId, SublicenseId},
};

/// What was written of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Sublicenses whose access began.
    pub begun: Vec<SublicenseId>,
    /// Sublicenses whose grant of this connection ended.
    pub ended: Vec<SublicenseId>,
    /// What could not begin because no seat was left.
    pub full: Vec<Full>,
}

/// Whose grants, by which connection, when, and under which reference.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub client: ClientId,
    pub learner: LearnerId,
    pub connection: ConnectionId,
    pub reference: &'a str,
    pub now: DateTime<Utc>,
}

/// Writes the plan. A change that finds no seat is left out and reported; the others stand.
pub async fn apply(
    conn: &mut PgConnection,
    entropy: &Entropy,
    occasion: &Occasion<'_>,
    plan: &Plan,
) -> Result<Applied, Fault> {
    let mut applied = Applied::default();
    if plan.changes.is_empty() {
        return Ok(applied);
    }
    let Occasion { client, learner, connection, reference, now } = *occasion;
    let by = By { actor: Actor::Idp(connection), reference: Some(reference.to_owned()) };
    let key = |sublicense| GrantKey { learner, sublicense, source: SIGN_IN, source_ref: connection.to_string() };
    let named: BTreeSet<SublicenseId> = plan.changes.iter().map(Change::sublicense).collect();
    let mut ledger = Ledger::open(conn, client, &[learner], &named.into_iter().collect::<Vec<_>>(), now).await?;
    // What ends makes room for what begins.
    let mut changes: Vec<&Change> = plan.changes.iter().collect();
    changes.sort_by_key(|change| (!matches!(change, Change::End { .. }), change.sublicense()));
    for change in changes {
        match *change {
            Change::End { sublicense } => {
                let source = Some((SIGN_IN, connection.to_string()));
                ledger.end(&Ending { learner, sublicense: Some(sublicense), source, reason: "sync", by: by.clone() });
                applied.ended.push(sublicense);
            }
            Change::Role { sublicense, role } => {
                let Some(held) = ledger.held_under(&key(sublicense)) else { continue };
                let row = GrantRow { role, starts_at: held.starts_at, ends_at: held.ends_at };
                ledger.put(key(sublicense), row, Told::Raised, &by);
            }
            // Removed in this moment, or by an import before the person first came.
            Change::Begin { sublicense, .. } if ledger.blocks.contains(&(learner, sublicense)) => {}
            Change::Begin { sublicense, role, ends_at } => {
                let row = GrantRow { role, starts_at: now, ends_at };
                match ledger.place(key(sublicense), row, Told::Begun, &by) {
                    Err(full) => applied.full.push(full),
                    Ok(()) => applied.begun.push(sublicense),
                }
            }
        }
    }
    ledger.write(conn, entropy).await?;
    Ok(applied)
}
