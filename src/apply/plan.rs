//! What a declarative file changes: compared with what is there, field by field, and shown before or after it is done.

use std::fmt;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::file::Fields;

/// Fields that go in and never come out; they are compared elsewhere and not shown.
pub(super) const WRITE_ONLY: &[&str] = &["client_secret"];

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Dotted path.
    pub field: String,
    pub before: String,
    pub after: String,
}

impl Difference {
    /// A secret that differs, in words that show neither.
    pub(super) fn hidden(field: &str) -> Self {
        Self { field: field.to_owned(), before: "(hidden)".to_owned(), after: "(hidden)".to_owned() }
    }
}

/// What becomes of one thing that the file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Create,
    Update(Vec<Difference>),
    Unchanged,
}

/// One thing that the file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `client`, `sublicense`, …
    pub kind: &'static str,
    pub name: String,
    pub action: Action,
}

/// Every thing that a file names, in the order in which it is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
}

impl Plan {
    pub(super) fn push(&mut self, kind: &'static str, name: &str, action: Action) {
        self.steps.push(Step { kind, name: name.to_owned(), action });
    }

    /// Whether everything is as the file says already.
    pub fn is_unchanged(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Unchanged)
    }
}

impl Action {
    /// An update, or nothing to do.
    pub(super) fn of(differences: Vec<Difference>) -> Self {
        if differences.is_empty() { Self::Unchanged } else { Self::Update(differences) }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { kind, name, action } in &self.steps {
            match action {
                Action::Create => writeln!(out, "create     {kind} {name}")?,
                Action::Unchanged => writeln!(out, "unchanged  {kind} {name}")?,
                Action::Update(differences) => {
                    writeln!(out, "update     {kind} {name}")?;
                    for Difference { field, before, after } in differences {
                        writeln!(out, "             {field}: {before} -> {after}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the order of a list means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// Domains, sublicenses: not every list of the API keeps its order.
    AreSets,
    /// Rules of a mapping.
    AreOrdered,
}

/// Where what is wanted differs from what is there. What is not wanted in words is left alone.
pub(super) fn differences(wanted: &Fields, current: &Value, lists: Lists) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", wanted, current, lists, &mut found);
    found
}

fn compare(path: &str, wanted: &Fields, current: &Value, lists: Lists, found: &mut Vec<Difference>) {
    for (name, value) in wanted {
        if WRITE_ONLY.contains(&name.as_str()) {
            continue;
        }
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let there = current.get(name).unwrap_or(&Value::Null);
        match (value, there) {
            (Value::Object(inner), Value::Object(_)) => compare(&field, inner, there, lists, found),
            _ if same(value, there, lists) => {}
            _ => found.push(Difference { field, before: there.to_string(), after: value.to_string() }),
        }
    }
}

fn same(wanted: &Value, there: &Value, lists: Lists) -> bool {
    match (wanted, there) {
        (Value::String(wanted), Value::String(there)) => {
            let time = |text: &str| DateTime::parse_from_rfc3339(text).ok();
            wanted == there || time(wanted).zip(time(there)).is_some_and(|(wanted, there)| wanted == there)
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() != there.len() => false,
        (Value::Array(wanted), Value::Array(there)) => match lists {
            Lists::AreOrdered => wanted.iter().zip(there).all(|(value, other)| same(value, other, lists)),
            Lists::AreSets => wanted.iter().all(|value| there.iter().any(|other| same(value, other, lists))),
        },
        (Value::Object(wanted), Value::Object(_)) => {
            let mut found = Vec::new();
            compare("", wanted, there, lists, &mut found);
            found.is_empty()
        }
        (wanted, there) => wanted == there,
    }
}

/// The top-level fields that a change has to send.
pub(super) fn changed_fields(wanted: &Fields, differences: &[Difference]) -> Fields {
    let is_touched = |name: &str| {
        differences.iter().any(|difference| {
            difference.field == name || difference.field.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    wanted
        .iter()
        .filter(|(name, _)| is_touched(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn only_what_is_named_and_differs_is_a_difference() {
        let wanted = fields(json!({
            "name": "Acme", "saml": {"force_authn": true, "binding": "post"}, "domains": ["b.example", "a.example"],
            "ends_at": "2027-01-01T00:00:00Z", "oidc": {"client_secret": "x"}
        }));
        let there = json!({
            "name": "Acme", "saml": {"force_authn": false, "binding": "post", "other": 1},
            "domains": ["a.example", "b.example"], "ends_at": "2027-01-01T01:00:00+01:00", "oidc": {}, "status": "draft"
        });
        let found = differences(&wanted, &there, Lists::AreSets);
        assert_eq!(
            found,
            [Difference { field: "saml.force_authn".into(), before: "false".into(), after: "true".into() }]
        );
        assert_eq!(
            Value::Object(changed_fields(&wanted, &found)),
            json!({ "saml": {"force_authn": true, "binding": "post"} })
        );
    }

    #[test]
    fn a_list_of_things_is_the_same_when_each_has_what_is_named() {
        let wanted = fields(json!({ "email_domains": [{"domain": "acme.example"}] }));
        let there = json!({ "email_domains": [{"domain": "acme.example", "verified_at": null}] });
        assert!(differences(&wanted, &there, Lists::AreSets).is_empty());
        assert_eq!(differences(&wanted, &json!({ "email_domains": [] }), Lists::AreSets).len(), 1);
    }
}
