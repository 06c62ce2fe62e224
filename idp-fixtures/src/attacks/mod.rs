//! Attack documents, each made by a recipe from the same builder as its positive twin. What each shows is in
//! `attacks/README.md`; nothing here knows who will be attacked.
//!
//! | file | classes of attack |
//! |---|---|
//! | `wrapping` | signature wrapping, data outside the signature |
//! | `encrypted` | encryption taken for authentication, oracles |
//! | `signature` | bent `SignedInfo`, references, algorithms, keys |
//! | `syntax` | documents that two parsers read differently, and bombs |
//! | `meaning` | well-signed assertions that say the wrong thing |
//! | `logout` | logout messages, by Redirect and by POST |

mod encrypted;
mod logout;
mod meaning;
mod signature;
mod syntax;
mod wrapping;

pub use logout::{LogoutAttack, LogoutScene, LogoutSent, logout_attacks};

use crate::{
    saml::{Attribute, NameId, ResponseBuilder},
    sign::{Encryption, KeyPair},
    xml::random_id,
};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use openssl::x509::X509;

/// The rule that a document breaks, in the protocol's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The address or the form is not built as the binding has it.
    Binding,
    /// It is no base64.
    Base64,
    /// It is no well-formed, plain, bounded XML.
    Document,
    /// It is not built as SAML Web SSO has it.
    Structure,
    /// The signature does not verify with a trusted key.
    Signature,
    /// An algorithm that nobody should accept.
    SignatureAlgorithm,
    /// No trusted key is of the kind that the signature needs.
    KeyKind,
    /// Nothing is signed.
    Unsigned,
    /// It cannot be decrypted, or not into an assertion.
    Decryption,
    EncryptionAlgorithm,
    /// AES-CBC without a signature around it: a padding oracle.
    CbcUnsigned,
    Version,
    Status,
    NoAssertion,
    Issuer,
    Destination,
    Recipient,
    InResponseTo,
    Audience,
    Expired,
    NotYetValid,
    /// A time that is missing or cannot be read.
    Time,
    Conditions,
    SubjectConfirmation,
    AuthnStatement,
    NameId,
    TransientSubject,
    Attributes,
}

/// Between whom a response travels, and whose keys there are.
#[derive(Clone)]
pub struct Scene {
    pub idp: String,
    pub sp: String,
    pub acs_url: String,
    /// ID of the AuthnRequest that is answered.
    pub request: String,
    /// The identity provider's key, which the service provider trusts.
    pub key: KeyPair,
    /// A key that it does not trust: the attacker's, or another customer's.
    pub foreign: KeyPair,
    /// The service provider's certificate to encrypt for.
    pub recipient: Option<X509>,
    /// The attacker's own, genuine e-mail address.
    pub attacker: String,
    /// Whom the attacker wants to be.
    pub victim: String,
    pub now: DateTime<Utc>,
    response_id: String,
    assertion_id: String,
}

impl Scene {
    /// A scene with fresh IDs, the same ones for an attack and its twin.
    #[must_use]
    pub fn new(
        (idp, sp, acs_url): (&str, &str, &str),
        request: &str,
        (key, foreign): (&KeyPair, &KeyPair),
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            idp: idp.to_owned(),
            sp: sp.to_owned(),
            acs_url: acs_url.to_owned(),
            request: request.to_owned(),
            key: key.clone(),
            foreign: foreign.clone(),
            recipient: None,
            attacker: "mallory@acme.example".to_owned(),
            victim: "ada@acme.example".to_owned(),
            now,
            response_id: random_id(),
            assertion_id: random_id(),
        }
    }

    /// The same with somebody to encrypt for.
    #[must_use]
    pub fn encrypting_for(mut self, recipient: X509) -> Self {
        self.recipient = Some(recipient);
        self
    }

    /// The attacker's own genuine response, assertion signed.
    #[must_use]
    pub fn genuine(&self) -> ResponseBuilder {
        self.response_for(&self.attacker).with(|response| {
            response.response_id.clone_from(&self.response_id);
            response.assertion_id.clone_from(&self.assertion_id);
        })
    }

    /// The same with the Response signed too.
    #[must_use]
    pub fn genuine_both(&self) -> ResponseBuilder {
        self.genuine().with(|response| response.sign_response.clone_from(&response.sign_assertion))
    }

    /// The same with only the Response signed.
    #[must_use]
    pub fn genuine_response(&self) -> ResponseBuilder {
        self.genuine().with(|response| response.sign_response = response.sign_assertion.take())
    }

    /// What the attacker would like to be believed; nobody has signed it.
    #[must_use]
    pub fn forged(&self) -> ResponseBuilder {
        self.response_for(&self.victim).signed(None, None)
    }

    fn response_for(&self, email: &str) -> ResponseBuilder {
        ResponseBuilder::new(&self.idp, &self.sp, &self.acs_url, &self.request, &self.key, self.now)
            .about(
                NameId::email(email),
                vec![
                    Attribute::new("email", [email]),
                    Attribute::new("firstName", ["Mallory"]),
                    Attribute::new("lastName", ["Byron"]),
                    Attribute::new("groups", ["learning"]),
                ],
            )
            .with(|response| {
                response.authn_statements.iter_mut().for_each(|said| said.session_index = Some("_s1".into()))
            })
    }

    fn encryption(&self) -> Result<Encryption> {
        Ok(Encryption::to(self.recipient.clone().context("the scene has nobody to encrypt for")?))
    }
}

