//! Redeeming, inside one transaction, for one learner or for hundreds at once: what decides is locked and read in a
//! number of statements that does not grow with the orders, each order is served in memory, and all is written at the
//! end. See `line.rs` for how orders of many requests come together.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    check::reason,
    model::{Bearer, Code, CodeOutcome, CodeResult, CodeState, Hidden, Kind, RedeemOrder, Verdict},
    store_redeem::{self as store, NewRedemption},
    text::CodeText,
};
use crate::{
    access::{Answer, By, Full, Ledger, Offer},
    audit::{self, NewEvent},
    claims::Role,
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, EventId, LearnerId, SublicenseId},
    learners::LearnerStatus,
};

/// What a redemption that met a change of its code's terms says: trying again finds the new ones.
pub(super) const CHANGED: &str = "codes whose terms are being changed";

/// Redeems one learner's codes inside the caller's transaction: one outcome for each code, in the order given. The caller
/// may hold the learner's row, and no seat, code or invite.
pub async fn redeem_within(
    conn: &mut PgConnection,
    entropy: &Entropy,
    order: &RedeemOrder,
) -> Result<Vec<CodeOutcome>, Fault> {
    let mut outcomes = serve(conn, entropy, &[order], order.now).await?;
    Ok(outcomes.pop().unwrap_or_default())
}

/// Serves orders of one client: the outcomes of each, in the order given.
pub(super) async fn serve(
    conn: &mut PgConnection,
    entropy: &Entropy,
    orders: &[&RedeemOrder],
    now: DateTime<Utc>,
) -> Result<Vec<Vec<CodeOutcome>>, Fault> {
    let Some(client) = orders.first().map(|order| order.client_id()) else { return Ok(Vec::new()) };
    let mut book = Book::open(conn, client, orders, now).await?;
    let outcomes = orders.iter().map(|order| book.serve(order, entropy)).collect();
    book.write(conn, entropy).await?;
    Ok(outcomes)
}

/// Orders of one client while they are served.
struct Book {
    client: ClientId,
    now: DateTime<Utc>,
    ledger: Ledger,
    codes: BTreeMap<String, Code>,
    /// Who has redeemed what, in this transaction too.
    standing: BTreeSet<(Uuid, LearnerId)>,
    vouched: BTreeSet<LearnerId>,
    redemptions: Vec<NewRedemption>,
    waiting: Vec<(Uuid, LearnerId)>,
    full: Vec<(Full, String)>,
    notes: Vec<Note>,
}

/// One event of the audit trail.
struct Note {
    action: &'static str,
    by: By,
    target: Option<String>,
    reason: Option<&'static str>,
    facts: Value,
}

