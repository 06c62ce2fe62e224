//! [`Claims`]: what an IdP said about somebody, as names with lists of values, whichever protocol brought it.
//! Bounded, and silent about its values when printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits::{MAX_CLAIM_NAMES, MAX_CLAIMS_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_VALUES_PER_CLAIM};
use super::text::fold;

/// Entra ID sends this SAML attribute instead of the groups of somebody who is in more than 150.
const ENTRA_GROUPS_LINK: &str = "http://schemas.microsoft.com/claims/groups.link";
const ENTRA_GROUPS: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups";

/// Names to lists of values. An empty list is a claim that was sent and holds nothing; a claim that was not sent is absent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Claims {
    values: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    overage: BTreeSet<String>,
    #[serde(skip)]
    bytes: usize,
}

/// Why an IdP's claims are not taken. None of them quotes a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    #[error("the IdP sent more than {MAX_CLAIM_NAMES} different claims")]
    TooManyNames,
    #[error("the IdP sent more than {MAX_VALUES_PER_CLAIM} values of one claim")]
    TooManyValues,
    #[error("the IdP sent a claim whose name is longer than {MAX_NAME_BYTES} bytes")]
    NameTooLong,
    #[error("the IdP sent a value longer than {MAX_VALUE_BYTES} bytes")]
    ValueTooLong,
    #[error("the IdP sent more than {MAX_CLAIMS_BYTES} bytes of claims")]
    TooLarge,
    #[error("the IdP sent a claim that is nested too deeply")]
    TooDeep,
}

impl ClaimsError {
    /// The stable code of attempts and problem details.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyNames => "claims.too_many_names",
            Self::TooManyValues => "claims.too_many_values",
            Self::NameTooLong => "claims.name_too_long",
            Self::ValueTooLong => "claims.value_too_long",
            Self::TooLarge => "claims.too_large",
            Self::TooDeep => "claims.too_deep",
        }
    }
}

impl Claims {
    /// No claims yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a claim's values, in place of those it had.
    pub fn insert(&mut self, name: impl Into<String>, values: Vec<String>) -> Result<(), ClaimsError> {
        let name = name.into();
        if let Some(earlier) = self.values.remove(&name) {
            self.bytes -= name.len() + earlier.iter().map(String::len).sum::<usize>();
        }
        self.mark_present(&name)?;
        values.into_iter().try_for_each(|value| self.push(name.as_str(), value))
    }

    /// Adds one value to a claim: a SAML attribute that stands twice has the values of both.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), ClaimsError> {
        let (name, value) = (name.into(), value.into());
        self.mark_present(&name)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(ClaimsError::ValueTooLong);
        }
        let bytes = self.bytes + value.len();
        if bytes > MAX_CLAIMS_BYTES {
            return Err(ClaimsError::TooLarge);
        }
        let values = self.values.entry(name).or_default();
        if values.len() == MAX_VALUES_PER_CLAIM {
            return Err(ClaimsError::TooManyValues);
        }
        values.push(value);
        self.bytes = bytes;
        Ok(())
    }

    /// Says that a claim was sent, be it without a value.
    pub(super) fn mark_present(&mut self, name: &str) -> Result<(), ClaimsError> {
        if name == ENTRA_GROUPS_LINK {
            self.mark_overage(ENTRA_GROUPS)?;
            self.mark_overage("groups")?;
        }
        if self.values.contains_key(name) {
            return Ok(());
        }
        self.count_name(name)?;
        self.values.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    /// Says that the IdP sent a link in place of this claim.
    pub(super) fn mark_overage(&mut self, name: &str) -> Result<(), ClaimsError> {
        if !self.overage.contains(name) {
            self.count_name(name)?;
            self.overage.insert(name.to_owned());
        }
        Ok(())
    }

    /// Lets a SAML attribute be found by its FriendlyName too. A real name goes before an alias, and the first attribute
    /// with a FriendlyName keeps it, so that a later one cannot take its place.
    pub fn alias(&mut self, friendly: impl Into<String>, name: impl Into<String>) -> Result<(), ClaimsError> {
        let (friendly, name) = (friendly.into(), name.into());
        if friendly != name && !self.aliases.contains_key(&friendly) {
            self.count_name(&friendly)?;
            self.aliases.insert(friendly, name);
        }
        Ok(())
    }

    fn count_name(&mut self, name: &str) -> Result<(), ClaimsError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(ClaimsError::NameTooLong);
        }
        if self.values.len() >= MAX_CLAIM_NAMES
            || self.aliases.len() >= MAX_CLAIM_NAMES
            || self.overage.len() >= MAX_CLAIM_NAMES
        {
            return Err(ClaimsError::TooManyNames);
        }
        self.bytes += name.len();
        if self.bytes > MAX_CLAIMS_BYTES {
            return Err(ClaimsError::TooLarge);
        }
        Ok(())
    }

    /// The values of a claim by name or FriendlyName; nothing when it was not sent or only a link to it was.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        if self.is_overage(name) {
            return None;
        }
        let values = self.values.get(name).or_else(|| self.values.get(self.aliases.get(name)?))?;
        Some(values)
    }

    /// The first value of a claim.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.get(name)?.first().map(String::as_str)
    }

    /// The names of the claims that were sent, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The claims in place of which the IdP sent a link, because they were too long to send. They count as missing.
    pub fn overage(&self) -> &BTreeSet<String> {
        &self.overage
    }

    /// Whether the IdP sent a link in place of this claim.
    pub fn is_overage(&self, name: &str) -> bool {
        !self.overage.is_empty()
            && (self.overage.contains(name) || self.aliases.get(name).is_some_and(|real| self.overage.contains(real)))
    }

    /// Whether some claim's name begins with this and a dot.
    pub(super) fn has_below(&self, name: &str) -> bool {
        let from = format!("{name}.");
        self.values.range(from.clone()..).next().is_some_and(|(found, _)| found.starts_with(&from))
    }

    /// A claim that was sent and whose name differs from this one in case alone: the usual slip.
    pub(super) fn look_alike(&self, name: &str) -> Option<&str> {
        let wanted = fold(name);
        self.values.keys().chain(self.aliases.keys()).find(|sent| fold(sent) == wanted).map(String::as_str)
    }
}

