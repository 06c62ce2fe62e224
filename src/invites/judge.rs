//! Whether somebody is invited, and to what: pure, so that a dry run says the same as the real thing.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};

use super::model::{Again, InviteStatus, MOST_SENDS, NewInvite, Outcome, SEND_WINDOW};
use crate::{
    claims::Role,
    ids::{InviteId, LearnerId, SublicenseId},
};

/// What of the client decides.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub is_active: bool,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub invite_ttl_days: i32,
}

/// A sublicense that is offered.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub id: SublicenseId,
    pub name: String,
    pub ends_at: Option<DateTime<Utc>>,
}

/// The open invite of an address.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub id: InviteId,
    pub status: InviteStatus,
    pub role: Role,
    pub sublicenses: Vec<SublicenseId>,
    pub expires_at: DateTime<Utc>,
    /// Grows with every renewal: whoever renews an older state has lost a race.
    pub times_sent: i32,
}

/// The learner who has the address, verified.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub id: LearnerId,
    pub is_active: bool,
    pub blocked: Vec<SublicenseId>,
    /// What they may see now.
    pub held: Vec<(SublicenseId, Role)>,
}

/// How often an address was invited lately.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sends {
    pub count: i64,
    /// The oldest that counts.
    pub oldest: DateTime<Utc>,
}

/// Everything that decides, by the comparable spelling of the address.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub terms: Terms,
    pub parts: Vec<Part>,
    pub open: HashMap<String, Standing>,
    pub people: HashMap<String, Person>,
    pub sends: HashMap<String, Sends>,
}

/// What is to be written for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The invite that is renewed, and its `times_sent` before.
    pub renews: Option<(InviteId, i32)>,
    pub sublicenses: Vec<SublicenseId>,
    pub role: Role,
    pub expires_at: DateTime<Utc>,
    /// Seats to be reserved: those that the person does not hold.
    pub seats: Vec<SublicenseId>,
    pub needs_client_seat: bool,
}

impl Scene {
    /// The names of these sublicenses, for the mail.
    pub fn names(&self, ids: &[SublicenseId]) -> Vec<String> {
        self.parts.iter().filter(|part| ids.contains(&part.id)).map(|part| part.name.clone()).collect()
    }

    /// Whether the client has this sublicense, and it is not over.
    pub fn is_live(&self, id: SublicenseId, now: DateTime<Utc>) -> bool {
        self.parts.iter().any(|part| part.id == id && part.ends_at.is_none_or(|end| now < end))
    }

    /// Decides about one wish. Seats are asked for afterwards, where the counters are locked.
    pub fn judge(&self, new: &NewInvite, again: Again, now: DateTime<Utc>) -> Result<Plan, Outcome> {
        let terms = &self.terms;
        if !terms.is_active || terms.license_ends_at.is_some_and(|end| end <= now) {
            return Err(Outcome::Closed);
        }
        let person = self.people.get(new.email.key());
        if let Some(person) = person {
            self.judge_person(person, new)?;
        }
        if let Some(ended) = new.sublicenses.iter().find(|id| !self.is_live(**id, now)) {
            return Err(Outcome::Ended(*ended));
        }
        let standing = self.open.get(new.email.key());
        if let Some(standing) = standing {
            match again {
                Again::Leave => return Err(Outcome::AlreadyInvited(standing.id)),
                Again::Renew if standing.status == InviteStatus::Bounced => return Err(Outcome::Bounced(standing.id)),
                Again::Renew | Again::Insist => {}
            }
        }
        if let Some(sends) = self.sends.get(new.email.key()).filter(|sends| sends.count >= MOST_SENDS) {
            return Err(Outcome::TooOften { until: sends.oldest + SEND_WINDOW });
        }
        Ok(self.plan(new, standing, person, now))
    }

    fn judge_person(&self, person: &Person, new: &NewInvite) -> Result<(), Outcome> {
        if !person.is_active {
            return Err(Outcome::Suspended(person.id));
        }
        if let Some(blocked) = new.sublicenses.iter().find(|id| person.blocked.contains(id)) {
            return Err(Outcome::Blocked(person.id, *blocked));
        }
        let holds = |id: &SublicenseId| person.held.iter().any(|(held, role)| held == id && *role >= new.role);
        if new.sublicenses.iter().all(holds) { Err(Outcome::AlreadyLearner(person.id)) } else { Ok(()) }
    }