/// What the attacker sends.
#[derive(Clone, Debug)]
pub enum Sent {
    /// This document, base64 around it.
    Document(Vec<u8>),
    /// This value of the form field as it stands.
    FormValue(String),
}

impl From<String> for Sent {
    fn from(xml: String) -> Self {
        Self::Document(xml.into_bytes())
    }
}

impl Sent {
    /// The value of the form field `SAMLResponse`.
    #[must_use]
    pub fn form_value(&self) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        match self {
            Self::Document(bytes) => BASE64_STANDARD.encode(bytes),
            Self::FormValue(value) => value.clone(),
        }
    }
}

type Recipe<T, S = Scene> = Box<dyn Fn(&S) -> Result<T> + Send + Sync>;

/// One attack with its positive twin.
pub struct Attack {
    pub name: String,
    /// The number of its class in the list of attacks (`attacks/README.md`).
    pub class: u8,
    /// What it breaks first.
    pub breaks: Rule,
    attack: Recipe<Sent>,
    twin: Recipe<String>,
}

impl Attack {
    /// The attack's document.
    pub fn attack(&self, scene: &Scene) -> Result<Sent> {
        (self.attack)(scene).with_context(|| format!("the recipe of {} failed", self.name))
    }

    /// The document that differs from it in the attacked point alone, and is to be accepted.
    pub fn twin(&self, scene: &Scene) -> Result<String> {
        (self.twin)(scene).with_context(|| format!("the recipe of the twin of {} failed", self.name))
    }
}

/// Every attack on a SAML response, with names that are unique.
#[must_use]
pub fn saml_attacks() -> Vec<Attack> {
    [wrapping::attacks(), encrypted::attacks(), signature::attacks(), syntax::attacks(), meaning::attacks()]
        .into_iter()
        .flatten()
        .collect()
}

/// An attack whose twin is the genuine response with a signed assertion.
fn attack<S: Into<Sent>>(
    name: impl Into<String>,
    class: u8,
    breaks: Rule,
    recipe: impl Fn(&Scene) -> Result<S> + Send + Sync + 'static,
) -> Attack {
    with_twin(name, class, breaks, recipe, |scene| Ok(scene.genuine().build()?.xml))
}

/// An attack with a twin of its own.
fn with_twin<S: Into<Sent>>(
    name: impl Into<String>,
    class: u8,
    breaks: Rule,
    recipe: impl Fn(&Scene) -> Result<S> + Send + Sync + 'static,
    twin: impl Fn(&Scene) -> Result<String> + Send + Sync + 'static,
) -> Attack {
    Attack {
        name: name.into(),
        class,
        breaks,
        attack: Box::new(move |scene| recipe(scene).map(Into::into)),
        twin: Box::new(twin),
    }
}

/// The text with `from` replaced, which must be there: an attack that changes nothing shows nothing.
fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    anyhow::ensure!(text.contains(from), "nothing to replace: {from}");
    Ok(text.replacen(from, to, 1))
}

/// The first `ds:Signature` of a text, and the text without it.
fn without_signature(text: &str) -> Result<(String, String)> {
    let (before, rest) = text.split_once("<ds:Signature ").context("no signature")?;
    let (signature, after) = rest.split_once("</ds:Signature>").context("an endless signature")?;
    Ok((format!("<ds:Signature {signature}</ds:Signature>"), format!("{before}{after}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{KeyKind, shared};
    use std::collections::HashSet;

    #[test]
    fn every_attack_has_its_own_name_and_differs_from_its_twin() {
        let (key, foreign) = (shared(KeyKind::Rsa2048, "idp"), shared(KeyKind::Rsa2048, "foreign"));
        let (key, foreign) = (key.expect("a key"), foreign.expect("a key"));
        let scene = Scene::new(
            ("https://idp.example", "https://sp.example", "https://sp.example/acs"),
            "_r",
            (&key, &foreign),
            crate::clock::now(),
        )
        .encrypting_for(key.certificate().clone());
        let mut names = HashSet::new();
        for attack in saml_attacks() {
            assert!(names.insert(attack.name.clone()), "{} is there twice", attack.name);
            let sent = attack.attack(&scene).expect("a recipe");
            let twin = Sent::from(attack.twin(&scene).expect("a recipe"));
            assert!(sent.form_value() != twin.form_value(), "{} is its own twin", attack.name);
        }
        assert!(names.len() > 150, "{} attacks", names.len());
    }
}
