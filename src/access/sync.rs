//! What one sign-in changes about a learner's grants: pure, so that a dry run says the same as a login.

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Grant, Source, SublicenseTerms};
use crate::{
    claims::{Role, SyncMode, WantedGrant},
    ids::{ConnectionId, SublicenseId},
};

/// Everything the plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    pub connection: ConnectionId,
    pub sublicenses: &'a [SublicenseTerms],
    /// All grants of the learner, ended ones too; empty for a new one.
    pub held: &'a [Grant],
    pub blocked: &'a [SublicenseId],
    /// What the mapping yields.
    pub wanted: &'a [WantedGrant],
    pub sync: SyncMode,
    /// Whether every claim that the rules read was sent: a missing claim is not an empty claim.
    pub removal_allowed: bool,
    /// Whether this is the learner's first sign-in by this identity.
    pub is_first: bool,
    pub now: DateTime<Utc>,
}

/// One grant that comes, changes or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Access begins, and takes a seat where there is a limit.
    Begin { sublicense: SublicenseId, role: Role, ends_at: Option<DateTime<Utc>> },
    /// A running grant gets another role.
    Role { sublicense: SublicenseId, role: Role },
    /// A running grant of this connection ends.
    End { sublicense: SublicenseId },
}

impl Change {
    /// What it is about.
    pub fn sublicense(&self) -> SublicenseId {
        match self {
            Self::Begin { sublicense, .. } | Self::Role { sublicense, .. } | Self::End { sublicense } => *sublicense,
        }
    }
}

/// Something wanted that is not granted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Skipped {
    /// An admin removed the learner from it.
    Blocked { sublicense: SublicenseId },
    /// The sublicense is over.
    Ended { sublicense: SublicenseId },
    /// The learner's days of access are used up.
    DaysUsedUp { sublicense: SublicenseId },
    /// `first_login`: only the first sign-in grants.
    NotFirst { sublicense: SublicenseId },
    /// The mapping names a sublicense that the client does not have.
    Unknown { slug: String },
}

/// What a sign-in changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub skipped: Vec<Skipped>,
}

/// Works out the changes. A sublicense is granted at most once per connection; `replace` removes only this connection's
/// grants, and only when it may.
pub fn plan(terms: &Terms<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut wanted_ids = Vec::with_capacity(terms.wanted.len());
    for wanted in terms.wanted {
        let Some(sublicense) = terms.sublicenses.iter().find(|known| known.slug == wanted.sublicense) else {
            plan.skipped.push(Skipped::Unknown { slug: wanted.sublicense.clone() });
            continue;
        };
        wanted_ids.push(sublicense.id);
        match one(terms, sublicense, wanted.role) {
            Ok(change) => plan.changes.extend(change),
            Err(skipped) => plan.skipped.push(skipped),
        }
    }
    if terms.sync == SyncMode::Replace && terms.removal_allowed {
        let stale = terms.held.iter().filter(|grant| grant.is_of(terms.connection) && grant.is_running(terms.now));
        plan.changes.extend(
            stale
                .filter(|grant| !wanted_ids.contains(&grant.sublicense))
                .map(|grant| Change::End { sublicense: grant.sublicense }),
        );
    }
    plan
}

fn one(terms: &Terms<'_>, sublicense: &SublicenseTerms, role: Role) -> Result<Option<Change>, Skipped> {
    let id = sublicense.id;
    if terms.blocked.contains(&id) {
        return Err(Skipped::Blocked { sublicense: id });
    }
    if sublicense.ends_at.is_some_and(|end| end <= terms.now) {
        return Err(Skipped::Ended { sublicense: id });
    }
    let held = terms.held.iter().find(|grant| grant.is_of(terms.connection) && grant.sublicense == id);
    if let Some(grant) = held.filter(|grant| grant.is_running(terms.now)) {
        let changes = match terms.sync {
            SyncMode::Add => role > grant.role,
            SyncMode::Replace => role != grant.role,
            SyncMode::FirstLogin => false,
        };
        return Ok(changes.then_some(Change::Role { sublicense: id, role }));
    }
    if terms.sync == SyncMode::FirstLogin && !terms.is_first {
        return Err(Skipped::NotFirst { sublicense: id });
    }
    // Days of access run once, from the first grant: signing in again after them does not start them anew.
    let begun = held.map_or(terms.now, |grant| grant.starts_at);
    let days_end = sublicense.access_days.map(|days| begun + Duration::days(i64::from(days)));
    if days_end.is_some_and(|end| end <= terms.now) {
        return Err(Skipped::DaysUsedUp { sublicense: id });
    }
    Ok(Some(Change::Begin { sublicense: id, role, ends_at: days_end }))
}

