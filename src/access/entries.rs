//! What an open ledger is going to write: grants by their key, the last word on each, and what is told of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    offer::By,
    store::{self, GrantKey, GrantRow},
};
use crate::{
    audit::{self, NewEvent},
    entropy::Entropy,
    fault::Fault,
    ids::ClientId,
};

/// What is told of a grant that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Begun,
    Lengthened,
    Raised,
    /// An admin or a connection set it to something else.
    Changed,
}

impl Told {
    const fn action(self) -> &'static str {
        match self {
            Self::Begun => "access.granted",
            Self::Lengthened => "access.lengthened",
            Self::Raised => "access.role_changed",
            Self::Changed => "access.changed",
        }
    }
}

enum Write {
    Put(GrantRow),
    End(&'static str),
}

struct Event {
    action: &'static str,
    facts: Value,
    target: String,
    by: By,
}

#[derive(Default)]
pub(super) struct Entries {
    writes: BTreeMap<GrantKey, Write>,
    events: Vec<Event>,
}

fn facts_of(key: &GrantKey) -> Value {
    json!({
        "learner": key.learner,
        "sublicense": key.sublicense,
        "source": key.source.as_str(),
        "source_ref": key.source_ref,
    })
}

impl Entries {
    pub fn put(&mut self, key: GrantKey, row: GrantRow, told: Told, by: &By) {
        let mut facts = facts_of(&key);
        facts["role"] = json!(row.role);
        facts["ends_at"] = json!(row.ends_at);
        let target = key.learner.to_string();
        self.events.push(Event { action: told.action(), facts, target, by: by.clone() });
        self.writes.insert(key, Write::Put(row));
    }

    pub fn end(&mut self, key: GrantKey, reason: &'static str, by: &By) {
        let mut facts = facts_of(&key);
        facts["reason"] = json!(reason);
        let target = key.learner.to_string();
        self.events.push(Event { action: "access.ended", facts, target, by: by.clone() });
        self.writes.insert(key, Write::End(reason));
    }

    pub async fn write(
        self,
        conn: &mut PgConnection,
        entropy: &Entropy,
        client: ClientId,
        now: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let mut puts = Vec::new();
        let mut ends = Vec::new();
        for (key, write) in &self.writes {
            match write {
                Write::Put(row) => puts.push((key, row)),
                Write::End(reason) => ends.push((key, *reason)),
            }
        }
        store::upsert_grants(conn, client, &puts, now).await?;
        store::end_grants(conn, client, &ends, now).await?;
        let outgoing = self.events.iter().map(|event| (event.action, event.facts.clone())).collect();
        let audit = self.events.iter().map(|event| NewEvent {
            client: Some(client),
            at: now,
            action: event.action,
            actor: event.by.actor,
            target: Some(event.target.clone()),
            reason: None,
            reference: event.by.reference.as_deref(),
            facts: event.facts.clone(),
            values: None,
        });
        audit::record_many(conn, entropy, audit.collect()).await?;
        audit::announce_many(conn, entropy, client, outgoing, now).await
    }
}
