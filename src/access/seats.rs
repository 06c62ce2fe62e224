//! Seats under a limit: counters of what is used and reserved, locked while a ledger is open. A counter is never below
//! the truth; before it refuses anybody, lapsed reservations are dropped and lapsed grants counted out.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store_seats::{self as store, CounterRow};
use crate::{
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// A full counter is counted again after so long even if nothing lapsed: learners may have been removed with their rows.
const COUNT_LASTS: Duration = Duration::minutes(5);

/// Which limit has no seat left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Client,
    Sublicense(SublicenseId),
}

/// What a limit is about: the client or one sublicense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    Client,
    Sublicense(SublicenseId),
}

impl Scope {
    /// As `seat_counters.scope_id` has it.
    pub fn id(self, client: ClientId) -> Uuid {
        match self {
            Self::Client => client.uuid(),
            Self::Sublicense(id) => id.uuid(),
        }
    }

    pub fn of(id: Uuid, client: ClientId) -> Self {
        if id == client.uuid() { Self::Client } else { Self::Sublicense(id.into()) }
    }

    const fn full(self) -> Full {
        match self {
            Self::Client => Full::Client,
            Self::Sublicense(id) => Full::Sublicense(id),
        }
    }
}

struct Counter {
    limit: i32,
    row: CounterRow,
    is_changed: bool,
}

/// The counters of every scope that has a limit, locked: client first, then sublicenses by id.
pub(super) struct Seats {
    client: ClientId,
    counters: BTreeMap<Scope, Counter>,
}

impl Seats {
    /// Locks the counters of these limits; `wanted` is the most that anybody will take of each. The rows that the limits
    /// stand in must be locked for share, so that no limit changes meanwhile.
    pub async fn lock(
        conn: &mut PgConnection,
        client: ClientId,
        limits: &[(Scope, i32)],
        wanted: usize,
        now: DateTime<Utc>,
    ) -> Result<Self, Fault> {
        let mut seats = Self { client, counters: BTreeMap::new() };
        if limits.is_empty() {
            return Ok(seats);
        }
        let mut scopes: Vec<Scope> = limits.iter().map(|(scope, _)| *scope).collect();
        scopes.sort();
        let ids: Vec<Uuid> = scopes.iter().map(|scope| scope.id(client)).collect();
        // Made before any is locked, in the order of the locks, so that nobody waits in a circle.
        for missing in store::missing(conn, client, &ids).await? {
            store::insert(conn, client, missing, now).await?;
        }
        for row in store::lock(conn, client, &ids).await? {
            let scope = Scope::of(row.scope, client);
            let limit = limits.iter().find(|(limited, _)| *limited == scope).map_or(0, |(_, limit)| *limit);
            seats.counters.insert(scope, Counter { limit, row, is_changed: false });
        }
        if seats.counters.len() != scopes.len() {
            return Err(Fault::Corrupt("a seat counter went away under its lock".into()));
        }
        seats.make_room(conn, wanted, now).await?;
        Ok(seats)
    }

    /// Counts out what has lapsed, where the seats left may not be enough.
    async fn make_room(&mut self, conn: &mut PgConnection, wanted: usize, now: DateTime<Utc>) -> Result<(), Fault> {
        let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
        let client = self.client;
        let is_tight = |counter: &Counter| {
            counter.row.used.saturating_add(counter.row.reserved).saturating_add(wanted) > counter.limit
        };
        let tight: Vec<Uuid> =
            self.counters.iter().filter(|(_, counter)| is_tight(counter)).map(|(scope, _)| scope.id(client)).collect();
        if tight.is_empty() {
            return Ok(());
        }
        for (scope, dropped) in store::drop_lapsed(conn, client, &tight, now).await? {
            if let Some(counter) = self.counters.get_mut(&Scope::of(scope, client)) {
                counter.row.reserved = (counter.row.reserved - dropped).max(0);
                counter.is_changed = true;
            }
        }
        for (scope, counter) in self.counters.iter_mut().filter(|(_, counter)| is_tight(counter)) {
            let scope = scope.id(client);
            let is_old = counter.row.counted_at + COUNT_LASTS <= now;
            if is_old || store::has_lapsed(conn, client, scope, counter.row.counted_at, now).await? {
                counter.row.used = store::count(conn, client, scope, now).await?;
                counter.row.counted_at = now;
                counter.is_changed = true;
            }
        }
        Ok(())
    }

    pub fn has_room(&self, scope: Scope) -> Result<(), Full> {
        match self.counters.get(&scope) {
            Some(counter) if counter.row.used.saturating_add(counter.row.reserved) >= counter.limit => {
                Err(scope.full())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One more is used; ask [`Self::has_room`] first. Nothing is counted where no limit is set.
    pub fn take(&mut self, scope: Scope) {
        self.change(scope, |row| row.used += 1);
    }

    pub fn free(&mut self, scope: Scope) {
        self.change(scope, |row| row.used = (row.used - 1).max(0));
    }

    pub fn reserve(&mut self, scope: Scope) {
        self.change(scope, |row| row.reserved += 1);
    }

    pub fn release(&mut self, scope: Scope) {
        self.change(scope, |row| row.reserved = (row.reserved - 1).max(0));
    }

    fn change(&mut self, scope: Scope, change: impl FnOnce(&mut CounterRow)) {
        if let Some(counter) = self.counters.get_mut(&scope) {
            change(&mut counter.row);
            counter.is_changed = true;
        }
    }

    /// The scopes whose counters are locked here.
    pub fn locked(&self) -> Vec<Uuid> {
        self.counters.keys().map(|scope| scope.id(self.client)).collect()
    }

    /// Writes the counters that changed.
    pub async fn write(&self, conn: &mut PgConnection) -> Result<(), Fault> {
        let changed: Vec<CounterRow> =
            self.counters.values().filter(|counter| counter.is_changed).map(|counter| counter.row).collect();
        if changed.is_empty() { Ok(()) } else { store::update(conn, self.client, &changed).await }
    }
}
