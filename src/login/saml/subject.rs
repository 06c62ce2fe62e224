//! Who the assertion is about: the NameID, or the attribute that the connection names instead of it.

use roxmltree::Node;

use super::{
    error::SamlError,
    model::{Attribute, Expectation, NS_ASSERTION, NameId, child, children, text_of},
};

/// As long as SAML lets a persistent identifier be (core 8.3.7).
pub const MAX_SUBJECT_CHARS: usize = 256;
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

pub(super) struct Subject {
    pub value: String,
    pub name_id: Option<NameId>,
}

/// Reads the subject; `attributes` is `None` when they could not be read.
pub(super) fn read(
    assertion: Node<'_, '_>,
    attributes: Option<&[Attribute]>,
    expectation: &Expectation<'_>,
) -> Result<Subject, SamlError> {
    let subject = child(assertion, NS_ASSERTION, "Subject").ok_or(SamlError::NameId("there is no Subject"))?;
    let mut all = children(subject, NS_ASSERTION, "NameID");
    let name_id = match (all.next(), all.next()) {
        (found, None) => found.map(name_id).transpose()?,
        _ => return Err(SamlError::NameId("there are several NameIDs")),
    };
    let known = |child: &Node<'_, '_>| {
        child.tag_name().namespace() == Some(NS_ASSERTION)
            && matches!(child.tag_name().name(), "NameID" | "SubjectConfirmation")
    };
    if !subject.children().filter(Node::is_element).all(|c| known(&c)) {
        return Err(SamlError::NameId("the Subject has a part that is not known"));
    }
    if let Some(attribute) = expectation.subject_attribute {
        return Ok(Subject { value: by_attribute(attribute, attributes.unwrap_or_default())?, name_id });
    }
    let name_id = name_id.ok_or(SamlError::NameId("there is no NameID"))?;
    // A transient one names a session, not a person (SAML core 8.3.8).
    if name_id.format.as_deref() == Some(TRANSIENT) {
        return Err(SamlError::TransientSubject);
    }
    Ok(Subject { value: name_id.value.clone(), name_id: Some(name_id) })
}

/// A NameID with its qualifiers.
pub(super) fn name_id(node: Node<'_, '_>) -> Result<NameId, SamlError> {
    let attribute = |name| node.attribute(name).map(str::to_owned);
    if node.children().any(|c| c.is_element()) {
        return Err(SamlError::NameId("the NameID holds markup"));
    }
    Ok(NameId {
        value: fit(text_of(node))?,
        format: attribute("Format"),
        name_qualifier: attribute("NameQualifier"),
        sp_name_qualifier: attribute("SPNameQualifier"),
    })
}

/// By its Name alone: a FriendlyName is for people, and anybody's to choose.
fn by_attribute(name: &str, attributes: &[Attribute]) -> Result<String, SamlError> {
    let mut values = attributes.iter().filter(|a| a.name == name).flat_map(|a| &a.values);
    match (values.next(), values.next()) {
        (Some(value), None) => fit(value.clone()),
        _ => Err(SamlError::SubjectAttribute(name.to_owned())),
    }
}

fn fit(value: String) -> Result<String, SamlError> {
    if value.is_empty() {
        return Err(SamlError::NameId("it is empty"));
    }
    if value.chars().count() > MAX_SUBJECT_CHARS {
        return Err(SamlError::NameId("it is longer than 256 characters"));
    }
    if value.chars().any(char::is_control) {
        return Err(SamlError::NameId("it holds a control character"));
    }
    Ok(value)
}
