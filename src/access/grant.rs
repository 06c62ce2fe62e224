//! Writing what a sign-in changes: seats, grants, audit and outgoing events, inside the caller's transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    seats::{self, Full},
    store::{self, GrantKey},
    sync::{Change, Plan, SIGN_IN},
};
use crate::{
    audit::{self, Actor, NewEvent},
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
    let source_ref = occasion.connection.to_string();
    let key = |sublicense| GrantKey { learner: occasion.learner, sublicense, source: SIGN_IN, source_ref: &source_ref };
    // One order for everybody: whoever locks several sublicenses' counters locks them in this order.
    let mut changes: Vec<&Change> = plan.changes.iter().collect();
    changes.sort_by_key(|change| match change {
        Change::End { sublicense } => (0, *sublicense),
        Change::Role { sublicense, .. } => (1, *sublicense),
        Change::Begin { sublicense, .. } => (2, *sublicense),
    });
    for change in changes {
        match *change {
            Change::End { sublicense } => {
                store::end_grant(conn, occasion.client, key(sublicense), "sync", occasion.now).await?;
                tell(conn, entropy, occasion, "access.ended", sublicense, json!({ "reason": "sync" })).await?;
                applied.ended.push(sublicense);
            }
            Change::Role { sublicense, role } => {
                store::set_role(conn, occasion.client, key(sublicense), role).await?;
                tell(conn, entropy, occasion, "access.role_changed", sublicense, json!({ "role": role })).await?;
            }
            Change::Begin { sublicense, role, ends_at } => {
                match seats::take(conn, occasion.client, occasion.learner, sublicense, occasion.now).await? {
                    Err(full) => applied.full.push(full),
                    Ok(()) => {
                        store::upsert_grant(conn, occasion.client, key(sublicense), role, ends_at, occasion.now)
                            .await?;
                        let facts = json!({ "role": role, "ends_at": ends_at });
                        tell(conn, entropy, occasion, "access.granted", sublicense, facts).await?;
                        applied.begun.push(sublicense);
                    }
                }
            }
        }
    }
    Ok(applied)
}

async fn tell(
    conn: &mut PgConnection,
    entropy: &Entropy,
    occasion: &Occasion<'_>,
    action: &'static str,
    sublicense: SublicenseId,
    mut facts: serde_json::Value,
) -> Result<(), Fault> {
    facts["learner"] = json!(occasion.learner);
    facts["sublicense"] = json!(sublicense);
    facts["source"] = json!("sso");
    facts["source_ref"] = json!(occasion.connection);
    let event = NewEvent {
        client: Some(occasion.client),
        at: occasion.now,
        action,
        actor: Actor::Idp(occasion.connection),
        target: Some(occasion.learner.to_string()),
        reason: None,
        reference: Some(occasion.reference),
        facts: facts.clone(),
        values: None,
    };
    audit::record(conn, entropy, event).await?;
    audit::announce(conn, entropy, occasion.client, action, facts, occasion.now).await
}
