//! What a mapping made of one person's claims: shown whole by a dry run, stored without values in the attempt.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::mapping::{Role, SyncMode, UpdatePolicy};

/// The result of a mapping. Holds claim values: printing it shows the redacted form.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outcome {
    pub profile: ProfileOutcome,
    pub attributes: BTreeMap<String, AttributeOutcome>,
    /// The domain of the mapped e-mail, lower case and IDNA ASCII.
    pub email_domain: Option<String>,
    /// What the IdP says about the address. True only when it says so of the very address that was mapped.
    pub email_verified: Option<bool>,
    /// What is wanted, each sublicense once with its higher role; empty when refused.
    pub grants: Vec<WantedGrant>,
    /// Values of `from` rules that name no sublicense, as far as they are listed.
    pub unknown_values: Vec<String>,
    pub unknown_value_count: usize,
    /// Every rule, whether it fired and why.
    pub rules: Vec<RuleTrace>,
    pub used_fallback: bool,
    /// Why nobody is let in by this; absent when they are.
    pub refusal: Option<Refusal>,
    /// Claims that the mapping looked for and the IdP did not send.
    pub missing_claims: Vec<String>,
    /// Claims in place of which the IdP sent a link. They count as missing.
    pub overage_claims: Vec<String>,
    pub sync: SyncMode,
    /// Whether grants of this connection that are not in `grants` may be removed.
    pub removal_allowed: bool,
    pub removal_why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProfileOutcome {
    pub email: FieldOutcome,
    pub first_name: FieldOutcome,
    pub last_name: FieldOutcome,
    pub locale: FieldOutcome,
    pub external_id: FieldOutcome,
}

/// A profile field. `missing`: leave it alone. Neither missing nor a value: the claim was sent and is empty.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldOutcome {
    pub value: Option<String>,
    pub policy: UpdatePolicy,
    pub missing: bool,
    /// Why there is no value.
    pub why: Option<String>,
}

/// A learner attribute, with every value of its claim.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AttributeOutcome {
    pub values: Vec<String>,
    pub policy: UpdatePolicy,
    pub missing: bool,
    /// Why there is no value.
    pub why: Option<String>,
}

impl AttributeOutcome {
    /// The form in which a learner keeps it: null, one text, or a list of texts.
    pub fn to_json(&self) -> serde_json::Value {
        match self.values.as_slice() {
            [] => serde_json::Value::Null,
            [only] => only.as_str().into(),
            several => several.into(),
        }
    }
}

/// A sublicense that the mapping wants to grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WantedGrant {
    /// Its slug.
    pub sublicense: String,
    pub role: Role,
}

/// What became of one rule.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleTrace {
    /// JSON pointer into the mapping.
    pub path: String,
    pub kind: RuleKind,
    /// A requirement that is met, or an access rule that grants something.
    pub fired: bool,
    /// In words, without any claim value.
    pub why: String,
    /// What the rule wants to grant.
    pub grants: Vec<WantedGrant>,
    /// What the expression engine said, which may quote values.
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// A profile field whose expression failed.
    Profile,
    Require,
    Access,
    From,
    Fallback,
}

/// Why a person is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refusal {
    /// `mapping.required`, `mapping.nothing_granted` or `mapping.expression`.
    pub code: &'static str,
    /// For the person: the mapping's own words where it has some.
    pub message: String,
}

/// An [`Outcome`] without any claim value: what an attempt keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RedactedOutcome {
    pub profile: BTreeMap<String, RedactedField>,
    pub attributes: BTreeMap<String, RedactedField>,
    pub email_verified: Option<bool>,
    pub grants: Vec<WantedGrant>,
    pub unknown_value_count: usize,
    pub rules: Vec<RedactedRule>,
    pub used_fallback: bool,
    pub refusal: Option<Refusal>,
    pub missing_claims: Vec<String>,
    pub overage_claims: Vec<String>,
    pub sync: SyncMode,
    pub removal_allowed: bool,
    pub removal_why: String,
}

/// Whether a field had a value, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RedactedField {
    pub has_value: bool,
    pub policy: UpdatePolicy,
    pub missing: bool,
    pub why: Option<String>,
}

/// What became of one rule, without what the expression engine said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RedactedRule {
    pub path: String,
    pub kind: RuleKind,
    pub fired: bool,
    pub why: String,
}

impl Outcome {
    /// Leaves every claim value out.
    pub fn redacted(&self) -> RedactedOutcome {
        let fields = [
            ("email", &self.profile.email),
            ("first_name", &self.profile.first_name),
            ("last_name", &self.profile.last_name),
            ("locale", &self.profile.locale),
            ("external_id", &self.profile.external_id),
        ];
        RedactedOutcome {
            profile: fields.into_iter().map(|(name, field)| (name.to_owned(), field.redacted())).collect(),
            attributes: self.attributes.iter().map(|(name, attribute)| (name.clone(), attribute.redacted())).collect(),
            email_verified: self.email_verified,
            grants: self.grants.clone(),
            unknown_value_count: self.unknown_value_count,
            rules: self.rules.iter().map(RuleTrace::redacted).collect(),
            used_fallback: self.used_fallback,
            refusal: self.refusal.clone(),
            missing_claims: self.missing_claims.clone(),
            overage_claims: self.overage_claims.clone(),
            sync: self.sync,
            removal_allowed: self.removal_allowed,
            removal_why: self.removal_why.clone(),
        }
    }
}

impl FieldOutcome {
    fn redacted(&self) -> RedactedField {
        RedactedField {
            has_value: self.value.is_some(),
            policy: self.policy,
            missing: self.missing,
            why: self.why.clone(),
        }
    }
}

impl AttributeOutcome {
    fn redacted(&self) -> RedactedField {
        RedactedField {
            has_value: !self.values.is_empty(),
            policy: self.policy,
            missing: self.missing,
            why: self.why.clone(),
        }
    }
}

impl RuleTrace {
    fn redacted(&self) -> RedactedRule {
        RedactedRule { path: self.path.clone(), kind: self.kind, fired: self.fired, why: self.why.clone() }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redacted().fmt(f)
    }
}

impl fmt::Debug for FieldOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redacted().fmt(f)
    }
}

impl fmt::Debug for AttributeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redacted().fmt(f)
    }
}

impl fmt::Debug for RuleTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redacted().fmt(f)
    }
}
