//! What a batch does to one client's people, gathered in memory and written in a number of statements that does not
//! depend on how many rows there are.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{
    model::RowData,
    plan::{Directory, Fields, Plan},
    store_people::{self as people, NewPerson, Pair},
    target::Wish,
};
use crate::{
    access::{Answer, By, Ending, Ledger, Offer, Source},
    admin::Author,
    audit::{self, NewEvent, Values},
    fault::Fault,
    ids::{ClientId, ImportId, InviteId, LearnerId, SublicenseId},
    invites::NewInvite,
    learners::EmailAddress,
};

/// Why access that an import ends has ended.
const END_REASON: &str = "import";

/// A learner's record before and after.
struct Change {
    learner: LearnerId,
    before: Fields,
    after: Fields,
    fields: Vec<&'static str>,
}

/// Everything that the rows of one batch do in one client. Each entry names its row.
pub(super) struct Effects {
    import: ImportId,
    by: By,
    creates: Vec<NewPerson>,
    changes: Vec<Change>,
    blocks: Vec<Pair>,
    unblocks: Vec<Pair>,
    offers: Vec<(i32, Offer)>,
    endings: Vec<Ending>,
    ending_sublicenses: BTreeSet<SublicenseId>,
    pub invites: Vec<(i32, NewInvite)>,
    pub revokes: Vec<InviteId>,
}

impl Effects {
    pub fn new(import: ImportId, author: Author<'_>) -> Self {
        Self {
            import,
            by: By { actor: author.actor, reference: author.reference.map(str::to_owned) },
            creates: Vec::new(),
            changes: Vec::new(),
            blocks: Vec::new(),
            unblocks: Vec::new(),
            offers: Vec::new(),
            endings: Vec::new(),
            ending_sublicenses: BTreeSet::new(),
            invites: Vec::new(),
            revokes: Vec::new(),
        }
    }

    /// Adds what a row does; the learner whom it is about, where there is one.
    pub fn add(
        &mut self,
        author: Author<'_>,
        directory: &Directory,
        row: (i32, &RowData),
        wish: &Wish,
        plan: Plan,
        message: Option<&str>,
    ) -> Option<LearnerId> {
        let (number, data) = row;
        let email = data.email.as_deref().and_then(EmailAddress::parse);
        let mut learner = plan.learner;
        let steps = plan.steps;
        if let (Some(fields), Some(email)) = (steps.create, &email) {
            let id: LearnerId = author.entropy.id(author.now);
            learner = Some(id);
            let sub = author.entropy.id::<LearnerId>(author.now).uuid();
            let (email, email_key) = (email.as_str().to_owned(), email.key().to_owned());
            self.creates.push(NewPerson { id, sub, email, email_key, fields });
        }
        if let Some(learner) = learner {
            if let Some((after, fields)) = steps.update {
                let before = directory.person(learner).map(|person| person.profile.clone()).unwrap_or_default();
                self.changes.push(Change { learner, before, after, fields });
            }
            self.blocks.extend(steps.block.iter().map(|sublicense| (learner, *sublicense)));
            self.unblocks.extend(steps.unblock.iter().map(|sublicense| (learner, *sublicense)));
            for grant in steps.ends {
                self.ending_sublicenses.insert(grant.sublicense);
                self.endings.push(Ending {
                    learner,
                    sublicense: Some(grant.sublicense),
                    source: Some((grant.source, grant.source_ref)),
                    reason: END_REASON,
                    by: self.by.clone(),
                });
            }
            if !steps.grant.is_empty() {
                self.offers.push((number, self.offer(learner, wish, steps.grant)));
            }
        }
        if let (false, Some(email)) = (steps.invite.is_empty(), email) {
            self.invites.push((number, invite(email, data, wish, steps.invite, message)));
        }
        self.revokes.extend(steps.revoke);
        learner
    }

    fn offer(&self, learner: LearnerId, wish: &Wish, sublicenses: Vec<SublicenseId>) -> Offer {
        Offer {
            learner,
            source: Source::Import,
            source_ref: self.import.to_string(),
            role: wish.role,
            sublicenses,
            starts_at: None,
            ends_at: None,
            access_days: None,
            reservation: None,
            overrides_block: false,
            by: self.by.clone(),
        }
    }

    /// Writes records and blocks. False when another import has just made one of the records: do the batch again.
    pub async fn write_people(
        &mut self,
        conn: &mut PgConnection,
        author: Author<'_>,
        client: ClientId,
    ) -> Result<bool, Fault> {
        // One order for everybody who makes several.
        self.creates.sort_by(|one, other| one.email_key.cmp(&other.email_key));
        if !self.creates.is_empty() {
            let made = people::insert(conn, client, &self.creates, author.now).await?;
            if usize::try_from(made).ok() != Some(self.creates.len()) {
                return Ok(false);
            }
        }
        let changes: Vec<(LearnerId, &Fields)> =
            self.changes.iter().map(|change| (change.learner, &change.after)).collect();
        people::update(conn, client, &changes, author.now).await?;
        people::unblock(conn, client, &self.unblocks).await?;
        people::block(conn, client, &self.blocks, &author.name(), author.now).await?;
        Ok(true)
    }

