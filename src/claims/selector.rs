//! A selector: where a value comes from, as typed in a mapping.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A claim's name, an expression, or alternatives of which the first that has a value wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The claim of this name: SAML Name or FriendlyName, OIDC name, dotted for nested ones.
    Claim(String),
    /// `{"expr": "…"}`: MiniJinja over `claims`, `subject`, `connection`, `email_domain`.
    Expr(String),
    /// `["mail", "email", {"expr": "…"}]`
    FirstOf(Vec<Selector>),
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Claim(name) => serializer.serialize_str(name),
            Self::FirstOf(alternatives) => alternatives.serialize(serializer),
            Self::Expr(source) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("expr", source)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SelectorVisitor)
    }
}

/// Written by hand, because a derived choice answers every slip with "did not match any variant".
struct SelectorVisitor;

impl<'de> Visitor<'de> for SelectorVisitor {
    type Value = Selector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim's name, {\"expr\": \"…\"}, or a list of those")
    }

    fn visit_str<E>(self, name: &str) -> Result<Selector, E> {
        Ok(Selector::Claim(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Selector, A::Error> {
        let mut alternatives = Vec::new();
        while let Some(item) = items.next_element::<Selector>()? {
            if matches!(item, Selector::FirstOf(_)) {
                return Err(A::Error::custom("a list of alternatives holds no further list"));
            }
            alternatives.push(item);
        }
        Ok(Selector::FirstOf(alternatives))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Selector, A::Error> {
        let mut source = None;
        while let Some(key) = members.next_key::<Cow<'_, str>>()? {
            if key != "expr" {
                return Err(A::Error::unknown_field(&key, &["expr"]));
            }
            source = Some(members.next_value::<String>()?);
        }
        source.map(Selector::Expr).ok_or_else(|| A::Error::missing_field("expr"))
    }
}

impl PartialSchema for Selector {
    fn schema() -> RefOr<Schema> {
        let one = || {
            let name = ObjectBuilder::new().schema_type(Type::String).description(Some("a claim's name"));
            let expression = ObjectBuilder::new()
                .property(
                    "expr",
                    ObjectBuilder::new().schema_type(Type::String).description(Some("a MiniJinja expression")),
                )
                .required("expr");
            OneOfBuilder::new().item(name).item(expression)
        };
        let alternatives = ArrayBuilder::new().items(RefOr::<Schema>::from(one()));
        one().item(alternatives).into()
    }
}

impl ToSchema for Selector {}

#[cfg(test)]
mod tests {
    use super::Selector;

    fn read(json: &str) -> Result<Selector, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn each_form_is_read_and_written_back() {
        for json in [r#""email""#, r#"{"expr":"subject"}"#, r#"["mail",{"expr":"subject"}]"#] {
            assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn a_slip_is_told_by_name() {
        assert!(read(r#"{"exp":"x"}"#).unwrap_err().contains("unknown field `exp`, expected `expr`"));
        assert!(read("7").unwrap_err().contains("a claim's name"));
        assert!(read("{}").unwrap_err().contains("missing field `expr`"));
        assert!(read(r#"[["a"]]"#).unwrap_err().contains("no further list"));
    }
}
