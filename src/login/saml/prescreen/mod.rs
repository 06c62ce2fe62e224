//! The structure that a response must have before the signature engine may see it: one assertion, signatures in their
//! places, each covering its own parent by the one allowed recipe. Reads nothing for identity; what it notes of the
//! outer Response may only refuse.

mod ids;
mod recipe;

use super::{
    error::SamlError,
    model::{Envelope, NS_ASSERTION, NS_DSIG, NS_PROTOCOL},
};
use crate::connections::saml_metadata::xml::{self, Binding, Limits, StartTag, Visitor};
pub(super) use ids::Ids;
pub(super) use recipe::{Pending, SignatureFacts, SignatureMethod, Within, signature_method};

/// Limits of a response: 256 KB hold about two thousand groups.
pub(super) const LIMITS: Limits = Limits {
    bytes: 256 * 1024,
    depth: 64,
    attributes_per_tag: 64,
    elements: 20_000,
    namespaces_in_scope: 64,
    comments_allowed: false,
};
const MAX_ATTRIBUTES: usize = 500;
const MAX_VALUES: usize = 6_000;

/// What a signature is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// The document's root: a Response, or a logout message.
    Message,
    Assertion,
}

/// A document that may be shown to the signature engine.
#[derive(Debug)]
pub(super) struct Screened {
    pub envelope: Envelope,
    pub signatures: Vec<SignatureFacts>,
    /// The plain assertion's ID.
    pub assertion_id: Option<String>,
    pub is_encrypted: bool,
    /// Namespaces of the surroundings that a fragment relies on.
    pub inherited: Vec<Binding>,
}

/// Screens a whole `samlp:Response`.
pub(super) fn response(text: &str) -> Result<Screened, SamlError> {
    let mut screen = Screen::default();
    xml::walk(text, &LIMITS, &[], &mut screen)?;
    Ok(screen.finish(Vec::new()))
}

/// Screens a decrypted `saml:Assertion`, which may rely on namespaces declared around the encrypted element.
pub(super) fn assertion(text: &str, around: &[Binding]) -> Result<Screened, SamlError> {
    let mut screen = Screen { fragment: true, ..Screen::default() };
    let inherited = xml::walk(text, &LIMITS, around, &mut screen)?;
    Ok(screen.finish(inherited))
}

/// Where in the document an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Response,
    OuterIssuer,
    Status,
    StatusCode,
    StatusMessage,
    Assertion,
    InSignature(Within),
    Other,
}

#[derive(Default)]
struct Screen {
    fragment: bool,
    path: Vec<Place>,
    envelope: Envelope,
    /// Names of the children already seen of the Response and of the Assertion, where one is all there may be.
    seen: Vec<(Signed, String)>,
    ids: Ids,
    assertion_id: Option<String>,
    assertions: usize,
    is_encrypted: bool,
    attributes: usize,
    values: usize,
    pending: Option<Pending>,
    signatures: Vec<SignatureFacts>,
}

impl Visitor for Screen {
    type Fault = SamlError;

