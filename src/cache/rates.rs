//! Counting in Redis: rates, tries that slow down, budgets. Each is one script, which reads Redis's own clock, so that
//! every replica counts the same.

use std::time::Duration;

use super::{Cache, CacheError, Key, millis};
use crate::config::Rate;

/// Whether a rate still allows one more, and if not, how long until it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    Allowed,
    RetryAfter(Duration),
}

// Generic cell rate algorithm: the key holds the theoretical arrival time in microseconds of Redis's own clock, so
// that every replica counts the same.
pub(super) const ALLOW: &str = r"
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
pub(super) const TRY: &str = r"
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

pub(super) const TAKE_BACK: &str = r"
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
pub(super) const SPEND: &str = r"
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

impl Cache {
    /// Takes one from the rate counted under `key`.
    pub async fn allow(&self, key: &Key, rate: Rate) -> Result<Allowance, CacheError> {
        let window = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX);
        let interval = window / u64::from(rate.count.max(1));
        let wait: u64 = self.run(&self.scripts.allow, key, |call| call.arg(interval.max(1)).arg(window)).await?;
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
        self.run(&self.scripts.budget, key, |call| call.arg(interval.max(1)).arg(window).arg(amount).arg(mode)).await
    }

    /// Counts one try under `key`, unless an earlier failure still makes the next one wait.
    pub async fn count_try(&self, key: &Key, slowing: Slowing) -> Result<Allowance, CacheError> {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let arguments = [micros(slowing.first), micros(slowing.most), millis(slowing.memory)];
        let wait: u64 = self.run(&self.scripts.count_try, key, |call| call.arg(slowing.free).arg(&arguments)).await?;
        Ok(if wait == 0 { Allowance::Allowed } else { Allowance::RetryAfter(Duration::from_micros(wait)) })
    }

    /// Takes one counted try back: it went well.
    pub async fn take_back_try(&self, key: &Key) -> Result<(), CacheError> {
        self.run::<i64>(&self.scripts.take_back, key, |call| call).await.map(drop)
    }
}
