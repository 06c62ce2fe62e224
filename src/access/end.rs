//! Ending access early, and moving it when two records of one person become one. What ended stays as history.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    held::Held,
    ledger::Ledger,
    offer::{By, Ending},
    store_claim,
};
use crate::{
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
};

/// Ends grants of learners; the sublicenses that ended, for each of `endings`.
pub async fn end(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    endings: &[Ending],
    now: DateTime<Utc>,
) -> Result<Vec<Vec<SublicenseId>>, Fault> {
    let learners: BTreeSet<LearnerId> = endings.iter().map(|ending| ending.learner).collect();
    let mut ledger = Ledger::open_held(conn, client, &learners.into_iter().collect::<Vec<_>>(), now).await?;
    let ended = endings.iter().map(|ending| ledger.end(ending)).collect();
    ledger.write(conn, entropy).await?;
    Ok(ended)
}

/// Gives one learner what another has, and ends it there: two records of one person become one. A sublicense from which
/// an admin removed either record takes in nothing of the other.
pub async fn move_grants(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    from: LearnerId,
    to: LearnerId,
    by: &By,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    store_claim::move_blocks(conn, client, from, to).await?;
    let mut ledger = Ledger::open_held(conn, client, &[from, to], now).await?;
    let held: Vec<Held> = ledger.held_by(from).to_vec();
    ledger.end(&Ending { learner: from, sublicense: None, source: None, reason: "merged", by: by.clone() });
    for grant in &held {
        ledger.inherit(grant, to, by);
    }
    ledger.write(conn, entropy).await
}
