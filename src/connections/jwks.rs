//! The keys by which providers sign, cached per replica and for each connection by itself, so that one client's provider
//! never decides about another's.
//!
//! | when | what happens |
//! |---|---|
//! | first use, or older than the provider's max-age (held between 5 minutes and 6 hours; an hour when it says nothing) | one request, however many sign-ins wait for it |
//! | a token names a key that is not there | fetched again, at most once a minute for each connection and replica |
//! | the provider does not answer | the keys in hand serve until 24 hours after they were fetched; the next try is 10 seconds later |
//!
//! The minute is counted by each replica for itself: a fleet of N sends at most N requests a minute, and no sign-in pays
//! a round trip to Redis for it.

use std::{ops::RangeInclusive, sync::Arc};

use arc_swap::ArcSwapOption;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use http::{HeaderMap, HeaderValue, header};
use moka::future::Cache;
use openidconnect::{JsonWebKey, core::CoreJsonWebKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::IdTokenAlg;
use crate::{
    ids::ConnectionId,
    outbound::{Fetched, Outbound, OutboundError},
};

/// The largest key set that is read; real ones have 1 to 20 KB.
const MAX_BYTES: usize = 512 << 10;
/// The most keys that a set may hold.
const MAX_KEYS: usize = 100;
/// From 2048 bits, the least that NIST SP 800-131A allows, to 4096, the most that the library verifies.
const RSA_BYTES: RangeInclusive<usize> = 256..=512;
/// Key sets of this many connections are remembered, about 2 KB each.
const MAX_CACHED: u64 = 5_000;

const SHORTEST: Duration = Duration::minutes(5);
const USUAL: Duration = Duration::hours(1);
const LONGEST: Duration = Duration::hours(6);
const SERVED_WHEN_DOWN: Duration = Duration::hours(24);
const BETWEEN_TRIES: Duration = Duration::seconds(10);
const BETWEEN_UNKNOWN: Duration = Duration::minutes(1);

/// Why there are no keys to check a signature with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("the provider's keys could not be fetched: {0}")]
    Fetch(#[from] OutboundError),
    #[error("what the provider serves as its keys is not a JSON Web Key Set")]
    Unreadable,
    #[error("the provider publishes more than {MAX_KEYS} keys")]
    TooMany,
    #[error(
        "the provider publishes no key that can check a signature: RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519"
    )]
    NoneUsable,
}

/// A public key and what it may check.
#[derive(Debug)]
struct PublicKey {
    key: CoreJsonWebKey,
    algs: Vec<IdTokenAlg>,
}

/// A provider's public keys, those that can check a signature.
#[derive(Debug)]
pub struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517, section 5). Keys of kinds that we do not know are passed over, as it demands;
    /// so are private and shared ones, and those that are too weak.
    pub fn read(body: &[u8]) -> Result<Self, JwksError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(body).map_err(|_| JwksError::Unreadable)?;
        if document.keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let mut keys: Vec<PublicKey> = Vec::with_capacity(document.keys.len());
        for described in document.keys {
            let algs = algs_of(&described);
            let Ok(key) = serde_json::from_value::<CoreJsonWebKey>(described) else { continue };
            // Some providers list a key twice; only two different ones are ambiguous.
            if !algs.is_empty() && !keys.iter().any(|known| known.key == key) {
                keys.push(PublicKey { key, algs });
            }
        }
        if keys.is_empty() { Err(JwksError::NoneUsable) } else { Ok(Self(keys)) }
    }

    /// The keys that may have made a signature of this kind; with `kid`, only those of that name.
    pub fn fitting(&self, kid: Option<&str>, alg: IdTokenAlg) -> Vec<&CoreJsonWebKey> {
        let named = |key: &CoreJsonWebKey| kid.is_none_or(|kid| key.key_id().is_some_and(|id| id.as_str() == kid));
        self.0.iter().filter(|known| known.algs.contains(&alg) && named(&known.key)).map(|known| &known.key).collect()
    }

    /// How many keys there are; never none.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a key may check by its kind and by what its owner says of it (RFC 7517, 4.2 and 4.4); nothing when it is not fit
