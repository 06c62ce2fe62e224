//! Two records of one person become one: what the one redeemed becomes the other's, and a use that brings the other
//! nothing is given back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    store_redeem,
    store_undo::{self as store, Redemption},
};
use crate::{
    access::{By, Ending, Ledger},
    audit::{self, NewEvent},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// Gives back the uses of `from` that `to` does not need, and makes the others `to`'s; codes that wait for `from` then
/// wait for `to`. Call it before [`crate::access::move_grants`], in the same transaction.
pub async fn give_back_on_merge(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    from: LearnerId,
    to: LearnerId,
    by: &By,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut ledger = Ledger::open_held(conn, client, &[from, to], now).await?;
    let redemptions = store::of_learner(conn, client, from).await?;
    let codes: BTreeSet<Uuid> = redemptions.iter().map(|redemption| redemption.code).collect();
    store_redeem::lock(conn, client, &codes.into_iter().collect::<Vec<_>>()).await?;
    let both: Vec<(Uuid, LearnerId)> = redemptions.iter().map(|redemption| (redemption.code, to)).collect();
    let of_other: BTreeSet<Uuid> =
        store_redeem::standing(conn, client, &both).await?.into_iter().map(|(code, _)| code).collect();
    let (mut spare, mut kept): (Vec<Redemption>, Vec<Redemption>) = (Vec::new(), Vec::new());
    for redemption in redemptions {
        let (source, source_ref) = (redemption.kind.source(), redemption.kind.show(redemption.code));
        if of_other.contains(&redemption.code) || ledger.covers(from, to, source, &source_ref) {
            let source = Some((source, source_ref));
            ledger.end(&Ending { learner: from, sublicense: None, source, reason: "merged", by: by.clone() });
            spare.push(redemption);
        } else {
            kept.push(redemption);
        }
    }
    ledger.write(conn, entropy).await?;
    store::undo(conn, client, &spare, ("merged", false), now).await?;
    store::give(conn, client, &kept, to).await?;
    store::move_waiting(conn, client, from, to).await?;
    let facts = |redemption: &Redemption| json!({ "code": redemption.kind.show(redemption.code), "learner": from, "merged_into": to });
    let told = spare.iter().map(|redemption| ("code.given_back", facts(redemption))).collect();
    let events = spare.iter().map(|redemption| NewEvent {
        client: Some(client),
        at: now,
        action: "code.given_back",
        actor: by.actor,
        target: Some(redemption.kind.show(redemption.code)),
        reason: Some("merged"),
        reference: by.reference.as_deref(),
        facts: facts(redemption),
        values: None,
    });
    audit::record_many(conn, entropy, events.collect()).await?;
    audit::announce_many(conn, entropy, client, told, now).await
}
