//! Who makes a change, when and by which request: what every use case needs to write its audit event.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    audit::{self, Actor, NewEvent, Values},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, EventId},
};

/// The author of a change.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub entropy: &'a Entropy,
    pub actor: Actor,
    pub reference: Option<&'a str>,
    pub now: DateTime<Utc>,
}

impl<'a> Author<'a> {
    /// The gateway itself: a job, or the command line.
    pub const fn system(entropy: &'a Entropy, now: DateTime<Utc>) -> Self {
        Self { entropy, actor: Actor::System, reference: None, now }
    }

    /// The author's name in a row that they made or vouched for.
    pub fn name(&self) -> String {
        self.actor.id().unwrap_or_else(|| self.actor.kind().to_owned())
    }

    /// Records what was done. Call it in the transaction of the change; `facts` hold no personal value.
    pub async fn record(
        &self,
        conn: &mut PgConnection,
        client: ClientId,
        action: &'static str,
        target: String,
        facts: Value,
        values: Option<Values>,
    ) -> Result<EventId, Fault> {
        let event = NewEvent {
            client: Some(client),
            at: self.now,
            action,
            actor: self.actor,
            target: Some(target),
            reason: None,
            reference: self.reference,
            facts,
            values,
        };
        audit::record(conn, self.entropy, event).await
    }
}

/// The fields in which two states of one resource differ, and their values before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub fields: Vec<String>,
    pub before: Value,
    pub after: Value,
}

/// Compares two states field by field. `None` when nothing differs.
pub fn difference<T: serde::Serialize>(before: &T, after: &T) -> Result<Option<Difference>, Fault> {
    let (before, after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
    let (Value::Object(mut before), Value::Object(mut after)) = (before, after) else { return Ok(None) };
    before.retain(|field, value| after.get(field) != Some(value));
    after.retain(|field, _| before.contains_key(field));
    let fields: Vec<String> = before.keys().cloned().collect();
    Ok((!fields.is_empty()).then_some(Difference { fields, before: before.into(), after: after.into() }))
}
