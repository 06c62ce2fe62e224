//! What is to be done with one row: pure, so that the dry run says the same as the real thing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    model::{Action, Outcome, RowData},
    problem::{Flaw, Found},
    target::{Target, Wish},
};
use crate::{
    access::Source,
    claims::{Role, limits},
    ids::{InviteId, LearnerId, SublicenseId},
    learners::EmailAddress,
};

/// A learner of the client whom a row may mean.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: LearnerId,
    pub email_key: Option<String>,
    pub email_verified: bool,
    /// Made by an import, and nobody has proved the address since.
    pub is_unclaimed: bool,
    pub is_suspended: bool,
    pub profile: Fields,
    /// What they hold now.
    pub held: Vec<Held>,
    pub blocked: Vec<SublicenseId>,
}

/// A grant that runs or is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub sublicense: SublicenseId,
    pub source: Source,
    pub source_ref: String,
    pub role: Role,
    pub ends_at: Option<DateTime<Utc>>,
}

/// The fields that a row may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    pub attributes: Map<String, Value>,
}

/// Whom the cells of a batch may mean, by what they are found by.
#[derive(Debug, Default)]
pub struct Directory {
    people: Vec<Person>,
    by_address: HashMap<String, usize>,
    by_external_id: HashMap<String, Vec<usize>>,
    invites: HashMap<String, InviteId>,
}

impl Directory {
    /// These people, and the open invite of each address.
    pub fn new(people: Vec<Person>, invites: HashMap<String, InviteId>) -> Self {
        let mut directory = Self { invites, ..Self::default() };
        for (index, person) in people.iter().enumerate() {
            // What somebody typed when signing up is no proof of who they are: such an address finds nobody.
            let is_proved = person.email_verified;
            if let Some(key) = person.email_key.as_ref().filter(|_| is_proved || person.is_unclaimed) {
                let held = directory.by_address.entry(key.clone()).or_insert(index);
                if is_proved {
                    *held = index;
                }
            }
            if let Some(id) = &person.profile.external_id {
                directory.by_external_id.entry(id.clone()).or_default().push(index);
            }
        }
        directory.people = people;
        directory
    }

    /// A learner of the batch.
    pub fn person(&self, id: LearnerId) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }

    /// Whom a row means. The external id counts first, since an address may change.
    fn find(&self, external_id: Option<&str>, email: Option<&EmailAddress>) -> Result<Option<&Person>, Found> {
        let at = |index: &usize| self.people.get(*index);
        let by_address = email.and_then(|email| self.by_address.get(email.key())).and_then(at);
        let known: &[usize] =
            external_id.and_then(|id| self.by_external_id.get(id)).map(Vec::as_slice).unwrap_or_default();
        match (known, by_address) {
            ([], by_address) => Ok(by_address),
            ([one], None) => Ok(at(one)),
            (several, Some(person)) if several.iter().filter_map(at).any(|other| other.id == person.id) => {
                Ok(Some(person))
            }
            ([_], Some(_)) => Err(Flaw::ExternalIdTaken.at("external_id")),
            _ => Err(Flaw::ExternalIdAmbiguous.at("external_id")),
        }
    }
}

/// Everything a row's plan depends on.
pub struct Scene<'a> {
    pub target: &'a Target,
    pub directory: &'a Directory,
    pub clear_blocks: bool,
    pub now: DateTime<Utc>,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// A new learner with these fields.
    pub create: Option<Fields>,
    /// New values of a learner's fields, and the names of those that differ.
    pub update: Option<(Fields, Vec<&'static str>)>,
    /// Blocks that are cleared.
    pub unblock: Vec<SublicenseId>,
    /// Grants that end.
    pub ends: Vec<Held>,
    /// Sublicenses that are blocked.
    pub block: Vec<SublicenseId>,
    /// Access that is granted.
    pub grant: Vec<SublicenseId>,
    /// What the invite offers.
    pub invite: Vec<SublicenseId>,
    /// The open invite that is revoked.
    pub revoke: Option<InviteId>,
    /// Seats that are needed: the client's, and these sublicenses'.
    pub client_seat: bool,
    pub seats: Vec<SublicenseId>,
}

