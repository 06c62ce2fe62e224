//! Enveloped XML signatures as SAML peers make them, and the same in pieces, so that an attack can bend one piece.
//!
//! `SignedInfo` is written in exclusive canonical form at once, hence only the referenced element needs bergshamra's
//! canonicalization; digest and signature are OpenSSL's.

use super::KeyPair;
use crate::xml::escape;
use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bergshamra::{
    c14n::{C14nMode, canonicalize_doc},
    xml::{NodeSet, XmlDocument},
};
use openssl::{
    ecdsa::EcdsaSig,
    hash::{MessageDigest, hash},
    pkey::PKey,
    rsa::Padding,
    sign::Signer,
};

/// The transform that takes the signature out of what is digested.
pub const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Exclusive canonicalization without comments.
pub const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";

/// How the digest of a reference is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl DigestAlgorithm {
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::Md5 => "http://www.w3.org/2001/04/xmldsig-more#md5",
            Self::Sha1 => "http://www.w3.org/2000/09/xmldsig#sha1",
            Self::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
            Self::Sha384 => "http://www.w3.org/2001/04/xmldsig-more#sha384",
            Self::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
        }
    }

    #[must_use]
    pub fn message_digest(self) -> MessageDigest {
        match self {
            Self::Md5 => MessageDigest::md5(),
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// How `SignedInfo` is signed, strong and broken ways alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    RsaMd5,
    RsaSha1,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    RsaPssSha256,
    EcdsaSha1,
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    /// Keyed with the PEM text of the signer's *public* key: the classic confusion.
    HmacSha256WithPublicKey,
    HmacSha1WithPublicKey,
}

/// The algorithms that a careful service provider accepts.
pub const ALGORITHMS: [SignatureAlgorithm; 6] = [
    SignatureAlgorithm::RsaSha256,
    SignatureAlgorithm::RsaSha384,
    SignatureAlgorithm::RsaSha512,
    SignatureAlgorithm::EcdsaSha256,
    SignatureAlgorithm::EcdsaSha384,
    SignatureAlgorithm::EcdsaSha512,
];

impl SignatureAlgorithm {
    /// SHA-256 with whatever the key is.
    #[must_use]
    pub fn sha256_for(key: &KeyPair) -> Self {
        if key.is_elliptic() { Self::EcdsaSha256 } else { Self::RsaSha256 }
    }

    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::RsaMd5 => "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
            Self::RsaSha1 => "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            Self::RsaPssSha256 => "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
            Self::EcdsaSha1 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
            Self::EcdsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Self::EcdsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
            Self::EcdsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
            Self::HmacSha256WithPublicKey => "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
            Self::HmacSha1WithPublicKey => "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        }
    }

    #[must_use]
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaMd5 => DigestAlgorithm::Md5,
            Self::RsaSha1 | Self::EcdsaSha1 | Self::HmacSha1WithPublicKey => DigestAlgorithm::Sha1,
            Self::RsaSha256 | Self::RsaPssSha256 | Self::EcdsaSha256 | Self::HmacSha256WithPublicKey => {
                DigestAlgorithm::Sha256
            }
            Self::RsaSha384 | Self::EcdsaSha384 => DigestAlgorithm::Sha384,
            Self::RsaSha512 | Self::EcdsaSha512 => DigestAlgorithm::Sha512,
        }
    }

    /// The raw signature over `message`, in the form that `ds:SignatureValue` (and a Redirect URL) wants.
    pub fn sign(self, key: &KeyPair, message: &[u8]) -> Result<Vec<u8>> {
        let digest = self.digest().message_digest();
        match self {
            Self::HmacSha256WithPublicKey | Self::HmacSha1WithPublicKey => {
                let hmac_key = PKey::hmac(key.public_key_pem()?.as_bytes())?;
                Ok(Signer::new(digest, &hmac_key)?.sign_oneshot_to_vec(message)?)
            }
            Self::EcdsaSha1 | Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 => {
                let der = Signer::new(digest, key.private_key())?.sign_oneshot_to_vec(message)?;
                let width = key.private_key().bits().div_ceil(8).cast_signed();
                let signature = EcdsaSig::from_der(&der)?;
                Ok([signature.r().to_vec_padded(width)?, signature.s().to_vec_padded(width)?].concat())
            }
            Self::RsaPssSha256 => {
                let mut signer = Signer::new(digest, key.private_key())?;
                signer.set_rsa_padding(Padding::PKCS1_PSS)?;
                Ok(signer.sign_oneshot_to_vec(message)?)
            }
            Self::RsaMd5 | Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512 => {
                Ok(Signer::new(digest, key.private_key())?.sign_oneshot_to_vec(message)?)
            }
        }
    }
}