    fn plan(&self, new: &NewInvite, standing: Option<&Standing>, person: Option<&Person>, now: DateTime<Utc>) -> Plan {
        let mut sublicenses = new.sublicenses.clone();
        let mut role = new.role;
        let own_end = now + Duration::days(self.terms.invite_ttl_days.into());
        let mut expires_at = new.expires_at.unwrap_or(own_end);
        if let Some(standing) = standing {
            // What was offered before stays offered.
            sublicenses.extend(standing.sublicenses.iter().copied().filter(|id| self.is_live(*id, now)));
            role = role.max(standing.role);
            if new.expires_at.is_none() {
                expires_at = expires_at.max(standing.expires_at);
            }
        }
        sublicenses.sort_unstable();
        sublicenses.dedup();
        let held = person.map(|person| person.held.as_slice()).unwrap_or_default();
        let seats = sublicenses.iter().copied().filter(|id| !held.iter().any(|(held, _)| held == id)).collect();
        Plan {
            renews: standing.map(|standing| (standing.id, standing.times_sent)),
            seats,
            needs_client_seat: held.is_empty(),
            sublicenses,
            role,
            expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::learners::EmailAddress;

    const ADDRESS: &str = "ada@acme.example";

    fn now() -> DateTime<Utc> {
        "2026-11-22T12:00:00Z".parse().expect("a time")
    }

    fn sub(number: u128) -> SublicenseId {
        SublicenseId::from(Uuid::from_u128(number))
    }

    fn new(sublicenses: &[u128]) -> NewInvite {
        NewInvite {
            email: EmailAddress::parse("Ada@Acme.example").expect("an address"),
            first_name: String::new(),
            last_name: String::new(),
            locale: None,
            role: Role::Learner,
            sublicenses: sublicenses.iter().copied().map(sub).collect(),
            message: None,
            expires_at: None,
        }
    }

    fn scene() -> Scene {
        let part = |number, ends_at| Part { id: sub(number), name: number.to_string(), ends_at };
        Scene {
            terms: Terms { is_active: true, license_ends_at: None, invite_ttl_days: 14 },
            parts: vec![part(1, None), part(2, None), part(3, Some(now()))],
            open: HashMap::new(),
            people: HashMap::new(),
            sends: HashMap::new(),
        }
    }

    fn person() -> Person {
        Person { id: Uuid::from_u128(9).into(), is_active: true, blocked: vec![], held: vec![] }
    }

    fn standing(status: InviteStatus) -> Standing {
        let expires_at = now() + Duration::days(30);
        let id = Uuid::from_u128(8).into();
        Standing { id, status, role: Role::Manager, sublicenses: vec![sub(2), sub(3)], expires_at, times_sent: 1 }
    }

    #[test]
    fn a_new_address_is_invited_for_the_clients_days() {
        let plan = scene().judge(&new(&[1]), Again::Renew, now()).expect("a plan");
        assert_eq!(plan.expires_at, now() + Duration::days(14));
        assert_eq!((plan.renews, plan.seats, plan.needs_client_seat), (None, vec![sub(1)], true));
    }

    #[test]
    fn a_learner_is_invited_only_to_what_they_do_not_have() {
        let mut scene = scene();
        scene.people.insert(ADDRESS.into(), Person { held: vec![(sub(1), Role::Learner)], ..person() });
        let all = scene.judge(&new(&[1]), Again::Renew, now());
        assert_eq!(all, Err(Outcome::AlreadyLearner(person().id)));
        let plan = scene.judge(&new(&[1, 2]), Again::Renew, now()).expect("a plan");
        assert_eq!((plan.seats, plan.needs_client_seat), (vec![sub(2)], false));
        let raised = NewInvite { role: Role::Manager, ..new(&[1]) };
        assert_eq!(scene.judge(&raised, Again::Renew, now()).expect("a plan").seats, []);
    }

    #[test]
    fn the_suspended_the_blocked_and_what_is_over_are_told_apart() {
        let mut scene = scene();
        scene.people.insert(ADDRESS.into(), Person { is_active: false, blocked: vec![sub(2)], ..person() });
        assert_eq!(scene.judge(&new(&[2]), Again::Renew, now()), Err(Outcome::Suspended(person().id)));
        scene.people.insert(ADDRESS.into(), Person { blocked: vec![sub(2)], ..person() });
        assert_eq!(scene.judge(&new(&[1, 2]), Again::Renew, now()), Err(Outcome::Blocked(person().id, sub(2))));
        assert_eq!(scene.judge(&new(&[3]), Again::Renew, now()), Err(Outcome::Ended(sub(3))));
        assert_eq!(scene.judge(&new(&[7]), Again::Renew, now()), Err(Outcome::Ended(sub(7))));
        scene.terms.license_ends_at = Some(now());
        assert_eq!(scene.judge(&new(&[1]), Again::Insist, now()), Err(Outcome::Closed));
    }

    #[test]
    fn an_open_invite_is_left_renewed_or_renewed_although_mail_came_back() {
        let mut scene = scene();
        let bounced = standing(InviteStatus::Bounced);
        scene.open.insert(ADDRESS.into(), bounced.clone());
        assert_eq!(scene.judge(&new(&[1]), Again::Leave, now()), Err(Outcome::AlreadyInvited(bounced.id)));
        assert_eq!(scene.judge(&new(&[1]), Again::Renew, now()), Err(Outcome::Bounced(bounced.id)));
        let plan = scene.judge(&new(&[1]), Again::Insist, now()).expect("a plan");
        assert_eq!((plan.renews, plan.role), (Some((bounced.id, 1)), Role::Manager));
        assert_eq!(plan.sublicenses, [sub(1), sub(2)], "what is over is not offered again");
        assert_eq!(plan.expires_at, bounced.expires_at, "a longer time stays");
    }

    #[test]
    fn a_day_allows_the_first_mail_and_three_more() {
        let mut scene = scene();
        let oldest = now() - Duration::hours(20);
        scene.sends.insert(ADDRESS.into(), Sends { count: 3, oldest });
        assert!(scene.judge(&new(&[1]), Again::Renew, now()).is_ok());
        scene.sends.insert(ADDRESS.into(), Sends { count: 4, oldest });
        let until = now() + Duration::hours(4);
        assert_eq!(scene.judge(&new(&[1]), Again::Insist, now()), Err(Outcome::TooOften { until }));
    }
}
