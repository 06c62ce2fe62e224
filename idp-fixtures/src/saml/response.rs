//! `ResponseBuilder`: a correct SAML Response from a typed description, every field of which may be made wrong.
//!
//! `build` does all at once; an attack that needs to stand between the steps takes `assertion_xml`,
//! `sign_assertion`, `response_around` and `sign_response` one by one.

use super::{
    BEARER, EMAIL_FORMAT, PASSWORD_PROTECTED, SUCCESS,
    parts::{
        attribute_xml, authn_statement_xml, conditions_xml, confirmation_xml, issuer_xml, name_id_xml, status_xml,
    },
};
use crate::{
    clock::xs_date_time,
    sign::{Encryption, KeyPair, Signing, encrypt_element, sign},
    xml::{attribute, escape, random_id},
};
use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Duration, Utc};

/// The content of an `AttributeValue`, a `NameID` and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Written escaped.
    Text(String),
    /// Written as it stands: comments, CDATA, nested elements.
    Xml(String),
}

impl Value {
    pub(super) fn to_xml(&self) -> String {
        match self {
            Self::Text(text) => escape(text),
            Self::Xml(xml) => xml.clone(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Who the assertion is about.
#[derive(Clone, Debug)]
pub struct NameId {
    pub value: Value,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

impl NameId {
    /// A NameID of e-mail format.
    #[must_use]
    pub fn email(address: &str) -> Self {
        Self::of(EMAIL_FORMAT, address)
    }

    /// A NameID of any format.
    #[must_use]
    pub fn of(format: &str, value: &str) -> Self {
        Self { value: value.into(), format: Some(format.to_owned()), name_qualifier: None, sp_name_qualifier: None }
    }
}

/// One `SubjectConfirmation`.
#[derive(Clone, Debug)]
pub struct Confirmation {
    pub method: String,
    /// Whether there is a `SubjectConfirmationData` at all.
    pub with_data: bool,
    pub recipient: Option<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub not_on_or_after: Option<DateTime<Utc>>,
    pub in_response_to: Option<String>,
    pub address: Option<String>,
}

/// The `Conditions`; each inner list of audiences is one `AudienceRestriction`.
#[derive(Clone, Debug)]
pub struct Conditions {
    pub not_before: Option<DateTime<Utc>>,
    pub not_on_or_after: Option<DateTime<Utc>>,
    pub audiences: Vec<Vec<Value>>,
    pub one_time_use: bool,
    /// More conditions as XML.
    pub extra: String,
}

/// One `AuthnStatement`.
#[derive(Clone, Debug)]
pub struct AuthnStatement {
    pub instant: DateTime<Utc>,
    pub session_index: Option<String>,
    pub session_not_on_or_after: Option<DateTime<Utc>>,
    pub class: String,
}

/// One `Attribute` with its values.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: String,
    pub name_format: Option<String>,
    pub friendly_name: Option<String>,
    pub values: Vec<Value>,
}

impl Attribute {
    /// An attribute of text values.
    #[must_use]
    pub fn new<V: Into<Value>>(name: &str, values: impl IntoIterator<Item = V>) -> Self {
        Self {
            name: name.to_owned(),
            name_format: None,
            friendly_name: None,
            values: values.into_iter().map(Into::into).collect(),
        }
    }
}

/// The `Status` of the Response.
#[derive(Clone, Debug)]
pub struct Status {
    pub code: String,
    pub sub_code: Option<String>,
    pub message: Option<String>,
}

/// A Response as bytes, ready for the POST binding.
#[derive(Clone, Debug)]
pub struct BuiltResponse {
    pub xml: String,
    /// The value of the form field `SAMLResponse`.
    pub base64: String,
}

impl From<String> for BuiltResponse {
    fn from(xml: String) -> Self {
        Self { base64: BASE64_STANDARD.encode(&xml), xml }
    }
}

/// The description of a Response. [`ResponseBuilder::new`] makes a correct one.
#[derive(Clone, Debug)]
pub struct ResponseBuilder {
    pub response_id: String,
    pub assertion_id: String,
    pub version: String,
    pub issue_instant: DateTime<Utc>,
    pub destination: Option<String>,
    pub in_response_to: Option<String>,
    pub response_issuer: Option<Value>,
    pub assertion_issuer: Option<Value>,
    pub status: Option<Status>,
    pub name_id: Option<NameId>,
    pub confirmations: Vec<Confirmation>,
    pub conditions: Option<Conditions>,
    pub authn_statements: Vec<AuthnStatement>,
    pub attributes: Vec<Attribute>,
    /// How the Response is signed; `None` leaves it unsigned.
    pub sign_response: Option<Signing>,
    /// How the Assertion is signed; `None` leaves it unsigned.
    pub sign_assertion: Option<Signing>,
    /// For whom the (signed) Assertion is encrypted.
    pub encryption: Option<Encryption>,
}

impl ResponseBuilder {
    /// A correct, solicited answer: assertion signed by `key`, valid for five minutes around `now`.
    #[must_use]
    pub fn new(idp: &str, sp: &str, acs_url: &str, in_response_to: &str, key: &KeyPair, now: DateTime<Utc>) -> Self {
        let until = now + Duration::minutes(5);
        Self {
            response_id: random_id(),
            assertion_id: random_id(),
            version: "2.0".to_owned(),
            issue_instant: now,
            destination: Some(acs_url.to_owned()),
            in_response_to: Some(in_response_to.to_owned()),
            response_issuer: Some(idp.into()),
            assertion_issuer: Some(idp.into()),
            status: Some(Status { code: SUCCESS.to_owned(), sub_code: None, message: None }),
            name_id: Some(NameId::email("ada@acme.example")),
            confirmations: vec![Confirmation {
                method: BEARER.to_owned(),
                with_data: true,
                recipient: Some(acs_url.to_owned()),
                not_before: None,
                not_on_or_after: Some(until),
                in_response_to: Some(in_response_to.to_owned()),
                address: None,
            }],
            conditions: Some(Conditions {
                not_before: Some(now - Duration::minutes(1)),
                not_on_or_after: Some(until),
                audiences: vec![vec![sp.into()]],
                one_time_use: false,
                extra: String::new(),
            }),
            authn_statements: vec![AuthnStatement {
                instant: now,
                session_index: Some(random_id()),
                session_not_on_or_after: None,
                class: PASSWORD_PROTECTED.to_owned(),
            }],
            attributes: vec![
                Attribute::new("email", ["ada@acme.example"]),
                Attribute::new("firstName", ["Ada"]),
                Attribute::new("lastName", ["Lovelace"]),
                Attribute::new("groups", ["learning", "sales"]),
            ],
            sign_response: None,
            sign_assertion: Some(Signing::with(key.clone())),
            encryption: None,
        }
    }

    /// The same, bent by a closure: `builder.with(|b| b.destination = None)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Signs as told: the Response, the Assertion, both or neither.
    #[must_use]
    pub fn signed(mut self, response: Option<Signing>, assertion: Option<Signing>) -> Self {
        self.sign_response = response;
        self.sign_assertion = assertion;
        self
    }

    /// Makes it unsolicited: `InResponseTo` nowhere.
    #[must_use]
    pub fn unsolicited(mut self) -> Self {
        self.in_response_to = None;
        for confirmation in &mut self.confirmations {
            confirmation.in_response_to = None;
        }
        self
    }

    /// About this person, with these attributes.
    #[must_use]
    pub fn about(mut self, name_id: NameId, attributes: Vec<Attribute>) -> Self {
        self.name_id = Some(name_id);
        self.attributes = attributes;
        self
    }

    /// The Response as the description says.
    pub fn build(&self) -> Result<BuiltResponse> {
        self.build_from(self.assertion_xml())
    }

    /// The Response around another (unsigned) assertion text, signed and encrypted as the description says.
    pub fn build_from(&self, assertion: String) -> Result<BuiltResponse> {
        let assertion = self.sign_assertion(&assertion)?;
        let carried = self.encrypt_assertion(&assertion)?;
        let response = self.response_around(&carried);
        Ok(self.sign_response(&response)?.into())
    }

    /// Signs an assertion text that carries this description's assertion ID.
    pub fn sign_assertion(&self, assertion: &str) -> Result<String> {
        match &self.sign_assertion {
            Some(signing) => sign(assertion, &self.assertion_id, signing),
            None => Ok(assertion.to_owned()),
        }
    }

    /// Signs a response text that carries this description's response ID.
    pub fn sign_response(&self, response: &str) -> Result<String> {
        match &self.sign_response {
            Some(signing) => sign(response, &self.response_id, signing),
            None => Ok(response.to_owned()),
        }
    }

    /// `EncryptedAssertion` in place of the assertion, when an encryption is described.
    pub fn encrypt_assertion(&self, assertion: &str) -> Result<String> {
        match &self.encryption {
            Some(encryption) => Ok(format!(
                "<saml:EncryptedAssertion>{}</saml:EncryptedAssertion>",
                encrypt_element(assertion, encryption)?
            )),
            None => Ok(assertion.to_owned()),
        }
    }

    /// The unsigned Response with `content` after its `Status`.
    #[must_use]
    pub fn response_around(&self, content: &str) -> String {
        let issuer = self.response_issuer.as_ref().map(issuer_xml).unwrap_or_default();
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{}\" Version=\"{}\" IssueInstant=\"{}\"{}{}>\
             {issuer}{}{content}</samlp:Response>",
            self.response_id,
            self.version,
            xs_date_time(self.issue_instant),
            attribute("Destination", self.destination.as_deref()),
            attribute("InResponseTo", self.in_response_to.as_deref()),
            self.status.as_ref().map(status_xml).unwrap_or_default(),
        )
    }

    /// The unsigned Assertion; it declares its own namespaces, so that it stands alone.
    #[must_use]
    pub fn assertion_xml(&self) -> String {
        format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
             xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             ID=\"{}\" Version=\"{}\" IssueInstant=\"{}\">{}{}{}{}{}</saml:Assertion>",
            self.assertion_id,
            self.version,
            xs_date_time(self.issue_instant),
            self.assertion_issuer.as_ref().map(issuer_xml).unwrap_or_default(),
            self.subject_xml(),
            self.conditions.as_ref().map(conditions_xml).unwrap_or_default(),
            self.authn_statements.iter().map(authn_statement_xml).collect::<String>(),
            self.attribute_statement_xml(),
        )
    }

    /// The `Subject`, or nothing when there is neither a NameID nor a confirmation.
    #[must_use]
    pub fn subject_xml(&self) -> String {
        if self.name_id.is_none() && self.confirmations.is_empty() {
            return String::new();
        }
        format!(
            "<saml:Subject>{}{}</saml:Subject>",
            self.name_id.as_ref().map(name_id_xml).unwrap_or_default(),
            self.confirmations.iter().map(confirmation_xml).collect::<String>(),
        )
    }

    fn attribute_statement_xml(&self) -> String {
        if self.attributes.is_empty() {
            return String::new();
        }
        let attributes: String = self.attributes.iter().map(attribute_xml).collect();
        format!("<saml:AttributeStatement>{attributes}</saml:AttributeStatement>")
    }
}