/// to check anything.
fn algs_of(key: &Value) -> Vec<IdTokenAlg> {
    use IdTokenAlg::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let length =
        |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).map_or(0, |bytes| bytes.len());
    // A private or shared key that was published is nobody's any more.
    if key.get("d").is_some() || key.get("k").is_some() || text("use").is_some_and(|purpose| purpose != "sig") {
        return Vec::new();
    }
    let mut algs = match (text("kty"), text("crv")) {
        (Some("RSA"), _) if RSA_BYTES.contains(&length("n")) => vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
        (Some("EC"), Some("P-256")) => vec![Es256],
        (Some("EC"), Some("P-384")) => vec![Es384],
        (Some("OKP"), Some("Ed25519")) => vec![EdDsa],
        _ => Vec::new(),
    };
    if let Some(only) = key.get("alg") {
        algs.retain(|alg| only.as_str() == Some(alg.as_str()));
    }
    algs
}

/// What is known of one connection's keys.
#[derive(Default)]
struct Slot {
    held: ArcSwapOption<Held>,
    tries: Mutex<Tries>,
}

struct Held {
    keys: Arc<KeySet>,
    fresh_until: DateTime<Utc>,
    served_until: DateTime<Utc>,
}

#[derive(Default)]
struct Tries {
    failed: Option<(DateTime<Utc>, JwksError)>,
    for_unknown_key: Option<DateTime<Utc>>,
}

/// The key sets of all connections that somebody signed in by lately.
pub struct KeySets(Cache<(ConnectionId, String), Arc<Slot>>);

impl Default for KeySets {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_CACHED).time_to_idle(std::time::Duration::from_secs(86_400)).build())
    }
}

