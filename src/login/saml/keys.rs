//! The service provider's own keys: made per connection, parsed once, never printed.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, Utc};
use openssl::{
    asn1::{Asn1Integer, Asn1Time},
    bn::BigNum,
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{Id, PKey, Private},
    rsa::Rsa,
    sign::Signer,
    x509::{X509, X509NameBuilder},
};
use thiserror::Error;
use zeroize::Zeroizing;

const VALID_DAYS: i64 = 3_650;

/// Why a key cannot be made or read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum KeyError {
    #[error("the private key is not a PEM RSA key of at least 2048 bits")]
    Private,
    #[error("the key or its certificate could not be made")]
    Making,
    #[error("the certificate cannot be read")]
    Certificate,
    #[error("signing failed")]
    Signing,
}

/// A new RSA-2048 key with its self-signed certificate, both in PEM.
pub struct SpKeyPair {
    pub certificate_pem: String,
    pub private_key_pem: Zeroizing<String>,
    pub not_after: DateTime<Utc>,
}

impl SpKeyPair {
    /// Makes a key, which keeps a core busy for a good part of a second: not for the async threads. The key's randomness is OpenSSL's
    /// own; the certificate's serial number comes from `serial`.
    pub fn generate(common_name: &str, serial: &[u8; 16], now: DateTime<Utc>) -> Result<SpKeyPair, KeyError> {
        let not_after = now + Duration::days(VALID_DAYS);
        let making = |_: ErrorStack| KeyError::Making;
        let key = Rsa::generate(2048).and_then(PKey::from_rsa).map_err(making)?;
        let certificate = self_signed(&key, common_name, serial, now, not_after).and_then(|c| c.to_pem()).map_err(making)?;
        let private = Zeroizing::new(key.private_key_to_pem_pkcs8().map_err(making)?);
        Ok(SpKeyPair {
            certificate_pem: String::from_utf8(certificate).map_err(|_| KeyError::Making)?,
            private_key_pem: Zeroizing::new(std::str::from_utf8(&private).map_err(|_| KeyError::Making)?.to_owned()),
            not_after,
        })
    }
}

impl fmt::Debug for SpKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpKeyPair").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn self_signed(key: &PKey<Private>, common_name: &str, serial: &[u8; 16], from: DateTime<Utc>, to: DateTime<Utc>) -> Result<X509, ErrorStack> {
    // X.520 allows 64 characters.
    let short: String = common_name.chars().filter(|c| !c.is_control()).take(64).collect();
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, if short.is_empty() { "usher" } else { &short })?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*Asn1Integer::from_bn(&*positive(serial)?)?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(&*Asn1Time::from_unix(from.timestamp())?)?;
    certificate.set_not_after(&*Asn1Time::from_unix(to.timestamp())?)?;
    certificate.set_pubkey(key)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}

/// A serial number is positive and not zero (RFC 5280, 4.1.2.2).
fn positive(serial: &[u8; 16]) -> Result<BigNum, ErrorStack> {
    let mut number = BigNum::from_slice(serial)?;
    number.clear_bit(127)?;
    number.set_bit(126)?;
    Ok(number)
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
