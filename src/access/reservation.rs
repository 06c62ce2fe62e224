//! Seats that are held for somebody who is not there yet: an open invite's. Reserving and releasing lock the same
//! counters, in the same order, as taking does.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    seats::{Full, Scope, Seats},
    store_seats::{self as store, ReservationRow, TermsRow},
};
use crate::{
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// A wish to reserve: one seat of each sublicense, and one of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Who holds it: the id of an invite.
    pub holder: Uuid,
    pub sublicenses: Vec<SublicenseId>,
    /// Whether one of the client is needed, too; not where it is meant for a learner who holds one.
    pub client_seat: bool,
    pub expires_at: DateTime<Utc>,
}

/// Reserves for one holder, all or nothing. Repeating it moves the end and takes no further seat.
pub async fn reserve(
    conn: &mut PgConnection,
    client: ClientId,
    holder: Uuid,
    sublicenses: &[SublicenseId],
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Result<(), Full>, Fault> {
    let wish = Reservation { holder, sublicenses: sublicenses.to_vec(), client_seat: true, expires_at };
    let mut outcomes = reserve_many(conn, client, std::slice::from_ref(&wish), now).await?;
    Ok(outcomes.pop().unwrap_or(Ok(())))
}

/// Reserves for many holders, all or nothing for each, in the order given: one outcome for each. The number of
/// statements does not depend on how many.
pub async fn reserve_many(
    conn: &mut PgConnection,
    client: ClientId,
    wishes: &[Reservation],
    now: DateTime<Utc>,
) -> Result<Vec<Result<(), Full>>, Fault> {
    if wishes.is_empty() {
        return Ok(Vec::new());
    }
    let named: BTreeSet<SublicenseId> = wishes.iter().flat_map(|wish| wish.sublicenses.iter().copied()).collect();
    let mut seats = lock(conn, client, &named.into_iter().collect::<Vec<_>>(), wishes.len(), now).await?;
    let holders: Vec<Uuid> = wishes.iter().map(|wish| wish.holder).collect();
    let before = store::reservations(conn, client, &holders).await?;
    let mut held: BTreeSet<(Uuid, Uuid)> = before.iter().map(|row| (row.holder, row.scope)).collect();
    // One holder named twice is one reservation: the later wish says when it ends.
    let mut rows: BTreeMap<(Uuid, Uuid), DateTime<Utc>> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let of_client = wish.client_seat.then_some(Scope::Client);
        let scopes: BTreeSet<Scope> =
            of_client.into_iter().chain(wish.sublicenses.iter().copied().map(Scope::Sublicense)).collect();
        let is_new = |scope: &&Scope| !held.contains(&(wish.holder, scope.id(client)));
        let new: Vec<Scope> = scopes.iter().filter(is_new).copied().collect();
        if let Some(full) = new.iter().find_map(|scope| seats.has_room(*scope).err()) {
            outcomes.push(Err(full));
            continue;
        }
        for scope in new {
            seats.reserve(scope);
            held.insert((wish.holder, scope.id(client)));
        }
        rows.extend(scopes.iter().map(|scope| ((scope.id(client), wish.holder), wish.expires_at)));
        outcomes.push(Ok(()));
    }
    let row = |((scope, holder), expires_at)| ReservationRow { scope, holder, expires_at };
    store::upsert_reservations(conn, client, &rows.into_iter().map(row).collect::<Vec<_>>()).await?;
    seats.write(conn).await?;
    Ok(outcomes)
}

/// Gives back what one holder had reserved; nothing where there is none.
pub async fn release(conn: &mut PgConnection, client: ClientId, holder: Uuid, now: DateTime<Utc>) -> Result<(), Fault> {
    release_many(conn, client, &[holder], now).await
}

/// Gives back what many holders had reserved.
pub async fn release_many(
    conn: &mut PgConnection,
    client: ClientId,
    holders: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    give_back(conn, client, holders, now, |_| true).await
}

/// Gives back what many holders had reserved, but for reservations whose end is yet to come: whoever has moved the end
/// meanwhile keeps the seats.
pub async fn release_lapsed(
    conn: &mut PgConnection,
    client: ClientId,
    holders: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    give_back(conn, client, holders, now, |row| row.expires_at <= now).await
}

async fn give_back(
    conn: &mut PgConnection,
    client: ClientId,
    holders: &[Uuid],
    now: DateTime<Utc>,
    is_meant: impl Fn(&ReservationRow) -> bool,
) -> Result<(), Fault> {
    let scopes =
        |rows: &[ReservationRow]| -> BTreeSet<Scope> { rows.iter().map(|row| Scope::of(row.scope, client)).collect() };
    let named = scopes(&store::reservations(conn, client, holders).await?);
    if named.is_empty() {
        return Ok(());
    }
    let sublicenses = named.into_iter().filter_map(|scope| match scope {
        Scope::Client => None,
        Scope::Sublicense(id) => Some(id),
    });
    let mut seats = lock(conn, client, &sublicenses.collect::<Vec<_>>(), 0, now).await?;
    // Read again under the locks: somebody may have used or dropped them meanwhile.
    let mut rows = store::reservations(conn, client, holders).await?;
    rows.retain(is_meant);
    for row in &rows {
        seats.release(Scope::of(row.scope, client));
    }
    let holders: BTreeSet<Uuid> = rows.iter().map(|row| row.holder).collect();
    let locked: Vec<Uuid> = seats.locked();
    store::delete_reservations(conn, client, &holders.into_iter().collect::<Vec<_>>(), &locked).await?;
    seats.write(conn).await
}

/// Locks the counters of the client and of these sublicenses, where they have limits.
async fn lock(
    conn: &mut PgConnection,
    client: ClientId,
    sublicenses: &[SublicenseId],
    wanted: usize,
    now: DateTime<Utc>,
) -> Result<Seats, Fault> {
    let terms = store::terms(conn, client, sublicenses).await?;
    let limits = limits_of(&terms);
    Seats::lock(conn, client, &limits, wanted, now).await
}

/// The limits that are set.
pub(super) fn limits_of(terms: &[TermsRow]) -> Vec<(Scope, i32)> {
    let client = terms.first().and_then(|row| row.client_limit).map(|limit| (Scope::Client, limit));
    let of_sublicense = |row: &TermsRow| row.seat_limit.map(|limit| (Scope::Sublicense(row.id.into()), limit));
    client.into_iter().chain(terms.iter().filter_map(of_sublicense)).collect()
}
