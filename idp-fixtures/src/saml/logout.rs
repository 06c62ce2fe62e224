//! Logout messages: as the IdP sends them, every part of which may be made wrong, and as it receives them.

use super::{
    ASSERTION_NS, NameId, PROTOCOL_NS, SUCCESS, Status, Value,
    parts::{issuer_xml, name_id_xml, status_xml},
    request::{Arrived, RequestSignature},
};
use crate::{
    clock::xs_date_time,
    sign::{Encryption, KeyPair, Signing, encrypt_element, sign},
    xml::{attribute, escape, random_id},
};
use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Duration, Utc};
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;

/// How a product writes the query of a Redirect. All of them mean the same; the signature is over what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStyle {
    /// `%2f` and not `%2F`, as AD FS does.
    pub lower_case: bool,
    /// `+` for a blank, as forms have it.
    pub blank_as_plus: bool,
    /// `Signature` before `SigAlg` in the address; what is signed keeps its order.
    pub signature_first: bool,
}

impl QueryStyle {
    /// One value as this style encodes it.
    #[must_use]
    pub fn encoded(self, text: &str) -> String {
        text.bytes().fold(String::new(), |encoded, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded + &char::from(byte).to_string()
            }
            b' ' if self.blank_as_plus => encoded + "+",
            other if self.lower_case => encoded + &format!("%{other:02x}"),
            other => encoded + &format!("%{other:02X}"),
        })
    }
}

/// The description of a logout message. [`LogoutBuilder::request`] and [`LogoutBuilder::response`] make correct ones.
#[derive(Clone, Debug)]
pub struct LogoutBuilder {
    /// `LogoutRequest` or `LogoutResponse`.
    pub element: &'static str,
    /// `SAMLRequest` or `SAMLResponse`.
    pub parameter: &'static str,
    pub id: String,
    pub version: String,
    pub issue_instant: DateTime<Utc>,
    pub not_on_or_after: Option<DateTime<Utc>>,
    pub destination: Option<String>,
    pub issuer: Option<Value>,
    pub name_id: Option<NameId>,
    pub session_indexes: Vec<String>,
    pub in_response_to: Option<String>,
    pub status: Option<Status>,
    /// More XML before the end of the message.
    pub extra: String,
    pub relay_state: Option<String>,
    /// For whom the NameID is encrypted.
    pub encryption: Option<Encryption>,
    /// How it is signed; `None` leaves it unsigned.
    pub signing: Option<Signing>,
    pub style: QueryStyle,
}

impl LogoutBuilder {
    /// A correct request about this subject, for all of their sessions.
    #[must_use]
    pub fn request(idp: &str, slo_url: &str, name_id: NameId, key: &KeyPair, now: DateTime<Utc>) -> Self {
        Self {
            element: "LogoutRequest",
            parameter: "SAMLRequest",
            id: random_id(),
            version: "2.0".to_owned(),
            issue_instant: now,
            not_on_or_after: Some(now + Duration::minutes(5)),
            destination: Some(slo_url.to_owned()),
            issuer: Some(idp.into()),
            name_id: Some(name_id),
            session_indexes: Vec::new(),
            in_response_to: None,
            status: None,
            extra: String::new(),
            relay_state: None,
            encryption: None,
            signing: Some(Signing::with(key.clone())),
            style: QueryStyle::default(),
        }
    }

    /// A correct answer that says that all went well.
    #[must_use]
    pub fn response(idp: &str, slo_url: &str, in_response_to: &str, key: &KeyPair, now: DateTime<Utc>) -> Self {
        Self {
            element: "LogoutResponse",
            parameter: "SAMLResponse",
            not_on_or_after: None,
            name_id: None,
            in_response_to: Some(in_response_to.to_owned()),
            status: Some(Status { code: SUCCESS.to_owned(), sub_code: None, message: None }),
            ..Self::request(idp, slo_url, NameId::email(""), key, now)
        }
    }

