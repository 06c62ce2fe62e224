//! The settings of local accounts: what hashing a password costs, how long links are good, and how guessing is slowed.

use std::time::Duration;

use super::{
    raw,
    settings::{ConfigError, Rate, invalid, rate},
};

#[derive(Debug, Clone)]
pub struct AccountsSettings {
    /// Argon2id's memory, in KiB, and its passes over it.
    pub hash_memory_kib: u32,
    pub hash_passes: u32,
    pub hash_threads: usize,
    pub hash_queue: usize,
    pub confirm_ttl: Duration,
    pub reset_ttl: Duration,
    /// Learners who never proved their address and hold nothing are removed after so many days.
    pub provisional_days: u32,
    /// Wrong passwords for one address, or from one browser that it knows, before anybody waits.
    pub free_tries: u32,
    /// The same from one network address.
    pub free_tries_per_address: u32,
    /// Links that one client mails to one address in a day.
    pub mails_per_day: u32,
    /// Links that all clients together mail to one address because somebody asked.
    pub mails_per_address: Rate,
}

impl AccountsSettings {
    pub(super) fn read(raw: &raw::Accounts) -> Result<Self, ConfigError> {
        // OWASP's password storage cheat sheet names 7 MiB with 5 passes and 19 MiB with 2 as equals; less is refused.
        if u64::from(raw.hash_memory_kib) * u64::from(raw.hash_passes) < 35_000 || raw.hash_memory_kib < 7_168 {
            return Err(invalid(
                "accounts.hash_memory_kib",
                "is too little to keep stolen hashes safe; write at least 19456 with 2 hash_passes, or 7168 with 5",
            ));
        }
        Ok(Self {
            hash_memory_kib: raw.hash_memory_kib.min(4 << 20),
            hash_passes: raw.hash_passes.min(1_000),
            hash_threads: raw.hash_threads.clamp(1, 256),
            hash_queue: raw.hash_queue.clamp(1, 100_000),
            confirm_ttl: Duration::from_secs(u64::from(raw.confirm_hours.clamp(1, 720)) * 3600),
            reset_ttl: Duration::from_secs(u64::from(raw.reset_minutes.clamp(5, 1440)) * 60),
            provisional_days: raw.provisional_days.clamp(1, 3650),
            free_tries: raw.free_tries.clamp(1, 100),
            free_tries_per_address: raw.free_tries_per_address.clamp(1, 1_000_000),
            mails_per_day: raw.mails_per_day.clamp(1, 1_000),
            mails_per_address: rate("accounts.mails_per_address", &raw.mails_per_address)?,
        })
    }
}
