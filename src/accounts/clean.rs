//! Removal of what served its time: links that expired, and learners who never proved their address and never held
//! anything.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::{store_proofs, trail::Occasion};
use crate::{
    app::App,
    audit::{self, Actor},
    fault::Fault,
    learners,
};

/// Links are kept so long after they expire: whoever opens one is told so, and the limits of a day are counted by them.
const KEPT: Duration = Duration::days(2);

/// How many rows went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub proofs: u64,
    pub learners: u64,
}

/// Removes up to `limit` of each.
pub async fn clean(app: &App, now: DateTime<Utc>, limit: i64) -> Result<Cleaned, Fault> {
    let days = i64::from(app.settings.accounts.provisional_days);
    let mut tx = app.begin().await?;
    let proofs = store_proofs::remove_expired(&mut tx, now - KEPT, limit).await?;
    let abandoned = learners::store_local::abandoned(&mut tx, now - Duration::days(days), limit).await?;
    for (client, learner) in &abandoned {
        audit::hand_over_values(&mut tx, *client, *learner, None).await?;
        learners::store_local::remove(&mut tx, *client, *learner).await?;
        let occasion = Occasion { entropy: &app.entropy, client: *client, actor: Actor::System, reference: None, now };
        let facts = json!({ "learner": learner, "reason": "never_confirmed" });
        occasion.tell(&mut tx, "learner.removed", *learner, facts, None).await?;
    }
    app.commit(tx).await?;
    Ok(Cleaned { proofs, learners: u64::try_from(abandoned.len()).unwrap_or(0) })
}
