//! What we publish about ourselves for one connection: the identity provider's side is configured from it.

use super::{
    keys::KeyError,
    model::{NS_DSIG, NS_PROTOCOL},
    writer::XmlText,
};
use crate::connections::saml_metadata::TrustedCertificate;

const NS_METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const POST_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const REDIRECT_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";

/// The service provider as one connection's identity provider sees it.
#[derive(Debug, Clone, Copy)]
pub struct SpMetadata<'a> {
    pub entity_id: &'a str,
    pub acs_url: &'a str,
    /// Where logout messages go, by Redirect and by POST.
    pub slo_url: &'a str,
    /// PEM certificates, the current one first; several while a key is rolled over.
    pub signing_certificates: &'a [String],
    pub encryption_certificates: &'a [String],
    pub signs_requests: bool,
    pub name_id_format: Option<&'a str>,
}

/// The `EntityDescriptor`. It says no `validUntil`: whoever copies it by hand would be cut off.
pub fn sp_metadata(sp: &SpMetadata<'_>) -> Result<String, KeyError> {
    let signing = certificates(sp.signing_certificates)?;
    let encryption = certificates(sp.encryption_certificates)?;
    let mut xml = XmlText::new();
    xml.element(
        "md:EntityDescriptor",
        &[("xmlns:md", NS_METADATA), ("xmlns:ds", NS_DSIG), ("entityID", sp.entity_id)],
        |x| {
            let descriptor = [
                ("AuthnRequestsSigned", if sp.signs_requests { "true" } else { "false" }),
                ("WantAssertionsSigned", "true"),
                ("protocolSupportEnumeration", NS_PROTOCOL),
            ];
            x.element("md:SPSSODescriptor", &descriptor, |x| {
                signing.iter().for_each(|c| key_descriptor(x, "signing", c, &[]));
                encryption.iter().for_each(|c| key_descriptor(x, "encryption", c, &ENCRYPTION_METHODS));
                for binding in [REDIRECT_BINDING, POST_BINDING] {
                    x.empty("md:SingleLogoutService", &[("Binding", binding), ("Location", sp.slo_url)]);
                }
                if let Some(format) = sp.name_id_format {
                    x.text("md:NameIDFormat", &[], format);
                }
                let acs = [("Binding", POST_BINDING), ("Location", sp.acs_url), ("index", "0"), ("isDefault", "true")];
                x.empty("md:AssertionConsumerService", &acs);
            });
        },
    );
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", xml.finish()))
}

/// What to encrypt with, best first; GCM, because CBC needs the Response to be signed as well.
const ENCRYPTION_METHODS: [&str; 3] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
];

fn key_descriptor(x: &mut XmlText, purpose: &str, certificate: &str, methods: &[&str]) {
    x.element("md:KeyDescriptor", &[("use", purpose)], |x| {
        x.element("ds:KeyInfo", &[], |x| {
            x.element("ds:X509Data", &[], |x| x.text("ds:X509Certificate", &[], certificate))
        });
        for method in methods {
            x.empty("md:EncryptionMethod", &[("Algorithm", method)]);
        }
    });
}

fn certificates(pem: &[String]) -> Result<Vec<String>, KeyError> {
    pem.iter()
        .map(|pem| TrustedCertificate::from_text(pem).map(|c| c.to_base64()).map_err(|_| KeyError::Certificate))
        .collect()
}
