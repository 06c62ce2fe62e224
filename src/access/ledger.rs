//! The one way in which access is granted and ended, for one learner or for thousands: inside the caller's transaction,
//! what decides is locked and read once, each offer is answered in memory, and everything is written at the end. The
//! number of statements does not depend on how many offers there are.
//!
//! ```text
//! Ledger::open → [know_reservations] → offer, offer, end, … → write
//! ```
//!
//! Lock order for everybody: learners by id, the client's row and the sublicenses', the client's counter, sublicenses'
//! counters by id, then the code's or the invite's row.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    entries::{Entries, Told},
    held::{self, Held},
    offer::{Answer, By, Ending, Offer},
    reservation::limits_of,
    seats::{Full, Scope, Seats},
    store::{self, GrantKey, GrantRow},
    store_seats::{self, ReservationRow},
};
use crate::{
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
    learners::LearnerStatus,
};

/// Learners, terms and seats of one client, locked until the transaction ends.
pub struct Ledger {
    pub(super) client: ClientId,
    pub(super) now: DateTime<Utc>,
    pub(super) license_ends_at: Option<DateTime<Utc>>,
    pub(super) terms: BTreeMap<SublicenseId, Terms>,
    learners: BTreeMap<LearnerId, LearnerStatus>,
    pub(super) held: BTreeMap<LearnerId, Vec<Held>>,
    pub(super) blocks: BTreeSet<(LearnerId, SublicenseId)>,
    pub(super) seats: Seats,
    reservations: BTreeMap<Uuid, Vec<ReservationRow>>,
    consumed: BTreeSet<Uuid>,
    entries: Entries,
}

/// What of a sublicense decides about access to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub access_days: Option<i32>,
    pub ends_at: Option<DateTime<Utc>>,
}

impl Ledger {
    /// Locks and reads what offers to these learners of these sublicenses depend on. Name every learner and sublicense
    /// that will be offered: others are answered as if they were not there.
    pub async fn open(
        conn: &mut PgConnection,
        client: ClientId,
        learners: &[LearnerId],
        sublicenses: &[SublicenseId],
        now: DateTime<Utc>,
    ) -> Result<Self, Fault> {
        let locked = store::lock_learners(conn, client, learners).await?;
        let rows = store_seats::terms(conn, client, sublicenses).await?;
        let seats = Seats::lock(conn, client, &limits_of(&rows), learners.len(), now).await?;
        let mut held: BTreeMap<LearnerId, Vec<Held>> = BTreeMap::new();
        for row in store::held(conn, client, learners, now).await? {
            held.entry(row.learner_id.into()).or_default().push(Held::read(row)?);
        }
        let blocks = store::blocks(conn, client, learners).await?.into_iter().collect();
        let terms = |row: &store_seats::TermsRow| {
            (SublicenseId::from(row.id), Terms { access_days: row.access_days, ends_at: row.ends_at })
        };
        Ok(Self {
            client,
            now,
            license_ends_at: rows.first().and_then(|row| row.license_ends_at),
            terms: rows.iter().map(terms).collect(),
            learners: locked.into_iter().map(|(id, word)| (id, LearnerStatus::from_word(&word))).collect(),
            held,
            blocks,
            seats,
            reservations: BTreeMap::new(),
            consumed: BTreeSet::new(),
            entries: Entries::default(),
        })
    }

    /// The same with every sublicense of which these learners hold something: for ending and moving.
    pub async fn open_held(
        conn: &mut PgConnection,
        client: ClientId,
        learners: &[LearnerId],
        now: DateTime<Utc>,
    ) -> Result<Self, Fault> {
        // Learners first: what they hold does not change from here on.
        store::lock_learners(conn, client, learners).await?;
        let held = store::held(conn, client, learners, now).await?;
        let sublicenses: BTreeSet<SublicenseId> = held.iter().map(|row| row.sublicense_id.into()).collect();
        Self::open(conn, client, learners, &sublicenses.into_iter().collect::<Vec<_>>(), now).await
    }

