//! JSON objects from a provider, in which no name may stand twice: two readers of such an object can differ (RFC 7519,
//! section 4).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// An object whose names are all different.
pub(super) struct Object(pub Map<String, Value>);

impl Object {
    /// Reads the whole of `bytes` as one object.
    pub fn read(bytes: &[u8]) -> Option<Map<String, Value>> {
        serde_json::from_slice::<Self>(bytes).ok().map(|object| object.0)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose names are all different")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
                let mut read = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if read.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands twice"));
                    }
                }
                Ok(Object(read))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_a_name_twice_or_more_after_it_is_not_read() {
        assert!(Object::read(br#"{"sub": "a", "aud": ["b"]}"#).is_some());
        for text in [r#"{"sub": "a", "sub": "b"}"#, r#"{"sub": "a"} {}"#, "[]", "", "null"] {
            assert!(Object::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
