//! The mapping as typed: the JSON model, read and written without judgement. `compile` turns it into what a sign-in may rely on.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::compile::MappingError;
use super::condition::Condition;
use super::selector::Selector;

/// The rules of a connection that turn claims into a profile and access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// What is known about the learner.
    pub profile: ProfileRules,
    /// What must hold for anybody to get in, whatever else yields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Requirement>,
    /// Chooses the client on a shared connection, by slug or sku; an active connection of one client has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Selector>,
    /// What is granted, rule after rule; the results add up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessRule>,
    /// What is granted when no rule yields. Absent: such a person is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// What a later sign-in does to the grants of this connection.
    pub sync: SyncMode,
}

/// Where each profile field comes from; a field that is not named is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileRules {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Field>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Field>,
}

/// A profile field: a selector, or a selector with an update policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Field {
    /// `"email"`, `{"expr": "…"}` or a list of alternatives; updated at every sign-in.
    Plain(Selector),
    /// `{"from": selector, "update": "first"}`
    WithPolicy { from: Selector, update: UpdatePolicy },
}

impl Field {
    /// Where the value comes from.
    pub fn selector(&self) -> &Selector {
        match self {
            Self::Plain(from) | Self::WithPolicy { from, .. } => from,
        }
    }

    /// When the value is written.
    pub fn policy(&self) -> UpdatePolicy {
        match self {
            Self::Plain(_) => UpdatePolicy::Always,
            Self::WithPolicy { update, .. } => *update,
        }
    }
}

impl From<Selector> for Field {
    fn from(selector: Selector) -> Self {
        Self::Plain(selector)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a claim's name, {\"expr\": \"…\"}, a list of those, or {\"from\": …, \"update\": \"always|first|locked\"}",
        )
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Field, E> {
        Selector::deserialize(IntoDeserializer::<E>::into_deserializer(name)).map(Field::Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Field, A::Error> {
        Selector::deserialize(value::SeqAccessDeserializer::new(items)).map(Field::Plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Field, A::Error> {
        let (mut from, mut update, mut expr) = (None, None, None);
        while let Some(key) = members.next_key::<String>()? {
            match key.as_str() {
                "from" => from = Some(members.next_value::<Selector>()?),
                "update" => update = Some(members.next_value::<UpdatePolicy>()?),
                "expr" => expr = Some(members.next_value::<String>()?),
                other => return Err(A::Error::unknown_field(other, &["from", "update", "expr"])),
            }
        }
        match (from, update, expr) {
            (None, None, Some(source)) => Ok(Field::Plain(Selector::Expr(source))),
            (Some(from), update, None) => Ok(Field::WithPolicy { from, update: update.unwrap_or_default() }),
            (None, None, None) => Err(A::Error::missing_field("from")),
            _ => Err(A::Error::custom("write {\"from\": {\"expr\": \"…\"}, \"update\": …}")),
        }
    }
}

/// When a sign-in writes a profile field. A missing claim leaves the field alone under each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpdatePolicy {
    /// At every sign-in.
    #[default]
    Always,
    /// Only when the learner is created; later changes are made in Usher.
    First,
    /// At every sign-in, and nobody may edit it in Usher: the IdP owns it.
    Locked,
}

/// Something that must hold, and what the learner reads when it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    pub that: Condition,
    /// Shown to the person who is refused.
    #[serde(rename = "else")]
    pub otherwise: String,
}

/// Grants sublicenses: named ones (`when` and `sublicenses`), or those that a claim names (`from`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// When the rule applies. Needed with `sublicenses`; `"always"` says that it always does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Slugs of the sublicenses that are granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sublicenses: Vec<String>,
    /// The claim whose values name the sublicenses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Selector>,
    /// What of the sublicense a value must equal; any of them when absent.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_by: Option<MatchBy>,
    /// `learner` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether the values of `from` are compared with regard to case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
}

/// What of a sublicense the value of a claim must equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "`match` is \"slug\", \"sku\", \"ref\" or {\"ref\": name}")]
pub enum MatchBy {
    Word(MatchWord),
    Named(NamedRef),
}

/// `{"ref": "crm"}`: the ref of this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedRef {
    #[serde(rename = "ref")]
    pub name: String,
}

/// The plain forms of `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchWord {
    Slug,
    Sku,
    /// Any ref.
    Ref,
}