/// Prints names and counts: claim values are never logged.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, values)| (name, values.len()))).finish()
    }
}

/// The stored form, which passes the limits again when it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    values: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    overage: BTreeSet<String>,
}

impl TryFrom<Stored> for Claims {
    type Error = ClaimsError;

    fn try_from(stored: Stored) -> Result<Self, ClaimsError> {
        let mut claims = Self::new();
        stored.values.into_iter().try_for_each(|(name, values)| claims.insert(name, values))?;
        stored.aliases.into_iter().try_for_each(|(friendly, name)| claims.alias(friendly, name))?;
        stored.overage.iter().try_for_each(|name| claims.mark_overage(name))?;
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_by_name_and_by_friendly_name() {
        let mut claims = Claims::new();
        claims.push("urn:oid:2.5.4.42", "Ann").unwrap();
        claims.alias("givenName", "urn:oid:2.5.4.42").unwrap();
        assert_eq!(claims.first("urn:oid:2.5.4.42"), Some("Ann"));
        assert_eq!(claims.first("givenName"), Some("Ann"));
        assert_eq!(claims.get("givenname"), None);
    }

    #[test]
    fn a_real_name_goes_before_an_alias_and_the_first_alias_stays() {
        let mut claims = Claims::new();
        claims.push("mail", "real").unwrap();
        claims.push("urn:a", "first").unwrap();
        claims.push("urn:b", "second").unwrap();
        for (friendly, name) in [("mail", "urn:a"), ("nick", "urn:a"), ("nick", "urn:b")] {
            claims.alias(friendly, name).unwrap();
        }
        assert_eq!(claims.first("mail"), Some("real"));
        assert_eq!(claims.first("nick"), Some("first"));
    }

    #[test]
    fn values_of_a_repeated_attribute_add_up_and_are_not_split() {
        let mut claims = Claims::new();
        claims.push("Role", "a, b").unwrap();
        claims.push("Role", "c").unwrap();
        assert_eq!(claims.get("Role").unwrap(), ["a, b", "c"]);
    }

    #[test]
    fn a_groups_link_makes_the_groups_missing() {
        let mut claims = Claims::new();
        claims.push(ENTRA_GROUPS_LINK, "https://graph.windows.net/t/users/u/getMemberObjects").unwrap();
        assert!(claims.is_overage(ENTRA_GROUPS) && claims.is_overage("groups"));
        assert_eq!(claims.get(ENTRA_GROUPS), None);
    }

    #[test]
    fn five_thousand_groups_are_taken_and_ten_thousand_and_one_are_not() {
        let group = |n: usize| format!("g{n}");
        let mut claims = Claims::new();
        claims.insert("groups", (0..5_000).map(group).collect()).unwrap();
        assert_eq!(claims.get("groups").unwrap().len(), 5_000);
        let many = (0..=MAX_VALUES_PER_CLAIM).map(group).collect();
        assert_eq!(claims.insert("groups", many), Err(ClaimsError::TooManyValues));
    }

    #[test]
    fn names_values_and_bytes_are_bounded() {
        let mut claims = Claims::new();
        for n in 0..MAX_CLAIM_NAMES {
            claims.push(n.to_string(), "v").unwrap();
        }
        assert_eq!(claims.push("one more", "v"), Err(ClaimsError::TooManyNames));
        assert_eq!(Claims::new().push("n".repeat(513), "v"), Err(ClaimsError::NameTooLong));
        assert_eq!(Claims::new().push("n", "v".repeat(MAX_VALUE_BYTES + 1)), Err(ClaimsError::ValueTooLong));
        let mut full = Claims::new();
        let outcome = (0..17).try_for_each(|_| full.push("n", "v".repeat(MAX_VALUE_BYTES)));
        assert_eq!(outcome, Err(ClaimsError::TooLarge));
    }

    #[test]
    fn replacing_a_claim_gives_its_bytes_back() {
        let mut claims = Claims::new();
        for _ in 0..100 {
            claims.insert("photo", vec!["v".repeat(MAX_VALUE_BYTES)]).unwrap();
        }
        assert_eq!(claims.get("photo").unwrap().len(), 1);
    }

    #[test]
    fn stored_claims_come_back_and_pass_the_limits_again() {
        let mut claims = Claims::new();
        claims.push("urn:mail", "a@acme.example").unwrap();
        claims.insert("groups", vec![]).unwrap();
        claims.alias("mail", "urn:mail").unwrap();
        let stored = serde_json::to_string(&claims).unwrap();
        let read: Claims = serde_json::from_str(&stored).unwrap();
        assert_eq!((read.first("mail"), read.get("groups")), (Some("a@acme.example"), Some(&[][..])));
        let too_long = serde_json::json!({"values": {"n": ["v".repeat(MAX_VALUE_BYTES + 1)]}});
        assert!(serde_json::from_value::<Claims>(too_long).is_err());
    }

    #[test]
    fn printing_claims_shows_no_value() {
        let mut claims = Claims::new();
        claims.push("email", "secret@acme.example").unwrap();
        assert_eq!(format!("{claims:?}"), r#"{"email": 1}"#);
    }
}
