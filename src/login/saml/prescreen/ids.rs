//! The IDs of a document.

use std::collections::HashSet;

use crate::{
    connections::saml_metadata::xml::{StartTag, is_ncname},
    login::saml::error::SamlError,
};

/// The IDs met so far.
#[derive(Default)]
pub(in super::super) struct Ids(HashSet<String>);

impl Ids {
    /// Notes the ID of an element: one per element, of one spelling in no namespace, an NCName, and unique in the
    /// document. Engines differ in which attributes they take for IDs (CVE-2025-66567).
    pub fn note(&mut self, tag: &StartTag<'_>) -> Result<Option<String>, SamlError> {
        let mut found = None;
        for attribute in tag.attributes.iter().filter(|a| a.local.eq_ignore_ascii_case("id")) {
            if !attribute.namespace.is_empty() || found.is_some() || !is_ncname(attribute.raw) {
                return Err(SamlError::Structure("an ID attribute that is doubled, prefixed or not a name"));
            }
            if !self.0.insert(attribute.raw.to_owned()) {
                return Err(SamlError::Structure("two elements have the same ID"));
            }
            found = Some(attribute.raw.to_owned());
        }
        Ok(found)
    }
}