/// The source of every grant that a sign-in makes.
pub(super) const SIGN_IN: Source = Source::Sso;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MAIN: u128 = 1;
    const SALES: u128 = 2;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn id(number: u128) -> SublicenseId {
        SublicenseId::from(Uuid::from_u128(number))
    }

    fn connection() -> ConnectionId {
        ConnectionId::from(Uuid::from_u128(9))
    }

    fn sublicenses() -> Vec<SublicenseTerms> {
        [(MAIN, "main"), (SALES, "sales")]
            .map(|(number, slug)| SublicenseTerms {
                id: id(number),
                slug: slug.into(),
                access_days: None,
                ends_at: None,
            })
            .to_vec()
    }

    fn wanted(slug: &str, role: Role) -> WantedGrant {
        WantedGrant { sublicense: slug.into(), role }
    }

    fn held(number: u128, source: Source, role: Role) -> Grant {
        let source_ref = if source == Source::Sso { connection().to_string() } else { "x".into() };
        Grant {
            sublicense: id(number),
            source,
            source_ref,
            role,
            starts_at: now() - Duration::days(5),
            ends_at: None,
            end_reason: None,
        }
    }

    fn run(held: &[Grant], blocked: &[SublicenseId], wanted: &[WantedGrant], sync: SyncMode) -> Plan {
        let sublicenses = sublicenses();
        plan(&Terms {
            connection: connection(),
            sublicenses: &sublicenses,
            held,
            blocked,
            wanted,
            sync,
            removal_allowed: true,
            is_first: held.is_empty(),
            now: now(),
        })
    }

    #[test]
    fn what_is_held_already_changes_nothing() {
        let held = [held(MAIN, Source::Sso, Role::Learner)];
        for sync in [SyncMode::Add, SyncMode::Replace, SyncMode::FirstLogin] {
            assert_eq!(run(&held, &[], &[wanted("main", Role::Learner)], sync), Plan::default());
        }
    }

    #[test]
    fn replace_removes_only_grants_of_this_connection() {
        let held = [held(MAIN, Source::Sso, Role::Learner), held(SALES, Source::Admin, Role::Learner)];
        assert_eq!(run(&held, &[], &[], SyncMode::Replace).changes, vec![Change::End { sublicense: id(MAIN) }]);
        assert!(run(&held, &[], &[], SyncMode::Add).changes.is_empty());
        assert!(run(&held, &[], &[], SyncMode::FirstLogin).changes.is_empty());
    }

    #[test]
    fn replace_removes_nothing_while_a_claim_is_missing() {
        let (held, sublicenses) = ([held(MAIN, Source::Sso, Role::Learner)], sublicenses());
        let terms = Terms {
            connection: connection(),
            sublicenses: &sublicenses,
            held: &held,
            blocked: &[],
            wanted: &[],
            sync: SyncMode::Replace,
            removal_allowed: false,
            is_first: false,
            now: now(),
        };
        assert!(plan(&terms).changes.is_empty());
        assert_eq!(plan(&Terms { removal_allowed: true, ..terms }).changes.len(), 1);
    }

    #[test]
    fn a_block_is_not_undone_by_a_sign_in() {
        let plan = run(&[], &[id(MAIN)], &[wanted("main", Role::Learner)], SyncMode::Add);
        assert_eq!((plan.changes.len(), plan.skipped), (0, vec![Skipped::Blocked { sublicense: id(MAIN) }]));
    }

    #[test]
    fn add_raises_a_role_and_never_lowers_it_and_replace_does_both() {
        let manager = [held(MAIN, Source::Sso, Role::Manager)];
        let lower = [wanted("main", Role::Learner)];
        assert!(run(&manager, &[], &lower, SyncMode::Add).changes.is_empty());
        assert_eq!(
            run(&manager, &[], &lower, SyncMode::Replace).changes,
            vec![Change::Role { sublicense: id(MAIN), role: Role::Learner }]
        );
        let learner = [held(MAIN, Source::Sso, Role::Learner)];
        assert_eq!(run(&learner, &[], &[wanted("main", Role::Manager)], SyncMode::Add).changes.len(), 1);
    }

    #[test]
    fn signing_in_again_does_not_start_the_days_of_access_anew() {
        let mut sublicenses = sublicenses();
        sublicenses[0].access_days = Some(3);
        let mut lapsed = held(MAIN, Source::Sso, Role::Learner);
        lapsed.ends_at = Some(now() - Duration::days(2));
        let wanted = [wanted("main", Role::Learner)];
        let terms = Terms {
            connection: connection(),
            sublicenses: &sublicenses,
            held: &[lapsed],
            blocked: &[],
            wanted: &wanted,
            sync: SyncMode::Add,
            removal_allowed: true,
            is_first: false,
            now: now(),
        };
        assert_eq!(plan(&terms).skipped, vec![Skipped::DaysUsedUp { sublicense: id(MAIN) }]);
        let first = plan(&Terms { held: &[], ..terms });
        assert_eq!(
            first.changes,
            vec![Change::Begin { sublicense: id(MAIN), role: Role::Learner, ends_at: Some(now() + Duration::days(3)) }]
        );
    }

    #[test]
    fn first_login_grants_once() {
        let wanted = [wanted("sales", Role::Learner)];
        assert_eq!(run(&[], &[], &wanted, SyncMode::FirstLogin).changes.len(), 1);
        let later = run(&[held(MAIN, Source::Sso, Role::Learner)], &[], &wanted, SyncMode::FirstLogin);
        assert_eq!(later.skipped, vec![Skipped::NotFirst { sublicense: id(SALES) }]);
    }
}
