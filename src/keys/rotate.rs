//! `usher keys rotate`: brings every sealed value under the ring's first key. Works beside the replicas' jobs and without
//! them; stopped at any moment, it goes on where it was when run again.

use std::time::Duration;

use super::{
    model::{Announced, Part, Pass},
    reseal, rings, status, store,
};
use crate::{app::App, crypto::KeyName, fault::Fault};

/// How long replicas have to seal with a key that they all hold: they look every few seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait where others do all that is left.
const PAUSE: Duration = Duration::from_millis(200);
/// Walks, one after the other: what was written under the old key while one ran is left to the next.
const ROUNDS: usize = 3;

/// Why nothing was rotated, or not all.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(
        "{} of the running replicas do not hold key {key}, the first of this ring; what is sealed under it they could not \
         open. Put it on the ring of every replica, then run this again. Without it: {}",
        replicas.len(),
        names(replicas)
    )]
    Lacking { key: KeyName, replicas: Vec<Announced> },
    #[error(
        "{} of the running replicas still seal with another key than {key}. Put it first on the ring of every replica, then \
         run this again. They are: {}",
        replicas.len(),
        names(replicas)
    )]
    Sealing { key: KeyName, replicas: Vec<Announced> },
    #[error("a rotation to another key was begun meanwhile; look at usher keys status")]
    Superseded,
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn names(replicas: &[Announced]) -> String {
    replicas.iter().map(|replica| replica.replica.to_string()).collect::<Vec<_>>().join(", ")
}

/// How far a rotation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub resealed: u64,
    /// Values under another key when it began.
    pub total: u64,
}

/// What a rotation brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    pub key: KeyName,
    pub resealed: u64,
    /// Values that stay under another key, since they do not open.
    pub left: u64,
}

/// Rotates until every value that opens is under the ring's first key, and tells how it goes.
pub async fn rotate(app: &App, mut tell: impl FnMut(Progress)) -> Result<Rotated, RotateError> {
    let key = wait_for_replicas(app).await?;
    let mut resealed = 0;
    for round in 1.. {
        let total = resealed + others(app, key).await?;
        if !begin(app, key, total > resealed).await? {
            return Ok(Rotated { key, resealed, left: 0 });
        }
        // What a rotation that was stopped had done already is not done again.
        let (done, before) = (sum(&passes(app, key).await?, |pass| pass.resealed), resealed);
        let unopened = loop {
            // A replica that came meanwhile may hold another ring.
            wait_for_replicas(app).await?;
            let did = match reseal::reseal_due(app, app.clock.now()).await {
                Err(fault) if fault.is_conflict() => true,
                outcome => outcome?,
            };
            let passes = passes(app, key).await?;
            resealed = before + sum(&passes, |pass| pass.resealed).saturating_sub(done);
            tell(Progress { resealed, total });
            if passes.iter().all(|pass| pass.finished_at.is_some()) {
                break sum(&passes, |pass| pass.unopened);
            }
            if !did {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let left = others(app, key).await?;
        if left <= unopened || round == ROUNDS {
            return Ok(Rotated { key, resealed, left });
        }
    }
    Err(RotateError::Superseded)
}

fn sum(passes: &[Pass], of: fn(&Pass) -> u64) -> u64 {
    passes.iter().map(of).sum()
}

/// Values under other keys than this one.
async fn others(app: &App, key: KeyName) -> Result<u64, Fault> {
    let counts = status::count(app).await?;
    Ok(counts.iter().filter(|(number, _)| **number != key.number).flat_map(|(_, values)| values.values()).sum())
}

/// The first key of the ring, once every running replica holds it and seals with it.
async fn wait_for_replicas(app: &App) -> Result<KeyName, RotateError> {
    let key = app.sealer.first();
    let mut waited = Duration::ZERO;
    loop {
        let live = rings::agree(app, app.clock.now()).await?;
        let without = |holds: fn(&Announced, KeyName) -> bool| -> Vec<Announced> {
            live.iter().filter(|replica| !holds(replica, key)).cloned().collect()
        };
        let lacking = without(|replica, key| replica.ring.contains(&key));
        if !lacking.is_empty() {
            return Err(RotateError::Lacking { key, replicas: lacking });
        }
        let behind = without(|replica, key| replica.seals == key);
        if behind.is_empty() {
            return Ok(key);
        }
        // A replica whose ring does not begin with the key never comes to seal with it.
        let never = without(|replica, key| replica.ring.first() == Some(&key));
        if !never.is_empty() || waited >= PATIENCE {
            return Err(RotateError::Sealing { key, replicas: behind });
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}

/// Begins what has not begun; says whether there is anything to walk.
async fn begin(app: &App, key: KeyName, is_needed: bool) -> Result<bool, RotateError> {
    let mut transaction = app.begin().await?;
    let known = store::passes(&mut transaction).await?;
    let is_done = |part| known.iter().any(|pass| pass.part == part && pass.key == key && pass.finished_at.is_some());
    if !is_needed && Part::ALL.into_iter().all(is_done) {
        return Ok(false);
    }
    for part in Part::ALL {
        store::begin(&mut transaction, part, key, app.clock.now()).await?;
    }
    app.commit(transaction).await?;
    Ok(true)
}

async fn passes(app: &App, key: KeyName) -> Result<Vec<Pass>, RotateError> {
    let mut conn = app.acquire().await?;
    let passes = store::passes(&mut conn).await?;
    if passes.iter().any(|pass| pass.key != key) { Err(RotateError::Superseded) } else { Ok(passes) }
}
