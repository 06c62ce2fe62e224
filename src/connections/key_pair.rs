//! Makes our own key pairs: RSA with 2048 bits, which every SAML and OpenID product reads, and a self-signed certificate.

use chrono::{DateTime, Duration, Utc};
use openssl::{
    asn1::{Asn1Integer, Asn1Time},
    bn::BigNum,
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{X509, X509NameBuilder},
};
use zeroize::Zeroizing;

const BITS: u32 = 2048;
const VALID_DAYS: i64 = 3_650;

/// A new private key with its self-signed certificate, both in PEM.
pub struct KeyPair {
    pub certificate_pem: String,
    pub private_key_pem: Zeroizing<Vec<u8>>,
    pub not_after: DateTime<Utc>,
}

impl KeyPair {
    /// Makes a key, which keeps a core busy for a good part of a second: not for the async threads. The key's randomness
    /// is OpenSSL's own; the certificate's number is `serial`.
    pub fn generate(common_name: &str, serial: [u8; 16], now: DateTime<Utc>) -> Result<Self, ErrorStack> {
        let not_after = now + Duration::days(VALID_DAYS);
        let key = PKey::from_rsa(Rsa::generate(BITS)?)?;
        let certificate = self_signed(&key, common_name, serial, now, not_after)?.to_pem()?;
        Ok(Self {
            certificate_pem: String::from_utf8_lossy(&certificate).into_owned(),
            private_key_pem: Zeroizing::new(key.private_key_to_pem_pkcs8()?),
            not_after,
        })
    }
}

fn self_signed(
    key: &PKey<Private>,
    common_name: &str,
    mut serial: [u8; 16],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    // X.520 allows 64 characters.
    let short: String = common_name.chars().filter(|c| !c.is_control()).take(64).collect();
    name.append_entry_by_nid(Nid::COMMONNAME, if short.is_empty() { "usher" } else { &short })?;
    let name = name.build();
    // RFC 5280, 4.1.2.2: a positive number of at most 20 octets.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    let number = Asn1Integer::from_bn(&*BigNum::from_slice(&serial)?)?;
    certificate.set_serial_number(&number)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    let (from, to) = (Asn1Time::from_unix(from.timestamp())?, Asn1Time::from_unix(to.timestamp())?);
    certificate.set_not_before(&from)?;
    certificate.set_not_after(&to)?;
    certificate.set_pubkey(key)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}