/// A row's outcome, whom it means, and the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub outcome: Outcome,
    pub learner: Option<LearnerId>,
    pub steps: Steps,
}

impl Plan {
    const fn of(outcome: Outcome, learner: Option<LearnerId>, steps: Steps) -> Self {
        Self { outcome, learner, steps }
    }
}

/// Works out what is to be done with a row.
pub fn plan(scene: &Scene<'_>, data: &RowData, wish: &Wish) -> Result<Plan, Found> {
    let email = data.email.as_deref().and_then(EmailAddress::parse);
    let person = scene.directory.find(data.external_id.as_deref(), email.as_ref())?;
    let invite = email.as_ref().and_then(|email| scene.directory.invites.get(email.key())).copied();
    if wish.action == Action::Remove {
        return Ok(remove(person, invite, wish));
    }
    match person {
        Some(person) if person.is_suspended => Ok(Plan::of(Outcome::Suspended, Some(person.id), Steps::default())),
        Some(person) => give(scene, person, data, wish, invite),
        None if email.is_none() => Err(Flaw::EmailMissing.at("email")),
        None if invite.is_some() => Ok(Plan::of(Outcome::AlreadyInvited, None, Steps::default())),
        None => Ok(welcome(data, wish)),
    }
}

/// Somebody new: a record with access at once, or an invite that becomes one.
fn welcome(data: &RowData, wish: &Wish) -> Plan {
    let fields = merged(&Fields::default(), data);
    let mut steps = Steps { client_seat: true, seats: wish.sublicenses.clone(), ..Steps::default() };
    if !wish.send_invite {
        steps.create = Some(fields);
        steps.grant.clone_from(&wish.sublicenses);
        return Plan::of(Outcome::Create, None, steps);
    }
    // An invite carries no external id and no attributes: a record without access keeps them until it is accepted.
    if fields.external_id.is_some() || !fields.attributes.is_empty() {
        steps.create = Some(fields);
    }
    steps.invite.clone_from(&wish.sublicenses);
    Plan::of(Outcome::Invite, None, steps)
}

/// Somebody who is there.
fn give(
    scene: &Scene<'_>,
    person: &Person,
    data: &RowData,
    wish: &Wish,
    invite: Option<InviteId>,
) -> Result<Plan, Found> {
    let mut steps = Steps::default();
    let after = merged(&person.profile, data);
    if after.attributes.len() > limits::MAX_ATTRIBUTES {
        return Err(Flaw::AttributeInvalid.whole());
    }
    let changed = changed(&person.profile, &after);
    if !changed.is_empty() {
        steps.update = Some((after, changed));
    }
    let blocked: Vec<SublicenseId> =
        wish.sublicenses.iter().copied().filter(|id| person.blocked.contains(id)).collect();
    if !blocked.is_empty() && !scene.clear_blocks {
        return Ok(Plan::of(Outcome::Blocked, Some(person.id), Steps::default()));
    }
    steps.unblock = blocked;
    let awaits_invite = person.is_unclaimed && !person.email_verified;
    if awaits_invite && wish.send_invite && invite.is_none() {
        // Nobody can sign in to this record: the invite takes the place of what it holds.
        steps.ends = person.held.iter().filter(|grant| grant.source == Source::Import).cloned().collect();
        steps.invite.clone_from(&wish.sublicenses);
        steps.invite.extend(steps.ends.iter().map(|grant| grant.sublicense));
        steps.invite.sort_unstable();
        steps.invite.dedup();
        need_seats(&mut steps, person, &wish.sublicenses);
        return Ok(Plan::of(Outcome::Invite, Some(person.id), steps));
    }
    if wish.action == Action::Move {
        let goes = |grant: &&Held| {
            matches!(grant.source, Source::Import | Source::Admin) && !wish.sublicenses.contains(&grant.sublicense)
        };
        steps.ends = person.held.iter().filter(goes).cloned().collect();
    }
    if !(awaits_invite && invite.is_some()) {
        steps.grant = wish.sublicenses.iter().copied().filter(|id| !has(scene, person, *id, wish.role)).collect();
        let grant = steps.grant.clone();
        need_seats(&mut steps, person, &grant);
    }
    let is_same = steps.update.is_none() && steps.grant.is_empty() && steps.ends.is_empty() && steps.unblock.is_empty();
    let outcome = match (is_same, awaits_invite && invite.is_some()) {
        (false, _) => Outcome::Update,
        (true, true) => Outcome::AlreadyInvited,
        (true, false) => Outcome::AlreadyThere,
    };
    Ok(Plan::of(outcome, Some(person.id), steps))
}

