//! What a service provider sends, as it arrives: by Redirect (deflated, signed over the raw query) or by POST (signed
//! inside); and what its metadata says.

use super::{ASSERTION_NS, METADATA_NS, PROTOCOL_NS};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bergshamra::{DsigContext, KeysManager, keys::loader};
use flate2::read::DeflateDecoder;
use openssl::{ecdsa::EcdsaSig, hash::MessageDigest, sign::Verifier, x509::X509};
use std::io::Read;

/// What a service provider asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthnRequest {
    pub id: String,
    pub issuer: String,
    pub acs_url: Option<String>,
    pub destination: Option<String>,
    pub binding: Option<String>,
    pub force_authn: bool,
    pub is_passive: bool,
    pub name_id_format: Option<String>,
    pub requested_contexts: Vec<String>,
    pub relay_state: Option<String>,
    /// How the request is signed, before anyone has checked it.
    pub signature: RequestSignature,
    /// The request's own bytes.
    pub xml: String,
}

/// The signature that came with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestSignature {
    #[default]
    Absent,
    /// Redirect binding: the signed part of the raw query, the algorithm and the signature.
    Query { signed: String, algorithm: String, value: Vec<u8> },
    /// POST binding: inside the XML.
    Enveloped,
}

impl AuthnRequest {
    /// Reads the query of a GET, undecoded: what is signed are its raw bytes (bindings 3.4.4.1).
    pub fn from_query(query: &str) -> Result<Self> {
        Self::of(Arrived::from_query(query, "SAMLRequest")?)
    }

    /// Reads the fields of a POST.
    pub fn from_form(saml_request: &str, relay_state: Option<&str>) -> Result<Self> {
        Self::of(Arrived::from_form(saml_request, relay_state)?)
    }

    fn of(arrived: Arrived) -> Result<Self> {
        let mut request = Self::from_xml(arrived.xml)?;
        request.relay_state = arrived.relay_state;
        request.signature = arrived.signature;
        Ok(request)
    }

    fn from_xml(xml: String) -> Result<Self> {
        let document = roxmltree::Document::parse(&xml).context("the SAMLRequest is not XML")?;
        let root = document.root_element();
        ensure!(root.has_tag_name((PROTOCOL_NS, "AuthnRequest")), "the SAMLRequest is no AuthnRequest");
        let flag = |name: &str| matches!(root.attribute(name), Some("true" | "1"));
        let text_of = |name: &str| root.attribute(name).map(str::to_owned);
        let issuer = root
            .children()
            .find(|child| child.has_tag_name((ASSERTION_NS, "Issuer")))
            .and_then(|issuer| issuer.text())
            .context("the AuthnRequest names no Issuer")?;
        let policy = root.children().find(|child| child.has_tag_name((PROTOCOL_NS, "NameIDPolicy")));
        let contexts = root
            .descendants()
            .filter(|node| node.has_tag_name((ASSERTION_NS, "AuthnContextClassRef")))
            .filter_map(|node| node.text().map(str::to_owned))
            .collect();
        Ok(Self {
            id: text_of("ID").context("the AuthnRequest has no ID")?,
            issuer: issuer.trim().to_owned(),
            acs_url: text_of("AssertionConsumerServiceURL"),
            destination: text_of("Destination"),
            binding: text_of("ProtocolBinding"),
            force_authn: flag("ForceAuthn"),
            is_passive: flag("IsPassive"),
            name_id_format: policy.and_then(|policy| policy.attribute("Format")).map(str::to_owned),
            requested_contexts: contexts,
            relay_state: None,
            signature: RequestSignature::Absent,
            xml: xml.clone(),
        })
    }

    /// Verifies the request's signature with any of the service provider's certificates.
    pub fn verify_signature(&self, certificates: &[X509]) -> Result<()> {
        self.signature.verify(&self.xml, certificates)
    }
}

/// A message by either binding, before anything of it is read.
pub(super) struct Arrived {
    pub xml: String,
    pub relay_state: Option<String>,
    pub signature: RequestSignature,
}

impl Arrived {
    /// The message in this parameter of an undecoded query.
    pub fn from_query(query: &str, parameter: &str) -> Result<Self> {
        let raw = |name: &str| {
            query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, v)| v))
        };
        let message = decoded(raw(parameter).with_context(|| format!("no {parameter} in the query"))?);
        let deflated = BASE64_STANDARD.decode(message).with_context(|| format!("the {parameter} is not base64"))?;
        let mut xml = String::new();
        DeflateDecoder::new(&*deflated)
            .take(200_000)
            .read_to_string(&mut xml)
            .with_context(|| format!("the {parameter} does not inflate"))?;
        let signature = match (raw("SigAlg"), raw("Signature")) {
            (Some(algorithm), Some(value)) => {
                let signed = [parameter, "RelayState", "SigAlg"]
                    .iter()
                    .filter_map(|name| raw(name).map(|value| format!("{name}={value}")))
                    .collect::<Vec<_>>()
                    .join("&");
                let value = BASE64_STANDARD.decode(decoded(value)).context("the Signature is not base64")?;
                RequestSignature::Query { signed, algorithm: decoded(algorithm), value }
            }
            _ => RequestSignature::Absent,
        };
        Ok(Self { xml, relay_state: raw("RelayState").map(decoded), signature })
    }

    /// The message in a field of a form.
    pub fn from_form(value: &str, relay_state: Option<&str>) -> Result<Self> {
        let xml = String::from_utf8(BASE64_STANDARD.decode(value.trim()).context("the message is not base64")?)?;
        let signature = match xml.contains("SignatureValue") {
            true => RequestSignature::Enveloped,
            false => RequestSignature::Absent,
        };
        Ok(Self { xml, relay_state: relay_state.map(str::to_owned), signature })
    }
}

