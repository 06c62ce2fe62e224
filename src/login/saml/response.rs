//! From the bytes of a SAMLResponse to a verified assertion, in one order: limits and structure, opening, signature,
//! meaning.

use base64::{Engine, engine::general_purpose::STANDARD};
use roxmltree::{Document, Node, ParsingOptions};

use super::{
    checks,
    decrypt::{self, Opened},
    error::SamlError,
    model::{Envelope, Expectation, NS_ASSERTION, NS_PROTOCOL, VerifiedAssertion, children},
    prescreen::{self, LIMITS, Screened, Signed},
    signature::{self, Trust},
};
use crate::{connections::saml_metadata::xml, login::trail::Trail};

/// The XML of the form field `SAMLResponse` (SAML bindings 3.5.4). Line breaks are allowed in it, nothing else beside
/// base64.
pub fn decode_form_value(value: &str) -> Result<Vec<u8>, SamlError> {
    // Before anything is allocated for it.
    if value.len() > LIMITS.bytes * 4 / 3 + 4096 {
        return Err(xml::XmlFault::TooLarge(LIMITS.bytes).into());
    }
    let compact: Vec<u8> = value.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|_| SamlError::Base64)
}

/// Verifies a response against everything that is expected of it, and notes each check on the trail.
/// Costs up to some milliseconds of C code: not for the async threads.
pub fn verify_response(
    xml: &[u8],
    expectation: &Expectation<'_>,
    trail: &mut Trail,
) -> Result<VerifiedAssertion, SamlError> {
    let text = trail.outcome("saml.limits", xml::text_of(xml, &LIMITS)).map_err(SamlError::from)?;
    let screened = trail.outcome("saml.structure", prescreen::response(text))?;
    // A refusal by the identity provider is often unsigned and has no assertion; it can only end the sign-in.
    checks::status(&screened.envelope).inspect_err(|error| trail.failed("saml.status", error.to_string()))?;
    if screened.is_encrypted {
        return encrypted(text, &screened, expectation, trail);
    }
    trail.outcome("saml.assertion", screened.assertion_id.as_ref().map(|_| ()).ok_or(SamlError::NoAssertion))?;
    trail.outcome("saml.signed", signed(&screened))?;
    let verified = verify_signatures(text, &screened, expectation, trail)?;
    let tree = tree_of(&verified.xml)?;
    let (envelope, assertion) = verified_parts(&tree, &verified, &screened)?;
    checks::meaning(&envelope, assertion, expectation, trail)
}

/// The canonical form of the element that the outermost signature covers.
struct Verified {
    xml: String,
    covers: Signed,
}

fn verify_signatures(
    text: &str,
    screened: &Screened,
    expectation: &Expectation<'_>,
    trail: &mut Trail,
) -> Result<Verified, SamlError> {
    let trust =
        Trust { certificates: expectation.certificates, allow_sha1: expectation.allow_sha1, now: expectation.now };
    let xml = signature::verify(text, &screened.signatures, trust, trail)?;
    let is_message = screened.signatures.iter().any(|s| s.on == Signed::Message);
    Ok(Verified { xml, covers: if is_message { Signed::Message } else { Signed::Assertion } })
}

/// An encrypted assertion: the outer signature, if there is one, then the opening, then the inner assertion's own
/// signature.
fn encrypted(
    text: &str,
    screened: &Screened,
    expectation: &Expectation<'_>,
    trail: &mut Trail,
) -> Result<VerifiedAssertion, SamlError> {
    let outer = match screened.envelope.is_signed {
        true => Some(verify_signatures(text, screened, expectation, trail)?),
        false => None,
    };
    let tree = tree_of(outer.as_ref().map_or(text, |verified| &verified.xml))?;
    let root = tree.root_element();
    let envelope = match &outer {
        Some(_) => verified_envelope(root, screened)?,
        None => screened.envelope.clone(),
    };
    let element = only(root, "EncryptedAssertion")?;
    let cbc_allowed = outer.is_some() || expectation.allow_cbc_unsigned_response;
    let opened = trail.outcome("saml.decryption", decrypt::open(element, expectation.decryption_keys, cbc_allowed))?;
    // Where CBC is not covered by a signature, every later failure looks like a failure to decrypt: no padding oracle.
    let veiled = opened.by_cbc && outer.is_none();
    let inner = inner_assertion(&opened, expectation, trail)
        .map_err(|error| if veiled { SamlError::Decryption } else { error })?;
    let (screened, verified) = inner;
    let tree = tree_of(&verified.xml)?;
    let assertion = verified_assertion(tree.root_element(), &screened)?;
    checks::meaning(&envelope, assertion, expectation, trail)
}

fn inner_assertion(
    opened: &Opened,
    expectation: &Expectation<'_>,
    trail: &mut Trail,
) -> Result<(Screened, Verified), SamlError> {
    let text = xml::text_of(&opened.plaintext, &LIMITS).map_err(|_| SamlError::Decryption)?;
    let screened = trail.outcome("saml.inner_structure", prescreen::assertion(text, &opened.around))?;
    // Encryption is no authentication: anybody can encrypt for us (CVE-2024-4985, CVE-2024-9487).
    trail.outcome("saml.signed", signed(&screened))?;
    let text = decrypt::standing_alone(text, &screened.inherited);
    let verified = verify_signatures(&text, &screened, expectation, trail)?;
    Ok((screened, verified))
}

fn signed(screened: &Screened) -> Result<(), SamlError> {
    if screened.signatures.is_empty() { Err(SamlError::Unsigned) } else { Ok(()) }
}

/// The tree of verified bytes (or, for refusals and for ciphertext, of screened ones). No DTD, and no more nodes than
/// were screened.
pub(super) fn tree_of(text: &str) -> Result<Document<'_>, SamlError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: 200_000, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|_| SamlError::Structure("the strict parser does not agree that this is XML"))
}

fn verified_parts<'a, 'i>(
    tree: &'a Document<'i>,
    verified: &Verified,
    screened: &Screened,
) -> Result<(Envelope, Node<'a, 'i>), SamlError> {
    let root = tree.root_element();
    match verified.covers {
        Signed::Message => {
            Ok((verified_envelope(root, screened)?, verified_assertion(only(root, "Assertion")?, screened)?))
        }
        Signed::Assertion => Ok((screened.envelope.clone(), verified_assertion(root, screened)?)),
    }
}

/// The engine must have digested the very element that was screened.
fn verified_envelope(root: Node<'_, '_>, screened: &Screened) -> Result<Envelope, SamlError> {
    let envelope = Envelope::from_verified(root);
    if !root.has_tag_name((NS_PROTOCOL, "Response")) || envelope.id != screened.envelope.id {
        return Err(SamlError::Structure("the signature covers something else than the Response"));
    }
    Ok(envelope)
}

fn verified_assertion<'a, 'i>(node: Node<'a, 'i>, screened: &Screened) -> Result<Node<'a, 'i>, SamlError> {
    if !node.has_tag_name((NS_ASSERTION, "Assertion")) || node.attribute("ID") != screened.assertion_id.as_deref() {
        return Err(SamlError::Structure("the signature covers something else than the Assertion"));
    }
    Ok(node)
}

fn only<'a, 'i>(parent: Node<'a, 'i>, local: &'static str) -> Result<Node<'a, 'i>, SamlError> {
    let mut all = children(parent, NS_ASSERTION, local);
    match (all.next(), all.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(SamlError::Structure("the Response must hold exactly one assertion")),
    }
}
