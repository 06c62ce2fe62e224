//! Redis, for everything short-lived. The only folder that speaks to it; every key carries the deployment's prefix and a
//! hash tag, so that a cluster works as well as a single node.
//!
//! | | where |
//! |---|---|
//! | keys, values, indexes | here |
//! | rates, slowed tries, budgets | `rates.rs` |
//! | the way to one server, Sentinels or a Cluster | `link.rs` |
//!
//! A replica that is promoted may lack the last writes of the primary that died. So that nothing is then used twice, a
//! value that is good once ([`Cache::leave`], [`Cache::fetch`]) names the history of writes that it was made in, which a
//! promotion and a restart change: what was under way then begins again. What else may be lost makes nobody safer or less
//! safe but for a moment: a count begins anew, a session is asked for again, a session ended in that very moment may live
//! until its limits, and PostgreSQL says who may use it.

mod link;
mod rates;

use std::{fmt, sync::Arc, time::Duration};

use redis::{AsyncCommands, Cmd, ErrorKind, FromRedisValue, Pipeline, ServerErrorKind};

use self::link::Link;
pub use self::rates::{Allowance, Charge, Slowing};
use crate::{config::RedisSettings, ids::ClientId};

/// Redis did not answer in time or refused. Nobody is let in and nobody is locked out for ever: a 503 that passes.
#[derive(Debug, thiserror::Error)]
#[error("redis is unavailable: {0}")]
pub struct CacheError(#[from] redis::RedisError);

/// A key, complete but for the deployment's prefix. The part in braces decides its cluster slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key of one client; all of a client's keys share a slot.
    pub fn of_client(client: ClientId, kind: &'static str, rest: impl fmt::Display) -> Self {
        Self(format!("{{{client}}}:{kind}:{rest}"))
    }

    /// A key of no client, such as the count of one address.
    pub fn global(kind: &'static str, tag: impl fmt::Display) -> Self {
        Self(format!("{kind}:{{{tag}}}"))
    }
}

// Redis says which history of writes it is in. Where it does not, one history is as good as another.
const HISTORY: &str = r"
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
history = string.sub(history .. string.rep('0', 40), 1, 40)";

const LEAVE: &str = "redis.call('SET', KEYS[1], history .. ARGV[1], 'PX', ARGV[2])";

const FETCH: &str = r"
local held = redis.call('GETDEL', KEYS[1])
if not held or string.sub(held, 1, 40) ~= history then return false end
return string.sub(held, 41)";

/// A script, and the hash under which Redis keeps it.
#[derive(Clone)]
struct Lua {
    text: String,
    hash: String,
}

