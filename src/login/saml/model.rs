//! What a SAML response is checked against, and what is known once every check has passed.

use chrono::{DateTime, Duration, Utc};
use roxmltree::Node;
use serde::{Deserialize, Serialize};

use super::{keys::DecryptionKey, times::Moment};
use crate::connections::saml_metadata::{TrustedCertificate, xml::StartTag};

pub(super) const NS_PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub(super) const NS_ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const NS_DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const NS_EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub(super) const NS_XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
pub(super) const NS_XENC11: &str = "http://www.w3.org/2009/xmlenc11#";
pub(super) const NS_XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Everything a response must agree with. No field is optional by omission: whoever verifies has to say each.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The entity ID of the connection's identity provider.
    pub idp_entity_id: &'a str,
    /// The certificates of the connection's configuration, and of nothing else. None of them: refused.
    pub certificates: &'a [TrustedCertificate],
    /// An operator's flag for old identity providers.
    pub allow_sha1: bool,
    /// Accept AES-CBC in a Response that is not signed itself.
    pub allow_cbc_unsigned_response: bool,
    pub sp_entity_id: &'a str,
    /// Destination and Recipient must be exactly this.
    pub acs_url: &'a str,
    pub in_response_to: InResponseTo<'a>,
    /// When not empty, the sign-in must have been by one of these classes.
    pub requested_authn_context: &'a [String],
    /// When the request said ForceAuthn: the time it was made. The sign-in must not be older.
    pub authn_not_before: Option<DateTime<Utc>>,
    /// When set, the one value of this attribute is the subject, and the NameID may be transient or absent.
    pub subject_attribute: Option<&'a str>,
    pub decryption_keys: &'a [DecryptionKey],
    pub clock_skew: Duration,
    pub now: DateTime<Utc>,
}

impl Expectation<'_> {
    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.now, clock_skew: self.clock_skew }
    }
}

/// What the response must say it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InResponseTo<'a> {
    /// Exactly this request.
    Request(&'a str),
    /// None: it is unsolicited, and must not claim to answer any.
    Unsolicited,
}

/// The assertion after every check; read from verified bytes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAssertion {
    pub assertion_id: String,
    /// The identity provider's entity ID.
    pub issuer: String,
    /// What the identity is known by: the NameID's value, or that of the subject attribute.
    pub subject: String,
    /// The NameID as it was sent, which a logout request has to repeat.
    pub name_id: Option<NameId>,
    /// The attributes in document order; the same name may come more than once.
    pub attributes: Vec<Attribute>,
    /// When the identity provider issued it, by its own clock.
    pub issue_instant: DateTime<Utc>,
    pub authn_instant: DateTime<Utc>,
    pub session_index: Option<String>,
    pub session_not_on_or_after: Option<DateTime<Utc>>,
    pub authn_context_class_ref: Option<String>,
    /// Until then (clock skew included) the same assertion would be accepted again, so its ID has to be remembered as
    /// long.
    pub valid_until: DateTime<Utc>,
}

/// A NameID with its qualifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameId {
    pub value: String,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

/// One attribute as the identity provider sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub friendly_name: Option<String>,
    /// Values without surrounding blanks; `xsi:nil` ones are left out.
    pub values: Vec<String>,
}

/// The outer Response. Where it is not signed, it may only lead to refusal.
#[derive(Debug, Default, Clone)]
pub(super) struct Envelope {
    pub is_signed: bool,
    pub id: String,
    pub version: Option<String>,
    pub issue_instant: Option<String>,
    pub destination: Option<String>,
    pub in_response_to: Option<String>,
    pub issuer: Option<String>,
    pub issuer_format: Option<String>,
    /// The status codes, outermost first.
    pub status: Vec<String>,
    pub status_message: String,
}

impl Envelope {
    pub fn from_tag(tag: &StartTag<'_>, id: String) -> Envelope {
        let attribute = |name| tag.attribute(name).map(|a| a.value().into_owned());
        Envelope {
            id,
            version: attribute("Version"),
            issue_instant: attribute("IssueInstant"),
            destination: attribute("Destination"),
            in_response_to: attribute("InResponseTo"),
            ..Envelope::default()
        }
    }

    /// The same from the verified bytes of a signed Response.
    pub fn from_verified(response: Node<'_, '_>) -> Envelope {
        let attribute = |name| response.attribute(name).map(str::to_owned);
        let issuer = child(response, NS_ASSERTION, "Issuer");
        let status = child(response, NS_PROTOCOL, "Status");
        Envelope {
            is_signed: true,
            id: attribute("ID").unwrap_or_default(),
            version: attribute("Version"),
            issue_instant: attribute("IssueInstant"),
            destination: attribute("Destination"),
            in_response_to: attribute("InResponseTo"),
            issuer: issuer.map(text_of),
            issuer_format: issuer.and_then(|i| i.attribute("Format")).map(str::to_owned),
            status: status.map(status_codes).unwrap_or_default(),
            status_message: status
                .and_then(|s| child(s, NS_PROTOCOL, "StatusMessage"))
                .map(text_of)
                .unwrap_or_default(),
        }
    }
}

/// The codes of a Status, outermost first.
pub(super) fn status_codes(status: Node<'_, '_>) -> Vec<String> {
    let mut codes = Vec::new();
    let mut next = child(status, NS_PROTOCOL, "StatusCode");
    while let Some(code) = next {
        codes.push(code.attribute("Value").unwrap_or_default().to_owned());
        next = child(code, NS_PROTOCOL, "StatusCode");
    }
    codes
}

/// The children of that name.
pub(super) fn children<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    local: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |c| c.is_element() && c.tag_name().namespace() == Some(namespace) && c.tag_name().name() == local)
}

/// The first child of that name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, namespace: &'static str, local: &'static str) -> Option<Node<'a, 'i>> {
    children(node, namespace, local).next()
}

/// The text of an element, all its text nodes together, without surrounding blanks.
pub(super) fn text_of(node: Node<'_, '_>) -> String {
    let whole: String = node.children().filter_map(|c| if c.is_text() { c.text() } else { None }).collect();
    whole.trim().to_owned()
}
