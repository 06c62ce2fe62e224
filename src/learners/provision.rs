//! What a sign-in makes of a learner's record: create, link, update, or refuse and why. Pure, so that a dry run says the
//! same as a login.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{EmailAddress, Learner, LearnerStatus, Profile};
use crate::{
    claims::{AttributeOutcome, FieldOutcome, Outcome, UpdatePolicy},
    ids::LearnerId,
};

const NAME_LENGTH: usize = 200;
const EXTERNAL_ID_LENGTH: usize = 255;

/// How a connection may make and change learners.
#[derive(Debug, Clone, Copy)]
pub struct LinkRules<'a> {
    pub create: bool,
    pub update: UpdateRule,
    pub link_by_email: bool,
    /// Domains the connection is trusted for, those that are verified for the client now.
    pub trusted_domains: &'a [String],
}

/// Whether a returning learner's record is changed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateRule {
    Always,
    /// Only at the first sign-in by this identity.
    First,
    Never,
}

/// Whom the identity, or else the address, leads to.
#[derive(Debug, Clone)]
pub enum Standing {
    /// The identity is known.
    Returning(Learner),
    /// The identity is new; `holder` has the asserted address verified in this client.
    New { holder: Option<Holder> },
}

/// A learner of this client who has the asserted address, verified.
#[derive(Debug, Clone)]
pub struct Holder {
    pub learner: Learner,
    /// Whether this connection already knows the learner by another subject.
    pub has_other_subject: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Provision {
    /// A new learner and identity.
    Create {
        #[serde(skip)]
        profile: Profile,
    },
    /// A new identity for a learner who is there already.
    Link {
        learner: LearnerId,
        changed: Vec<&'static str>,
        #[serde(skip)]
        profile: Profile,
    },
    /// Fields of a returning learner change.
    Update {
        learner: LearnerId,
        changed: Vec<&'static str>,
        #[serde(skip)]
        profile: Profile,
    },
    /// Nothing changes.
    Unchanged { learner: LearnerId },
}

/// Why the person does not get a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    #[error("the learner is suspended")]
    Suspended,
    #[error("the connection does not create learners, and knows nobody by this subject")]
    NotProvisioned,
    #[error("the address belongs to a learner of this client, and the connection is not trusted for its domain")]
    UntrustedDomain,
    #[error("the address belongs to a learner of this client, and the connection does not link by e-mail")]
    LinkingOff,
    #[error("the address belongs to a learner whom this IdP knows by another subject")]
    OtherSubject,
}

/// Works out what is to be done with the record. Trust is asked for the exact domain of the asserted address, and an
/// explicit `email_verified: false` is never overruled.
pub fn plan(standing: &Standing, outcome: &Outcome, rules: &LinkRules<'_>) -> Result<Provision, Refused> {
    let email = outcome.profile.email.value.as_deref().and_then(EmailAddress::parse);
    let is_trusted = email.as_ref().is_some_and(|email| is_trusted(email, outcome.email_verified, rules));
    match standing {
        Standing::Returning(learner) if learner.status == LearnerStatus::Suspended => Err(Refused::Suspended),
        Standing::Returning(learner) => {
            if rules.update != UpdateRule::Always {
                return Ok(Provision::Unchanged { learner: learner.id });
            }
            let (profile, changed) = merge(&learner.profile, outcome, email.as_ref(), is_trusted, false);
            Ok(match changed.is_empty() {
                true => Provision::Unchanged { learner: learner.id },
                false => Provision::Update { learner: learner.id, changed, profile },
            })
        }
        Standing::New { holder: Some(holder) } => {
            if !is_trusted {
                return Err(Refused::UntrustedDomain);
            }
            if !rules.link_by_email {
                return Err(Refused::LinkingOff);
            }
            if holder.has_other_subject {
                return Err(Refused::OtherSubject);
            }
            if holder.learner.status == LearnerStatus::Suspended {
                return Err(Refused::Suspended);
            }
            let (profile, changed) = match rules.update {
                UpdateRule::Never => (holder.learner.profile.clone(), Vec::new()),
                _ => merge(&holder.learner.profile, outcome, email.as_ref(), is_trusted, true),
            };
            Ok(Provision::Link { learner: holder.learner.id, changed, profile })
        }
        Standing::New { holder: None } if !rules.create => Err(Refused::NotProvisioned),
        Standing::New { holder: None } => {
            let (profile, _) = merge(&Profile::default(), outcome, email.as_ref(), is_trusted, true);
            Ok(Provision::Create { profile })
        }
    }
}