/// What is granted when no rule yields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub sublicenses: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// What a learner is in a sublicense; the higher of two counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Learner,
    Manager,
}

impl Role {
    /// The word of schema, API and log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Manager => "manager",
        }
    }
}

/// What a later sign-in does to the grants whose source is this connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Adds what is new and removes nothing.
    #[default]
    Add,
    /// Adds what is new and removes what is no longer yielded, if every claim that was read was sent.
    Replace,
    /// Grants at the learner's creation and never again.
    FirstLogin,
}

impl Mapping {
    /// Reads a mapping from JSON, and says for each part that cannot be read where it stands.
    pub fn parse(json: &Value) -> Result<Self, Vec<MappingError>> {
        let Value::Object(members) = json else {
            return Err(vec![MappingError::shape("", "a mapping is a JSON object")]);
        };
        let mut errors = Vec::new();
        let mut mapping = Self::default();
        for (key, part) in members {
            let path = format!("/{key}");
            match key.as_str() {
                "profile" => mapping.profile = read(part, &path, &mut errors),
                "require" => mapping.require = read_each(part, &path, &mut errors),
                "client" => mapping.client = read(part, &path, &mut errors),
                "access" => mapping.access = read_each(part, &path, &mut errors),
                "fallback" => mapping.fallback = read(part, &path, &mut errors),
                "sync" => mapping.sync = read(part, &path, &mut errors),
                _ => errors.push(MappingError::shape(
                    &path,
                    "there is no such part; a mapping has profile, require, client, access, fallback and sync",
                )),
            }
        }
        if errors.is_empty() { Ok(mapping) } else { Err(errors) }
    }
}

fn read<T: Default + for<'de> Deserialize<'de>>(json: &Value, path: &str, errors: &mut Vec<MappingError>) -> T {
    T::deserialize(json).unwrap_or_else(|error| {
        errors.push(MappingError::shape(path, &error.to_string()));
        T::default()
    })
}

fn read_each<T: for<'de> Deserialize<'de>>(json: &Value, path: &str, errors: &mut Vec<MappingError>) -> Vec<T> {
    let Value::Array(items) = json else {
        errors.push(MappingError::shape(path, "a list of rules is expected"));
        return Vec::new();
    };
    let mut rules = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match T::deserialize(item) {
            Ok(rule) => rules.push(rule),
            Err(error) => errors.push(MappingError::shape(&format!("{path}/{index}"), &error.to_string())),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mapping_of_the_design_is_read_and_written_back() {
        let json = json!({
            "profile": {
                "email": "email", "first_name": "given_name", "last_name": {"from": "family_name", "update": "first"},
                "external_id": {"expr": "claims.employeeNumber | first"},
                "attributes": {"department": "department"}
            },
            "require": [{"that": {"claim": "groups", "contains": "learning"}, "else": "You are not in the learning group."}],
            "access": [
                {"when": {"claim": "groups", "contains": "sales"}, "sublicenses": ["sales"]},
                {"when": {"expr": "email_domain == 'acme.example'"}, "sublicenses": ["main"], "role": "learner"},
                {"when": "always", "sublicenses": ["main"]},
                {"from": "departments", "match": "sku"},
                {"from": "departments", "match": {"ref": "crm"}}
            ],
            "fallback": {"sublicenses": ["main"]},
            "sync": "add"
        });
        let mapping = Mapping::parse(&json).unwrap();
        assert_eq!(serde_json::to_value(&mapping).unwrap(), json);
        assert_eq!(serde_json::from_value::<Mapping>(json).unwrap(), mapping);
    }

    #[test]
    fn a_null_client_is_no_client() {
        assert_eq!(Mapping::parse(&json!({"client": null})).unwrap(), Mapping::default());
    }

    #[test]
    fn each_part_that_cannot_be_read_is_told_with_its_place() {
        let errors = Mapping::parse(&json!({
            "profile": {"emial": "email"}, "acess": [], "sync": "sometimes",
            "access": [{"when": "always", "sublicenses": ["main"]}, {"wehn": "always"}, {"from": "d", "match": "name"}],
            "require": {"that": "always"},
        }))
        .unwrap_err();
        let told: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(told, ["/access/1", "/access/2", "/acess", "/profile", "/require", "/sync"]);
        assert!(errors[3].message.contains("unknown field `emial`"), "{}", errors[3].message);
        assert!(errors[1].message.contains("\"slug\", \"sku\""), "{}", errors[1].message);
    }
}
