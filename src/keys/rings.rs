//! Which keys the running replicas hold, told to each other through PostgreSQL, and which of them seals.

use chrono::{DateTime, Duration, Utc};

use super::{model::Announced, store};
use crate::{app::App, fault::Fault, ids::ReplicaId};

/// A replica that was not heard of for so long is gone.
const ALIVE: Duration = Duration::seconds(60);
/// Rows of replicas that are gone are removed after so long.
const FORGOTTEN: Duration = Duration::days(1);

/// Says which keys this replica holds, and seals from now on with the first that every replica holds.
pub async fn announce(app: &App, replica: ReplicaId, now: DateTime<Utc>) -> Result<(), Fault> {
    let mut transaction = app.begin().await?;
    let mine = |now| Announced { replica, ring: app.sealer.names(), seals: app.sealer.sealing(), seen_at: now };
    store::announce(&mut transaction, &mine(now)).await?;
    store::forget(&mut transaction, now - FORGOTTEN).await?;
    // Told before the others are read: of two that come at once, one sees the other.
    app.commit(transaction).await?;
    let before = app.sealer.sealing();
    let live = store::live(&mut *app.acquire().await?, now - ALIVE).await?;
    follow(app, &live);
    if app.sealer.sealing() != before {
        let mut transaction = app.begin().await?;
        store::announce(&mut transaction, &mine(now)).await?;
        app.commit(transaction).await?;
        tracing::info!(key = %app.sealer.sealing(), before = %before, "another sealing key seals");
    }
    Ok(())
}

/// Takes this replica's word back: it stops.
pub async fn leave(app: &App, replica: ReplicaId) -> Result<(), Fault> {
    let mut transaction = app.begin().await?;
    store::leave(&mut transaction, replica).await?;
    app.commit(transaction).await
}

/// For a process that seals and is no replica: seals with the first key that every replica holds. Says who they are.
pub async fn agree(app: &App, now: DateTime<Utc>) -> Result<Vec<Announced>, Fault> {
    let mut conn = app.acquire().await?;
    let live = store::live(&mut conn, now - ALIVE).await?;
    follow(app, &live);
    Ok(live)
}

fn follow(app: &App, live: &[Announced]) {
    let rings: Vec<_> = live.iter().map(|replica| replica.ring.clone()).collect();
    if !app.sealer.agree(&rings) {
        tracing::error!("no sealing key is on the ring of every replica; what one seals, another cannot open");
    }
}