/// What the signature says about its key.
#[derive(Clone, Debug)]
pub enum KeyInfo {
    Absent,
    /// The signer's own certificate, as most vendors send it.
    Certificate,
    /// Anything else, as the XML inside `ds:KeyInfo`.
    Xml(String),
}

/// How an element is signed.
#[derive(Clone, Debug)]
pub struct Signing {
    pub key: KeyPair,
    pub algorithm: SignatureAlgorithm,
    pub digest: DigestAlgorithm,
    pub key_info: KeyInfo,
}

impl Signing {
    /// The usual way: SHA-256, exclusive canonicalization, certificate in KeyInfo.
    #[must_use]
    pub fn with(key: KeyPair) -> Self {
        let algorithm = SignatureAlgorithm::sha256_for(&key);
        Self { algorithm, digest: algorithm.digest(), key_info: KeyInfo::Certificate, key }
    }

    /// The same with another algorithm, and its digest for the reference too.
    #[must_use]
    pub fn algorithm(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self.digest = algorithm.digest();
        self
    }
}

/// One `ds:Reference`, free to be wrong.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The URI attribute; `None` leaves it out.
    pub uri: Option<String>,
    /// Algorithms of the transforms, in order.
    pub transforms: Vec<String>,
    pub digest: DigestAlgorithm,
    pub digest_value: Vec<u8>,
}

impl Reference {
    /// The honest reference to the element with this ID.
    pub fn to(xml: &str, id: &str, digest: DigestAlgorithm) -> Result<Self> {
        Ok(Self {
            uri: Some(format!("#{id}")),
            transforms: vec![ENVELOPED.into(), EXCLUSIVE_C14N.into()],
            digest,
            digest_value: digest_of(xml, id, digest)?,
        })
    }
}

/// A `ds:SignedInfo` to be written in canonical form.
#[derive(Clone, Debug)]
pub struct SignedInfo {
    pub canonicalization: String,
    pub signature_method: String,
    /// XML inside `ds:SignatureMethod` (an `HMACOutputLength`), usually empty.
    pub signature_method_content: String,
    pub references: Vec<Reference>,
}

impl SignedInfo {
    #[must_use]
    pub fn new(algorithm: SignatureAlgorithm, references: Vec<Reference>) -> Self {
        Self {
            canonicalization: EXCLUSIVE_C14N.into(),
            signature_method: algorithm.uri().into(),
            signature_method_content: String::new(),
            references,
        }
    }

    /// The canonical text, which is both what gets signed and what gets embedded.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let references: String = self.references.iter().map(reference_xml).collect();
        format!(
            "<ds:SignedInfo xmlns:ds=\"{DS}\"><ds:CanonicalizationMethod Algorithm=\"{}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"{}\">{}</ds:SignatureMethod>{references}</ds:SignedInfo>",
            escape(&self.canonicalization),
            escape(&self.signature_method),
            self.signature_method_content,
        )
    }
}

