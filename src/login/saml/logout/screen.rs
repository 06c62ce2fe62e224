//! The structure that a logout message must have before the signature engine may see it: what its schema allows, in its
//! place (SAML core 3.7), and one enveloped signature at most, over the message itself.

use super::received::{Kind, LIMITS};
use crate::{
    connections::saml_metadata::xml::{self, StartTag, Visitor},
    login::saml::{
        error::SamlError,
        model::{NS_ASSERTION, NS_DSIG, NS_PROTOCOL},
        prescreen::{Ids, Pending, SignatureFacts, Signed, Within},
    },
};

/// A logout message that may be shown to the signature engine.
#[derive(Debug)]
pub(super) struct Screened {
    pub id: String,
    pub signature: Option<SignatureFacts>,
}

/// Screens a whole message of this kind.
pub(super) fn screen(text: &str, kind: Kind) -> Result<Screened, SamlError> {
    let mut screen = Screen {
        kind,
        ids: Ids::default(),
        path: Vec::new(),
        id: None,
        seen: Vec::new(),
        pending: None,
        signature: None,
    };
    xml::walk(text, &LIMITS, &[], &mut screen)?;
    let id = screen.id.ok_or(SamlError::Structure("the message has no ID"))?;
    Ok(Screened { id, signature: screen.signature })
}

/// Where in the document an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Message,
    /// An element of text alone.
    Text,
    InSignature(Within),
    Other,
}

struct Screen {
    kind: Kind,
    ids: Ids,
    path: Vec<Place>,
    id: Option<String>,
    /// What the message has already, where one is all there may be.
    seen: Vec<&'static str>,
    pending: Option<Pending>,
    signature: Option<SignatureFacts>,
}

impl Visitor for Screen {
    type Fault = SamlError;

    fn start(&mut self, tag: &StartTag<'_>) -> Result<(), SamlError> {
        let id = self.ids.note(tag)?;
        let place = match self.path.last().copied() {
            None => self.root(tag, id)?,
            Some(Place::Message) => self.in_message(tag)?,
            Some(Place::Text) => return Err(SamlError::Structure("markup inside a text")),
            Some(Place::InSignature(within)) => {
                let target = self.id.as_deref().unwrap_or_default();
                let pending =
                    self.pending.as_mut().ok_or(SamlError::Structure("a signature's parts stand outside it"))?;
                Place::InSignature(pending.enter(within, tag, target)?)
            }
            Some(Place::Other) => in_other(tag)?,
        };
        self.path.push(place);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), SamlError> {
        match (self.path.last().copied(), self.pending.as_mut()) {
            (Some(Place::InSignature(within)), Some(pending)) => pending.text(within, text),
            (Some(Place::Text | Place::Other), _) => Ok(()),
            _ if text.bytes().all(|b| b.is_ascii_whitespace()) => Ok(()),
            _ => Err(SamlError::Structure("text where only elements may stand")),
        }
    }

    fn end(&mut self) -> Result<(), SamlError> {
        if self.path.pop() == Some(Place::InSignature(Within::Signature)) {
            let pending = self.pending.take().ok_or(SamlError::Structure("a signature is incomplete"))?;
            self.signature = Some(pending.close(Signed::Message)?);
        }
        Ok(())
    }
}

impl Screen {
    fn root(&mut self, tag: &StartTag<'_>, id: Option<String>) -> Result<Place, SamlError> {
        let expected = match self.kind {
            Kind::Request => "LogoutRequest",
            Kind::Response => "LogoutResponse",
        };
        if (tag.namespace, tag.local) != (NS_PROTOCOL, expected) {
            return Err(SamlError::Structure("the document is not the logout message that it is sent as"));
        }
        self.id = id;
        Ok(Place::Message)
    }

    fn in_message(&mut self, tag: &StartTag<'_>) -> Result<Place, SamlError> {
        match (tag.namespace, tag.local, self.kind) {
            (NS_ASSERTION, "Issuer", _) => self.once("Issuer", Place::Text),
            (NS_DSIG, "Signature", _) => {
                self.pending = Some(Pending::default());
                self.once("Signature", Place::InSignature(Within::Signature))
            }
            (NS_PROTOCOL, "Extensions", _) => self.once("Extensions", Place::Other),
            (NS_ASSERTION, "NameID", Kind::Request) => self.once("subject", Place::Text),
            (NS_ASSERTION, "BaseID" | "EncryptedID", Kind::Request) => self.once("subject", Place::Other),
            (NS_PROTOCOL, "SessionIndex", Kind::Request) => Ok(Place::Text),
            (NS_PROTOCOL, "Status", Kind::Response) => self.once("Status", Place::Other),
            _ => Err(SamlError::Structure("the logout message has a child that SAML does not know")),
        }
    }

    fn once(&mut self, name: &'static str, place: Place) -> Result<Place, SamlError> {
        if self.seen.contains(&name) {
            return Err(SamlError::Structure("an element is there twice that may be there once"));
        }
        self.seen.push(name);
        Ok(place)
    }
}

/// Anywhere else nothing may stand that could be taken for the real thing (XSW in Extensions, StatusDetail).
fn in_other(tag: &StartTag<'_>) -> Result<Place, SamlError> {
    match (tag.namespace, tag.local) {
        (NS_PROTOCOL, "LogoutRequest" | "LogoutResponse" | "Response" | "SessionIndex") => {
            Err(SamlError::Structure("a message stands inside another"))
        }
        (NS_ASSERTION, "Assertion" | "EncryptedAssertion" | "NameID" | "EncryptedID") => {
            Err(SamlError::Structure("a subject or an assertion stands where none may be"))
        }
        (NS_DSIG, "Signature") => Err(SamlError::Structure("a signature stands where none may be")),
        _ => Ok(Place::Other),
    }
}
