//! The signature engine (samael over libxmlsec) behind its own fence: pinned certificates of the fitting kind one at
//! a time, the algorithm list always set, and as result the very bytes that were digested.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, Utc};
use samael::crypto::{AllowedSignatureAlgorithm as Allowed, CertificateDer, Crypto, CryptoProvider, ReduceMode};

use super::{
    error::SamlError,
    prescreen::{SignatureFacts, SignatureMethod},
};
use crate::{
    connections::saml_metadata::{KeyKind, TrustedCertificate},
    login::trail::Trail,
};

const ALLOWED: [Allowed; 6] = [
    Allowed::RsaSha256,
    Allowed::RsaSha384,
    Allowed::RsaSha512,
    Allowed::EcdsaSha256,
    Allowed::EcdsaSha384,
    Allowed::EcdsaSha512,
];

/// By which certificates a signature may have been made; nothing of it comes from the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust<'a> {
    pub certificates: &'a [TrustedCertificate],
    /// An operator's flag for old identity providers.
    pub allow_sha1: bool,
    pub now: DateTime<Utc>,
}

/// Verifies every signature of a screened document; gives the canonical form of the element that the outermost one
/// covers.
pub(super) fn verify(
    text: &str,
    signatures: &[SignatureFacts],
    trust: Trust<'_>,
    trail: &mut Trail,
) -> Result<String, SamlError> {
    trail.outcome("saml.algorithms", check_algorithms(signatures.iter().find_map(|s| s.sha1), trust))?;
    let fitting = |kind| signatures.iter().all(|s| fits(kind, s));
    let candidates = trail.outcome("saml.certificate", candidates(trust.certificates, fitting))?;
    let (xml, certificate) = reduce_by_any(text, signatures, &candidates, trust.allow_sha1)
        .inspect_err(|error| trail.failed("saml.signature", error.to_string()))?;
    trail.passed_with("saml.signature", describe(certificate, trust.now));
    Ok(xml)
}

/// SHA-1 is for connections alone that an operator has flagged.
pub(super) fn check_algorithms(sha1: Option<&'static str>, trust: Trust<'_>) -> Result<(), SamlError> {
    match sha1 {
        Some(sha1) if !trust.allow_sha1 => Err(SamlError::SignatureAlgorithm(sha1.to_owned())),
        _ => Ok(()),
    }
}

/// The certificates that could have made these signatures. The engine reports an error, not "invalid", for a key of
/// another kind, so that one wrong kind would hide the right one; this is also where weak keys stay out.
pub(super) fn candidates(
    certificates: &[TrustedCertificate],
    fits: impl Fn(KeyKind) -> bool,
) -> Result<Vec<&TrustedCertificate>, SamlError> {
    let fitting: Vec<_> = certificates.iter().filter(|c| fits(c.key_kind())).collect();
    let strong: Vec<_> = fitting.iter().copied().filter(|c| !c.is_weak()).collect();
    match (certificates.is_empty(), fitting.is_empty(), strong.is_empty()) {
        (true, ..) => Err(SamlError::NoCertificate),
        (_, true, _) => Err(SamlError::KeyKind),
        (_, _, true) => Err(SamlError::WeakKey),
        _ => Ok(strong),
    }
}

fn fits(kind: KeyKind, signature: &SignatureFacts) -> bool {
    match (kind, signature.method) {
        (KeyKind::Rsa { bits }, SignatureMethod::Rsa) => {
            usize::try_from(bits).is_ok_and(|bits| bits.div_ceil(8) == signature.value_len)
        }
        // r and s, each as long as the curve's order (XML Signature 6.4.3).
        (KeyKind::EcP256, SignatureMethod::Ecdsa) => signature.value_len == 64,
        (KeyKind::EcP384, SignatureMethod::Ecdsa) => signature.value_len == 96,
        (KeyKind::EcP521, SignatureMethod::Ecdsa) => signature.value_len == 132,
        _ => false,
    }
}

type Reduced<'a> = (String, Option<&'a TrustedCertificate>);

fn reduce_by_any<'a>(
    text: &str,
    signatures: &[SignatureFacts],
    candidates: &[&'a TrustedCertificate],
    allow_sha1: bool,
) -> Result<Reduced<'a>, SamlError> {
    // The engine's own list has no SHA-1; where it is in use and allowed, the pre-screen's exact list has already
    // been applied.
    let list = if allow_sha1 && signatures.iter().any(|s| s.sha1.is_some()) { None } else { Some(ALLOWED.as_slice()) };
    for certificate in candidates {
        match reduce(text, std::slice::from_ref(certificate.for_engine()), list) {
            Err(SamlError::Signature) => {}
            other => return other.map(|xml| (xml, Some(*certificate))),
        }
    }
    // While a key is being rolled over, Response and Assertion may be signed by different ones.
    if signatures.len() > 1 && candidates.len() > 1 {
        let all: Vec<CertificateDer> = candidates.iter().map(|c| c.for_engine().clone()).collect();
        return reduce(text, &all, list).map(|xml| (xml, None));
    }
    Err(SamlError::Signature)
}

fn reduce(text: &str, certificates: &[CertificateDer], list: Option<&[Allowed]>) -> Result<String, SamlError> {
    let work = || Crypto::reduce_xml_to_signed_with_allowed_algorithms(text, certificates, ReduceMode::PreDigest, list);
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(xml)) if !xml.is_empty() => Ok(xml),
        // Digest of nothing (CVE-2025-66568), an engine error and a wrong signature are all the same to the caller.
        Ok(_) => Err(SamlError::Signature),
        Err(_) => Err(SamlError::Engine),
    }
}

pub(super) fn describe(certificate: Option<&TrustedCertificate>, now: DateTime<Utc>) -> String {
    let Some(certificate) = certificate else {
        return "signed by two certificates of the connection".to_owned();
    };
    let fingerprint = certificate.fingerprint_sha256();
    // Pinned keys outlive their certificates' dates (SAML metadata interoperability profile 2.6.1): told, not refused.
    if certificate.is_expired(now) {
        format!(
            "certificate sha256 {fingerprint}, expired on {}: replace it soon",
            certificate.not_after().format("%Y-%m-%d")
        )
    } else {
        format!("certificate sha256 {fingerprint}")
    }
}
