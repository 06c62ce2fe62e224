//! IdP metadata as a vendor publishes it, written from a typed description.

use super::{EMAIL_FORMAT, POST_BINDING, REDIRECT_BINDING};
use crate::{
    clock::xs_date_time,
    sign::KeyPair,
    xml::{attribute, escape},
};
use anyhow::Result;
use chrono::{DateTime, Utc};

/// What an IdP says about itself.
#[derive(Clone, Debug)]
pub struct IdpMetadata {
    pub entity_id: String,
    pub sso_redirect_url: Option<String>,
    pub sso_post_url: Option<String>,
    pub slo_redirect_url: Option<String>,
    pub slo_post_url: Option<String>,
    /// Where answers to logout requests go, when that is another address.
    pub slo_response_url: Option<String>,
    /// Signing certificates in order; several during a rollover.
    pub signing: Vec<KeyPair>,
    /// Whether the key descriptors say `use="signing"`, or nothing.
    pub say_use: bool,
    pub want_signed_requests: bool,
    pub valid_until: Option<DateTime<Utc>>,
    /// An XML duration, such as `PT6H`.
    pub cache_duration: Option<String>,
}

impl IdpMetadata {
    /// An IdP with one SSO URL for both bindings and one signing certificate.
    #[must_use]
    pub fn new(entity_id: &str, sso_url: &str, key: &KeyPair) -> Self {
        Self {
            entity_id: entity_id.to_owned(),
            sso_redirect_url: Some(sso_url.to_owned()),
            sso_post_url: Some(sso_url.to_owned()),
            slo_redirect_url: None,
            slo_post_url: None,
            slo_response_url: None,
            signing: vec![key.clone()],
            say_use: true,
            want_signed_requests: false,
            valid_until: None,
            cache_duration: None,
        }
    }

    /// An `EntityDescriptor`.
    pub fn to_xml(&self) -> Result<String> {
        let mut keys = String::new();
        for key in &self.signing {
            keys += &key_descriptor(key, self.say_use)?;
        }
        let endpoint = |element: &str, binding: &str, url: &Option<String>, answers: &Option<String>| {
            let answers = attribute("ResponseLocation", answers.as_deref());
            url.as_ref()
                .map(|url| format!("<md:{element} Binding=\"{binding}\" Location=\"{}\"{answers}/>", escape(url)))
                .unwrap_or_default()
        };
        Ok(format!(
            "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
             xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{}\"{}{}>\
             <md:IDPSSODescriptor WantAuthnRequestsSigned=\"{}\" \
             protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}{}\
             {}<md:NameIDFormat>{EMAIL_FORMAT}</md:NameIDFormat>{}{}</md:IDPSSODescriptor></md:EntityDescriptor>",
            escape(&self.entity_id),
            attribute("validUntil", self.valid_until.map(xs_date_time).as_deref()),
            attribute("cacheDuration", self.cache_duration.as_deref()),
            self.want_signed_requests,
            endpoint("SingleLogoutService", REDIRECT_BINDING, &self.slo_redirect_url, &self.slo_response_url),
            endpoint("SingleLogoutService", POST_BINDING, &self.slo_post_url, &self.slo_response_url),
            endpoint("SingleSignOnService", REDIRECT_BINDING, &self.sso_redirect_url, &None),
            endpoint("SingleSignOnService", POST_BINDING, &self.sso_post_url, &None),
        ))
    }
}

/// Several entities in one `EntitiesDescriptor`, as a federation publishes them.
pub fn entities_descriptor(entities: &[IdpMetadata]) -> Result<String> {
    let mut inner = String::new();
    for entity in entities {
        inner += &entity.to_xml()?;
    }
    Ok(format!(
        "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{inner}</md:EntitiesDescriptor>"
    ))
}

fn key_descriptor(key: &KeyPair, say_use: bool) -> Result<String> {
    Ok(format!(
        "<md:KeyDescriptor{}><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data>\
         </ds:KeyInfo></md:KeyDescriptor>",
        if say_use { " use=\"signing\"" } else { "" },
        key.certificate_base64()?,
    ))
}
