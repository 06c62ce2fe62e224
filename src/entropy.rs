//! The one source of chance: ids, tokens, nonces and references all come from here.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use crate::ids::Id;

/// Letters and digits that are not mistaken for each other when read aloud or typed.
pub const UNAMBIGUOUS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// The operating system's random generator.
#[derive(Debug, Clone)]
pub struct Entropy(SystemRandom);

impl Default for Entropy {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).expect("the operating system's random generator does not fail once it has started");
        bytes
    }

    /// A secret of 256 bits, as 43 characters of unpadded base64url.
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// A fresh id: UUIDv7, so that rows made together lie together.
    pub fn id<T: Id>(&self, now: DateTime<Utc>) -> T {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        T::from(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid())
    }

    /// `length` characters of [`UNAMBIGUOUS`], each equally likely.
    pub fn unambiguous(&self, length: usize) -> String {
        // 32 letters divide 256 evenly, so that the remainder favours none.
        let mut text = String::with_capacity(length);
        while text.len() < length {
            text.extend(
                self.bytes::<16>()
                    .into_iter()
                    .take(length - text.len())
                    .map(|byte| char::from(UNAMBIGUOUS[usize::from(byte % 32)])),
            );
        }
        text
    }

    /// A reference that a person can read out, such as `7KQ2-M9XR-4TDA`; 60 bits, unique enough to search a log by.
    pub fn reference(&self) -> String {
        let text = self.unambiguous(12);
        format!("{}-{}-{}", &text[..4], &text[4..8], &text[8..])
    }
}
