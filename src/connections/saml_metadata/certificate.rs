//! An identity provider's certificate: the pinned key that signatures are verified with, and what an admin is told
//! about it.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    hash::MessageDigest,
    nid::Nid,
    pkey::{Id, PKeyRef, Public},
    x509::{X509, X509Ref},
};
use samael::crypto::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// The kind of key in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Rsa { bits: u32 },
    EcP256,
    EcP384,
    EcP521,
    Other,
}

/// Why something is not a certificate.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CertificateError {
    #[error("not base64")]
    Base64,
    #[error("not an X.509 certificate")]
    Certificate,
    #[error("the certificate's validity cannot be read")]
    Validity,
}

/// A certificate from a connection's configuration, parsed once, when it is saved, and cheap to keep by the thousand.
#[derive(Clone)]
pub struct TrustedCertificate {
    der: CertificateDer,
    fingerprint_sha256: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    subject: String,
    key_kind: KeyKind,
}

impl TrustedCertificate {
    /// From DER bytes.
    pub fn from_der(der: &[u8]) -> Result<TrustedCertificate, CertificateError> {
        let certificate = X509::from_der(der).map_err(|_| CertificateError::Certificate)?;
        TrustedCertificate::from_x509(&certificate)
    }

    /// From one PEM block or from bare base64 as metadata holds it, blanks and line ends ignored.
    pub fn from_text(text: &str) -> Result<TrustedCertificate, CertificateError> {
        let body: String = text.lines().filter(|line| !line.trim_start().starts_with("-----")).collect();
        let compact: String = body.split_ascii_whitespace().collect();
        TrustedCertificate::from_der(&STANDARD.decode(compact).map_err(|_| CertificateError::Base64)?)
    }

    fn from_x509(certificate: &X509Ref) -> Result<TrustedCertificate, CertificateError> {
        let unreadable = |_| CertificateError::Certificate;
        let der = certificate.to_der().map_err(unreadable)?;
        let digest = certificate.digest(MessageDigest::sha256()).map_err(unreadable)?;
        let key = certificate.public_key().map_err(unreadable)?;
        Ok(TrustedCertificate {
            der: CertificateDer::from(der),
            fingerprint_sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            not_before: time(certificate.not_before())?,
            not_after: time(certificate.not_after())?,
            subject: subject(certificate),
            key_kind: kind(&key),
        })
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &[u8] {
        self.der.der_data()
    }

    /// The certificate's bytes in base64, one line, as metadata and our own records hold it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.der())
    }

    /// The certificate in the signature engine's own type.
    pub fn for_engine(&self) -> &CertificateDer {
        &self.der
    }

    /// Lower-case hexadecimal SHA-256 of the DER bytes.
    pub fn fingerprint_sha256(&self) -> &str {
        &self.fingerprint_sha256
    }

    pub fn not_before(&self) -> DateTime<Utc> {
        self.not_before
    }

    pub fn not_after(&self) -> DateTime<Utc> {
        self.not_after
    }

    /// The subject's most telling part, for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub fn key_kind(&self) -> KeyKind {
        self.key_kind
    }

    /// Whether `now` is past the certificate's end.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        now > self.not_after
    }

    /// Whether the key is too weak to trust a signature by it: RSA under 2048 bits, or a curve other than P-256,
    /// P-384 and P-521.
    pub fn is_weak(&self) -> bool {
        match self.key_kind {
            KeyKind::Rsa { bits } => bits < 2048,
            KeyKind::EcP256 | KeyKind::EcP384 | KeyKind::EcP521 => false,
            KeyKind::Other => true,
        }
    }
}

impl fmt::Debug for TrustedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedCertificate")
            .field("sha256", &self.fingerprint_sha256)
            .field("not_after", &self.not_after)
            .finish()
    }
}

impl PartialEq for TrustedCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for TrustedCertificate {}

/// As it is stored: with what was read from it when it was saved, because OpenSSL takes longer to read a certificate
/// than all the rest of a cold connection takes.
#[derive(Serialize, Deserialize)]
struct Stored {
    der: String,
    fingerprint_sha256: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    subject: String,
    key: KeyKind,
}

/// The stored form, or bare base64, from which everything is read again.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Read(Stored),
    Bare(String),
}

impl Serialize for TrustedCertificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            der: self.to_base64(),
            fingerprint_sha256: self.fingerprint_sha256.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            subject: self.subject.clone(),
            key: self.key_kind,
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TrustedCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TrustedCertificate, D::Error> {
        let stored = match Written::deserialize(deserializer)? {
            Written::Bare(text) => return TrustedCertificate::from_text(&text).map_err(D::Error::custom),
            Written::Read(stored) => stored,
        };
        let der = STANDARD.decode(&stored.der).map_err(|_| D::Error::custom(CertificateError::Base64))?;
        Ok(TrustedCertificate {
            der: CertificateDer::from(der),
            fingerprint_sha256: stored.fingerprint_sha256,
            not_before: stored.not_before,
            not_after: stored.not_after,
            subject: stored.subject,
            key_kind: stored.key,
        })
    }
}

fn kind(key: &PKeyRef<Public>) -> KeyKind {
    match key.id() {
        Id::RSA => KeyKind::Rsa { bits: key.bits() },
        Id::EC => match key.ec_key().ok().and_then(|ec| ec.group().curve_name()) {
            Some(Nid::X9_62_PRIME256V1) => KeyKind::EcP256,
            Some(Nid::SECP384R1) => KeyKind::EcP384,
            Some(Nid::SECP521R1) => KeyKind::EcP521,
            _ => KeyKind::Other,
        },
        _ => KeyKind::Other,
    }
}

fn time(at: &Asn1TimeRef) -> Result<DateTime<Utc>, CertificateError> {
    let epoch = Asn1Time::from_unix(0).map_err(|_| CertificateError::Validity)?;
    let since = epoch.diff(at).map_err(|_| CertificateError::Validity)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    DateTime::from_timestamp(seconds, 0).ok_or(CertificateError::Validity)
}

fn subject(certificate: &X509Ref) -> String {
    let name = certificate.subject_name();
    let part = |nid| name.entries_by_nid(nid).next().and_then(|entry| entry.data().to_string().ok());
    let text = part(Nid::COMMONNAME).or_else(|| part(Nid::ORGANIZATIONNAME)).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
