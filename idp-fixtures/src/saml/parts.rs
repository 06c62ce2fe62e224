//! The XML of a Response's parts, one function for each element.

use super::response::{Attribute, AuthnStatement, Conditions, Confirmation, NameId, Status, Value};
use crate::{
    clock::xs_date_time,
    xml::{attribute, escape},
};
use chrono::{DateTime, Utc};

pub(super) fn issuer_xml(issuer: &Value) -> String {
    format!("<saml:Issuer>{}</saml:Issuer>", issuer.to_xml())
}

pub(super) fn status_xml(status: &Status) -> String {
    let sub_code = status
        .sub_code
        .as_ref()
        .map(|code| format!("<samlp:StatusCode Value=\"{}\"/>", escape(code)))
        .unwrap_or_default();
    let message = status
        .message
        .as_ref()
        .map(|text| format!("<samlp:StatusMessage>{}</samlp:StatusMessage>", escape(text)))
        .unwrap_or_default();
    format!(
        "<samlp:Status><samlp:StatusCode Value=\"{}\">{sub_code}</samlp:StatusCode>{message}</samlp:Status>",
        escape(&status.code)
    )
}

pub(super) fn name_id_xml(name_id: &NameId) -> String {
    format!(
        "<saml:NameID{}{}{}>{}</saml:NameID>",
        attribute("Format", name_id.format.as_deref()),
        attribute("NameQualifier", name_id.name_qualifier.as_deref()),
        attribute("SPNameQualifier", name_id.sp_name_qualifier.as_deref()),
        name_id.value.to_xml(),
    )
}

fn instant(name: &str, at: Option<DateTime<Utc>>) -> String {
    attribute(name, at.map(xs_date_time).as_deref())
}

pub(super) fn confirmation_xml(confirmation: &Confirmation) -> String {
    let data = if confirmation.with_data {
        format!(
            "<saml:SubjectConfirmationData{}{}{}{}{}/>",
            instant("NotBefore", confirmation.not_before),
            instant("NotOnOrAfter", confirmation.not_on_or_after),
            attribute("Recipient", confirmation.recipient.as_deref()),
            attribute("InResponseTo", confirmation.in_response_to.as_deref()),
            attribute("Address", confirmation.address.as_deref()),
        )
    } else {
        String::new()
    };
    format!("<saml:SubjectConfirmation Method=\"{}\">{data}</saml:SubjectConfirmation>", escape(&confirmation.method))
}

pub(super) fn conditions_xml(conditions: &Conditions) -> String {
    let restrictions: String = conditions
        .audiences
        .iter()
        .map(|audiences| {
            let inner: String = audiences
                .iter()
                .map(|audience| format!("<saml:Audience>{}</saml:Audience>", audience.to_xml()))
                .collect();
            format!("<saml:AudienceRestriction>{inner}</saml:AudienceRestriction>")
        })
        .collect();
    format!(
        "<saml:Conditions{}{}>{restrictions}{}{}</saml:Conditions>",
        instant("NotBefore", conditions.not_before),
        instant("NotOnOrAfter", conditions.not_on_or_after),
        if conditions.one_time_use { "<saml:OneTimeUse/>" } else { "" },
        conditions.extra,
    )
}

pub(super) fn authn_statement_xml(statement: &AuthnStatement) -> String {
    format!(
        "<saml:AuthnStatement AuthnInstant=\"{}\"{}{}><saml:AuthnContext><saml:AuthnContextClassRef>{}\
         </saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>",
        xs_date_time(statement.instant),
        attribute("SessionIndex", statement.session_index.as_deref()),
        instant("SessionNotOnOrAfter", statement.session_not_on_or_after),
        escape(&statement.class),
    )
}

pub(super) fn attribute_xml(described: &Attribute) -> String {
    let values: String = described
        .values
        .iter()
        .map(|value| format!("<saml:AttributeValue xsi:type=\"xs:string\">{}</saml:AttributeValue>", value.to_xml()))
        .collect();
    format!(
        "<saml:Attribute Name=\"{}\"{}{}>{values}</saml:Attribute>",
        escape(&described.name),
        attribute("NameFormat", described.name_format.as_deref()),
        attribute("FriendlyName", described.friendly_name.as_deref()),
    )
}
