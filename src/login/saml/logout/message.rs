//! The logout messages that we send, always signed, packed for the Redirect or the POST binding.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, Utc};

use super::received::Kind;
use crate::login::saml::{
    checks::SUCCESS,
    keys::{KeyError, SigningKey},
    model::{NS_ASSERTION, NS_PROTOCOL, NameId},
    request::{redirect_url, sign_template, signature_template},
    writer::XmlText,
};

/// How long a request of ours may be answered to by an identity provider.
const VALID_FOR: Duration = Duration::minutes(5);

/// What became of a request for logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutStatus {
    /// What was asked for is over here, or was before.
    Success,
    /// The session belongs to somebody else than the subject that was named; nothing was ended.
    UnknownPrincipal,
    /// Something here failed, so that sessions may live on.
    Failed,
}

impl LogoutStatus {
    /// First and second code (SAML core 3.2.2.2).
    const fn codes(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Success => (SUCCESS, None),
            Self::UnknownPrincipal => (
                "urn:oasis:names:tc:SAML:2.0:status:Requester",
                Some("urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal"),
            ),
            Self::Failed => (
                "urn:oasis:names:tc:SAML:2.0:status:Responder",
                Some("urn:oasis:names:tc:SAML:2.0:status:PartialLogout"),
            ),
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, Copy)]
pub enum Says<'a> {
    /// End the session of this subject; the NameID exactly as it was given to us (SAML core 3.7.1).
    Request {
        name_id: &'a NameId,
        session_index: Option<&'a str>,
    },
    Response {
        in_response_to: &'a str,
        status: LogoutStatus,
    },
}

/// One message of ours.
#[derive(Debug, Clone, Copy)]
pub struct LogoutMessage<'a> {
    /// From [`crate::login::saml::request_id`].
    pub id: &'a str,
    pub issue_instant: DateTime<Utc>,
    /// The identity provider's address for the binding that is used.
    pub destination: &'a str,
    pub sp_entity_id: &'a str,
    pub says: Says<'a>,
}

impl LogoutMessage<'_> {
    /// The name of the parameter or field that carries it.
    pub const fn parameter(&self) -> &'static str {
        match self.says {
            Says::Request { .. } => Kind::Request.parameter(),
            Says::Response { .. } => Kind::Response.parameter(),
        }
    }

    /// Where to redirect the browser (SAML bindings 3.4.4).
    pub fn redirect_url(&self, relay_state: Option<&str>, key: &SigningKey) -> Result<String, KeyError> {
        redirect_url(self.destination, self.parameter(), &self.to_xml(false), relay_state, Some(key))
    }

    /// The message for the POST binding, to be signed by [`sign_posted`].
    pub fn template(&self) -> String {
        self.to_xml(true)
    }

    fn to_xml(self, with_signature: bool) -> String {
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (instant, end) = (time(self.issue_instant), time(self.issue_instant + VALID_FOR));
        let mut attributes = vec![
            ("xmlns:samlp", NS_PROTOCOL),
            ("xmlns:saml", NS_ASSERTION),
            ("ID", self.id),
            ("Version", "2.0"),
            ("IssueInstant", &instant),
            ("Destination", self.destination),
        ];
        let name = match self.says {
            Says::Request { .. } => {
                attributes.push(("NotOnOrAfter", &end));
                attributes.push(("Reason", "urn:oasis:names:tc:SAML:2.0:logout:user"));
                "samlp:LogoutRequest"
            }
            Says::Response { in_response_to, .. } => {
                attributes.push(("InResponseTo", in_response_to));
                "samlp:LogoutResponse"
            }
        };
        let mut xml = XmlText::new();
        xml.element(name, &attributes, |x| {
            x.text("saml:Issuer", &[], self.sp_entity_id);
            if with_signature {
                signature_template(x, self.id);
            }
            match self.says {
                Says::Request { name_id, session_index } => {
                    subject(x, name_id);
                    session_index.into_iter().for_each(|index| x.text("samlp:SessionIndex", &[], index));
                }
                Says::Response { status, .. } => x.element("samlp:Status", &[], |x| status_codes(x, status)),
            }
        });
        xml.finish()
    }
}

/// The value of the form field for the POST binding (SAML bindings 3.5.4). Runs the XML engine: not for the async threads.
pub fn sign_posted(template: &str, key: &SigningKey) -> Result<String, KeyError> {
    Ok(STANDARD.encode(sign_template(template, key)?))
}

fn subject(x: &mut XmlText, name_id: &NameId) {
    let attributes: Vec<(&str, &str)> = [
        ("NameQualifier", &name_id.name_qualifier),
        ("SPNameQualifier", &name_id.sp_name_qualifier),
        ("Format", &name_id.format),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
    .collect();
    x.text("saml:NameID", &attributes, &name_id.value);
}

fn status_codes(x: &mut XmlText, status: LogoutStatus) {
    match status.codes() {
        (first, None) => x.empty("samlp:StatusCode", &[("Value", first)]),
        (first, Some(second)) => x.element("samlp:StatusCode", &[("Value", first)], |x| {
            x.empty("samlp:StatusCode", &[("Value", second)]);
        }),
    }
}
