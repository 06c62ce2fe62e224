//! Redis, for everything short-lived. The only file that speaks to it; every key carries the deployment's prefix and a
//! hash tag, so that a cluster works as well as a single node.

use std::{fmt, time::Duration};

use redis::{AsyncCommands, Pipeline, Script, aio::ConnectionManager};
use secrecy::ExposeSecret;

use crate::{
    config::{Rate, RedisSettings},
    ids::ClientId,
};

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

/// Whether a rate still allows one more, and if not, how long until it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    Allowed,
    RetryAfter(Duration),
}

// Generic cell rate algorithm: the key holds the theoretical arrival time in microseconds of Redis's own clock, so
// that every replica counts the same.
const ALLOW: &str = r"
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
local wait = arrival + interval - window - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', arrival + interval), 'PX', math.ceil(window / 1000))
return 0";

/// How tries are slowed: the first few are free, then each failure doubles the wait for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowing {
    /// Tries that may fail before anybody waits.
    pub free: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// Failures are forgotten after so long without one.
    pub memory: Duration,
}

// A try is counted before its outcome is known, so that tries sent at once are all counted; one that goes well is taken back.
const TRY: &str = r"
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local held = redis.call('HMGET', KEYS[1], 'tries', 'opens')
local tries = tonumber(held[1] or 0) + 1
local opens = tonumber(held[2] or 0)
if opens > now then return opens - now end
local over = tries - tonumber(ARGV[1])
local wait = 0
if over > 0 then wait = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(over - 1, 40)) end
redis.call('HSET', KEYS[1], 'tries', tries, 'opens', string.format('%.0f', now + wait))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 0";

const TAKE_BACK: &str = r"
local tries = tonumber(redis.call('HGET', KEYS[1], 'tries') or 0)
if tries <= 1 then return redis.call('DEL', KEYS[1]) end
return redis.call('HSET', KEYS[1], 'tries', tries - 1, 'opens', 0)";

/// What came of taking from a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// So much of the budget is spent now, this charge included.
    Taken(u32),
    /// Nothing was taken; so long until there is enough.
    RetryAfter(Duration),
}

// The same algorithm with any amount, and with one to give back: what is spent never falls below nothing. A charge that
// the budget does not cover is refused; a count that it does not cover fills it.
const SPEND: &str = r"
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
local spent = arrival - now + interval * tonumber(ARGV[3])
if spent > window then
  if ARGV[4] == 'charge' then return {math.ceil(spent - window), 0} end
  spent = window
end
if spent <= 0 then
  redis.call('DEL', KEYS[1])
  return {0, 0}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + spent), 'PX', math.ceil(window / 1000))
return {0, math.ceil(spent / interval)}";

/// A handle on Redis; cheap to clone. Commands issued together share one round trip.
#[derive(Clone)]
pub struct Cache {
    connection: ConnectionManager,
    prefix: String,
    allow: Script,
    count_try: Script,
    take_back: Script,
    budget: Script,
}

impl Cache {
    /// Connects lazily: a Redis that is away shows as [`CacheError`] on use, and heals by itself.
    pub fn connect(settings: &RedisSettings) -> Result<Self, CacheError> {
        let config = redis::aio::ConnectionManagerConfig::new()
            .set_response_timeout(Some(settings.timeout))
            .set_connection_timeout(Some(settings.timeout))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(200));
        let client = redis::Client::open(settings.url.expose_secret())?;
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        Ok(Self {
            connection,
            prefix: settings.key_prefix.clone(),
            allow: Script::new(ALLOW),
            count_try: Script::new(TRY),
            take_back: Script::new(TAKE_BACK),
            budget: Script::new(SPEND),
        })
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

    /// Takes one from the rate counted under `key`.
    pub async fn allow(&self, key: &Key, rate: Rate) -> Result<Allowance, CacheError> {
        let window = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX);
        let interval = window / u64::from(rate.count.max(1));
        let wait: u64 = self
            .allow
            .key(self.name(key))
            .arg(interval.max(1))
            .arg(window)
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(if wait == 0 { Allowance::Allowed } else { Allowance::RetryAfter(Duration::from_micros(wait)) })
    }

    /// Takes `amount` from the budget counted under `key`, all or nothing.
    pub async fn charge(&self, key: &Key, budget: Rate, amount: u32) -> Result<Charge, CacheError> {
        let (wait, spent) = self.spend(key, budget, i64::from(amount), "charge").await?;
        Ok(if wait == 0 { Charge::Taken(spent) } else { Charge::RetryAfter(Duration::from_micros(wait)) })
    }

    /// Adds `amount` to what is spent of a budget, or gives it back where it is negative; says how much is spent then,
    /// between nothing and the whole budget. Nought asks.
    pub async fn count(&self, key: &Key, budget: Rate, amount: i64) -> Result<u32, CacheError> {
        Ok(self.spend(key, budget, amount, "count").await?.1)
    }

    async fn spend(&self, key: &Key, budget: Rate, amount: i64, mode: &str) -> Result<(u64, u32), CacheError> {
        let window = u64::try_from(budget.per.as_micros()).unwrap_or(u64::MAX);
        let interval = window / u64::from(budget.count.max(1));
        let mut script = self.budget.key(self.name(key));
        script.arg(interval.max(1)).arg(window).arg(amount).arg(mode);
        Ok(script.invoke_async(&mut self.connection.clone()).await?)
    }
}

impl Cache {
    /// Counts one try under `key`, unless an earlier failure still makes the next one wait.
    pub async fn count_try(&self, key: &Key, slowing: Slowing) -> Result<Allowance, CacheError> {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let wait: u64 = self
            .count_try
            .key(self.name(key))
            .arg(slowing.free)
            .arg(micros(slowing.first))
            .arg(micros(slowing.most))
            .arg(millis(slowing.memory))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(if wait == 0 { Allowance::Allowed } else { Allowance::RetryAfter(Duration::from_micros(wait)) })
    }

    /// Takes one counted try back: it went well.
    pub async fn take_back_try(&self, key: &Key) -> Result<(), CacheError> {
        self.take_back.key(self.name(key)).invoke_async::<i64>(&mut self.connection.clone()).await?;
        Ok(())
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
