//! What is sealed under which key, who holds which, and when a key may leave the ring.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use super::{
    model::{Announced, Facts, KeyStatus, Leave, Part, Pass},
    parts, rings, store,
};
use crate::{
    app::App,
    clients, codes,
    crypto::{SealedQuery, sealed_under},
    fault::Fault,
};

/// Rows read in one statement.
const BATCH: i64 = 2_000;

/// Everything that is known of the ring.
#[derive(Debug)]
pub struct Status {
    pub keys: Vec<KeyStatus>,
    pub replicas: Vec<Announced>,
    pub passes: Vec<Pass>,
    now: DateTime<Utc>,
}

/// How many values of each part are under each key, by its number.
pub(super) type Counts = BTreeMap<u8, BTreeMap<Part, u64>>;

/// Counts every sealed value, walking through them in small statements.
pub(super) async fn count(app: &App) -> Result<Counts, Fault> {
    let mut counts = Counts::new();
    let mut conn = app.acquire().await?;
    for part in Part::ALL {
        let mut after = (Uuid::nil(), Uuid::nil());
        loop {
            let page = parts::page(&mut conn, part, &SealedQuery { after, limit: BATCH, except: None }).await?;
            for value in page.values {
                // What names no key cannot be under any; number 0 would hide it, and nothing writes such a value.
                let number = sealed_under(&value.sealed).unwrap_or_default();
                *counts.entry(number).or_default().entry(part).or_default() += 1;
            }
            let Some(last) = page.last else { break };
            after = last;
        }
    }
    Ok(counts)
}

/// Reads how things stand.
pub async fn status(app: &App, now: DateTime<Utc>) -> Result<Status, Fault> {
    let replicas = rings::agree(app, now).await?;
    let mut counts = count(app).await?;
    let (passes, session) = {
        let mut conn = app.acquire().await?;
        (store::passes(&mut conn).await?, clients::longest_session(&mut conn).await?)
    };
    let attempt = Duration::from_std(app.settings.login.attempt_ttl).unwrap_or_default();
    let facts = Facts {
        first: app.sealer.first(),
        sealing: app.sealer.sealing(),
        replicas: &replicas,
        passes: &passes,
        short_lived: session.max(attempt).max(codes::KEPT_FOR),
        now,
    };
    let on_ring = app.sealer.names().into_iter().map(|name| {
        let values = counts.remove(&name.number).unwrap_or_default();
        let leave = facts.leave(name, values.values().sum());
        KeyStatus { number: name.number, name: Some(name), values, leave }
    });
    let mut keys: Vec<KeyStatus> = on_ring.collect();
    keys.extend(counts.into_iter().map(|(number, values)| {
        let leave = Leave::Values(values.values().sum());
        KeyStatus { number, name: None, values, leave }
    }));
    Ok(Status { keys, replicas, passes, now })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in &self.keys {
            match key.name {
                Some(name) => writeln!(f, "key {name}: {}", key.leave)?,
                None => {
                    writeln!(f, "key {}: not on the ring of this process, so that its values do not open", key.number)?
                }
            }
            for (part, count) in &key.values {
                writeln!(f, "    {:<12} {count:>10} values", part.as_str())?;
            }
        }
        match self.replicas.as_slice() {
            [] => writeln!(f, "no replica is running")?,
            replicas => writeln!(f, "{} replicas are running", replicas.len())?,
        }
        for replica in &self.replicas {
            let ring: Vec<String> = replica.ring.iter().map(ToString::to_string).collect();
            let ago = (self.now - replica.seen_at).num_seconds().max(0);
            writeln!(
                f,
                "    {} holds {}, seals with {}, seen {ago} s ago",
                replica.replica,
                ring.join(", "),
                replica.seals
            )?;
        }
        for pass in &self.passes {
            let end = pass
                .finished_at
                .map_or("under way".to_owned(), |at| format!("done {}", at.format("%Y-%m-%d %H:%M UTC")));
            writeln!(
                f,
                "rotation of {:<12} to key {}: {} rows looked at, {} values sealed anew, {} do not open; {end}",
                pass.part.as_str(),
                pass.key,
                pass.passed,
                pass.resealed,
                pass.unopened,
            )?;
        }
        Ok(())
    }
}
