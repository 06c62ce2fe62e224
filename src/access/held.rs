//! What a learner holds while a ledger is open, and what an offer adds to it: pure.

use chrono::{DateTime, Duration, Utc};

use super::{
    entries::Told,
    ledger::Ledger,
    model::{Source, effective_end},
    offer::{Answer, Offer},
    seats::Scope,
    store::{GrantKey, GrantRow, HeldRow},
};
use crate::{
    claims::Role,
    fault::Fault,
    ids::{LearnerId, SublicenseId},
};

/// A grant that has not lapsed.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub sublicense: SublicenseId,
    pub source: Source,
    pub source_ref: String,
    pub role: Role,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    /// When the sublicense itself is over.
    over_at: Option<DateTime<Utc>>,
}

impl Held {
    pub fn read(row: HeldRow) -> Result<Self, Fault> {
        Ok(Self {
            sublicense: row.sublicense_id.into(),
            source: Source::read(&row.source)?,
            source_ref: row.source_ref,
            role: if row.role == Role::Manager.as_str() { Role::Manager } else { Role::Learner },
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            over_at: row.sublicense_ends_at,
        })
    }

    pub fn new(key: &GrantKey, row: &GrantRow, over_at: Option<DateTime<Utc>>) -> Self {
        Self {
            sublicense: key.sublicense,
            source: key.source,
            source_ref: key.source_ref.clone(),
            role: row.role,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            over_at,
        }
    }

    pub fn is_of(&self, key: &GrantKey) -> bool {
        self.sublicense == key.sublicense && self.source == key.source && self.source_ref == key.source_ref
    }

    pub fn key(&self, learner: LearnerId) -> GrantKey {
        GrantKey { learner, sublicense: self.sublicense, source: self.source, source_ref: self.source_ref.clone() }
    }

    /// Whether it holds a seat: it has not ended and its sublicense is not over. One that is yet to begin holds its seat.
    pub fn holds_seat(&self, now: DateTime<Utc>) -> bool {
        self.ends_at.is_none_or(|end| now < end) && self.over_at.is_none_or(|end| now < end)
    }
}

impl GrantRow {
    /// The higher role and the later end of two grants under one key: nobody loses what they have.
    pub(super) fn joined(self, same: &Held) -> Self {
        Self {
            role: self.role.max(same.role),
            starts_at: self.starts_at.min(same.starts_at),
            ends_at: self.ends_at.zip(same.ends_at).map(|(one, other)| one.max(other)),
        }
    }
}

/// What an offer does to one sublicense.
pub(super) struct Step {
    pub sublicense: SublicenseId,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    /// `None`: the learner has as much.
    pub told: Option<Told>,
}

/// The answer to an offer that nothing refuses.
pub(super) fn answer(steps: &[Step]) -> Answer {
    let with = |told: Told| -> Vec<SublicenseId> {
        steps.iter().filter(|step| step.told == Some(told)).map(|step| step.sublicense).collect()
    };
    let (begun, lengthened, raised) = (with(Told::Begun), with(Told::Lengthened), with(Told::Raised));
    if begun.is_empty() && lengthened.is_empty() && raised.is_empty() {
        return Answer::Nothing;
    }
    Answer::Changed { begun, lengthened, raised }
}

/// Whether `end` is at least as late as `other`; no end is later than any.
fn reaches(end: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> bool {
    match (end, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(end), Some(other)) => end >= other,
    }
}

impl Ledger {
    /// What the offer does, or why it cannot.
    pub(super) fn judge(&self, offer: &Offer) -> Result<Vec<Step>, Answer> {
        let steps = self.judge_terms(offer)?;
        if steps.iter().any(|step| step.told.is_some()) {
            self.judge_seats(offer)?;
        }
        Ok(steps)
    }

    /// The same without asking for seats of what the learner would not gain.
    pub(super) fn judge_terms(&self, offer: &Offer) -> Result<Vec<Step>, Answer> {
        if self.status(offer.learner).is_none() {
            return Err(Answer::NoLearner);
        }
        let mut sublicenses = offer.sublicenses.clone();
        sublicenses.sort();
        sublicenses.dedup();
        sublicenses.into_iter().map(|sublicense| self.step(offer, sublicense)).collect()
    }

    fn step(&self, offer: &Offer, sublicense: SublicenseId) -> Result<Step, Answer> {
        let Some(terms) = self.terms.get(&sublicense) else { return Err(Answer::Ended(sublicense)) };
        if !offer.overrides_block && self.blocks.contains(&(offer.learner, sublicense)) {
            return Err(Answer::Blocked(sublicense));
        }
        let starts_at = offer.starts_at.unwrap_or(self.now);
        let days = offer.access_days.or(terms.access_days);
        let days_end = days.and_then(|days| starts_at.checked_add_signed(Duration::days(i64::from(days))));
        let ends_at = effective_end([offer.ends_at, days_end, None]);
        let capped = |end| effective_end([end, terms.ends_at, self.license_ends_at]);
        let end = capped(ends_at);
        if end.is_some_and(|end| end <= self.now || end <= starts_at) {
            return Err(Answer::Ended(sublicense));
        }
        let mut running = self
            .held_by(offer.learner)
            .iter()
            .filter(|held| held.sublicense == sublicense && held.starts_at <= starts_at)
            .peekable();
        let told = if running.peek().is_none() {
            Some(Told::Begun)
        } else {
            let (mut has_as_much, mut has_role) = (false, false);
            for grant in running.filter(|grant| grant.role >= offer.role) {
                has_role = true;
                has_as_much |= reaches(capped(grant.ends_at), end);
            }
            (!has_as_much).then_some(if has_role { Told::Lengthened } else { Told::Raised })
        };
        Ok(Step { sublicense, starts_at, ends_at, told })
    }

    /// Whether another learner has as much as this source grants one, so that the grant is of no use to them.
    pub fn covers(&self, learner: LearnerId, other: LearnerId, source: Source, source_ref: &str) -> bool {
        let mut granted = self
            .held_by(learner)
            .iter()
            .filter(|grant| grant.source == source && grant.source_ref == source_ref)
            .peekable();
        granted.peek().is_some()
            && granted.all(|grant| {
                self.held_by(other).iter().any(|held| {
                    held.sublicense == grant.sublicense
                        && held.role >= grant.role
                        && held.starts_at <= grant.starts_at.max(self.now)
                        && reaches(held.ends_at, grant.ends_at)
                })
            })
    }

    fn judge_seats(&self, offer: &Offer) -> Result<(), Answer> {
        let own: Vec<Scope> = offer.reservation.map(|holder| self.live_scopes(holder)).unwrap_or_default();
        for scope in self.seats_needed(offer) {
            if !own.contains(&scope) {
                self.seats.has_room(scope).map_err(Answer::Full)?;
            }
        }
        Ok(())
    }

    /// The seats that an offer takes: of the client unless the learner holds one, and of each sublicense likewise.
    pub(super) fn seats_needed(&self, offer: &Offer) -> Vec<Scope> {
        let mut needed: Vec<Scope> = std::iter::once(Scope::Client)
            .chain(offer.sublicenses.iter().copied().map(Scope::Sublicense))
            .filter(|scope| !self.holds(offer.learner, *scope))
            .collect();
        needed.sort();
        needed.dedup();
        needed
    }
}
