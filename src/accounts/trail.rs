//! What each step leaves behind: one audit event and one outgoing event of ids and codes. No event names an account:
//! two clients must not find out that they have a person in common.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    audit::{self, Actor, NewEvent, Values},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// The occasion of a step.
#[derive(Clone, Copy)]
pub(super) struct Occasion<'a> {
    pub entropy: &'a Entropy,
    pub client: ClientId,
    pub actor: Actor,
    pub reference: Option<&'a str>,
    pub now: DateTime<Utc>,
}

impl Occasion<'_> {
    /// Records what was done to a learner, for admins and for the outside.
    pub async fn tell(
        &self,
        conn: &mut PgConnection,
        action: &'static str,
        learner: LearnerId,
        facts: Value,
        values: Option<Values>,
    ) -> Result<(), Fault> {
        self.record(conn, action, Some(learner), None, facts.clone(), values).await?;
        audit::announce(conn, self.entropy, self.client, action, facts, self.now).await
    }

    /// Records it for admins alone.
    pub async fn record(
        &self,
        conn: &mut PgConnection,
        action: &'static str,
        learner: Option<LearnerId>,
        reason: Option<&str>,
        facts: Value,
        values: Option<Values>,
    ) -> Result<(), Fault> {
        let event = NewEvent {
            client: Some(self.client),
            at: self.now,
            action,
            actor: self.actor,
            target: learner.map(|learner| learner.to_string()),
            reason,
            reference: self.reference,
            facts,
            values,
        };
        audit::record(conn, self.entropy, event).await.map(drop)
    }
}