fn reference_xml(reference: &Reference) -> String {
    let uri = crate::xml::attribute("URI", reference.uri.as_deref());
    let transforms: String = reference
        .transforms
        .iter()
        .map(|algorithm| format!("<ds:Transform Algorithm=\"{}\"></ds:Transform>", escape(algorithm)))
        .collect();
    let transforms = match transforms.as_str() {
        "" => String::new(),
        some => format!("<ds:Transforms>{some}</ds:Transforms>"),
    };
    format!(
        "<ds:Reference{uri}>{transforms}<ds:DigestMethod Algorithm=\"{}\"></ds:DigestMethod>\
         <ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
        reference.digest.uri(),
        BASE64_STANDARD.encode(&reference.digest_value),
    )
}

/// The canonical bytes of the element whose `ID` is `id`, comments left out.
pub fn canonical(xml: &str, id: &str, mode: C14nMode) -> Result<Vec<u8>> {
    let document = XmlDocument::parse(xml.to_owned())?;
    let tree = document.parse_doc()?;
    let is_id = |attribute: &bergshamra::xml::Attribute<'_>| {
        attribute.name.namespace_uri.is_none() && attribute.name.local_name == "ID" && attribute.value == id
    };
    let found = tree
        .descendants(tree.root())
        .into_iter()
        .find(|node| tree.element(*node).is_some_and(|element| element.attributes.iter().any(is_id)))
        .with_context(|| format!("no element with ID {id}"))?;
    let subtree = NodeSet::tree_without_comments(found, &tree);
    Ok(canonicalize_doc::<&str>(&tree, mode, Some(&subtree), &[])?)
}

/// The digest of the element whose `ID` is `id`, taken before its own signature is inserted.
pub fn digest_of(xml: &str, id: &str, digest: DigestAlgorithm) -> Result<Vec<u8>> {
    Ok(hash(digest.message_digest(), &canonical(xml, id, C14nMode::Exclusive)?)?.to_vec())
}

/// A whole `ds:Signature` over a given `SignedInfo`.
pub fn signature_element(signed_info: &SignedInfo, signing: &Signing) -> Result<String> {
    let text = signed_info.to_xml();
    let value = BASE64_STANDARD.encode(signing.algorithm.sign(&signing.key, text.as_bytes())?);
    let key_info = match &signing.key_info {
        KeyInfo::Absent => String::new(),
        KeyInfo::Certificate => format!(
            "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>",
            signing.key.certificate_base64()?
        ),
        KeyInfo::Xml(xml) => format!("<ds:KeyInfo>{xml}</ds:KeyInfo>"),
    };
    Ok(format!(
        "<ds:Signature xmlns:ds=\"{DS}\">{text}<ds:SignatureValue>{value}</ds:SignatureValue>{key_info}</ds:Signature>"
    ))
}

/// Puts a signature where the SAML schema wants it: after the element's `Issuer`, else as its first child.
pub fn insert_signature(xml: &str, id: &str, signature: &str) -> Result<String> {
    let document = roxmltree::Document::parse(xml)?;
    let element = document
        .descendants()
        .find(|node| node.attributes().any(|a| a.namespace().is_none() && a.name() == "ID" && a.value() == id))
        .with_context(|| format!("no element with ID {id}"))?;
    let issuer = element.children().find(|child| child.has_tag_name((crate::saml::ASSERTION_NS, "Issuer")));
    let at = match issuer {
        Some(issuer) => issuer.range().end,
        None => {
            let first = element.first_child().context("an element without content cannot hold a signature")?;
            first.range().start
        }
    };
    ensure!(xml.is_char_boundary(at), "the insertion point lies inside a character");
    let (before, after) = xml.split_at(at);
    Ok([before, signature, after].concat())
}

/// Signs the element whose `ID` is `id`, enveloped, as an honest peer does.
pub fn sign(xml: &str, id: &str, signing: &Signing) -> Result<String> {
    let reference = Reference::to(xml, id, signing.digest)?;
    let signed_info = SignedInfo::new(signing.algorithm, vec![reference]);
    insert_signature(xml, id, &signature_element(&signed_info, signing)?)
}
