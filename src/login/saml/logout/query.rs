//! The signature of a Redirect (SAML bindings 3.4.4.1): over the octets of the query as they arrived, by a certificate
//! of the connection and an algorithm of the list.

use openssl::{bn::BigNum, ecdsa::EcdsaSig, error::ErrorStack, hash::MessageDigest, sign::Verifier, x509::X509};

use super::received::QuerySignature;
use crate::{
    connections::saml_metadata::{KeyKind, TrustedCertificate},
    login::{
        saml::{
            error::{SamlError, shown},
            prescreen::{SignatureMethod, signature_method},
            signature::{self, Trust},
        },
        trail::Trail,
    },
};

pub(super) fn verify(signature: &QuerySignature, trust: Trust<'_>, trail: &mut Trail) -> Result<(), SamlError> {
    let refused = || SamlError::SignatureAlgorithm(shown(&signature.algorithm));
    let named = signature_method(&signature.algorithm).zip(digest(&signature.algorithm)).ok_or_else(refused);
    let allowed =
        named.and_then(|((method, sha1), digest)| signature::check_algorithms(sha1, trust).map(|()| (method, digest)));
    let (method, digest) = trail.outcome("saml.algorithms", allowed)?;
    let fits = |kind| is_of(kind, method);
    let candidates = trail.outcome("saml.certificate", signature::candidates(trust.certificates, fits))?;
    let made_by =
        candidates.into_iter().find(|certificate| holds(certificate, method, digest, signature).unwrap_or(false));
    match made_by {
        Some(certificate) => {
            trail.passed_with("saml.signature", signature::describe(Some(certificate), trust.now));
            Ok(())
        }
        None => trail.outcome("saml.signature", Err(SamlError::Signature)),
    }
}

fn digest(algorithm: &str) -> Option<MessageDigest> {
    Some(match algorithm.rsplit_once("-sha")?.1 {
        "1" => MessageDigest::sha1(),
        "256" => MessageDigest::sha256(),
        "384" => MessageDigest::sha384(),
        "512" => MessageDigest::sha512(),
        _ => return None,
    })
}

fn is_of(kind: KeyKind, method: SignatureMethod) -> bool {
    match method {
        SignatureMethod::Rsa => matches!(kind, KeyKind::Rsa { .. }),
        SignatureMethod::Ecdsa => matches!(kind, KeyKind::EcP256 | KeyKind::EcP384 | KeyKind::EcP521),
    }
}

fn holds(
    certificate: &TrustedCertificate,
    method: SignatureMethod,
    digest: MessageDigest,
    signature: &QuerySignature,
) -> Result<bool, ErrorStack> {
    let key = X509::from_der(certificate.der())?.public_key()?;
    let verifies = |value: &[u8]| Verifier::new(digest, &key)?.verify_oneshot(value, signature.octets.as_bytes());
    match method {
        SignatureMethod::Rsa => verifies(&signature.value),
        // r and s side by side, as XML Signature 6.4.3 has it, or, from Java products, in ASN.1.
        SignatureMethod::Ecdsa => match signature.value.split_at_checked(signature.value.len() / 2) {
            Some((r, s)) if !r.is_empty() && r.len() == s.len() && verifies(&asn1(r, s)?).unwrap_or(false) => Ok(true),
            _ => verifies(&signature.value),
        },
    }
}

fn asn1(r: &[u8], s: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?.to_der()
}