impl RequestSignature {
    /// Verifies the signature of the message `xml` with any of these certificates.
    pub fn verify(&self, xml: &str, certificates: &[X509]) -> Result<()> {
        match self {
            Self::Absent => bail!("the message is not signed"),
            Self::Query { signed, algorithm, value } => {
                for certificate in certificates {
                    if query_signature_holds(certificate, signed, algorithm, value).unwrap_or(false) {
                        return Ok(());
                    }
                }
                bail!("the signature of the query does not verify")
            }
            Self::Enveloped => {
                for certificate in certificates {
                    let mut keys = KeysManager::new();
                    keys.add_key(loader::load_x509_cert_der(&certificate.to_der()?)?);
                    if bergshamra::verify(&DsigContext::new(keys), xml).is_ok_and(|result| result.is_valid()) {
                        return Ok(());
                    }
                }
                bail!("the signature of the message does not verify")
            }
        }
    }
}

fn query_signature_holds(certificate: &X509, signed: &str, algorithm: &str, value: &[u8]) -> Result<bool> {
    let digest = match algorithm.rsplit('-').next() {
        Some("sha256") => MessageDigest::sha256(),
        Some("sha384") => MessageDigest::sha384(),
        Some("sha512") => MessageDigest::sha512(),
        _ => bail!("unknown signature algorithm {algorithm}"),
    };
    let key = certificate.public_key()?;
    let mut verifier = Verifier::new(digest, &key)?;
    if algorithm.contains("#ecdsa-") {
        let (r, s) = value.split_at(value.len() / 2);
        let der = EcdsaSig::from_private_components(
            openssl::bn::BigNum::from_slice(r)?,
            openssl::bn::BigNum::from_slice(s)?,
        )?
        .to_der()?;
        return Ok(verifier.verify_oneshot(&der, signed.as_bytes())?);
    }
    Ok(verifier.verify_oneshot(value, signed.as_bytes())?)
}

fn decoded(raw: &str) -> String {
    url::form_urlencoded::parse(format!("v={raw}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// One `SingleLogoutService`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutService {
    pub binding: String,
    pub location: String,
    /// Where answers go, when that is another address.
    pub response_location: Option<String>,
}

/// What an IdP needs from a service provider's metadata.
#[derive(Clone, Debug, Default)]
pub struct SpMetadata {
    pub entity_id: String,
    pub acs_urls: Vec<String>,
    /// Where logout messages go.
    pub slo: Vec<LogoutService>,
    pub signing: Vec<X509>,
    pub encryption: Vec<X509>,
}

impl SpMetadata {
    /// Reads an `EntityDescriptor` with an `SPSSODescriptor`.
    pub fn parse(xml: &str) -> Result<Self> {
        let document = roxmltree::Document::parse(xml).context("the SP metadata is not XML")?;
        let root = document.root_element();
        let mut found = Self {
            entity_id: root.attribute("entityID").context("the SP metadata has no entityID")?.to_owned(),
            ..Self::default()
        };
        for node in document.descendants() {
            if node.has_tag_name((METADATA_NS, "AssertionConsumerService")) {
                found.acs_urls.extend(node.attribute("Location").map(str::to_owned));
            }
            if node.has_tag_name((METADATA_NS, "SingleLogoutService")) {
                found.slo.push(LogoutService {
                    binding: node.attribute("Binding").unwrap_or_default().to_owned(),
                    location: node.attribute("Location").unwrap_or_default().to_owned(),
                    response_location: node.attribute("ResponseLocation").map(str::to_owned),
                });
            }
            if node.has_tag_name((METADATA_NS, "KeyDescriptor")) {
                let certificates = node
                    .descendants()
                    .filter(|inner| inner.tag_name().name() == "X509Certificate")
                    .filter_map(|inner| inner.text());
                for text in certificates {
                    let compact: String = text.split_whitespace().collect();
                    let certificate = X509::from_der(&BASE64_STANDARD.decode(compact)?)?;
                    if node.attribute("use") != Some("encryption") {
                        found.signing.push(certificate.clone());
                    }
                    if node.attribute("use") != Some("signing") {
                        found.encryption.push(certificate);
                    }
                }
            }
        }
        Ok(found)
    }
}