impl Book {
    /// Finds the codes, then locks in the one order: learners, seats, codes.
    async fn open(
        conn: &mut PgConnection,
        client: ClientId,
        orders: &[&RedeemOrder],
        now: DateTime<Utc>,
    ) -> Result<Self, Fault> {
        let keys: BTreeSet<String> =
            orders.iter().flat_map(|order| order.codes.iter().map(|code| code.key().to_owned())).collect();
        let found = store::find(conn, client, &keys.into_iter().collect::<Vec<_>>()).await?;
        let mut codes: BTreeMap<String, Code> = found.into_iter().map(|code| (code.key.clone(), code)).collect();
        let learners: BTreeSet<LearnerId> = orders.iter().map(|order| order.learner).collect();
        let sublicenses: BTreeSet<SublicenseId> =
            codes.values().flat_map(|code| code.sublicenses.iter().copied()).collect();
        let learners: Vec<LearnerId> = learners.into_iter().collect();
        let ledger = Ledger::open(conn, client, &learners, &sublicenses.into_iter().collect::<Vec<_>>(), now).await?;
        let ids: Vec<Uuid> = codes.values().map(|code| code.id).collect();
        let mut standing = BTreeSet::new();
        if !ids.is_empty() {
            let locked = store::lock(conn, client, &ids).await?;
            for code in codes.values_mut() {
                let row = locked.iter().find(|row| row.id == code.id && row.version == code.version);
                let row = row.ok_or(Fault::Busy(CHANGED))?;
                (code.state, code.times_redeemed) = (row.state, row.times_redeemed);
            }
            standing.extend(store::standing(conn, client, &pairs(orders, &codes)).await?);
        }
        let unproved = orders.iter().filter(|order| order.client.verify_email_first && order.verified_email.is_none());
        let unproved: Vec<Uuid> = unproved.map(|order| order.learner.uuid()).collect();
        let mut vouched = BTreeSet::new();
        if !unproved.is_empty() {
            vouched.extend(store::with_identity(conn, client, &unproved).await?);
        }
        Ok(Self {
            client,
            now,
            ledger,
            codes,
            standing,
            vouched,
            redemptions: Vec::new(),
            waiting: Vec::new(),
            full: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn serve(&mut self, order: &RedeemOrder, entropy: &Entropy) -> Vec<CodeOutcome> {
        let outcome = |text: &CodeText| CodeOutcome { text: text.clone(), result: self.redeem(order, text, entropy) };
        order.codes.iter().map(outcome).collect()
    }

    fn redeem(&mut self, order: &RedeemOrder, text: &CodeText, entropy: &Entropy) -> CodeResult {
        let by = By { actor: order.actor, reference: order.reference.clone() };
        let Some(code) = self.codes.get(text.key()) else {
            self.refused(&by, order.learner, None, Hidden::Unknown.as_str());
            return CodeResult::NotValid;
        };
        let bearer = Bearer {
            verified_email: order.verified_email.as_ref(),
            has_redeemed: self.standing.contains(&(code.id, order.learner)),
            must_verify_first: order.client.verify_email_first && !self.vouched.contains(&order.learner),
        };
        let verdict = code.judge(bearer, self.now);
        let shown = code.shown();
        if let Some(reason) = reason(verdict) {
            self.refused(&by, order.learner, Some(shown), reason);
        } else if verdict == Verdict::WaitsForAddress {
            self.waiting.push((code.id, order.learner));
        }
        match verdict {
            Verdict::Good => self.take(order, text.key(), by, entropy),
            Verdict::WaitsForAddress => CodeResult::WaitsForAddress,
            Verdict::AlreadyUsedByYou => CodeResult::AlreadyUsedByYou,
            Verdict::Expired => CodeResult::Expired,
            Verdict::UsedUp => CodeResult::UsedUp,
            Verdict::NotYet(start) => CodeResult::NotYet(start),
            Verdict::NotValid(_) => CodeResult::NotValid,
        }
    }

    /// A good code: offers what it grants, and uses it where that changes something.
    fn take(&mut self, order: &RedeemOrder, key: &str, by: By, entropy: &Entropy) -> CodeResult {
        let Some(code) = self.codes.get_mut(key) else { return CodeResult::NotValid };
        let shown = code.shown();
        let offer = Offer {
            learner: order.learner,
            source: code.kind.source(),
            source_ref: shown.clone(),
            role: Role::Learner,
            sublicenses: code.sublicenses.clone(),
            starts_at: None,
            ends_at: code.access_ends_at,
            access_days: code.access_days,
            reservation: None,
            overrides_block: false,
            by: by.clone(),
        };
        let is_suspended = self.ledger.status(order.learner) == Some(LearnerStatus::Suspended);
        let answer = if is_suspended { Answer::NoLearner } else { self.ledger.offer(&offer) };
        let (result, reason) = match answer {
            Answer::Changed { begun, lengthened, raised } => {
                code.times_redeemed += 1;
                if code.kind == Kind::Redemption {
                    code.state = CodeState::Redeemed;
                }
                self.standing.insert((code.id, order.learner));
                self.redemptions.push(NewRedemption {
                    id: entropy.id::<EventId>(self.now).uuid(),
                    code: code.id,
                    offer: code.offer,
                    kind: code.kind,
                    learner: order.learner,
                });
                let sublicenses: Vec<SublicenseId> = [begun, lengthened, raised].concat();
                let facts = json!({
                    "code": shown,
                    "offer": code.kind.show_offer(code.offer),
                    "learner": order.learner,
                    "sublicenses": sublicenses,
                });
                self.notes.push(Note { action: "code.redeemed", by, target: Some(shown), reason: None, facts });
                return CodeResult::Redeemed { sublicenses };
            }
            Answer::Nothing => return CodeResult::AlreadyHave,
            Answer::Full(full) => {
                if !self.full.iter().any(|(known, _)| *known == full) {
                    self.full.push((full, shown.clone()));
                }
                (CodeResult::SeatsFull, "codes.seats_full")
            }
            Answer::Blocked(_) => (CodeResult::Blocked, "codes.blocked"),
            Answer::Ended(_) => (CodeResult::Expired, "codes.access_over"),
            Answer::NoLearner => (CodeResult::NotValid, "codes.no_learner"),
        };
        self.refused(&by, order.learner, Some(shown), reason);
        result
    }

    fn refused(&mut self, by: &By, learner: LearnerId, target: Option<String>, reason: &'static str) {
        let facts = json!({ "learner": learner });
        self.notes.push(Note { action: "code.refused", by: by.clone(), target, reason: Some(reason), facts });
    }

    async fn write(self, conn: &mut PgConnection, entropy: &Entropy) -> Result<(), Fault> {
        let (client, now) = (self.client, self.now);
        store::write(conn, client, &self.redemptions, now).await?;
        store::insert_waiting(conn, client, &self.waiting, now).await?;
        self.ledger.write(conn, entropy).await?;
        let mut outgoing: Vec<(&'static str, Value)> = Vec::new();
        for note in self.notes.iter().filter(|note| note.reason.is_none()) {
            outgoing.push((note.action, note.facts.clone()));
        }
        for (full, code) in self.full {
            let sublicense = match full {
                Full::Client => None,
                Full::Sublicense(id) => Some(id),
            };
            outgoing.push(("seats.full", json!({ "sublicense": sublicense, "source_ref": code })));
        }
        let events = self.notes.iter().map(|note| NewEvent {
            client: Some(client),
            at: now,
            action: note.action,
            actor: note.by.actor,
            target: note.target.clone(),
            reason: note.reason,
            reference: note.by.reference.as_deref(),
            facts: note.facts.clone(),
            values: None,
        });
        audit::record_many(conn, entropy, events.collect()).await?;
        audit::announce_many(conn, entropy, client, outgoing, now).await
    }
}

/// Every code with every learner who asks for it.
fn pairs(orders: &[&RedeemOrder], codes: &BTreeMap<String, Code>) -> Vec<(Uuid, LearnerId)> {
    let asked = orders.iter().flat_map(|order| order.codes.iter().map(|code| (code.key(), order.learner)));
    asked.filter_map(|(key, learner)| codes.get(key).map(|code| (code.id, learner))).collect()
}