    /// Reads what these holders have reserved, so that offers may use it.
    pub async fn know_reservations(&mut self, conn: &mut PgConnection, holders: &[Uuid]) -> Result<(), Fault> {
        for row in store_seats::reservations(conn, self.client, holders).await? {
            self.reservations.entry(row.holder).or_default().push(row);
        }
        Ok(())
    }

    /// Whether the learner is there, and may sign in.
    pub fn status(&self, learner: LearnerId) -> Option<LearnerStatus> {
        self.learners.get(&learner).copied()
    }

    /// What an offer would come to, taking nothing.
    pub fn look(&self, offer: &Offer) -> Answer {
        match self.judge(offer) {
            Ok(steps) => held::answer(&steps),
            Err(answer) => answer,
        }
    }

    /// Answers an offer: all of it or nothing. Access that is taken adds to what the learner has; a grant of the same
    /// source and reference gets the higher role and the later end.
    pub fn offer(&mut self, offer: &Offer) -> Answer {
        let steps = match self.judge(offer) {
            Ok(steps) => steps,
            Err(answer) => return answer,
        };
        let answer = held::answer(&steps);
        if matches!(answer, Answer::Changed { .. }) {
            self.take_seats(offer);
            for step in &steps {
                let Some(told) = step.told else { continue };
                let key = offer.key(step.sublicense);
                let mut row = GrantRow { role: offer.role, starts_at: step.starts_at, ends_at: step.ends_at };
                if let Some(same) = self.held_under(&key) {
                    row = row.joined(same);
                }
                self.put(key, row, told, &offer.by);
            }
        }
        if let Some(holder) = offer.reservation {
            self.consume(holder);
        }
        answer
    }

    /// Sets the grant of the offer's source and reference to exactly what is offered, whatever else the learner has:
    /// for whoever changes a grant, an admin or a connection.
    pub fn set(&mut self, offer: &Offer) -> Answer {
        let steps = match self.judge_terms(offer) {
            Ok(steps) => steps,
            Err(answer) => return answer,
        };
        let answer = held::answer(&steps);
        self.take_seats(offer);
        for step in steps {
            let key = offer.key(step.sublicense);
            let row = GrantRow { role: offer.role, starts_at: step.starts_at, ends_at: step.ends_at };
            let is_same = self.held_under(&key).is_some_and(|held| {
                (held.role, held.starts_at, held.ends_at) == (row.role, row.starts_at, row.ends_at)
            });
            if !is_same {
                self.put(key, row, step.told.unwrap_or(Told::Changed), &offer.by);
            }
        }
        if let Some(holder) = offer.reservation {
            self.consume(holder);
        }
        answer
    }

