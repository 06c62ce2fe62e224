//! Sealing at rest and hashing of secrets. AES-256-GCM under a key ring: each value names the key that sealed it, and
//! is bound to the row and column where it lives, so that a value moved elsewhere does not open.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    constant_time, digest, hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{entropy::Entropy, ids::ClientId};

const FORMAT: u8 = 1;

/// A sealed value did not open, or the key ring is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The ring names no key, a key twice, or a key that is not 32 bytes.
    #[error("the sealing key ring is not usable: {0}")]
    Ring(String),
    /// The value names a key that is not on the ring.
    #[error("sealed under a key that is not on the ring")]
    UnknownKey,
    /// The value is damaged, or belongs to another place.
    #[error("the sealed value does not open here")]
    Damaged,
}

/// What a key is called: its number on the ring, and a check value by which two rings can tell that they mean the same
/// key. Says nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyName {
    pub number: u8,
    check: u32,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.number, self.check)
    }
}

impl FromStr for KeyName {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let read = text.split_once('-').and_then(|(number, check)| {
            Some(Self { number: number.parse().ok()?, check: u32::from_str_radix(check, 16).ok()? })
        });
        read.ok_or_else(|| SealError::Ring("the name of a key does not read".into()))
    }
}

struct RingKey {
    name: KeyName,
    key: LessSafeKey,
    derived: hmac::Key,
}

/// The key ring: every key opens, and the first one that all replicas hold seals.
pub struct Sealer {
    keys: Vec<RingKey>,
    /// Where on the ring the key stands that seals. The last one at first: whoever was there before holds it.
    sealing: AtomicUsize,
}

impl Sealer {
    /// Reads keys written as `<number 0-255>:<32 bytes in base64>`; the first one is to seal.
    pub fn new(ring: &[SecretString]) -> Result<Self, SealError> {
        let mut keys: Vec<RingKey> = Vec::with_capacity(ring.len());
        for entry in ring {
            let (id, text) = entry
                .expose_secret()
                .split_once(':')
                .ok_or_else(|| SealError::Ring("write each key as <number>:<base64>".into()))?;
            let number: u8 = id.trim().parse().map_err(|_| SealError::Ring("a key's number is 0 to 255".into()))?;
            let bytes = Zeroizing::new(
                STANDARD.decode(text.trim()).map_err(|_| SealError::Ring(format!("key {number} is not base64")))?,
            );
            let unbound = UnboundKey::new(&AES_256_GCM, &bytes)
                .map_err(|_| SealError::Ring(format!("key {number} is not 32 bytes long")))?;
            if keys.iter().any(|key| key.name.number == number) {
                return Err(SealError::Ring(format!("key {number} is listed twice")));
            }
            // Derived for purposes other than sealing, so that no key serves two algorithms.
            let own = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
            let check = hmac::sign(&own, b"usher key check 1");
            let check = check.as_ref().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            let derived = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&own, b"usher derived key 1").as_ref());
            keys.push(RingKey { name: KeyName { number, check }, key: LessSafeKey::new(unbound), derived });
        }
        let last = keys.len().checked_sub(1).ok_or_else(|| SealError::Ring("name at least one key".into()))?;
        Ok(Self { keys, sealing: AtomicUsize::new(last) })
    }

    /// The keys of the ring, the one that is to seal first.
    pub fn names(&self) -> Vec<KeyName> {
        self.keys.iter().map(|key| key.name).collect()
    }

    /// The key that seals once every replica holds it.
    pub fn first(&self) -> KeyName {
        self.keys.first().expect("a ring holds a key: checked when it was made").name
    }

    /// The key that seals now.
    pub fn sealing(&self) -> KeyName {
        self.sealing_key().name
    }

    fn sealing_key(&self) -> &RingKey {
        self.keys.get(self.sealing.load(Ordering::Relaxed)).expect("set to a place on the ring only")
    }

    /// Seals from now on with the first key that all these rings hold. Where they share none, what sealed before goes on,
    /// and the answer is false.
    pub fn agree(&self, others: &[Vec<KeyName>]) -> bool {
        let shared = self.keys.iter().position(|key| others.iter().all(|ring| ring.contains(&key.name)));
        if let Some(place) = shared {
            self.sealing.store(place, Ordering::Relaxed);
        }
        shared.is_some()
    }

    /// Seals `plain` for one place, named `table.column:client:row`. Layout: format, key number, nonce, ciphertext and tag.
    pub fn seal(&self, entropy: &Entropy, place: &str, plain: &[u8]) -> Vec<u8> {
        let ring = self.sealing_key();
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let mut body = plain.to_vec();
        ring.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        let mut sealed = Vec::with_capacity(2 + NONCE_LEN + body.len());
        sealed.extend_from_slice(&[FORMAT, ring.name.number]);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Opens what [`Sealer::seal`] sealed for the same place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&[format, id], rest) = sealed.split_first_chunk::<2>().ok_or(SealError::Damaged)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        if format != FORMAT {
            return Err(SealError::Damaged);
        }
        let ring = self.keys.iter().find(|key| key.name.number == id).ok_or(SealError::UnknownKey)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = ring
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.as_bytes()), &mut plain)
            .map_err(|_| SealError::Damaged)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// An HMAC-SHA-256 tag over `purpose` and `message`, under a key derived from the one that seals.
    pub fn tag(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.sealing_key().tag(purpose, message)
    }

    /// Whether a tag was made by any key of the ring for this purpose and message.
    pub fn is_tag(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        self.keys.iter().any(|key| same(tag, &key.tag(purpose, message)))
    }
}

