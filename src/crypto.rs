//! Sealing at rest and hashing of secrets. AES-256-GCM under a key ring: each value names the key that sealed it, and
//! is bound to the row and column where it lives, so that a value moved elsewhere does not open.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    constant_time, digest, hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

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

struct RingKey {
    id: u8,
    key: LessSafeKey,
}

/// The key ring: the first key seals, every key opens.
pub struct Sealer {
    keys: Vec<RingKey>,
    derived: hmac::Key,
}

impl Sealer {
    /// Reads keys written as `<number 0-255>:<32 bytes in base64>`; the first one seals.
    pub fn new(ring: &[SecretString]) -> Result<Self, SealError> {
        let mut keys: Vec<RingKey> = Vec::with_capacity(ring.len());
        let mut first_bytes = Zeroizing::new(Vec::new());
        for entry in ring {
            let (id, text) = entry
                .expose_secret()
                .split_once(':')
                .ok_or_else(|| SealError::Ring("write each key as <number>:<base64>".into()))?;
            let id: u8 = id.trim().parse().map_err(|_| SealError::Ring("a key's number is 0 to 255".into()))?;
            let bytes = Zeroizing::new(
                STANDARD.decode(text.trim()).map_err(|_| SealError::Ring(format!("key {id} is not base64")))?,
            );
            let unbound = UnboundKey::new(&AES_256_GCM, &bytes)
                .map_err(|_| SealError::Ring(format!("key {id} is not 32 bytes long")))?;
            if keys.iter().any(|key| key.id == id) {
                return Err(SealError::Ring(format!("key {id} is listed twice")));
            }
            if keys.is_empty() {
                first_bytes = bytes;
            }
            keys.push(RingKey { id, key: LessSafeKey::new(unbound) });
        }
        if keys.is_empty() {
            return Err(SealError::Ring("name at least one key".into()));
        }
        // Derived for purposes other than sealing, so that no key serves two algorithms.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &first_bytes), b"usher derived key 1");
        Ok(Self { keys, derived: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) })
    }

    /// Seals `plain` for one place, named `table.column:client:row`. Layout: format, key number, nonce, ciphertext and tag.
    pub fn seal(&self, entropy: &Entropy, place: &str, plain: &[u8]) -> Vec<u8> {
        let ring = self.keys.first().expect("a ring holds a key: checked when it was made");
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let mut body = plain.to_vec();
        ring.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        let mut sealed = Vec::with_capacity(2 + NONCE_LEN + body.len());
        sealed.extend_from_slice(&[FORMAT, ring.id]);
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
        let ring = self.keys.iter().find(|key| key.id == id).ok_or(SealError::UnknownKey)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = ring
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.as_bytes()), &mut plain)
            .map_err(|_| SealError::Damaged)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// An HMAC-SHA-256 tag over `purpose` and `message`, under a key derived from the ring's first key.
    pub fn tag(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.derived);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(message);
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
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
