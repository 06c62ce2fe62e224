//! The service provider's own keys in use: parsed once, never printed. `connections` makes and seals them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::{
    hash::MessageDigest,
    pkey::{Id, PKey, Private},
    sign::Signer,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a key cannot be used.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum KeyError {
    #[error("the private key is not a PEM RSA key of at least 2048 bits")]
    Private,
    #[error("the certificate cannot be read")]
    Certificate,
    #[error("signing failed")]
    Signing,
}

/// A private key that opens encrypted assertions.
#[derive(Clone)]
pub struct DecryptionKey(PKey<Private>);

impl DecryptionKey {
    pub fn from_pem(pem: &str) -> Result<DecryptionKey, KeyError> {
        rsa_from_pem(pem).map(DecryptionKey)
    }

    pub(super) fn key(&self) -> &PKey<Private> {
        &self.0
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey")
    }
}

/// A private key that signs what we send, with RSA-SHA256.
#[derive(Clone)]
pub struct SigningKey(PKey<Private>);

impl SigningKey {
    pub const ALGORITHM: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

    pub fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
        rsa_from_pem(pem).map(SigningKey)
    }

    /// The signature of these bytes, in base64.
    pub(super) fn sign(&self, octets: &[u8]) -> Result<String, KeyError> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.0).map_err(|_| KeyError::Signing)?;
        let signature = signer.sign_oneshot_to_vec(octets).map_err(|_| KeyError::Signing)?;
        Ok(STANDARD.encode(signature))
    }

    pub(super) fn to_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.0.private_key_to_der().map(Zeroizing::new).map_err(|_| KeyError::Signing)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

fn rsa_from_pem(pem: &str) -> Result<PKey<Private>, KeyError> {
    let key = PKey::private_key_from_pem(pem.as_bytes()).map_err(|_| KeyError::Private)?;
    if key.id() == Id::RSA && key.bits() >= 2048 { Ok(key) } else { Err(KeyError::Private) }
}
