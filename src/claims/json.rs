//! Claims from JSON: an ID token's or userinfo's claims, or what an admin pasted for a dry run.

use serde_json::{Map, Value};

use super::limits::MAX_JSON_DEPTH;
use super::value::{Claims, ClaimsError};

impl Claims {
    /// Reads OpenID Connect claims.
    ///
    /// Nested objects get dotted names (`realm_access.roles`), arrays become lists, numbers and booleans their text, null
    /// counts as missing, an empty array as present and empty. The objects inside an array are read below its name
    /// (`roles.name`). A name that really holds a dot goes before a nested one. Distributed claims (OpenID Connect Core
    /// 5.6.2) and Entra's `hasgroups` name claims that were not sent: see [`Claims::overage`].
    pub fn from_json(claims: &Map<String, Value>) -> Result<Self, ClaimsError> {
        let mut read = Self::new();
        for (name, value) in claims {
            match (name.as_str(), value) {
                ("_claim_names", Value::Object(elsewhere)) => {
                    elsewhere.keys().try_for_each(|name| read.mark_overage(name))?;
                }
                ("_claim_names" | "_claim_sources", _) => {}
                ("hasgroups", Value::Bool(true)) => read.mark_overage("groups")?,
                _ => Flatten { root: claims, read: &mut read }.value(name, value, 0)?,
            }
        }
        Ok(read)
    }
}

struct Flatten<'a> {
    root: &'a Map<String, Value>,
    read: &'a mut Claims,
}

impl Flatten<'_> {
    fn value(&mut self, name: &str, value: &Value, depth: usize) -> Result<(), ClaimsError> {
        if depth > MAX_JSON_DEPTH {
            return Err(ClaimsError::TooDeep);
        }
        match value {
            Value::Null => Ok(()),
            Value::Bool(value) => self.read.push(name, value.to_string()),
            Value::Number(value) => self.read.push(name, value.to_string()),
            Value::String(value) => self.read.push(name, value.as_str()),
            Value::Array(items) if items.is_empty() => self.read.mark_present(name),
            Value::Array(items) => items.iter().try_for_each(|item| self.value(name, item, depth + 1)),
            Value::Object(members) => members.iter().try_for_each(|(member, value)| {
                let below = format!("{name}.{member}");
                if self.root.contains_key(&below) {
                    return Ok(());
                }
                self.value(&below, value, depth + 1)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(json: Value) -> Claims {
        Claims::from_json(json.as_object().unwrap()).unwrap()
    }

    #[test]
    fn every_kind_of_json_becomes_a_list_of_texts() {
        let claims = read(json!({
            "sub": "u1", "email_verified": true, "level": 7, "nothing": null, "groups": ["a, b", "c"], "empty": [],
            "realm_access": {"roles": ["learner"]}, "mixed": [1, null, false, ["deep", ["deeper"]], {"id": 5, "in": {"k": "v"}}],
        }));
        let names: Vec<_> = claims.names().collect();
        assert_eq!(
            names,
            [
                "email_verified",
                "empty",
                "groups",
                "level",
                "mixed",
                "mixed.id",
                "mixed.in.k",
                "realm_access.roles",
                "sub"
            ]
        );
        assert_eq!(claims.get("groups").unwrap(), ["a, b", "c"]);
        assert_eq!(claims.first("email_verified"), Some("true"));
        assert_eq!(claims.first("level"), Some("7"));
        assert_eq!(claims.get("mixed").unwrap(), ["1", "false", "deep", "deeper"]);
        assert_eq!(claims.get("empty"), Some(&[][..]));
        assert_eq!(claims.get("nothing"), None);
    }

    #[test]
    fn a_list_that_holds_only_objects_is_not_an_empty_list() {
        let claims = read(json!({"roles": [{"name": "learner"}, {"name": "lead"}], "nulls": [null]}));
        assert_eq!(claims.get("roles"), None);
        assert_eq!(claims.get("roles.name").unwrap(), ["learner", "lead"]);
        assert_eq!(claims.get("nulls"), None);
    }

    #[test]
    fn a_name_with_a_dot_goes_before_a_nested_one() {
        let claims = read(json!({"app": {"role": "nested"}, "app.role": "plain"}));
        assert_eq!(claims.get("app.role").unwrap(), ["plain"]);
    }

    #[test]
    fn an_overage_link_makes_the_claim_missing() {
        let claims = read(
            json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example"}}, "groups": []}),
        );
        assert_eq!(claims.get("groups"), None);
        assert!(claims.overage().contains("groups"));
        assert!(read(json!({"hasgroups": true})).is_overage("groups"));
        assert!(!read(json!({"groups": []})).is_overage("groups"));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| (0..depth).fold(json!("x"), |inner, _| json!([inner]));
        let deep = json!({"n": nested(MAX_JSON_DEPTH + 1)});
        assert_eq!(Claims::from_json(deep.as_object().unwrap()), Err(ClaimsError::TooDeep));
        assert_eq!(read(json!({"n": nested(MAX_JSON_DEPTH)})).first("n"), Some("x"));
    }
}
