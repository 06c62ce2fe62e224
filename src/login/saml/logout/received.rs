//! A logout message as it arrives: by Redirect, the query undecoded (SAML bindings 3.4.4), or by POST, the fields of a
//! form (3.5.4). Nothing of it is believed here.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::DeflateDecoder;

use crate::{
    connections::saml_metadata::xml::{Limits, XmlFault},
    login::saml::error::SamlError,
};

/// Limits of a logout message: it holds one name and a few session indexes.
pub const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    depth: 32,
    attributes_per_tag: 32,
    elements: 2_000,
    namespaces_in_scope: 32,
    comments_allowed: false,
};
/// SAML has 80 bytes (bindings 3.4.3); several products send more.
const MAX_RELAY_STATE: usize = 1024;
const DEFLATE: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE";

/// Which of the two messages it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
}

impl Kind {
    /// The name of the parameter or field that carries it.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// The signature in a query.
#[derive(Debug, Clone)]
pub(super) struct QuerySignature {
    /// The signed octets, exactly as they stood in the address.
    pub octets: String,
    pub algorithm: String,
    pub value: Vec<u8>,
}

/// How it is signed.
#[derive(Debug, Clone)]
pub(super) enum Signed {
    /// By Redirect; `None` when the query has no signature.
    Query(Option<QuerySignature>),
    /// By POST: inside the document.
    Document,
}

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub kind: Kind,
    /// To be given back with the answer.
    pub relay_state: Option<String>,
    pub(super) xml: Vec<u8>,
    pub(super) signed: Signed,
}

impl Received {
    /// From the query of a GET, undecoded.
    pub fn from_query(query: &str) -> Result<Received, SamlError> {
        let parameters = Parameters::read(query)?;
        let (kind, message) = only_message(parameters.of("SAMLRequest"), parameters.of("SAMLResponse"))?;
        if parameters.of("SAMLEncoding").is_some_and(|raw| decoded(raw, false).as_deref() != Ok(DEFLATE)) {
            return Err(SamlError::Binding("SAMLEncoding is not DEFLATE"));
        }
        let relay_state = parameters.of("RelayState").map(|raw| decoded(raw, true)).transpose()?;
        Ok(Received {
            kind,
            xml: inflated(&base64_of(&decoded(message, false)?)?)?,
            relay_state: bearable(relay_state)?,
            signed: Signed::Query(signature(kind, message, &parameters)?),
        })
    }

    /// From the fields of a posted form.
    pub fn from_form(fields: &[(String, String)]) -> Result<Received, SamlError> {
        let one = |name: &str| {
            let mut values = fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(SamlError::Binding("a field is there twice")),
                (value, None) => Ok(value),
            }
        };
        let (kind, message) = only_message(one("SAMLRequest")?, one("SAMLResponse")?)?;
        let relay_state = bearable(one("RelayState")?.cloned())?;
        Ok(Received { kind, xml: base64_of(message)?, relay_state, signed: Signed::Document })
    }

    /// Whether it came by Redirect.
    pub const fn is_redirect(&self) -> bool {
        matches!(self.signed, Signed::Query(_))
    }

    /// Whether it holds something encrypted, so that a key of ours is needed.
    pub fn is_encrypted(&self) -> bool {
        self.xml.windows(b"EncryptedID".len()).any(|window| window == b"EncryptedID")
    }
}

fn only_message<T>(request: Option<T>, response: Option<T>) -> Result<(Kind, T), SamlError> {
    match (request, response) {
        (Some(message), None) => Ok((Kind::Request, message)),
        (None, Some(message)) => Ok((Kind::Response, message)),
        (Some(_), Some(_)) => Err(SamlError::Binding("it holds a request and a response at once")),
        (None, None) => Err(SamlError::Binding("it holds neither SAMLRequest nor SAMLResponse")),
    }
}

/// The signature is over message, RelayState and SigAlg, in this order and as they were encoded by the sender, wherever
/// they stand in the query (bindings 3.4.4.1): what decodes to the same need not be the same octets.
fn signature(kind: Kind, message: &str, parameters: &Parameters<'_>) -> Result<Option<QuerySignature>, SamlError> {
    let (algorithm, value) = match (parameters.of("SigAlg"), parameters.of("Signature")) {
        (Some(algorithm), Some(value)) => (algorithm, value),
        (None, None) => return Ok(None),
        _ => return Err(SamlError::Binding("of SigAlg and Signature one is missing")),
    };
    let relay_state = parameters.of("RelayState").map(|raw| format!("&RelayState={raw}")).unwrap_or_default();
    Ok(Some(QuerySignature {
        octets: format!("{}={message}{relay_state}&SigAlg={algorithm}", kind.parameter()),
        algorithm: decoded(algorithm, false)?,
        value: base64_of(&decoded(value, false)?)?,
    }))
}

/// The parameters that SAML knows, undecoded.
struct Parameters<'q>(Vec<(&'static str, &'q str)>);

impl<'q> Parameters<'q> {
    const KNOWN: [&'static str; 6] =
        ["SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding"];

    /// Each once at most, and by its plain name: another reader of the query could take the other one.
    fn read(query: &'q str) -> Result<Parameters<'q>, SamlError> {
        let mut found: Vec<(&'static str, &'q str)> = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = decoded(name, true)?;
            let Some(known) = Self::KNOWN.into_iter().find(|known| *known == plain) else { continue };
            if name != known {
                return Err(SamlError::Binding("the name of a parameter is encoded"));
            }
            if found.iter().any(|(name, _)| *name == known) {
                return Err(SamlError::Binding("a parameter is there twice"));
            }
            found.push((known, value));
        }
        Ok(Parameters(found))
    }

    fn of(&self, name: &str) -> Option<&'q str> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, raw)| *raw)
    }
}

/// Percent-decoded. `plus_is_blank` as in forms; base64 and URIs hold a plus as it is, which some senders leave unencoded.
fn decoded(raw: &str, plus_is_blank: bool) -> Result<String, SamlError> {
    const BROKEN: SamlError = SamlError::Binding("a parameter is not percent-encoded text");
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).ok_or(BROKEN);
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).map_err(|_| BROKEN)?
            }
            b'+' if plus_is_blank => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| BROKEN)
}

/// Line breaks are allowed in it, as in a form, nothing else beside base64.
fn base64_of(text: &str) -> Result<Vec<u8>, SamlError> {
    if text.len() > LIMITS.bytes * 2 {
        return Err(XmlFault::TooLarge(LIMITS.bytes).into());
    }
    let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|_| SamlError::Base64)
}

/// At most one byte more than a message may have, which is refused then, however much it would become (deflate bombs).
fn inflated(deflated: &[u8]) -> Result<Vec<u8>, SamlError> {
    let mut xml = Vec::new();
    let most = u64::try_from(LIMITS.bytes).unwrap_or(u64::MAX).saturating_add(1);
    DeflateDecoder::new(deflated)
        .take(most)
        .read_to_end(&mut xml)
        .map_err(|_| SamlError::Binding("the message does not inflate"))?;
    Ok(xml)
}

fn bearable(relay_state: Option<String>) -> Result<Option<String>, SamlError> {
    match &relay_state {
        Some(text) if text.len() > MAX_RELAY_STATE => Err(SamlError::Binding("RelayState is longer than 1024 bytes")),
        Some(text) if text.contains('\0') => Err(SamlError::Binding("RelayState holds a NUL")),
        _ => Ok(relay_state),
    }
}
