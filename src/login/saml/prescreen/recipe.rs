//! The one way in which a SAML signature may be built: its parts in their order, its algorithms from the list, its
//! values exact. Whoever screens a document hands each element and text inside a signature to [`Pending`].

use base64::{Engine, engine::general_purpose::STANDARD};

use super::Signed;
use crate::{
    connections::saml_metadata::xml::StartTag,
    login::saml::{
        error::{SamlError, shown},
        model::{NS_ASSERTION, NS_DSIG, NS_EXC_C14N, NS_PROTOCOL},
    },
};

/// A signature method of the allow-list. SHA-1 is on it only for connections that an operator has flagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum SignatureMethod {
    Rsa,
    Ecdsa,
}

/// One signature whose place, reference and recipe are right; whether it verifies is not known yet.
#[derive(Debug, Clone)]
pub(in super::super) struct SignatureFacts {
    pub on: Signed,
    pub method: SignatureMethod,
    pub value_len: usize,
    /// The first SHA-1 algorithm in it, if any.
    pub sha1: Option<&'static str>,
}

/// The children of a ds:Signature in their order, each with its parent (XML Signature 4; SAML core 5.4).
const RECIPE: [(&str, Option<usize>); 10] = [
    ("SignedInfo", None),
    ("CanonicalizationMethod", Some(0)),
    ("SignatureMethod", Some(0)),
    ("Reference", Some(0)),
    ("Transforms", Some(3)),
    ("Transform", Some(4)),
    ("Transform", Some(4)),
    ("DigestMethod", Some(3)),
    ("DigestValue", Some(3)),
    ("SignatureValue", None),
];
const C14N: usize = 1;
const METHOD: usize = 2;
const REFERENCE: usize = 3;
const ENVELOPED: usize = 5;
const EXCLUSIVE: usize = 6;
const DIGEST: usize = 7;
const DIGEST_VALUE: usize = 8;
const SIGNATURE_VALUE: usize = 9;

/// Where inside a signature an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Within {
    Signature,
    /// At this step of the recipe.
    Step(usize),
    Prefixes,
    KeyInfo,
}

/// A signature of which not all has passed yet.
#[derive(Default)]
pub(in super::super) struct Pending {
    step: usize,
    has_key_info: bool,
    method: Option<SignatureMethod>,
    digest_len: usize,
    sha1: Option<&'static str>,
    digest_value: String,
    signature_value: String,
}

impl Pending {
    /// An element below `parent`; `target` is the ID of the element that the signature stands in.
    pub fn enter(&mut self, parent: Within, tag: &StartTag<'_>, target: &str) -> Result<Within, SamlError> {
        const WRONG: SamlError = SamlError::Structure("a signature is not built by the one recipe that SAML has");
        if parent == Within::KeyInfo {
            return in_key_info(tag);
        }
        if (tag.namespace, tag.local) == (NS_EXC_C14N, "InclusiveNamespaces") {
            // A prefix list only adds namespace declarations to what is digested.
            return if matches!(parent, Within::Step(C14N | EXCLUSIVE)) { Ok(Within::Prefixes) } else { Err(WRONG) };
        }
        if tag.namespace != NS_DSIG {
            return Err(WRONG);
        }
        let step = self.step;
        let Some((expected, within)) = RECIPE.get(step).copied() else {
            if tag.local == "KeyInfo" && parent == Within::Signature && !self.has_key_info {
                self.has_key_info = true;
                return Ok(Within::KeyInfo);
            }
            return Err(WRONG);
        };
        if tag.local != expected || parent != within.map_or(Within::Signature, Within::Step) {
            return Err(WRONG);
        }
        self.check_step(tag, target)?;
        self.step += 1;
        Ok(Within::Step(step))
    }

    /// Text inside the signature.
    pub fn text(&mut self, within: Within, text: &str) -> Result<(), SamlError> {
        match within {
            Within::Step(DIGEST_VALUE) => self.digest_value.push_str(text),
            Within::Step(SIGNATURE_VALUE) => self.signature_value.push_str(text),
            Within::KeyInfo => {}
            _ if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
            _ => return Err(SamlError::Structure("text where only elements may stand")),
        }
        Ok(())
    }

