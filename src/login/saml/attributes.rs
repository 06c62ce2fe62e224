//! The attributes of a verified assertion, as plain lists of texts.

use roxmltree::Node;

use super::{
    error::SamlError,
    model::{Attribute, NS_ASSERTION, NS_XSI, child, children, text_of},
};

const MAX_NAME_CHARS: usize = 512;

/// Reads every attribute statement.
pub(super) fn read(assertion: Node<'_, '_>) -> Result<Vec<Attribute>, SamlError> {
    children(assertion, NS_ASSERTION, "AttributeStatement")
        .flat_map(|s| children(s, NS_ASSERTION, "Attribute"))
        .map(attribute)
        .collect()
}

fn attribute(node: Node<'_, '_>) -> Result<Attribute, SamlError> {
    let name = node.attribute("Name").map(str::trim).unwrap_or_default();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(SamlError::Attributes("an attribute's name is missing or too long"));
    }
    let friendly_name = node.attribute("FriendlyName").map(str::trim).filter(|f| !f.is_empty()).map(str::to_owned);
    Ok(Attribute {
        name: name.to_owned(),
        friendly_name,
        values: children(node, NS_ASSERTION, "AttributeValue").filter_map(value).collect(),
    })
}

/// A value's text. A nested NameID (eduPersonTargetedID) stands for its own text; other markup is no value, and
/// neither is nil.
fn value(node: Node<'_, '_>) -> Option<String> {
    if matches!(node.attribute((NS_XSI, "nil")), Some("true" | "1")) {
        return None;
    }
    if !node.children().any(|c| c.is_element()) {
        return Some(text_of(node));
    }
    child(node, NS_ASSERTION, "NameID").map(text_of).filter(|text| !text.is_empty())
}
