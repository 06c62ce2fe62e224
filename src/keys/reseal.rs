//! Seals values anew under the ring's first key: the next rows of one walk in one transaction, with the walk's place.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::Part,
    parts,
    store::{self, Step},
};
use crate::{
    app::App,
    audit::{self, Actor, NewEvent},
    crypto::{SealedQuery, SealedValue, sealed_under},
    fault::Fault,
};

/// Rows of one transaction: few enough that nobody waits for their locks.
const BATCH: i64 = 500;

/// Does the next rows of a walk that has not come to its end and that nobody else is at; says whether there was one. A
/// ring whose first key does not seal yet does nothing.
pub async fn reseal_due(app: &App, now: DateTime<Utc>) -> Result<bool, Fault> {
    let key = app.sealer.first();
    if app.sealer.sealing() != key {
        return Ok(false);
    }
    let mut transaction = app.begin().await?;
    let Some((part, after)) = store::claim(&mut transaction, key).await? else { return Ok(false) };
    let query = SealedQuery { after, limit: BATCH, except: Some(key.number) };
    let page = parts::page(&mut transaction, part, &query).await?;
    let mut step = Step { passed: count(page.rows), ..Step::default() };
    let old = page.values.into_iter().filter(|value| sealed_under(&value.sealed) != Some(key.number));
    let mut anew = Vec::new();
    for value in old {
        match again(app, &value) {
            Some(sealed) => anew.push((value, sealed)),
            None => step.unopened += 1,
        }
    }
    step.resealed = parts::seal_anew(&mut transaction, part, &anew).await?;
    store::advance(&mut transaction, part, page.last, step, now).await?;
    if page.last.is_none() {
        tell_end(&mut transaction, app, part, now).await?;
    }
    app.commit(transaction).await?;
    metrics::counter!("usher_resealed_values_total", "part" => part.as_str()).increment(step.resealed);
    Ok(true)
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// The value under the key that seals; `None` where it does not open.
fn again(app: &App, value: &SealedValue) -> Option<Vec<u8>> {
    match app.sealer.open(&value.place, &value.sealed) {
        Ok(plain) => Some(app.sealer.seal(&app.entropy, &value.place, &plain)),
        Err(error) => {
            tracing::error!(place = value.place, key = ?sealed_under(&value.sealed), %error, "a sealed value stays as it is");
            None
        }
    }
}

async fn tell_end(conn: &mut PgConnection, app: &App, part: Part, now: DateTime<Utc>) -> Result<(), Fault> {
    let passes = store::passes(conn).await?;
    let Some(pass) = passes.into_iter().find(|pass| pass.part == part) else { return Ok(()) };
    let facts = json!({
        "part": part.as_str(),
        "key": pass.key.number,
        "resealed": pass.resealed,
        "unopened": pass.unopened,
    });
    let event = NewEvent {
        client: None,
        at: now,
        action: "sealing.part_resealed",
        actor: Actor::System,
        target: None,
        reason: None,
        reference: None,
        facts,
        values: None,
    };
    audit::record(conn, &app.entropy, event).await?;
    tracing::info!(part = part.as_str(), key = %pass.key, resealed = pass.resealed, unopened = pass.unopened, "sealed anew");
    Ok(())
}