impl KeySets {
    /// The connection's keys, fetched when they are missing or old.
    pub async fn load(
        &self,
        outbound: &Outbound,
        connection: ConnectionId,
        jwks_uri: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<KeySet>, JwksError> {
        let slot = self.slot(connection, jwks_uri).await;
        if let Some(held) = slot.held.load_full().filter(|held| now < held.fresh_until) {
            return Ok(held.keys.clone());
        }
        let mut tries = match (slot.tries.try_lock(), slot.held.load_full()) {
            (Ok(tries), _) => tries,
            // Somebody is fetching: what is in hand is good enough meanwhile.
            (Err(_), Some(held)) if now < held.served_until => return Ok(held.keys.clone()),
            (Err(_), _) => slot.tries.lock().await,
        };
        let held = slot.held.load_full();
        if let Some(held) = held.as_ref().filter(|held| now < held.fresh_until) {
            return Ok(held.keys.clone());
        }
        let recent = tries.failed.as_ref().filter(|(at, _)| now < *at + BETWEEN_TRIES);
        let outcome = match recent {
            Some((_, error)) => Err(error.clone()),
            None => slot.fetch(&mut tries, outbound, jwks_uri, now).await,
        };
        match (outcome, held) {
            (Err(error), Some(held)) if now < held.served_until => {
                tracing::warn!(connection.id = %connection, reason = error_code(&error), "the provider's keys are served beyond their time");
                Ok(held.keys.clone())
            }
            (outcome, _) => outcome,
        }
    }

    /// Keys newer than `seen`, for a token whose key is not among those; nothing when they were asked for less than a
    /// minute ago and nothing newer came of it.
    pub async fn newer(
        &self,
        outbound: &Outbound,
        connection: ConnectionId,
        jwks_uri: &str,
        seen: &Arc<KeySet>,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<KeySet>>, JwksError> {
        let slot = self.slot(connection, jwks_uri).await;
        let mut tries = slot.tries.lock().await;
        if let Some(held) = slot.held.load_full().filter(|held| !Arc::ptr_eq(&held.keys, seen)) {
            return Ok(Some(held.keys.clone()));
        }
        if tries.for_unknown_key.is_some_and(|at| now < at + BETWEEN_UNKNOWN) {
            return Ok(None);
        }
        tries.for_unknown_key = Some(now);
        slot.fetch(&mut tries, outbound, jwks_uri, now).await.map(Some)
    }

    async fn slot(&self, connection: ConnectionId, jwks_uri: &str) -> Arc<Slot> {
        self.0.get_with((connection, jwks_uri.to_owned()), async { Arc::default() }).await
    }
}

impl Slot {
    async fn fetch(
        &self,
        tries: &mut Tries,
        outbound: &Outbound,
        jwks_uri: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<KeySet>, JwksError> {
        let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let fetched = outbound.get_with(jwks_uri, headers, MAX_BYTES).await.map_err(JwksError::from);
        match fetched.and_then(|fetched| Ok((KeySet::read(&fetched.body)?, lifetime(&fetched)))) {
            Ok((keys, lifetime)) => {
                let keys = Arc::new(keys);
                let held =
                    Held { keys: keys.clone(), fresh_until: now + lifetime, served_until: now + SERVED_WHEN_DOWN };
                self.held.store(Some(Arc::new(held)));
                tries.failed = None;
                Ok(keys)
            }
            Err(error) => {
                tries.failed = Some((now, error.clone()));
                Err(error)
            }
        }
    }
}

fn lifetime(fetched: &Fetched) -> Duration {
    let said = fetched.max_age.map(|age| Duration::from_std(age).unwrap_or(LONGEST));
    said.unwrap_or(USUAL).clamp(SHORTEST, LONGEST)
}

fn error_code(error: &JwksError) -> &'static str {
    match error {
        JwksError::Fetch(cause) => cause.code(),
        JwksError::Unreadable => "jwks.unreadable",
        JwksError::TooMany => "jwks.too_many",
        JwksError::NoneUsable => "jwks.none_usable",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(kid: &str, bytes: usize) -> Value {
        json!({"kty": "RSA", "kid": kid, "use": "sig", "n": URL_SAFE_NO_PAD.encode(vec![0xab; bytes]), "e": "AQAB"})
    }

    fn count(keys: &[Value]) -> Result<usize, JwksError> {
        KeySet::read(json!({"keys": keys}).to_string().as_bytes()).map(|set| set.len())
    }

    #[test]
    fn keys_that_cannot_check_a_signature_are_passed_over() {
        let mut private = rsa("private", 256);
        private["d"] = json!("AQAB");
        let mut encryption = rsa("encryption", 256);
        encryption["use"] = json!("enc");
        let others = [
            private,
            encryption,
            rsa("weak", 128),
            rsa("slow", 2048),
            json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            json!("nonsense"),
        ];
        assert_eq!(count(&others), Err(JwksError::NoneUsable));
        let with_good: Vec<_> = others.into_iter().chain([rsa("good", 256)]).collect();
        assert_eq!(count(&with_good), Ok(1));
    }

    #[test]
    fn a_key_fits_by_name_kind_and_what_its_owner_says() {
        let mut pss = rsa("pss", 256);
        pss["alg"] = json!("PS256");
        let curve = json!({"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA"});
        let set = KeySet::read(json!({"keys": [rsa("any", 256), pss, curve]}).to_string().as_bytes()).unwrap();
        let count = |kid, alg| set.fitting(kid, alg).len();
        assert_eq!(count(None, IdTokenAlg::Rs256), 1);
        assert_eq!(count(None, IdTokenAlg::Ps256), 2);
        assert_eq!(count(Some("pss"), IdTokenAlg::Rs256), 0);
        assert_eq!(count(Some("curve"), IdTokenAlg::Es256), 1);
        assert_eq!(count(Some("curve"), IdTokenAlg::Es384), 0);
        assert_eq!(count(Some("other"), IdTokenAlg::Ps256), 0);
    }

    #[test]
    fn a_key_listed_twice_is_one_key() {
        assert_eq!(count(&[rsa("a", 256), rsa("a", 256)]), Ok(1));
        assert_eq!(count(&[rsa("a", 256), rsa("a", 384)]), Ok(2));
    }

    #[test]
    fn a_hundred_keys_are_read_and_more_are_not() {
        let keys: Vec<_> = (0..=MAX_KEYS).map(|number| rsa(&number.to_string(), 256)).collect();
        assert_eq!(count(&keys[1..]), Ok(MAX_KEYS));
        assert_eq!(count(&keys), Err(JwksError::TooMany));
    }

    #[test]
    fn what_is_not_a_key_set_is_refused() {
        for body in ["", "[]", "{}", "<html>", r#"{"keys": {}}"#] {
            assert_eq!(KeySet::read(body.as_bytes()).unwrap_err(), JwksError::Unreadable, "{body}");
        }
    }
}