fn is_trusted(email: &EmailAddress, says_verified: Option<bool>, rules: &LinkRules<'_>) -> bool {
    says_verified != Some(false) && rules.trusted_domains.iter().any(|domain| domain == email.domain())
}

/// The profile after the sign-in, and the names of the fields that differ.
fn merge(
    held: &Profile,
    outcome: &Outcome,
    email: Option<&EmailAddress>,
    is_trusted: bool,
    is_first: bool,
) -> (Profile, Vec<&'static str>) {
    let mut profile = held.clone();
    let asserted = &outcome.profile;
    if let Some(email) = email.filter(|_| writes(asserted.email.policy, is_first)) {
        let is_same = held.email_key.as_deref() == Some(email.key());
        // An address that was proved before stays proved; another one is proved only by trust.
        profile.email_verified = is_trusted || (is_same && held.email_verified);
        if !is_same {
            profile.email = Some(email.as_str().to_owned());
            profile.email_key = Some(email.key().to_owned());
        }
    }
    set_text(&mut profile.first_name, &asserted.first_name, is_first);
    set_text(&mut profile.last_name, &asserted.last_name, is_first);
    set_option(&mut profile.locale, &asserted.locale, 35, is_first);
    set_option(&mut profile.external_id, &asserted.external_id, EXTERNAL_ID_LENGTH, is_first);
    set_attributes(&mut profile, &outcome.attributes, is_first);
    let changed = changed_fields(held, &profile);
    (profile, changed)
}

const fn writes(policy: UpdatePolicy, is_first: bool) -> bool {
    match policy {
        UpdatePolicy::Always | UpdatePolicy::Locked => true,
        UpdatePolicy::First => is_first,
    }
}

/// A name: a missing or empty claim leaves it alone, since a learner without a name helps nobody.
fn set_text(held: &mut String, asserted: &FieldOutcome, is_first: bool) {
    if let Some(value) = asserted.value.as_deref().filter(|_| writes(asserted.policy, is_first)) {
        let cut: String = value.trim().chars().filter(|letter| !letter.is_control()).take(NAME_LENGTH).collect();
        if !cut.is_empty() {
            *held = cut;
        }
    }
}

/// A field that may be empty: a missing claim leaves it alone, an empty one clears it.
fn set_option(held: &mut Option<String>, asserted: &FieldOutcome, length: usize, is_first: bool) {
    if asserted.missing || !writes(asserted.policy, is_first) {
        return;
    }
    *held = asserted
        .value
        .as_deref()
        .map(|value| value.trim().chars().take(length).collect::<String>())
        .filter(|value| !value.is_empty());
}

fn set_attributes(profile: &mut Profile, asserted: &BTreeMap<String, AttributeOutcome>, is_first: bool) {
    for (name, attribute) in asserted {
        if attribute.missing || !writes(attribute.policy, is_first) {
            continue;
        }
        if attribute.values.is_empty() {
            profile.attributes.remove(name);
        } else {
            profile.attributes.insert(name.clone(), attribute.to_json());
        }
    }
}

fn changed_fields(before: &Profile, after: &Profile) -> Vec<&'static str> {
    [
        ("email", before.email_key != after.email_key),
        ("email_verified", before.email_verified != after.email_verified),
        ("first_name", before.first_name != after.first_name),
        ("last_name", before.last_name != after.last_name),
        ("locale", before.locale != after.locale),
        ("external_id", before.external_id != after.external_id),
        ("attributes", before.attributes != after.attributes),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
