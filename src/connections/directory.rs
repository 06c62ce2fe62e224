//! The connections that this replica has met lately: parsed, compiled, bounded by what they weigh, and dropped when
//! PostgreSQL says that they have changed.

use std::sync::Arc;

use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{
    facts::ConnectionFacts,
    keys::{self, SpKey},
    store,
};
use crate::{app::App, fault::Fault, ids::ConnectionId};

/// Bytes that all kept connections may weigh together, out of the 120 MB of an idle replica.
const CAPACITY: u64 = 24 << 20;
/// Connections whose private keys are kept open; an RSA key weighs about 10 KB.
const OPENED_KEYS: u64 = 500;
/// Keys made at the same time: each takes a core.
const MADE_AT_ONCE: usize = 2;

/// A bounded cache of [`ConnectionFacts`]. What it gives may be stale: whoever decides by it compares its `version` with
/// the one that PostgreSQL names, and calls [`Directory::at_version`] when they differ.
pub struct Directory {
    facts: Cache<ConnectionId, Arc<ConnectionFacts>>,
    keys: Cache<ConnectionId, (i64, Arc<[SpKey]>)>,
    making: Semaphore,
}

impl Default for Directory {
    fn default() -> Self {
        let weigher = |_: &ConnectionId, facts: &Arc<ConnectionFacts>| facts.weight();
        Self {
            facts: Cache::builder().weigher(weigher).max_capacity(CAPACITY).build(),
            keys: Cache::builder().max_capacity(OPENED_KEYS).build(),
            making: Semaphore::new(MADE_AT_ONCE),
        }
    }
}

/// Why a load brought nothing.
enum Miss {
    Absent,
    Fault(Fault),
}

impl Directory {
    /// The connection, from the cache or by one query; requests that miss together share it.
    pub async fn find(&self, app: &App, id: ConnectionId) -> Result<Option<Arc<ConnectionFacts>>, Fault> {
        let load = async {
            let row = async {
                let mut conn = app.db.acquire().await?;
                store::facts(&mut conn, id).await
            };
            let row = row.await.map_err(Miss::Fault)?.ok_or(Miss::Absent)?;
            ConnectionFacts::read(row).map(Arc::new).map_err(Miss::Fault)
        };
        match self.facts.try_get_with(id, load).await {
            Ok(facts) => Ok(Some(facts)),
            Err(miss) => match Arc::try_unwrap(miss) {
                Ok(Miss::Absent) => Ok(None),
                Ok(Miss::Fault(fault)) => Err(fault),
                // Somebody else waited for the same load, and one of us holds its error.
                Err(shared) if matches!(*shared, Miss::Absent) => Ok(None),
                Err(_) => Err(Fault::Busy("a connection could not be loaded")),
            },
        }
    }

    /// Drops what is cached and loads the connection again.
    pub async fn reload(&self, app: &App, id: ConnectionId) -> Result<Option<Arc<ConnectionFacts>>, Fault> {
        self.forget(id).await;
        self.find(app, id).await
    }

    /// The connection at least as new as `version`, which the caller has just read from PostgreSQL.
    pub async fn at_version(
        &self,
        app: &App,
        id: ConnectionId,
        version: i64,
    ) -> Result<Option<Arc<ConnectionFacts>>, Fault> {
        match self.find(app, id).await? {
            Some(facts) if facts.version >= version => Ok(Some(facts)),
            _ => self.reload(app, id).await,
        }
    }

    /// Drops what is cached, after a change made here; other replicas notice by the version.
    pub async fn forget(&self, id: ConnectionId) {
        self.facts.invalidate(&id).await;
        self.keys.invalidate(&id).await;
    }

    /// How many keys may be made at the same time.
    pub(super) const fn making_keys(&self) -> &Semaphore {
        &self.making
    }

    pub(super) async fn keys(&self, app: &App, facts: &ConnectionFacts) -> Result<Arc<[SpKey]>, Fault> {
        if let Some((version, keys)) = self.keys.get(&facts.id).await
            && version == facts.version
        {
            return Ok(keys);
        }
        let keys = keys::open_all(app, facts).await?;
        self.keys.insert(facts.id, (facts.version, keys.clone())).await;
        Ok(keys)
    }
}
