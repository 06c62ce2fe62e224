//! Codes that waited for a verified address: redeemed when it is there.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    model::{CodeOutcome, RedeemOrder},
    redeem::redeem_within,
    store_redeem as store,
    text::CodeText,
};
use crate::{access::By, clients::ClientFacts, entropy::Entropy, fault::Fault, ids::LearnerId, learners::EmailAddress};

/// Redeems what waits for the learner, whose address has just been verified in this transaction. The caller may hold the
/// learner's row, and no seat, code or invite.
pub async fn redeem_waiting(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: &Arc<ClientFacts>,
    learner: LearnerId,
    verified_email: EmailAddress,
    by: By,
    now: DateTime<Utc>,
) -> Result<Vec<CodeOutcome>, Fault> {
    let texts = store::take_waiting(conn, client.id, learner).await?;
    let codes: Vec<CodeText> = texts.iter().filter_map(|text| CodeText::read(text)).collect();
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    let order = RedeemOrder {
        client: client.clone(),
        learner,
        verified_email: Some(verified_email),
        codes,
        actor: by.actor,
        reference: by.reference,
        now,
    };
    redeem_within(conn, entropy, &order).await
}
