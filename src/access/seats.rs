//! Taking seats under a limit. Lock order: the client's counter, then the sublicense's. A counter is never below the
//! truth; when it is full, lapsed grants are counted out in the same transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::store;
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
};

/// Which limit has no seat left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Client,
    Sublicense(SublicenseId),
}

/// Takes the seats that one new grant needs: one of the client unless the learner holds one, one of the sublicense
/// unless the learner holds one. Call it before the grant is written; nothing is taken where no limit is set.
pub(super) async fn take(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    sublicense: SublicenseId,
    now: DateTime<Utc>,
) -> Result<Result<(), Full>, Fault> {
    let limits = store::seat_limits(conn, client, sublicense).await?;
    if let Some(limit) = limits.client
        && !take_one(conn, client, None, learner, limit, now).await?
    {
        return Ok(Err(Full::Client));
    }
    if let Some(limit) = limits.sublicense
        && !take_one(conn, client, Some(sublicense), learner, limit, now).await?
    {
        return Ok(Err(Full::Sublicense(sublicense)));
    }
    Ok(Ok(()))
}

async fn take_one(
    conn: &mut PgConnection,
    client: ClientId,
    sublicense: Option<SublicenseId>,
    learner: LearnerId,
    limit: i32,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let counter = store::lock_counter(conn, client, sublicense, now).await?;
    if store::holds_seat(conn, client, sublicense, learner, now).await? {
        return Ok(true);
    }
    let mut taken = counter.used;
    if taken + counter.reserved >= limit {
        taken = store::count_seats(conn, client, sublicense, now).await?;
    }
    if taken + counter.reserved >= limit {
        return Ok(false);
    }
    store::set_counter(conn, client, sublicense, taken + 1).await?;
    Ok(true)
}
