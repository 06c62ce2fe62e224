//! The form of an API token: `usher_`, 256 random bits, and six characters of checksum, so that a mistyped token is told
//! without asking the database, and a leaked one is found by scanners.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::{crypto::sha256, entropy::Entropy};

const PREFIX: &str = "usher_";
const RANDOM_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;

/// A token's secret as its holder presents it. Does not print.
pub struct TokenSecret(SecretString);

fn checksum(random: &str) -> String {
    let hash = sha256(format!("{PREFIX}{random}").as_bytes());
    let mut text = URL_SAFE_NO_PAD.encode(hash);
    text.truncate(CHECKSUM_LENGTH);
    text
}

impl TokenSecret {
    /// A fresh one.
    pub fn generate(entropy: &Entropy) -> Self {
        let random = entropy.token();
        let check = checksum(&random);
        Self(SecretString::from(format!("{PREFIX}{random}{check}")))
    }

    /// Reads what a caller presents; `None` when it cannot be a token of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (random, check) = rest.split_at_checked(RANDOM_LENGTH)?;
        (check == checksum(random)).then(|| Self(SecretString::from(text.to_owned())))
    }

    /// What is stored in its place.
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose_secret().as_bytes())
    }

    /// The secret, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_secret_reads_back_and_a_bent_one_does_not() {
        let secret = TokenSecret::generate(&Entropy::default());
        let text = secret.expose().to_owned();
        assert_eq!(TokenSecret::parse(&text).map(|read| read.hash()), Some(secret.hash()));
        for index in 0..text.len() {
            let mut bent = text.clone().into_bytes();
            bent[index] = if bent[index] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).expect("ASCII");
            assert!(TokenSecret::parse(&bent).is_none(), "{index}");
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["", "usher_", "usher_é", "Usher_AAAA", &format!("usher_{}", "é".repeat(30))] {
            assert!(TokenSecret::parse(text).is_none(), "{text}");
        }
    }
}