/// Whether a learner has it already, as far as an import would give it: uploading a file again changes nothing, and
/// lengthens no days of access.
fn has(scene: &Scene<'_>, person: &Person, sublicense: SublicenseId, role: Role) -> bool {
    let end = scene.target.days_end(sublicense, scene.now);
    person.held.iter().filter(|grant| grant.sublicense == sublicense && grant.role >= role).any(|grant| {
        let lasts = grant.ends_at.is_none_or(|held| end.is_some_and(|end| end <= held));
        grant.source == Source::Import || lasts
    })
}

/// Seats for what the person does not hold yet: one that this row frees is as good as one that was held.
fn need_seats(steps: &mut Steps, person: &Person, wanted: &[SublicenseId]) {
    let is_held = |id: &SublicenseId| person.held.iter().any(|grant| grant.sublicense == *id);
    steps.client_seat = person.held.is_empty() && !wanted.is_empty();
    steps.seats = wanted.iter().copied().filter(|id| !is_held(id)).collect();
}

fn remove(person: Option<&Person>, invite: Option<InviteId>, wish: &Wish) -> Plan {
    let is_meant = |id: SublicenseId| wish.sublicenses.is_empty() || wish.sublicenses.contains(&id);
    let mut steps = Steps::default();
    // An open invite that offers other sublicenses as well is left alone: it is not this file's to cut.
    if wish.sublicenses.is_empty() {
        steps.revoke = invite;
    }
    if let Some(person) = person {
        steps.ends = person.held.iter().filter(|grant| is_meant(grant.sublicense)).cloned().collect();
        let mut block: Vec<SublicenseId> = match wish.sublicenses.is_empty() {
            true => steps.ends.iter().map(|grant| grant.sublicense).collect(),
            false => wish.sublicenses.clone(),
        };
        block.sort_unstable();
        block.dedup();
        block.retain(|id| !person.blocked.contains(id));
        steps.block = block;
    }
    let does_nothing = steps.ends.is_empty() && steps.block.is_empty() && steps.revoke.is_none();
    let outcome = if does_nothing { Outcome::AlreadyGone } else { Outcome::Remove };
    Plan::of(outcome, person.map(|person| person.id), steps)
}

/// The fields after the row: what a cell says, and what was there where a cell is empty.
fn merged(before: &Fields, data: &RowData) -> Fields {
    let mut after = before.clone();
    if let Some(name) = &data.first_name {
        after.first_name.clone_from(name);
    }
    if let Some(name) = &data.last_name {
        after.last_name.clone_from(name);
    }
    if data.language.is_some() {
        after.locale.clone_from(&data.language);
    }
    if data.external_id.is_some() {
        after.external_id.clone_from(&data.external_id);
    }
    for (name, value) in &data.attributes {
        after.attributes.insert(name.clone(), Value::String(value.clone()));
    }
    after
}

fn changed(before: &Fields, after: &Fields) -> Vec<&'static str> {
    [
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

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
