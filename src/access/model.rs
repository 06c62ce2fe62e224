//! Grants, and what they add up to at one moment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    claims::Role,
    fault::Fault,
    ids::{ConnectionId, SublicenseId},
};

/// What granted access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Sso,
    RegistrationCode,
    RedemptionCode,
    Invite,
    Admin,
    Import,
    Scim,
}

impl Source {
    const ALL: [Self; 7] =
        [Self::Sso, Self::RegistrationCode, Self::RedemptionCode, Self::Invite, Self::Admin, Self::Import, Self::Scim];

    /// The word of the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sso => "sso",
            Self::RegistrationCode => "registration_code",
            Self::RedemptionCode => "redemption_code",
            Self::Invite => "invite",
            Self::Admin => "admin",
            Self::Import => "import",
            Self::Scim => "scim",
        }
    }

    pub(super) fn read(word: &str) -> Result<Self, Fault> {
        let found = Self::ALL.into_iter().find(|source| source.as_str() == word);
        found.ok_or_else(|| Fault::Corrupt(format!("`{word}` is no source of access")))
    }
}

/// One reason why a learner may see a sublicense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    pub sublicense: SublicenseId,
    pub source: Source,
    pub source_ref: String,
    pub role: Role,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    /// Why it ended early: `sync`, `admin`; null while it runs or when it merely lapsed.
    pub end_reason: Option<String>,
}

impl Grant {
    /// Whether it is this connection's.
    pub fn is_of(&self, connection: ConnectionId) -> bool {
        self.source == Source::Sso && self.source_ref == connection.to_string()
    }

    /// Whether the grant itself runs at `now`; the sublicense and the licence are asked separately.
    pub fn is_running(&self, now: DateTime<Utc>) -> bool {
        self.starts_at <= now && self.ends_at.is_none_or(|end| now < end)
    }
}

/// What of a sublicense decides about access to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SublicenseTerms {
    pub id: SublicenseId,
    pub slug: String,
    pub access_days: Option<i32>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// What a learner may see now: one row per sublicense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Access {
    pub sublicense: SublicenseId,
    pub role: Role,
    /// When it ends at the latest; null for open access.
    pub ends_at: Option<DateTime<Utc>>,
}

/// The earliest of the ends that are set.
pub fn effective_end(ends: [Option<DateTime<Utc>>; 3]) -> Option<DateTime<Utc>> {
    ends.into_iter().flatten().min()
}

/// The union of the grants that count at `now`: the highest role, the latest end.
pub fn current_access(
    grants: &[Grant],
    sublicenses: &[SublicenseTerms],
    license_ends_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<Access> {
    let mut access: Vec<Access> = Vec::new();
    for grant in grants.iter().filter(|grant| grant.is_running(now)) {
        let Some(terms) = sublicenses.iter().find(|terms| terms.id == grant.sublicense) else { continue };
        let end = effective_end([grant.ends_at, terms.ends_at, license_ends_at]);
        if end.is_some_and(|end| end <= now) {
            continue;
        }
        match access.iter_mut().find(|held| held.sublicense == grant.sublicense) {
            Some(held) => {
                held.role = held.role.max(grant.role);
                // No end is later than any end.
                held.ends_at = held.ends_at.zip(end).map(|(one, other)| one.max(other));
            }
            None => access.push(Access { sublicense: grant.sublicense, role: grant.role, ends_at: end }),
        }
    }
    access
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use uuid::Uuid;

    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + Duration::days(day)
    }

    fn grant(role: Role, starts: i64, ends: Option<i64>) -> Grant {
        Grant {
            sublicense: SublicenseId::from(Uuid::from_u128(1)),
            source: Source::Sso,
            source_ref: "con_x".into(),
            role,
            starts_at: at(starts),
            ends_at: ends.map(at),
            end_reason: None,
        }
    }

    fn terms(ends: Option<i64>) -> [SublicenseTerms; 1] {
        [SublicenseTerms {
            id: SublicenseId::from(Uuid::from_u128(1)),
            slug: "main".into(),
            access_days: None,
            ends_at: ends.map(at),
        }]
    }

    #[test]
    fn access_is_the_union_of_the_running_grants() {
        let grants = [grant(Role::Learner, 0, None), grant(Role::Manager, 0, Some(5))];
        let access = current_access(&grants, &terms(None), None, at(1));
        assert_eq!(access.len(), 1);
        assert_eq!((access[0].role, access[0].ends_at), (Role::Manager, None));
        assert_eq!(current_access(&grants, &terms(None), None, at(6))[0].role, Role::Learner);
    }

    #[test]
    fn the_earliest_of_grant_sublicense_and_licence_ends_access() {
        let grants = [grant(Role::Learner, 0, Some(30))];
        assert_eq!(current_access(&grants, &terms(Some(20)), Some(at(10)), at(1))[0].ends_at, Some(at(10)));
        assert!(current_access(&grants, &terms(Some(20)), Some(at(10)), at(10)).is_empty());
        assert!(current_access(&grants, &terms(Some(20)), None, at(20)).is_empty());
        assert!(current_access(&grants, &terms(None), None, at(30)).is_empty());
    }

    #[test]
    fn a_grant_that_begins_later_counts_later() {
        let grants = [grant(Role::Learner, 3, None)];
        assert!(current_access(&grants, &terms(None), None, at(2)).is_empty());
        assert_eq!(current_access(&grants, &terms(None), None, at(3)).len(), 1);
    }
}
