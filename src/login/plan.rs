//! What one sign-in would do: pure, and the same for a login and for a dry run.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::reason::Reason;
use crate::{
    access::{self, Access, Change, Grant, Skipped, Source, SublicenseTerms, current_access},
    claims::Outcome,
    connections::{ConnectionFacts, JitUpdate},
    ids::SublicenseId,
    learners::{self, LinkRules, Provision, Standing, UpdateRule},
};

/// What an attempt carries, as far as it still counts: a code or an invite stands in for what the mapping yields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bringing {
    /// Counts as a yield: the mapping may grant nothing, but what it requires still holds.
    pub yields: bool,
    /// Makes a learner although the connection makes none: an invite does, a code does not.
    pub may_create: bool,
}

/// Everything the plan depends on.
pub struct Situation<'a> {
    pub connection: &'a ConnectionFacts,
    pub sublicenses: &'a [SublicenseTerms],
    pub license_ends_at: Option<DateTime<Utc>>,
    /// The client's verified domains now: a vouch that was withdrawn ends trust at once.
    pub verified_domains: &'a [String],
    pub standing: &'a Standing,
    pub grants: &'a [Grant],
    pub blocked: &'a [SublicenseId],
    pub outcome: &'a Outcome,
    pub bringing: Bringing,
    pub now: DateTime<Utc>,
}

/// What a sign-in would do, and whether it lets the person in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignInPlan {
    /// What becomes of the learner's record; absent when the person gets none.
    pub provision: Option<Provision>,
    pub access: access::Plan,
    /// What the learner may see afterwards, where a seat is free for it.
    pub access_after: Vec<Access>,
    /// Why the person is not let in. What `access` removes is removed all the same.
    #[serde(skip)]
    pub refusal: Option<Reason>,
}

impl SignInPlan {
    fn refused(reason: Reason) -> Self {
        Self { provision: None, access: access::Plan::default(), access_after: Vec::new(), refusal: Some(reason) }
    }

    /// Whether carrying it out writes more than the record of the sign-in.
    pub fn writes(&self) -> bool {
        !self.access.changes.is_empty() || !matches!(self.provision, None | Some(Provision::Unchanged { .. }))
    }
}

/// Works out what the sign-in does.
pub fn plan(situation: &Situation<'_>) -> SignInPlan {
    let Situation { connection, outcome, now, .. } = *situation;
    if situation.license_ends_at.is_some_and(|end| end <= now) {
        return SignInPlan::refused(Reason::license_ended());
    }
    let trusted: Vec<String> = connection
        .trusted_domains
        .iter()
        .filter(|domain| situation.verified_domains.contains(domain))
        .cloned()
        .collect();
    let rules = LinkRules {
        create: connection.jit.create || situation.bringing.may_create,
        update: match connection.jit.update {
            JitUpdate::Always => UpdateRule::Always,
            JitUpdate::First => UpdateRule::First,
            JitUpdate::Never => UpdateRule::Never,
        },
        link_by_email: connection.jit.link_by_email,
        trusted_domains: &trusted,
    };
    let provision = match learners::plan(situation.standing, outcome, &rules) {
        Ok(provision) => provision,
        // The mapping speaks first: who is not entitled is not told about addresses.
        Err(refused) => {
            return SignInPlan::refused(
                outcome.refusal.as_ref().map_or_else(|| Reason::provision(refused), Reason::mapping),
            );
        }
    };
    let is_returning = matches!(situation.standing, Standing::Returning(_));
    if let Some(refusal) = &outcome.refusal {
        let reason = Reason::mapping(refusal);
        // A failed expression says nothing about the person, so nothing of theirs is taken for it.
        if !is_returning || refusal.code == "mapping.expression" {
            return SignInPlan::refused(reason);
        }
        let access = plan_access(situation, is_returning);
        let access_after = after(situation, &access.changes);
        return SignInPlan { provision: None, access, access_after, refusal: Some(reason) };
    }
    let access = plan_access(situation, is_returning);
    let access_after = after(situation, &access.changes);
    let sees_nothing = access_after.is_empty() && !situation.bringing.yields;
    let refusal = sees_nothing.then(|| why_nothing(&access.skipped));
    let provision = if refusal.is_some() { None } else { Some(provision) };
    SignInPlan { provision, access, access_after, refusal }
}

fn plan_access(situation: &Situation<'_>, is_returning: bool) -> access::Plan {
    access::plan(&access::Terms {
        connection: situation.connection.id,
        sublicenses: situation.sublicenses,
        held: situation.grants,
        blocked: situation.blocked,
        wanted: &situation.outcome.grants,
        sync: situation.outcome.sync,
        removal_allowed: situation.outcome.removal_allowed,
        is_first: !is_returning,
        now: situation.now,
    })
}

/// What the learner may see once the changes are made.
fn after(situation: &Situation<'_>, changes: &[Change]) -> Vec<Access> {
    let mut grants = situation.grants.to_vec();
    for change in changes {
        match *change {
            Change::Begin { sublicense, role, ends_at } => {
                grants.retain(|grant| !(grant.is_of(situation.connection.id) && grant.sublicense == sublicense));
                grants.push(Grant {
                    sublicense,
                    source: Source::Sso,
                    source_ref: situation.connection.id.to_string(),
                    role,
                    starts_at: situation.now,
                    ends_at,
                    end_reason: None,
                });
            }
            Change::Role { sublicense, role } => grants
                .iter_mut()
                .filter(|grant| grant.is_of(situation.connection.id) && grant.sublicense == sublicense)
                .for_each(|grant| grant.role = role),
            Change::End { sublicense } => {
                grants.retain(|grant| !(grant.is_of(situation.connection.id) && grant.sublicense == sublicense));
            }
        }
    }
    current_access(&grants, situation.sublicenses, situation.license_ends_at, situation.now)
}

fn why_nothing(skipped: &[Skipped]) -> Reason {
    let all_unknown = !skipped.is_empty() && skipped.iter().all(|one| matches!(one, Skipped::Unknown { .. }));
    if all_unknown {
        return Reason::unknown_sublicenses();
    }
    if skipped.iter().any(|one| matches!(one, Skipped::Blocked { .. })) {
        return Reason::blocked();
    }
    Reason::access_ended()
}