    fn check_step(&mut self, tag: &StartTag<'_>, target: &str) -> Result<(), SamlError> {
        let algorithm = tag.attribute("Algorithm").map(|a| a.raw).unwrap_or_default();
        let refused = || SamlError::SignatureAlgorithm(shown(algorithm));
        match self.step {
            C14N | EXCLUSIVE if !is_exclusive_c14n(algorithm) => Err(refused()),
            ENVELOPED if algorithm != "http://www.w3.org/2000/09/xmldsig#enveloped-signature" => Err(refused()),
            METHOD => {
                let (method, sha1) = signature_method(algorithm).ok_or_else(refused)?;
                self.method = Some(method);
                self.sha1 = self.sha1.or(sha1);
                Ok(())
            }
            DIGEST => {
                let (len, sha1) = digest_method(algorithm).ok_or_else(refused)?;
                self.digest_len = len;
                self.sha1 = self.sha1.or(sha1);
                Ok(())
            }
            // The reference must name the signature's own parent (SAML core 5.4.2): not nothing, not another element,
            // not elsewhere.
            REFERENCE if tag.attribute("URI").and_then(|a| a.raw.strip_prefix('#')) != Some(target) => {
                Err(SamlError::Structure("a signature does not cover the element it stands in"))
            }
            _ => Ok(()),
        }
    }

    pub fn close(self, on: Signed) -> Result<SignatureFacts, SamlError> {
        let incomplete = SamlError::Structure("a signature is incomplete");
        let (Some(method), true) = (self.method, self.step == RECIPE.len()) else {
            return Err(incomplete);
        };
        // Strict base64 of the right length: strays and comments in these values have been a way in (CVE-2025-29775).
        let digest = strict_base64(&self.digest_value)?;
        let value = strict_base64(&self.signature_value)?;
        if digest.len() != self.digest_len || value.len() < 64 || value.len() > 2048 {
            return Err(SamlError::Structure("a digest or signature value has the wrong length"));
        }
        Ok(SignatureFacts { on, method, value_len: value.len(), sha1: self.sha1 })
    }
}

fn in_key_info(tag: &StartTag<'_>) -> Result<Within, SamlError> {
    // A key by reference would let the document choose what is fetched.
    if matches!(tag.local, "RetrievalMethod" | "KeyInfoReference" | "Signature") {
        return Err(SamlError::Structure("a signature's KeyInfo refers elsewhere"));
    }
    // KeyInfo is not digested, so that anybody may write into it: nothing of SAML stands there (XSW).
    if matches!(tag.namespace, NS_ASSERTION | NS_PROTOCOL) {
        return Err(SamlError::Structure("a signature's KeyInfo holds parts of SAML"));
    }
    Ok(Within::KeyInfo)
}

fn strict_base64(text: &str) -> Result<Vec<u8>, SamlError> {
    let compact: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| SamlError::Structure("a digest or signature value is not base64"))
}

fn is_exclusive_c14n(algorithm: &str) -> bool {
    // With or without comments is the same to a document that has none.
    algorithm.strip_suffix("WithComments").unwrap_or(algorithm) == NS_EXC_C14N
}

/// What a signature algorithm is, and its name where it is SHA-1; `None` off the list.
pub(in super::super) fn signature_method(algorithm: &str) -> Option<(SignatureMethod, Option<&'static str>)> {
    Some(match algorithm {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
        | "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"
        | "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => (SignatureMethod::Rsa, None),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
        | "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
        | "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => (SignatureMethod::Ecdsa, None),
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1" => (SignatureMethod::Rsa, Some("RSA-SHA1")),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1" => (SignatureMethod::Ecdsa, Some("ECDSA-SHA1")),
        _ => return None,
    })
}

fn digest_method(algorithm: &str) -> Option<(usize, Option<&'static str>)> {
    Some(match algorithm {
        "http://www.w3.org/2001/04/xmlenc#sha256" => (32, None),
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => (48, None),
        "http://www.w3.org/2001/04/xmlenc#sha512" => (64, None),
        "http://www.w3.org/2000/09/xmldsig#sha1" => (20, Some("a SHA-1 digest")),
        _ => return None,
    })
}