    fn start(&mut self, tag: &StartTag<'_>) -> Result<(), SamlError> {
        let id = self.ids.note(tag)?;
        let place = match self.path.last().copied() {
            None => self.root(tag, id)?,
            Some(Place::Response) => self.in_response(tag, id)?,
            Some(Place::Status | Place::StatusCode) => self.in_status(tag)?,
            Some(Place::Assertion) => self.in_assertion(tag)?,
            Some(Place::InSignature(within)) => self.in_signature(within, tag)?,
            Some(Place::OuterIssuer | Place::StatusMessage) => {
                return Err(SamlError::Structure("markup inside a text"));
            }
            Some(Place::Other) => self.in_other(tag)?,
        };
        self.path.push(place);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), SamlError> {
        let place = self.path.last().copied().unwrap_or(Place::Other);
        match place {
            Place::OuterIssuer => self.envelope.issuer.get_or_insert_default().push_str(text),
            Place::StatusMessage => self.envelope.status_message.push_str(text),
            Place::InSignature(within) => self.pending()?.text(within, text)?,
            Place::Other => {}
            _ if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
            _ => return Err(SamlError::Structure("text where only elements may stand")),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), SamlError> {
        match self.path.pop() {
            Some(Place::InSignature(Within::Signature)) => self.close_signature(),
            Some(Place::OuterIssuer) => {
                let issuer = self.envelope.issuer.take().unwrap_or_default();
                self.envelope.issuer = Some(issuer.trim().to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Screen {
    fn finish(mut self, inherited: Vec<Binding>) -> Screened {
        self.envelope.is_signed = self.signatures.iter().any(|s| s.on == Signed::Message);
        Screened {
            envelope: self.envelope,
            signatures: self.signatures,
            assertion_id: self.assertion_id,
            is_encrypted: self.is_encrypted,
            inherited,
        }
    }

    fn root(&mut self, tag: &StartTag<'_>, id: Option<String>) -> Result<Place, SamlError> {
        match (tag.namespace, tag.local, self.fragment) {
            (NS_PROTOCOL, "Response", false) => {
                self.envelope = Envelope::from_tag(tag, id.ok_or(SamlError::Structure("the Response has no ID"))?);
                Ok(Place::Response)
            }
            (NS_ASSERTION, "Assertion", true) => self.open_assertion(id),
            (_, _, false) => Err(SamlError::Structure("the document is not a samlp:Response")),
            (_, _, true) => Err(SamlError::Structure("what was encrypted is not a saml:Assertion")),
        }
    }

    fn in_response(&mut self, tag: &StartTag<'_>, id: Option<String>) -> Result<Place, SamlError> {
        match (tag.namespace, tag.local) {
            (NS_ASSERTION, "Assertion") => self.open_assertion(id),
            (NS_ASSERTION, "EncryptedAssertion") => {
                self.one_assertion()?;
                self.is_encrypted = true;
                Ok(Place::Other)
            }
            (NS_ASSERTION, "Issuer") => {
                self.envelope.issuer_format = tag.attribute("Format").map(|a| a.value().into_owned());
                self.envelope.issuer = Some(String::new());
                self.once(Signed::Message, tag.local, Place::OuterIssuer)
            }
            (NS_PROTOCOL, "Status") => self.once(Signed::Message, tag.local, Place::Status),
            (NS_PROTOCOL, "Extensions") => self.once(Signed::Message, tag.local, Place::Other),
            (NS_DSIG, "Signature") => self.open_signature(Signed::Message),
            _ => Err(SamlError::Structure("the Response has a child that SAML does not know")),
        }
    }

    fn in_status(&mut self, tag: &StartTag<'_>) -> Result<Place, SamlError> {
        match (self.path.last(), tag.namespace, tag.local) {
            (_, NS_PROTOCOL, "StatusCode") => {
                let code = tag.attribute("Value").map(|a| a.value().into_owned()).unwrap_or_default();
                let nested = self.path.last() == Some(&Place::StatusCode);
                if nested == self.envelope.status.is_empty() {
                    return Err(SamlError::Structure("the Response has several statuses"));
                }
                self.envelope.status.push(code);
                Ok(Place::StatusCode)
            }
            (Some(Place::Status), NS_PROTOCOL, "StatusMessage") => Ok(Place::StatusMessage),
            (Some(Place::Status), NS_PROTOCOL, "StatusDetail") => Ok(Place::Other),
            _ => Err(SamlError::Structure("the Status has a child that SAML does not know")),
        }
    }

    fn in_assertion(&mut self, tag: &StartTag<'_>) -> Result<Place, SamlError> {
        match (tag.namespace, tag.local) {
            (NS_DSIG, "Signature") => self.open_signature(Signed::Assertion),
            (NS_ASSERTION, "Issuer" | "Subject" | "Conditions" | "Advice") => {
                self.once(Signed::Assertion, tag.local, Place::Other)
            }
            (NS_ASSERTION, "AuthnStatement" | "AuthzDecisionStatement" | "AttributeStatement") => Ok(Place::Other),
            _ => Err(SamlError::Structure("the Assertion has a child that SAML Web SSO does not know")),
        }
    }

    /// Anywhere else nothing may stand that could be taken for the real thing (XSW in Extensions, Advice, Object).
    fn in_other(&mut self, tag: &StartTag<'_>) -> Result<Place, SamlError> {
        match (tag.namespace, tag.local) {
            (NS_ASSERTION, "Assertion" | "EncryptedAssertion") => {
                Err(SamlError::Structure("an assertion stands where none may be"))
            }
            (NS_PROTOCOL, "Response") => Err(SamlError::Structure("a Response stands inside another")),
            (NS_DSIG, "Signature") => Err(SamlError::Structure("a signature stands where none may be")),
            (NS_ASSERTION, "EncryptedID" | "EncryptedAttribute") => {
                Err(SamlError::Structure("single parts are encrypted; only whole assertions may be"))
            }
            (NS_ASSERTION, "Attribute") => {
                self.attributes += 1;
                if self.attributes > MAX_ATTRIBUTES {
                    Err(SamlError::Attributes("too many attributes"))
                } else {
                    Ok(Place::Other)
                }
            }
            (NS_ASSERTION, "AttributeValue") => {
                self.values += 1;
                if self.values > MAX_VALUES { Err(SamlError::Attributes("too many values")) } else { Ok(Place::Other) }
            }
            _ => Ok(Place::Other),
        }
    }

    fn open_assertion(&mut self, id: Option<String>) -> Result<Place, SamlError> {
        self.one_assertion()?;
        self.assertion_id = Some(id.ok_or(SamlError::Structure("the Assertion has no ID"))?);
        Ok(Place::Assertion)
    }

    fn one_assertion(&mut self) -> Result<(), SamlError> {
        self.assertions += 1;
        if self.assertions > 1 { Err(SamlError::Structure("the Response has more than one assertion")) } else { Ok(()) }
    }

    fn once(&mut self, parent: Signed, local: &str, place: Place) -> Result<Place, SamlError> {
        if self.seen.iter().any(|(p, l)| *p == parent && l == local) {
            return Err(SamlError::Structure("an element is there twice that may be there once"));
        }
        self.seen.push((parent, local.to_owned()));
        Ok(place)
    }

    fn open_signature(&mut self, on: Signed) -> Result<Place, SamlError> {
        let place = self.once(on, "Signature", Place::InSignature(Within::Signature))?;
        self.pending = Some(Pending::default());
        Ok(place)
    }

    fn pending(&mut self) -> Result<&mut Pending, SamlError> {
        self.pending.as_mut().ok_or(SamlError::Structure("a signature's parts stand outside it"))
    }

    fn in_signature(&mut self, within: Within, tag: &StartTag<'_>) -> Result<Place, SamlError> {
        let target = self.signed_id()?;
        self.pending()?.enter(within, tag, &target).map(Place::InSignature)
    }

    fn signed_id(&self) -> Result<String, SamlError> {
        let on_response = self.path.iter().filter(|p| **p == Place::Assertion).count() == 0;
        let id = if on_response { Some(self.envelope.id.clone()) } else { self.assertion_id.clone() };
        id.ok_or(SamlError::Structure("a signature covers nothing"))
    }

    fn close_signature(&mut self) -> Result<(), SamlError> {
        let on = if self.path.last() == Some(&Place::Assertion) { Signed::Assertion } else { Signed::Message };
        let pending = self.pending.take().ok_or(SamlError::Structure("a signature is incomplete"))?;
        self.signatures.push(pending.close(on)?);
        Ok(())
    }
}