impl RingKey {
    fn tag(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.derived);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(message);
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

/// The number of the key that sealed a value.
pub fn sealed_under(sealed: &[u8]) -> Option<u8> {
    match sealed {
        [FORMAT, number, ..] => Some(*number),
        _ => None,
    }
}

/// A sealed value where it is stored.
#[derive(Debug, Clone)]
pub struct SealedValue {
    pub client: ClientId,
    pub row: Uuid,
    /// The row of a table below, where the value stands in that one.
    pub below: Option<Uuid>,
    /// What it was sealed for.
    pub place: String,
    /// The value, or its first two bytes where no more was asked for.
    pub sealed: Vec<u8>,
}

/// Some rows of one kind in the order of their keys, with what is sealed in them.
#[derive(Debug, Default)]
pub struct SealedPage {
    pub values: Vec<SealedValue>,
    /// How many rows were looked at.
    pub rows: usize,
    /// The last of them; `None` at the end.
    pub last: Option<(Uuid, Uuid)>,
}

/// Which rows are looked at, and what of their values is read.
#[derive(Debug, Clone, Copy)]
pub struct SealedQuery {
    /// Rows after this one.
    pub after: (Uuid, Uuid),
    pub limit: i64,
    /// Values under another key are read whole, the others by their head. `None`: heads alone.
    pub except: Option<u8>,
}

impl SealedQuery {
    /// The number of [`Self::except`] as it stands in a value.
    pub fn number(&self) -> Option<Vec<u8>> {
        self.except.map(|number| vec![number])
    }
}

/// SHA-256, for values whose own entropy makes them unguessable (tokens, ids), and for comparing bodies.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The SHA-256 of bytes that come one piece after another.
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

/// Whether two byte strings are equal, in time that does not depend on where they differ.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[u8]) -> Sealer {
        let keys: Vec<SecretString> =
            ids.iter().map(|id| SecretString::from(format!("{id}:{}", STANDARD.encode([*id; 32])))).collect();
        Sealer::new(&keys).expect("a usable ring")
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let (sealer, entropy) = (ring(&[1]), Entropy::default());
        let sealed = sealer.seal(&entropy, "connections.secret:a", b"secret");
        assert_eq!(sealer.open("connections.secret:a", &sealed).expect("opens").as_slice(), b"secret");
        assert_eq!(sealer.open("connections.secret:b", &sealed).err(), Some(SealError::Damaged));
    }

    #[test]
    fn an_old_key_still_opens_after_a_new_one_was_put_first() {
        let entropy = Entropy::default();
        let sealed = ring(&[1]).seal(&entropy, "p", b"x");
        assert!(ring(&[2, 1]).open("p", &sealed).is_ok());
        assert_eq!(ring(&[2]).open("p", &sealed).err(), Some(SealError::UnknownKey));
    }

    #[test]
    fn a_new_key_seals_only_once_every_ring_holds_it() {
        let (entropy, sealer) = (Entropy::default(), ring(&[2, 1]));
        let by = |sealer: &Sealer| sealed_under(&sealer.seal(&entropy, "p", b"x"));
        assert_eq!(by(&sealer), Some(1), "alone, nothing is known of the others");
        assert!(sealer.agree(&[ring(&[2, 1]).names(), ring(&[1]).names()]));
        assert_eq!((by(&sealer), sealer.first().number), (Some(1), 2));
        assert!(sealer.agree(&[ring(&[1, 2]).names(), ring(&[2]).names()]));
        assert_eq!(by(&sealer), Some(2));
        assert!(!sealer.agree(&[ring(&[3]).names()]));
        assert_eq!(by(&sealer), Some(2), "with nobody to agree with, all stays");
    }

    #[test]
    fn another_key_of_the_same_number_is_another_key() {
        let other = Sealer::new(&[format!("1:{}", STANDARD.encode([9; 32])).into()]).expect("a usable ring");
        assert_ne!(other.first(), ring(&[1]).first());
        assert!(!ring(&[1]).agree(&[other.names()]));
        assert_eq!(other.first().to_string().parse(), Ok(other.first()));
    }

    #[test]
    fn a_tag_holds_as_long_as_its_key_is_on_the_ring() {
        let tag = ring(&[1]).tag("purpose", b"message");
        assert!(ring(&[2, 1]).is_tag("purpose", b"message", &tag));
        assert!(!ring(&[2, 1]).is_tag("another", b"message", &tag));
        assert!(!ring(&[2]).is_tag("purpose", b"message", &tag));
    }

    #[test]
    fn a_damaged_or_short_value_is_refused() {
        let (sealer, entropy) = (ring(&[1]), Entropy::default());
        let sealed = sealer.seal(&entropy, "p", b"x");
        for length in 0..sealed.len() {
            assert!(sealer.open("p", &sealed[..length]).is_err());
        }
        for index in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[index] ^= 1;
            assert!(sealer.open("p", &bent).is_err());
        }
    }

    #[test]
    fn a_ring_with_no_key_a_short_key_or_a_double_number_is_refused() {
        assert!(Sealer::new(&[]).is_err());
        assert!(Sealer::new(&["1:AAAA".to_owned().into()]).is_err());
        let key = SecretString::from(format!("1:{}", STANDARD.encode([1; 32])));
        assert!(Sealer::new(&[key.clone(), key]).is_err());
    }
}