    /// Grants and ends access; what came of each row's offer.
    pub async fn write_access(
        &self,
        conn: &mut PgConnection,
        author: Author<'_>,
        client: ClientId,
    ) -> Result<Vec<(i32, Answer)>, Fault> {
        if self.offers.is_empty() && self.endings.is_empty() {
            return Ok(Vec::new());
        }
        let mut learners: BTreeSet<LearnerId> = self.offers.iter().map(|(_, offer)| offer.learner).collect();
        learners.extend(self.endings.iter().map(|ending| ending.learner));
        let mut sublicenses = self.ending_sublicenses.clone();
        sublicenses.extend(self.offers.iter().flat_map(|(_, offer)| offer.sublicenses.iter().copied()));
        let learners: Vec<LearnerId> = learners.into_iter().collect();
        let sublicenses: Vec<SublicenseId> = sublicenses.into_iter().collect();
        let mut ledger = Ledger::open(conn, client, &learners, &sublicenses, author.now).await?;
        // What is given comes before what is taken: a row that finds no seat takes nothing away either.
        let answers = self.offers.iter().map(|(row, offer)| (*row, ledger.offer(offer))).collect();
        for ending in &self.endings {
            ledger.end(ending);
        }
        ledger.write(conn, author.entropy).await?;
        Ok(answers)
    }

    /// Leaves audit and outgoing events of the records; access and invites leave their own.
    pub async fn tell(&self, conn: &mut PgConnection, author: Author<'_>, client: ClientId) -> Result<(), Fault> {
        let mut told: Vec<(&'static str, LearnerId, Value, Option<Values>)> = Vec::new();
        for person in &self.creates {
            let mut after = shown(&person.fields);
            after.insert("email".into(), json!(person.email));
            let values = Values { learner: Some(person.id), before: json!({}), after: Value::Object(after) };
            told.push(("learner.created", person.id, json!({}), Some(values)));
        }
        for change in &self.changes {
            let only = |mut fields: Map<String, Value>| {
                fields.retain(|name, _| change.fields.contains(&name.as_str()));
                Value::Object(fields)
            };
            let (before, after) = (only(shown(&change.before)), only(shown(&change.after)));
            let values = Values { learner: Some(change.learner), before, after };
            told.push(("learner.updated", change.learner, json!({ "fields": change.fields }), Some(values)));
        }
        for (action, pairs) in [("learner.unblocked", &self.unblocks), ("learner.blocked", &self.blocks)] {
            for (learner, sublicense) in pairs {
                told.push((action, *learner, json!({ "sublicense": sublicense }), None));
            }
        }
        let mut events = Vec::with_capacity(told.len());
        let mut outgoing = Vec::with_capacity(told.len());
        for (action, learner, mut facts, values) in told {
            facts["learner"] = json!(learner);
            facts["import"] = json!(self.import);
            outgoing.push((action, facts.clone()));
            events.push(NewEvent {
                client: Some(client),
                at: author.now,
                action,
                actor: author.actor,
                target: Some(learner.to_string()),
                reason: None,
                reference: author.reference,
                facts,
                values,
            });
        }
        audit::record_many(conn, author.entropy, events).await?;
        audit::announce_many(conn, author.entropy, client, outgoing, author.now).await
    }
}

fn shown(fields: &Fields) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("first_name".into(), json!(fields.first_name));
    map.insert("last_name".into(), json!(fields.last_name));
    map.insert("locale".into(), json!(fields.locale));
    map.insert("external_id".into(), json!(fields.external_id));
    map.insert("attributes".into(), Value::Object(fields.attributes.clone()));
    map
}

fn invite(
    email: EmailAddress,
    data: &RowData,
    wish: &Wish,
    sublicenses: Vec<SublicenseId>,
    message: Option<&str>,
) -> NewInvite {
    NewInvite {
        email,
        first_name: data.first_name.clone().unwrap_or_default(),
        last_name: data.last_name.clone().unwrap_or_default(),
        locale: data.language.clone(),
        role: wish.role,
        sublicenses,
        message: message.map(str::to_owned),
        expires_at: None,
    }
}

/// The times and people of a batch: who confirmed, as the audit trail names them.
pub(super) fn actor(author: Option<&str>) -> audit::Actor {
    author.and_then(|author| author.parse().ok()).map_or(audit::Actor::System, audit::Actor::Token)
}

/// An author of what was asked for by an earlier request.
pub(super) fn author<'a>(
    entropy: &'a crate::entropy::Entropy,
    by: Option<&str>,
    reference: Option<&'a str>,
    now: DateTime<Utc>,
) -> Author<'a> {
    Author { entropy, actor: actor(by), reference, now }
}
