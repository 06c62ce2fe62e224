//! The sign-in request: built, signed where the connection asks for it, and packed for the Redirect or the POST
//! binding.

use std::{
    fmt::Write as _,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use flate2::{Compression, write::DeflateEncoder};
use samael::crypto::{Crypto, CryptoProvider};

use super::{
    keys::{KeyError, SigningKey},
    model::{NS_ASSERTION, NS_DSIG, NS_EXC_C14N, NS_PROTOCOL},
    writer::XmlText,
};

const POST_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";

/// A request's ID from random bytes: 160 bits, and an NCName.
pub fn request_id(random: &[u8; 20]) -> String {
    random.iter().fold("_".to_owned(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("writing to a string does not fail");
        id
    })
}

/// One sign-in request.
#[derive(Debug, Clone, Copy)]
pub struct AuthnRequest<'a> {
    /// From [`request_id`].
    pub id: &'a str,
    pub issue_instant: DateTime<Utc>,
    /// The identity provider's address for the binding that is used.
    pub destination: &'a str,
    pub acs_url: &'a str,
    pub sp_entity_id: &'a str,
    pub force_authn: bool,
    pub name_id_format: Option<&'a str>,
    pub requested_authn_context: &'a [String],
}

impl AuthnRequest<'_> {
    /// Where to redirect the browser (SAML bindings 3.4.4). The signature is over the very octets that stand in the
    /// URL.
    pub fn redirect_url(&self, relay_state: Option<&str>, key: Option<&SigningKey>) -> Result<String, KeyError> {
        redirect_url(self.destination, "SAMLRequest", &self.to_xml(false), relay_state, key)
    }

    /// The value of the form field `SAMLRequest` for the POST binding (SAML bindings 3.5.4).
    /// Signing runs the XML engine: not for the async threads.
    pub fn post_value(&self, key: Option<&SigningKey>) -> Result<String, KeyError> {
        let xml = self.to_xml(key.is_some());
        let xml = match key {
            Some(key) => sign_template(&xml, key)?,
            None => xml,
        };
        Ok(STANDARD.encode(xml))
    }

    fn to_xml(self, with_signature: bool) -> String {
        let instant = self.issue_instant.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut attributes = vec![
            ("xmlns:samlp", NS_PROTOCOL),
            ("xmlns:saml", NS_ASSERTION),
            ("ID", self.id),
            ("Version", "2.0"),
            ("IssueInstant", &instant),
            ("Destination", self.destination),
            ("AssertionConsumerServiceURL", self.acs_url),
            ("ProtocolBinding", POST_BINDING),
        ];
        if self.force_authn {
            attributes.push(("ForceAuthn", "true"));
        }
        let mut xml = XmlText::new();
        xml.element("samlp:AuthnRequest", &attributes, |x| {
            x.text("saml:Issuer", &[], self.sp_entity_id);
            if with_signature {
                signature_template(x, self.id);
            }
            let format = self.name_id_format.map(|format| ("Format", format));
            let policy: Vec<_> = format.into_iter().chain([("AllowCreate", "true")]).collect();
            x.empty("samlp:NameIDPolicy", &policy);
            if !self.requested_authn_context.is_empty() {
                x.element("samlp:RequestedAuthnContext", &[("Comparison", "exact")], |x| {
                    for class in self.requested_authn_context {
                        x.text("saml:AuthnContextClassRef", &[], class);
                    }
                });
            }
        });
        xml.finish()
    }
}

/// A message in a URL, signed or not. The order of the parameters is part of what is signed (SAML bindings 3.4.4.1).
pub(super) fn redirect_url(
    destination: &str,
    parameter: &str,
    xml: &str,
    relay_state: Option<&str>,
    key: Option<&SigningKey>,
) -> Result<String, KeyError> {
    let mut query = format!("{parameter}={}", percent_encoded(&STANDARD.encode(deflated(xml))));
    if let Some(relay_state) = relay_state {
        query.push_str(&format!("&RelayState={}", percent_encoded(relay_state)));
    }
    if let Some(key) = key {
        query.push_str(&format!("&SigAlg={}", percent_encoded(SigningKey::ALGORITHM)));
        let signature = key.sign(query.as_bytes())?;
        query.push_str(&format!("&Signature={}", percent_encoded(&signature)));
    }
    let separator = if destination.contains('?') { '&' } else { '?' };
    Ok(format!("{destination}{separator}{query}"))
}

fn deflated(xml: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(xml.as_bytes()).and_then(|()| encoder.finish()).expect("compressing into memory does not fail")
}

/// RFC 3986: everything but the unreserved characters, so that no peer re-encodes it differently.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 3 / 2), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string does not fail");
        }
        encoded
    })
}

/// An enveloped signature that the engine fills in.
pub(super) fn signature_template(x: &mut XmlText, id: &str) {
    const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
    const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
    x.element("ds:Signature", &[("xmlns:ds", NS_DSIG)], |x| {
        x.element("ds:SignedInfo", &[], |x| {
            x.empty("ds:CanonicalizationMethod", &[("Algorithm", NS_EXC_C14N)]);
            x.empty("ds:SignatureMethod", &[("Algorithm", SigningKey::ALGORITHM)]);
            x.element("ds:Reference", &[("URI", &format!("#{id}"))], |x| {
                x.element("ds:Transforms", &[], |x| {
                    x.empty("ds:Transform", &[("Algorithm", ENVELOPED)]);
                    x.empty("ds:Transform", &[("Algorithm", NS_EXC_C14N)]);
                });
                x.empty("ds:DigestMethod", &[("Algorithm", SHA256)]);
                x.empty("ds:DigestValue", &[]);
            });
        });
        x.empty("ds:SignatureValue", &[]);
    });
}

pub(super) fn sign_template(xml: &str, key: &SigningKey) -> Result<String, KeyError> {
    let der = key.to_der()?;
    match catch_unwind(AssertUnwindSafe(|| Crypto::sign_xml(xml, &der))) {
        Ok(Ok(signed)) => Ok(signed),
        _ => Err(KeyError::Signing),
    }
}
