//! Key pairs with self-signed certificates, made by OpenSSL: good ones, weak ones and expired ones.

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Duration, Utc};
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{Id, PKey, Private},
    rsa::Rsa,
    x509::{X509, X509NameBuilder},
};
use std::{collections::HashMap, path::Path, sync::Mutex};

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Too short to be trusted by anyone today.
    Rsa1024,
    Rsa2048,
    Rsa4096,
    P256,
    P384,
    P521,
    Ed25519,
}

/// A private key with a self-signed certificate over its public half.
#[derive(Clone)]
pub struct KeyPair {
    key: PKey<Private>,
    certificate: X509,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({:?}, {:?})", self.key.id(), self.certificate.subject_name())
    }
}

impl KeyPair {
    /// A fresh key whose certificate began a day ago and ends in ten years.
    pub fn generate(kind: KeyKind, common_name: &str) -> Result<Self> {
        let now = crate::clock::now();
        Self::generate_valid(kind, common_name, now - Duration::days(1), now + Duration::days(3650))
    }

    /// A fresh key whose certificate ended yesterday.
    pub fn expired(kind: KeyKind, common_name: &str) -> Result<Self> {
        let now = crate::clock::now();
        Self::generate_valid(kind, common_name, now - Duration::days(1000), now - Duration::days(1))
    }

    /// A fresh key whose certificate is valid in exactly this period.
    pub fn generate_valid(
        kind: KeyKind,
        common_name: &str,
        not_before: DateTime<Utc>,
        not_after: DateTime<Utc>,
    ) -> Result<Self> {
        let key = match kind {
            KeyKind::Rsa1024 => PKey::from_rsa(Rsa::generate(1024)?)?,
            KeyKind::Rsa2048 => PKey::from_rsa(Rsa::generate(2048)?)?,
            KeyKind::Rsa4096 => PKey::from_rsa(Rsa::generate(4096)?)?,
            KeyKind::P256 => elliptic(Nid::X9_62_PRIME256V1)?,
            KeyKind::P384 => elliptic(Nid::SECP384R1)?,
            KeyKind::P521 => elliptic(Nid::SECP521R1)?,
            KeyKind::Ed25519 => PKey::generate_ed25519()?,
        };
        let certificate = self_signed(&key, common_name, not_before, not_after)?;
        Ok(Self { key, certificate })
    }

    /// Reads what [`KeyPair::to_pem`] wrote.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = PKey::private_key_from_pem(pem.as_bytes()).context("no private key in the PEM text")?;
        let certificate = X509::from_pem(pem.as_bytes()).context("no certificate in the PEM text")?;
        Ok(Self { key, certificate })
    }

    /// Private key (PKCS #8) and certificate in one PEM text.
    pub fn to_pem(&self) -> Result<String> {
        Ok(self.private_key_pem()? + &self.certificate_pem()?)
    }

    /// The key pair kept in `file`, made and written on first use, so that a restarted fixture keeps its keys.
    pub fn kept_in(file: &Path, kind: KeyKind, common_name: &str) -> Result<Self> {
        if let Ok(pem) = std::fs::read_to_string(file) {
            return Self::from_pem(&pem).with_context(|| format!("{} holds no key pair", file.display()));
        }
        let pair = Self::generate(kind, common_name)?;
        let partial = file.with_extension("partial");
        std::fs::write(&partial, pair.to_pem()?).with_context(|| format!("cannot write {}", partial.display()))?;
        std::fs::rename(&partial, file)?;
        Ok(pair)
    }

    #[must_use]
    pub fn private_key(&self) -> &PKey<Private> {
        &self.key
    }

    #[must_use]
    pub fn certificate(&self) -> &X509 {
        &self.certificate
    }

    /// PKCS #8 PEM of the private key.
    pub fn private_key_pem(&self) -> Result<String> {
        Ok(String::from_utf8(self.key.private_key_to_pem_pkcs8()?)?)
    }

    /// SubjectPublicKeyInfo PEM of the public key.
    pub fn public_key_pem(&self) -> Result<String> {
        Ok(String::from_utf8(self.key.public_key_to_pem()?)?)
    }

    /// PEM of the certificate.
    pub fn certificate_pem(&self) -> Result<String> {
        Ok(String::from_utf8(self.certificate.to_pem()?)?)
    }

    /// Base64 of the certificate's DER on one line, as `ds:X509Certificate` holds it.
    pub fn certificate_base64(&self) -> Result<String> {
        Ok(BASE64_STANDARD.encode(self.certificate.to_der()?))
    }

    /// Whether the key is an elliptic-curve one (and so signs with ECDSA).
    #[must_use]
    pub fn is_elliptic(&self) -> bool {
        self.key.id() == Id::EC
    }
}

/// The process's key pair of this kind and name: made once, since tests ask often and RSA keys cost time.
pub fn shared(kind: KeyKind, common_name: &str) -> Result<KeyPair> {
    static MADE: Mutex<Option<HashMap<(KeyKind, String), KeyPair>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pairs = made.get_or_insert_default();
    if let Some(pair) = pairs.get(&(kind, common_name.to_owned())) {
        return Ok(pair.clone());
    }
    let pair = KeyPair::generate(kind, common_name)?;
    pairs.insert((kind, common_name.to_owned()), pair.clone());
    Ok(pair)
}

fn elliptic(curve: Nid) -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(curve)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn self_signed(
    key: &PKey<Private>,
    common_name: &str,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
) -> Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", common_name)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_unix(not_before.timestamp())?)?;
    builder.set_not_after(&*Asn1Time::from_unix(not_after.timestamp())?)?;
    // Ed25519 takes no separate digest.
    let digest = if key.id() == Id::ED25519 { MessageDigest::null() } else { MessageDigest::sha256() };
    builder.sign(key, digest)?;
    Ok(builder.build())
}