    /// Ends grants that have not lapsed; the sublicenses whose grants ended. Seats that nothing holds any more are free
    /// at once where their counter is locked, and else when it is counted again.
    pub fn end(&mut self, ending: &Ending) -> Vec<SublicenseId> {
        let Some(held) = self.held.get_mut(&ending.learner) else { return Vec::new() };
        let is_meant = |grant: &Held| {
            ending.sublicense.is_none_or(|sublicense| grant.sublicense == sublicense)
                && ending
                    .source
                    .as_ref()
                    .is_none_or(|(source, reference)| grant.source == *source && grant.source_ref == *reference)
        };
        let ended: Vec<Held> = held.extract_if(.., |grant| is_meant(grant)).collect();
        let counted: BTreeSet<SublicenseId> =
            ended.iter().filter(|grant| grant.holds_seat(self.now)).map(|grant| grant.sublicense).collect();
        for sublicense in &counted {
            if !self.holds(ending.learner, Scope::Sublicense(*sublicense)) {
                self.seats.free(Scope::Sublicense(*sublicense));
            }
        }
        if !counted.is_empty() && !self.holds(ending.learner, Scope::Client) {
            self.seats.free(Scope::Client);
        }
        for grant in &ended {
            self.entries.end(grant.key(ending.learner), ending.reason, &ending.by);
        }
        ended.iter().map(|grant| grant.sublicense).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes a grant by its key, whatever else the learner has, if there is a seat for it.
    pub(super) fn place(&mut self, key: GrantKey, row: GrantRow, told: Told, by: &By) -> Result<(), Full> {
        let needed: Vec<Scope> = [Scope::Client, Scope::Sublicense(key.sublicense)]
            .into_iter()
            .filter(|scope| !self.holds(key.learner, *scope))
            .collect();
        for scope in &needed {
            self.seats.has_room(*scope)?;
        }
        for scope in needed {
            self.seats.take(scope);
        }
        self.put(key, row, told, by);
        Ok(())
    }

    /// Gives a learner what another had, in the same transaction in which the other's ended: the seat comes along, even
    /// where a limit was lowered under use.
    pub(super) fn inherit(&mut self, grant: &Held, learner: LearnerId, by: &By) {
        if self.blocks.contains(&(learner, grant.sublicense)) {
            return;
        }
        let key = grant.key(learner);
        let mut row = GrantRow { role: grant.role, starts_at: grant.starts_at, ends_at: grant.ends_at };
        if let Some(same) = self.held_under(&key) {
            row = row.joined(same);
        }
        for scope in [Scope::Client, Scope::Sublicense(key.sublicense)] {
            if !self.holds(learner, scope) {
                self.seats.take(scope);
            }
        }
        self.put(key, row, Told::Begun, by);
    }

    /// What a learner holds now.
    pub(super) fn held_by(&self, learner: LearnerId) -> &[Held] {
        self.held.get(&learner).map(Vec::as_slice).unwrap_or_default()
    }

    /// Writes everything: grants, ends, counters, reservations, audit and outgoing events.
    pub async fn write(self, conn: &mut PgConnection, entropy: &Entropy) -> Result<(), Fault> {
        self.entries.write(conn, entropy, self.client, self.now).await?;
        if !self.consumed.is_empty() {
            let holders: Vec<Uuid> = self.consumed.iter().copied().collect();
            store_seats::delete_reservations(conn, self.client, &holders, &self.seats.locked()).await?;
        }
        self.seats.write(conn).await
    }

    /// Takes the seats that a judged offer needs.
    fn take_seats(&mut self, offer: &Offer) {
        let own: Vec<Scope> = offer.reservation.map(|holder| self.live_scopes(holder)).unwrap_or_default();
        for scope in self.seats_needed(offer) {
            self.seats.take(scope);
            if own.contains(&scope) {
                self.release_one(offer.reservation, scope);
            }
        }
    }

    fn release_one(&mut self, holder: Option<Uuid>, scope: Scope) {
        let Some(rows) = holder.and_then(|holder| self.reservations.get_mut(&holder)) else { return };
        let client = self.client;
        rows.retain(|row| Scope::of(row.scope, client) != scope);
        self.seats.release(scope);
    }

    /// Gives back what is left of a reservation.
    fn consume(&mut self, holder: Uuid) {
        for row in self.reservations.remove(&holder).unwrap_or_default() {
            self.seats.release(Scope::of(row.scope, self.client));
        }
        self.consumed.insert(holder);
    }

    /// The scopes in which the holder has a seat reserved now.
    pub(super) fn live_scopes(&self, holder: Uuid) -> Vec<Scope> {
        let rows = self.reservations.get(&holder).map(Vec::as_slice).unwrap_or_default();
        let live = rows.iter().filter(|row| self.now < row.expires_at);
        live.map(|row| Scope::of(row.scope, self.client)).collect()
    }

    pub(super) fn put(&mut self, key: GrantKey, row: GrantRow, told: Told, by: &By) {
        let over_at = self.terms.get(&key.sublicense).and_then(|terms| terms.ends_at);
        let grants = self.held.entry(key.learner).or_default();
        grants.retain(|held| !held.is_of(&key));
        grants.push(Held::new(&key, &row, over_at));
        self.entries.put(key, row, told, by);
    }

    pub(super) fn held_under(&self, key: &GrantKey) -> Option<&Held> {
        self.held_by(key.learner).iter().find(|held| held.is_of(key))
    }

    /// Whether any grant of the learner holds a seat in the scope.
    pub(super) fn holds(&self, learner: LearnerId, scope: Scope) -> bool {
        self.held_by(learner).iter().any(|grant| {
            grant.holds_seat(self.now)
                && match scope {
                    Scope::Client => true,
                    Scope::Sublicense(id) => grant.sublicense == id,
                }
        })
    }
}
