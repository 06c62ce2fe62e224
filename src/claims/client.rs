//! Which client a person belongs to, on a connection that serves several: what the mapping's `client` selector finds.

use super::apply::{ConnectionFacts, Input};
use super::compiled::CompiledMapping;
use super::reading::Reads;
use super::run::Run;
use super::text::{email_domain, fold};
use super::value::Claims;

/// What names the person's client.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientNames {
    /// Each once, in the form in which names are compared; see [`comparable_name`].
    Some(Vec<String>),
    /// Nothing does, and why, without any claim value.
    None(String),
    /// The expression failed, and why, without any claim value.
    Failed(String),
}

/// The form in which the name of a client is compared: without regard to case.
pub fn comparable_name(name: &str) -> String {
    fold(name.trim())
}

impl CompiledMapping {
    /// Whether the mapping chooses the client.
    pub fn chooses_client(&self) -> bool {
        self.client.is_some()
    }

    /// What names the client of this person; `None` where the mapping leaves that to the connection. Asked before
    /// everything else: what follows is about the chosen client.
    pub fn client_names(&self, claims: &Claims, subject: &str, connection: ConnectionFacts<'_>) -> Option<ClientNames> {
        let selector = self.client.as_ref()?;
        let input = Input { claims, subject, connection, sublicenses: &[], carries_entitlement: false };
        let mut run = Run::new(&input);
        let email = run.field("/profile/email", self.profile.email.as_ref());
        let domain = email.value.as_deref().and_then(email_domain);
        run.reading.email_domain.get_or_init(|| domain);
        let mut reads = Reads::default();
        Some(match run.pick(selector, &mut reads) {
            Err(failure) => ClientNames::Failed(failure.reason.to_owned()),
            Ok(None) => ClientNames::None(run.nothing_found(&reads)),
            Ok(Some(values)) => {
                let mut names: Vec<String> = values.iter().map(|value| comparable_name(value)).collect();
                names.retain(|name| !name.is_empty());
                names.sort_unstable();
                names.dedup();
                match names.is_empty() {
                    true => ClientNames::None("the claim was sent without a value".to_owned()),
                    false => ClientNames::Some(names),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::claims::Mapping;

    fn names(client: Value, claims: Value) -> Option<ClientNames> {
        let rules = json!({ "profile": { "email": "mail" }, "client": client });
        let mapping = Mapping::parse(&rules).unwrap().compile().unwrap();
        let claims = Claims::from_json(claims.as_object().unwrap()).unwrap();
        let connection = ConnectionFacts { id: "con", name: "District", protocol: "saml" };
        mapping.client_names(&claims, "someone", connection)
    }

    fn some(expected: &[&str]) -> Option<ClientNames> {
        Some(ClientNames::Some(expected.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn every_value_counts_once_without_regard_to_case() {
        assert!(
            names(json!("school"), json!({ "school": [" North ", "north", "SOUTH", " "] }))
                == some(&["north", "south"])
        );
    }

    #[test]
    fn an_expression_may_look_at_the_domain_of_the_address() {
        let client = json!({ "expr": "email_domain | replace('.example', '')" });
        assert!(names(client, json!({ "mail": "ann@north.example" })) == some(&["north"]));
    }

    #[test]
    fn a_missing_claim_an_empty_one_and_a_failure_name_nobody() {
        let is_none = |found| matches!(found, Some(ClientNames::None(_)));
        assert!(is_none(names(json!("school"), json!({}))));
        assert!(is_none(names(json!("school"), json!({ "school": [" "] }))));
        let broken = json!({ "expr": "claims.school | first | nosuch" });
        let failing = json!({ "expr": "1 // 0" });
        assert!(Mapping::parse(&json!({ "client": broken })).unwrap().compile().is_err());
        assert!(matches!(names(failing, json!({})), Some(ClientNames::Failed(_))));
        assert!(names(Value::Null, json!({})).is_none());
    }
}
