//! What the big products really send, described in `vendors/{name}/{saml,oidc}.json`, so that the fixture providers can
//! speak like them.
//!
//! In a described text `{email}`, `{first_name}`, `{last_name}`, `{full_name}`, `{username}`, `{subject}`, `{domain}`,
//! `{object_id}`, `{tenant}` and `{random}` stand for the person's own; a text that is just `{groups}` becomes the list.

use crate::{
    oidc,
    people::Person,
    saml::{Attribute, NameId, QueryStyle, Sign, Slo, Value as XmlValue},
    sign::{DataEncryption, KeyTransport},
    xml::random_hex,
};
use anyhow::{Context, Result, bail};
use openssl::hash::{MessageDigest, hash};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The tenant under which the fixtures play a vendor.
pub const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

macro_rules! described {
    ($($name:literal: $($protocol:ident)+;)+) => {
        const DESCRIPTIONS: &[(&str, &[(&str, &str)])] = &[$((
            $name,
            &[$((stringify!($protocol), include_str!(concat!("../vendors/", $name, "/", stringify!($protocol), ".json")))),+],
        )),+];
    };
}

described! {
    "okta": saml oidc;
    "entra": saml oidc;
    "google": saml oidc;
    "adfs": saml oidc;
    "onelogin": saml oidc;
    "ping": saml oidc;
    "keycloak": saml oidc;
    "shibboleth": saml oidc;
    "simplesamlphp": saml;
}

/// A product and how it speaks.
#[derive(Clone, Debug)]
pub struct Vendor {
    pub name: &'static str,
    pub saml: Option<SamlSpeech>,
    pub oidc: Option<OidcSpeech>,
}

/// How it speaks SAML.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamlSpeech {
    /// What is odd about it, for the reader.
    #[serde(default)]
    pub note: String,
    issuer: String,
    sign: String,
    encrypt: Option<SaidEncryption>,
    name_id: SaidNameId,
    attributes: Vec<SaidAttribute>,
    /// How it takes part in single logout; absent where it does not.
    logout: Option<SaidLogout>,
}