    /// The same, bent by a closure.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The message without a signature.
    pub fn to_xml(&self) -> Result<String> {
        let subject = self.name_id.as_ref().map(name_id_xml).unwrap_or_default();
        let subject = match &self.encryption {
            Some(encryption) => {
                // Encrypted, it stands alone.
                let alone = subject.replacen("<saml:NameID", &format!("<saml:NameID xmlns:saml=\"{ASSERTION_NS}\""), 1);
                format!("<saml:EncryptedID>{}</saml:EncryptedID>", encrypt_element(&alone, encryption)?)
            }
            None => subject,
        };
        let sessions: String = self
            .session_indexes
            .iter()
            .map(|index| format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", escape(index)))
            .collect();
        Ok(format!(
            "<samlp:{element} xmlns:samlp=\"{PROTOCOL_NS}\" xmlns:saml=\"{ASSERTION_NS}\" ID=\"{}\" Version=\"{}\" \
             IssueInstant=\"{}\"{}{}{}>{}{}{subject}{sessions}{}</samlp:{element}>",
            self.id,
            self.version,
            xs_date_time(self.issue_instant),
            attribute("Destination", self.destination.as_deref()),
            attribute("NotOnOrAfter", self.not_on_or_after.map(xs_date_time).as_deref()),
            attribute("InResponseTo", self.in_response_to.as_deref()),
            self.issuer.as_ref().map(issuer_xml).unwrap_or_default(),
            self.status.as_ref().map(status_xml).unwrap_or_default(),
            self.extra,
            element = self.element,
        ))
    }

    /// The message with its signature inside.
    pub fn signed_xml(&self) -> Result<String> {
        match &self.signing {
            Some(signing) => sign(&self.to_xml()?, &self.id, signing),
            None => self.to_xml(),
        }
    }

    /// The fields of the POST binding.
    pub fn fields(&self) -> Result<Vec<(&'static str, String)>> {
        let mut fields = vec![(self.parameter, BASE64_STANDARD.encode(self.signed_xml()?))];
        fields.extend(self.relay_state.clone().map(|state| ("RelayState", state)));
        Ok(fields)
    }

    /// The query of the Redirect binding.
    pub fn query(&self) -> Result<String> {
        self.query_of(&self.to_xml()?)
    }

    /// The query of the Redirect binding with another text as the message.
    pub fn query_of(&self, xml: &str) -> Result<String> {
        let mut deflater = DeflateEncoder::new(Vec::new(), Compression::default());
        deflater.write_all(xml.as_bytes())?;
        let message = BASE64_STANDARD.encode(deflater.finish()?);
        let mut query = format!("{}={}", self.parameter, self.style.encoded(&message));
        if let Some(state) = &self.relay_state {
            query += &format!("&RelayState={}", self.style.encoded(state));
        }
        let Some(signing) = &self.signing else { return Ok(query) };
        let algorithm = format!("&SigAlg={}", self.style.encoded(signing.algorithm.uri()));
        let value = signing.algorithm.sign(&signing.key, format!("{query}{algorithm}").as_bytes())?;
        let value = format!("&Signature={}", self.style.encoded(&BASE64_STANDARD.encode(value)));
        Ok(if self.style.signature_first { query + &value + &algorithm } else { query + &algorithm + &value })
    }

    /// Where the Redirect binding sends the browser.
    pub fn redirect_url(&self) -> Result<String> {
        let destination = self.destination.as_deref().context("a redirect needs a destination")?;
        let separator = if destination.contains('?') { '&' } else { '?' };
        Ok(format!("{destination}{separator}{}", self.query()?))
    }
}

/// NameID with Format, NameQualifier and SPNameQualifier.
pub type NameIdParts = (String, Option<String>, Option<String>, Option<String>);

/// A logout message of a service provider, before anyone has checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedLogout {
    pub is_request: bool,
    pub id: String,
    pub issuer: String,
    pub destination: Option<String>,
    /// NameID with Format, NameQualifier and SPNameQualifier.
    pub name_id: Option<NameIdParts>,
    pub session_indexes: Vec<String>,
    pub in_response_to: Option<String>,
    /// Status codes, outermost first.
    pub status: Vec<String>,
    pub relay_state: Option<String>,
    pub signature: RequestSignature,
    pub xml: String,
}

impl ReceivedLogout {
    /// Reads the query of a GET, undecoded.
    pub fn from_query(query: &str) -> Result<Self> {
        let parameter = if query.contains("SAMLResponse=") { "SAMLResponse" } else { "SAMLRequest" };
        Self::of(Arrived::from_query(query, parameter)?)
    }

    /// Reads the fields of a POST.
    pub fn from_form(value: &str, relay_state: Option<&str>) -> Result<Self> {
        Self::of(Arrived::from_form(value, relay_state)?)
    }

    fn of(arrived: Arrived) -> Result<Self> {
        let document = roxmltree::Document::parse(&arrived.xml).context("the logout message is not XML")?;
        let root = document.root_element();
        let is_request = root.has_tag_name((PROTOCOL_NS, "LogoutRequest"));
        anyhow::ensure!(is_request || root.has_tag_name((PROTOCOL_NS, "LogoutResponse")), "this is no logout message");
        let owned = |name: &str| root.attribute(name).map(str::to_owned);
        let texts = |namespace: &'static str, name: &'static str| {
            root.children().filter(move |child| child.has_tag_name((namespace, name)))
        };
        let name_id = texts(ASSERTION_NS, "NameID").next().map(|node| {
            let of = |name: &str| node.attribute(name).map(str::to_owned);
            (node.text().unwrap_or_default().to_owned(), of("Format"), of("NameQualifier"), of("SPNameQualifier"))
        });
        Ok(Self {
            is_request,
            id: owned("ID").context("the logout message has no ID")?,
            issuer: texts(ASSERTION_NS, "Issuer").next().and_then(|node| node.text()).unwrap_or_default().to_owned(),
            destination: owned("Destination"),
            name_id,
            session_indexes: texts(PROTOCOL_NS, "SessionIndex").filter_map(|n| n.text().map(str::to_owned)).collect(),
            in_response_to: owned("InResponseTo"),
            status: root
                .descendants()
                .filter(|node| node.has_tag_name((PROTOCOL_NS, "StatusCode")))
                .filter_map(|node| node.attribute("Value").map(str::to_owned))
                .collect(),
            relay_state: arrived.relay_state,
            signature: arrived.signature,
            xml: arrived.xml.clone(),
        })
    }
}
