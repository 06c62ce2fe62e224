//! Who signs in: responses of about 5.4 KB with one RSA-2048 signature and eleven attributes, as large identity providers
//! send them.

use anyhow::Result;
use chrono::{DateTime, Duration, Utc};
use idp_fixtures::{
    saml::{Attribute, BuiltResponse, NameId, ResponseBuilder},
    sign::KeyPair,
};

/// The entity ID of the identity provider of every connection.
pub const IDP: &str = "https://idp.bench.example/saml/metadata";
/// Where its people sign in. Nobody goes there.
pub const SSO: &str = "https://idp.bench.example/saml/sso";

/// For whom a response is.
pub struct Place<'a> {
    pub entity_id: &'a str,
    pub acs_url: &'a str,
    pub request_id: &'a str,
}

/// The address of a person, which is also their NameID.
pub fn email(person: u64) -> String {
    format!("person.number-{person}@people.bench.example")
}

fn attributes(person: u64) -> Vec<Attribute> {
    let group = |name: &str| format!("cn={name},ou=groups,dc=bench");
    let groups = ["learning", "sales"];
    let one = |name: &str, value: String| Attribute::new(name, [value]);
    vec![
        one("email", email(person)),
        one("firstName", format!("Person{person}")),
        one("lastName", "Of-The-Bench".into()),
        one("displayName", format!("Person{person} Of-The-Bench")),
        one("employeeNumber", format!("E-{person:08}")),
        one("department", "Sales and Marketing, Europe and Africa".into()),
        one("title", "Senior Account Manager".into()),
        one("company", "Bench International Holdings".into()),
        one("country", "CH".into()),
        one("preferredLanguage", "en".into()),
        Attribute::new("groups", groups.map(group)),
    ]
}

/// A signed response that is good for an hour, so that a long run does not outlive it.
pub fn response(place: &Place<'_>, person: u64, key: &KeyPair, now: DateTime<Utc>) -> Result<BuiltResponse> {
    let until = now + Duration::minutes(55);
    ResponseBuilder::new(IDP, place.entity_id, place.acs_url, place.request_id, key, now)
        .about(NameId::email(&email(person)), attributes(person))
        .with(|response| {
            for confirmation in &mut response.confirmations {
                confirmation.not_on_or_after = Some(until);
            }
            if let Some(conditions) = &mut response.conditions {
                conditions.not_on_or_after = Some(until);
            }
        })
        .build()
}