/// How it speaks OpenID Connect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSpeech {
    /// What is odd about it, for the reader.
    #[serde(default)]
    pub note: String,
    issuer: String,
    algorithm: String,
    subject: String,
    claims_in: String,
    claims: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidEncryption {
    data: String,
    key_transport: String,
    #[serde(default)]
    key_beside_data: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidLogout {
    /// `redirect` and `post`, the one that it sends by first.
    bindings: Vec<String>,
    /// `%2f` and not `%2F`.
    #[serde(default)]
    lower_case: bool,
    #[serde(default)]
    other_address_for_answers: bool,
    #[serde(default)]
    without_session_index: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidNameId {
    format: String,
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidAttribute {
    name: String,
    value: String,
    name_format: Option<String>,
    friendly_name: Option<String>,
    /// How a group is written: `guid`, `dn`, `path`, or its name.
    #[serde(rename = "as")]
    written_as: Option<String>,
    joined_by: Option<String>,
    /// One attribute for every value.
    #[serde(default)]
    repeated: bool,
    overage: Option<Overage>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overage {
    above: usize,
    name: String,
    value: String,
}

impl Vendor {
    /// The product of this name.
    pub fn load(name: &str) -> Result<Self> {
        let (name, files) = DESCRIPTIONS.iter().find(|(known, _)| *known == name).context("no such vendor")?;
        let mut vendor = Self { name, saml: None, oidc: None };
        for (protocol, text) in *files {
            let context = || format!("vendors/{name}/{protocol}.json");
            match *protocol {
                "saml" => vendor.saml = Some(serde_json::from_str(text).with_context(context)?),
                _ => vendor.oidc = Some(serde_json::from_str(text).with_context(context)?),
            }
        }
        Ok(vendor)
    }

    /// Every product that is described.
    pub fn all() -> Result<Vec<Self>> {
        DESCRIPTIONS.iter().map(|(name, _)| Self::load(name)).collect()
    }
}

impl SamlSpeech {
    /// Its entity ID, which is seldom its metadata URL.
    #[must_use]
    pub fn entity_id(&self) -> String {
        self.issuer.replace("{tenant}", TENANT)
    }

    /// What it signs.
    pub fn sign(&self) -> Result<Sign> {
        Ok(match self.sign.as_str() {
            "response" => Sign::Response,
            "assertion" => Sign::Assertion,
            "both" => Sign::Both,
            other => bail!("unknown way to sign: {other}"),
        })
    }

    /// How it encrypts, when the service provider has a key for that.
    pub fn encryption(&self) -> Result<Option<(DataEncryption, KeyTransport)>> {
        let Some(said) = &self.encrypt else { return Ok(None) };
        let data = match said.data.as_str() {
            "aes128-gcm" => DataEncryption::Aes128Gcm,
            "aes256-cbc" => DataEncryption::Aes256Cbc,
            other => bail!("unknown cipher: {other}"),
        };
        let transport = match said.key_transport.as_str() {
            "rsa-oaep-mgf1p" => KeyTransport::OaepMgf1p,
            other => bail!("unknown key transport: {other}"),
        };
        Ok(Some((data, transport)))
    }

    /// Whether it puts the encrypted key beside the encrypted data.
    #[must_use]
    pub fn key_beside_data(&self) -> bool {
        self.encrypt.as_ref().is_some_and(|said| said.key_beside_data)
    }

    /// How it describes a person.
    #[must_use]
    pub fn describe(&self, person: &Person) -> (NameId, Vec<Attribute>) {
        let name_id = NameId::of(&self.name_id.format, &filled(&self.name_id.value, person));
        (name_id, self.attributes.iter().flat_map(|said| said.of(person)).collect())
    }

    /// How it takes part in single logout.
    #[must_use]
    pub fn logout(&self) -> Slo {
        let Some(said) = &self.logout else { return Slo { redirect: false, post: false, ..Slo::default() } };
        let offers = |binding: &str| said.bindings.iter().any(|one| one == binding);
        Slo {
            redirect: offers("redirect"),
            post: offers("post"),
            sends_by_post: said.bindings.first().is_some_and(|first| first == "post"),
            style: QueryStyle { lower_case: said.lower_case, ..QueryStyle::default() },
            other_address_for_answers: said.other_address_for_answers,
            says_session_index: !said.without_session_index,
            ..Slo::default()
        }
    }

    /// Makes a fixture IdP speak like this.
    pub fn behave(&self, behaviour: &mut crate::saml::Behaviour) -> Result<()> {
        let speech = self.clone();
        behaviour.sign = self.sign()?;
        behaviour.encrypt = self.encryption()?;
        behaviour.slo = self.logout();
        behaviour.describe = Some(Arc::new(move |person| speech.describe(person)));
        if self.key_beside_data() {
            behaviour.rewrite = Some(Arc::new(|mut response| {
                response.encryption.iter_mut().for_each(|encryption| encryption.key_beside_data = true);
                response
            }));
        }
        Ok(())
    }
}

impl SaidAttribute {
    fn of(&self, person: &Person) -> Vec<Attribute> {
        if self.value != "{groups}" {
            return vec![self.with(&self.name, vec![filled(&self.value, person)])];
        }
        if let Some(overage) = self.overage.as_ref().filter(|overage| person.groups.len() > overage.above) {
            return vec![self.with(&overage.name, vec![filled(&overage.value, person)])];
        }
        let groups: Vec<_> = person.groups.iter().map(|group| written(group, self.written_as.as_deref())).collect();
        match (&self.joined_by, self.repeated) {
            _ if groups.is_empty() => Vec::new(),
            (Some(separator), _) => vec![self.with(&self.name, vec![groups.join(separator)])],
            (None, true) => groups.into_iter().map(|group| self.with(&self.name, vec![group])).collect(),
            (None, false) => vec![self.with(&self.name, groups)],
        }
    }

    fn with(&self, name: &str, values: Vec<String>) -> Attribute {
        Attribute {
            name: name.to_owned(),
            name_format: self.name_format.clone(),
            friendly_name: self.friendly_name.clone(),
            values: values.into_iter().map(XmlValue::Text).collect(),
        }
    }
}

impl OidcSpeech {
    /// The issuer that the real product has; the fixture keeps its own.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.issuer.replace("{tenant}", TENANT)
    }

    /// The algorithm of its tokens.
    pub fn algorithm(&self) -> Result<oidc::jose::Algorithm> {
        oidc::jose::Algorithm::named(&self.algorithm).context("an unknown algorithm")
    }

    /// Its `sub` for a person.
    #[must_use]
    pub fn subject(&self, person: &Person) -> String {
        filled(&self.subject, person)
    }

    /// How it describes a person, beside `sub`.
    #[must_use]
    pub fn describe(&self, person: &Person) -> Map<String, Value> {
        let mut claims = Map::new();
        for (name, said) in &self.claims {
            let limit = said.pointer("/overage/above").and_then(Value::as_u64);
            if limit.is_some_and(|limit| person.groups.len() as u64 > limit) {
                // What Microsoft calls distributed claims: where to ask instead.
                claims.insert("_claim_names".into(), json!({ name: "src1" }));
                let endpoint = "https://graph.microsoft.com/v1.0/users/me/getMemberObjects";
                claims.insert("_claim_sources".into(), json!({"src1": {"endpoint": endpoint}}));
            } else {
                claims.insert(name.clone(), claim(said, person));
            }
        }
        claims
    }

    /// Makes a fixture provider speak like this.
    pub fn behave(&self, behaviour: &mut oidc::Behaviour) {
        let speech = self.clone();
        behaviour.claims_in_id_token = self.claims_in != "userinfo";
        behaviour.claims_in_userinfo = self.claims_in != "id_token";
        behaviour.describe = Some(Arc::new(move |person| speech.describe(person)));
    }
}

fn claim(said: &Value, person: &Person) -> Value {
    match said {
        Value::String(text) if text == "{groups}" => json!(person.groups),
        Value::String(text) => json!(filled(text, person)),
        Value::Object(members) => match members.get("groups").and_then(Value::as_str) {
            Some(form) => person.groups.iter().map(|group| json!(written(group, Some(form)))).collect(),
            None => {
                members.iter().map(|(name, inner)| (name.clone(), claim(inner, person))).collect::<Map<_, _>>().into()
            }
        },
        other => other.clone(),
    }
}

fn filled(text: &str, person: &Person) -> String {
    let domain = person.email.rsplit('@').next().unwrap_or_default();
    text.replace("{email}", &person.email)
        .replace("{first_name}", &person.first_name)
        .replace("{last_name}", &person.last_name)
        .replace("{full_name}", &person.full_name())
        .replace("{username}", &person.username)
        .replace("{subject}", &person.subject)
        .replace("{domain}", domain)
        .replace("{object_id}", &guid(&person.subject))
        .replace("{tenant}", TENANT)
        .replace("{random}", &random_hex(8))
}

fn written(group: &str, form: Option<&str>) -> String {
    match form {
        Some("guid") => guid(group),
        Some("dn") => format!("CN={group},OU=Groups,DC=acme,DC=example"),
        Some("path") => format!("/{group}"),
        _ => group.to_owned(),
    }
}

/// An object id that is always the same for one name.
#[must_use]
pub fn guid(name: &str) -> String {
    let digest = hash(MessageDigest::sha256(), name.as_bytes()).expect("OpenSSL has SHA-256");
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Org;

    #[test]
    fn every_vendor_describes_everybody() {
        for vendor in Vendor::all().expect("the descriptions are read") {
            for person in Org::acme().people {
                if let Some(saml) = &vendor.saml {
                    let (name_id, attributes) = saml.describe(&person);
                    let text = format!("{name_id:?} {attributes:?}");
                    assert!(text.contains(&person.email));
                    assert!(saml.sign().is_ok() && saml.encryption().is_ok(), "{}", vendor.name);
                    assert!(!attributes.iter().any(|attribute| attribute.values.is_empty()), "{}", vendor.name);
                }
                if let Some(oidc) = &vendor.oidc {
                    assert!(oidc.describe(&person).values().any(|value| *value == json!(person.email)));
                    assert!(oidc.algorithm().is_ok());
                }
            }
        }
    }

    #[test]
    fn too_many_groups_become_a_link_at_entra() {
        let names: Vec<_> = (0..201).map(|number| format!("group {number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let person = Person::new("ada", "ada@acme.example", "Ada", "Lovelace").groups(&names);
        let entra = Vendor::load("entra").expect("a vendor");
        let (_, attributes) = entra.saml.expect("SAML").describe(&person);
        assert!(attributes.iter().any(|attribute| attribute.name.ends_with("/groups.link")));
        let claims = entra.oidc.expect("OIDC").describe(&person);
        assert!(claims.contains_key("_claim_names") && !claims.contains_key("groups"));
    }
}
