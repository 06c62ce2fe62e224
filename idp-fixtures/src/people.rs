//! The organisations behind the fixture IdPs and the people who sign in there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Someone who can sign in at a fixture IdP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// What stands in the login form, and the stem of the subject.
    pub username: String,
    /// The stable identifier: OIDC `sub`, persistent NameID, object id.
    pub subject: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    #[serde(default)]
    pub groups: Vec<String>,
    /// More claims under the organisation's own names.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

impl Person {
    /// A person of this organisation without groups; the subject follows from the user name.
    #[must_use]
    pub fn new(username: &str, email: &str, first_name: &str, last_name: &str) -> Self {
        Self {
            username: username.to_owned(),
            subject: format!("{username}-7f3a"),
            email: email.to_owned(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            groups: Vec::new(),
            extra: Map::new(),
        }
    }

    /// The same with these groups.
    #[must_use]
    pub fn groups(mut self, groups: &[&str]) -> Self {
        self.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self
    }

    /// The same with one more claim.
    #[must_use]
    pub fn extra(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }

    /// Up to two letters for the round picture of the login page.
    #[must_use]
    pub fn initials(&self) -> String {
        [&self.first_name, &self.last_name].iter().filter_map(|name| name.chars().next()).collect()
    }
}

/// An organisation with its own sign-in page.
#[derive(Clone, Debug)]
pub struct Org {
    pub name: String,
    pub domain: String,
    /// CSS colour of its sign-in page.
    pub accent: String,
    pub people: Vec<Person>,
}

impl Org {
    /// Acme, whose people sign in over SAML.
    #[must_use]
    pub fn acme() -> Self {
        let person = |username: &str, first: &str, last: &str| {
            Person::new(username, &format!("{username}@acme.example"), first, last)
        };
        Self {
            name: "Acme Corporation".to_owned(),
            domain: "acme.example".to_owned(),
            accent: "#b3261e".to_owned(),
            people: vec![
                person("ada", "Ada", "Lovelace")
                    .groups(&["sales", "learning"])
                    .extra("department", json!("Sales"))
                    .extra("employeeNumber", json!("1815")),
                person("zoe", "Zoë", "Müller")
                    .groups(&["learning", "Vertrieb Süd"])
                    .extra("department", json!("Vertrieb Süd"))
                    .extra("employeeNumber", json!("1906")),
                person("taro", "太郎", "山田").groups(&["learning"]).extra("department", json!("営業部")),
                person("nora", "Nora", "O’Neill").extra("department", json!("Facilities")),
                // Pupils of two schools behind this one provider; the teacher is at both.
                person("emil", "Emil", "Sinclair").extra("school", json!("elm-school")),
                person("olga", "Olga", "Prozorova").extra("school", json!("oak-school")),
                person("mina", "Mina", "Murray").extra("school", json!(["elm-school", "oak-school"])),
            ],
        }
    }

    /// Globex, whose people sign in over OpenID Connect.
    #[must_use]
    pub fn globex() -> Self {
        let person = |username: &str, first: &str, last: &str| {
            Person::new(username, &format!("{username}@globex.example"), first, last)
        };
        Self {
            name: "Globex".to_owned(),
            domain: "globex.example".to_owned(),
            accent: "#0b57d0".to_owned(),
            people: vec![
                person("grace", "Grace", "Hopper")
                    .groups(&["engineering", "learning"])
                    .extra("department", json!("Engineering")),
                person("jose", "José", "Núñez").groups(&["support", "learning"]).extra("department", json!("Support")),
                person("li", "丽", "王").groups(&["learning"]),
                person("sam", "Sam", "Jones"),
            ],
        }
    }

    /// The listed person, or a new one made from what was typed: `Mary Shelley` or `mary@acme.example`.
    #[must_use]
    pub fn person(&self, typed: &str) -> Option<Person> {
        let typed = typed.trim();
        let listed = |person: &&Person| person.username == typed || person.email.eq_ignore_ascii_case(typed);
        if let Some(person) = self.people.iter().find(listed) {
            return Some(person.clone());
        }
        let name = typed.split('@').next().unwrap_or(typed).replace('.', " ");
        let mut words = name.split_whitespace();
        let first = capitalised(words.next()?);
        let last = words.map(capitalised).collect::<Vec<_>>().join(" ");
        let username = name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(".");
        let email = if typed.contains('@') { typed.to_owned() } else { format!("{username}@{}", self.domain) };
        Some(Person::new(&username, &email, &first, &last).groups(&["learning"]))
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_name_becomes_a_person_of_the_organisation() {
        let person = Org::acme().person(" mary shelley ").expect("a name was typed");
        assert_eq!(person.email, "mary.shelley@acme.example");
        assert_eq!(person.full_name(), "Mary Shelley");
        assert_eq!(Org::acme().person("ada@ACME.example").map(|ada| ada.username), Some("ada".to_owned()));
        assert!(Org::acme().person("  ").is_none());
    }
}