impl Lua {
    fn new(parts: &[&str]) -> Self {
        let text = parts.join("\n");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

struct Scripts {
    allow: Lua,
    count_try: Lua,
    take_back: Lua,
    budget: Lua,
    leave: Lua,
    fetch: Lua,
}

/// A handle on Redis; cheap to clone. Commands issued together share one round trip.
#[derive(Clone)]
pub struct Cache {
    connection: Link,
    prefix: String,
    scripts: Arc<Scripts>,
}

impl Cache {
    /// Connects lazily: a Redis that is away shows as [`CacheError`] on use, and heals by itself.
    pub fn connect(settings: &RedisSettings) -> Result<Self, CacheError> {
        let scripts = Scripts {
            allow: Lua::new(&[rates::ALLOW]),
            count_try: Lua::new(&[rates::TRY]),
            take_back: Lua::new(&[rates::TAKE_BACK]),
            budget: Lua::new(&[rates::SPEND]),
            leave: Lua::new(&[HISTORY, LEAVE]),
            fetch: Lua::new(&[HISTORY, FETCH]),
        };
        Ok(Self { connection: Link::new(settings)?, prefix: settings.key_prefix.clone(), scripts: Arc::new(scripts) })
    }

    /// Runs a script on the one key that it touches, by its hash where Redis knows it: whichever server is asked learns it
    /// by itself.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Lua,
        key: &Key,
        arguments: impl Fn(&mut Cmd) -> &mut Cmd,
    ) -> Result<T, CacheError> {
        let name = self.name(key);
        let call = |how: &str, what: &str| {
            let mut call = redis::cmd(how);
            arguments(call.arg(what).arg(1).arg(&name));
            call
        };
        let known = call("EVALSHA", &script.hash).query_async(&mut self.connection.clone()).await;
        match known {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                Ok(call("EVAL", &script.text).query_async(&mut self.connection.clone()).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    fn name(&self, key: &Key) -> String {
        format!("{}:{}", self.prefix, key.0)
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), CacheError> {
        Ok(redis::cmd("PING").query_async::<()>(&mut self.connection.clone()).await?)
    }

    /// Stores a value for at most `ttl`, over whatever was there.
    pub async fn put(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        Ok(self.connection.clone().pset_ex::<_, _, ()>(self.name(key), value, millis(ttl)).await?)
    }

    /// Stores a value for at most `ttl` unless the key exists; says whether it did.
    pub async fn put_new(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<bool, CacheError> {
        let mut command = redis::cmd("SET");
        command.arg(self.name(key)).arg(value).arg("NX").arg("PX").arg(millis(ttl));
        Ok(command.query_async::<Option<String>>(&mut self.connection.clone()).await?.is_some())
    }

    /// Reads a value.
    pub async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, CacheError> {
        Ok(self.connection.clone().get(self.name(key)).await?)
    }

    /// Reads a value and removes it: of two who take, one gets it.
    pub async fn take(&self, key: &Key) -> Result<Option<Vec<u8>>, CacheError> {
        Ok(self.connection.clone().get_del(self.name(key)).await?)
    }

    /// Stores a value that is good once, for at most `ttl`.
    pub async fn leave(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<(), CacheError> {
        self.run(&self.scripts.leave, key, |call| call.arg(value).arg(millis(ttl))).await
    }

    /// Reads a value that is good once, and removes it: of two who fetch, one gets it, and nobody does where Redis may
    /// have forgotten that somebody did.
    pub async fn fetch(&self, key: &Key) -> Result<Option<Vec<u8>>, CacheError> {
        self.run(&self.scripts.fetch, key, |call| call).await
    }

    /// Reads a value and lets it live for another `ttl`.
    pub async fn touch(&self, key: &Key, ttl: Duration) -> Result<Option<Vec<u8>>, CacheError> {
        let mut command = redis::cmd("GETEX");
        command.arg(self.name(key)).arg("PX").arg(millis(ttl));
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Removes keys, one command each so that they may lie in different slots; says how many existed.
    pub async fn remove(&self, keys: &[Key]) -> Result<usize, CacheError> {
        let removals = keys.iter().map(|key| {
            let (mut connection, name) = (self.connection.clone(), self.name(key));
            async move { connection.del::<_, usize>(name).await }
        });
        Ok(futures_util::future::try_join_all(removals).await?.into_iter().sum())
    }

    /// Adds a member to a sorted index, scored by when it ends (seconds), drops members that ended before `now`, and
    /// lets the index live for `ttl`. One round trip.
    pub async fn index(
        &self,
        key: &Key,
        member: &str,
        ends_at: i64,
        now: i64,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        let mut pipeline = redis::pipe();
        add_to_index(&mut pipeline, &self.name(key), member, ends_at, now, ttl);
        Ok(pipeline.query_async::<()>(&mut self.connection.clone()).await?)
    }

    /// Adds a member to indexes as [`Cache::index`] does, and then reads other keys, in this order and in one round
    /// trip. All keys are of one slot.
    pub async fn index_and_read(
        &self,
        indexes: &[Key],
        member: &str,
        ends_at: i64,
        now: i64,
        ttl: Duration,
        read: &[Key],
    ) -> Result<Vec<Option<Vec<u8>>>, CacheError> {
        let mut pipeline = redis::pipe();
        for key in indexes {
            add_to_index(&mut pipeline, &self.name(key), member, ends_at, now, ttl);
        }
        for key in read {
            pipeline.get(self.name(key));
        }
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    /// Stores a value, where there is one to store, and then gives the members of indexes, in this order and in one
    /// round trip. All keys are of one slot.
    pub async fn put_and_indexed(
        &self,
        put: Option<(&Key, &[u8], Duration)>,
        indexes: &[Key],
    ) -> Result<Vec<Vec<String>>, CacheError> {
        let mut pipeline = redis::pipe();
        if let Some((key, value, ttl)) = put {
            pipeline.pset_ex(self.name(key), value, millis(ttl)).ignore();
        }
        for key in indexes {
            pipeline.zrange(self.name(key), 0, -1);
        }
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    /// Removes members from indexes. All keys are of one slot.
    pub async fn unindex(&self, indexes: &[Key], members: &[String]) -> Result<(), CacheError> {
        if indexes.is_empty() || members.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for key in indexes {
            pipeline.zrem(self.name(key), members).ignore();
        }
        Ok(pipeline.query_async::<()>(&mut self.connection.clone()).await?)
    }

    /// Stores a value for at most `ttl` and gives what was there.
    pub async fn swap(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Option<Vec<u8>>, CacheError> {
        let mut command = redis::cmd("SET");
        command.arg(self.name(key)).arg(value).arg("GET").arg("PX").arg(millis(ttl));
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// The members of an index.
    pub async fn indexed(&self, key: &Key) -> Result<Vec<String>, CacheError> {
        Ok(self.connection.clone().zrange(self.name(key), 0, -1).await?)
    }
}

fn add_to_index(pipeline: &mut Pipeline, name: &str, member: &str, ends_at: i64, now: i64, ttl: Duration) {
    pipeline.zrembyscore(name, "-inf", format!("({now}")).ignore().zadd(name, member, ends_at).ignore();
    pipeline.cmd("PEXPIRE").arg(name).arg(millis(ttl)).arg("NX").ignore();
    pipeline.cmd("PEXPIRE").arg(name).arg(millis(ttl)).arg("GT").ignore();
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
