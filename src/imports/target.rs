//! The client that a row is for, as it was when the row was looked at, and what the row's cells mean there.

use chrono::{DateTime, Duration, Utc};

use super::{
    model::{Action, ImportOptions, RowData},
    problem::{Flaw, Found},
};
use crate::{claims::Role, ids::SublicenseId};

/// A client and its sublicenses.
#[derive(Debug, Clone)]
pub struct Target {
    pub is_active: bool,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub sublicenses: Vec<Part>,
}

/// A sublicense of it.
#[derive(Debug, Clone)]
pub struct Part {
    pub id: SublicenseId,
    pub slug: String,
    pub sku: Option<String>,
    pub is_default: bool,
    pub access_days: Option<i32>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// What a row asks for, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub action: Action,
    pub role: Role,
    pub send_invite: bool,
    /// Empty only where all access is to be removed.
    pub sublicenses: Vec<SublicenseId>,
}

impl Target {
    /// What the row asks for here.
    pub fn wish(&self, data: &RowData, options: &ImportOptions, now: DateTime<Utc>) -> Result<Wish, Found> {
        let action = data.action.unwrap_or(options.action);
        if !self.is_active || self.license_ends_at.is_some_and(|end| end <= now) {
            return Err(Flaw::ClientNotLive.whole());
        }
        let names = if data.sublicenses.is_empty() { &options.sublicenses } else { &data.sublicenses };
        let mut sublicenses = Vec::with_capacity(names.len().max(1));
        for name in names {
            let part = self.part(name).ok_or_else(|| Flaw::NoSuchSublicense.at("sublicenses"))?;
            // What is over can be taken away, and not given.
            if action != Action::Remove && part.ends_at.is_some_and(|end| end <= now) {
                return Err(Flaw::SublicenseEnded.at("sublicenses"));
            }
            sublicenses.push(part.id);
        }
        if names.is_empty() && action != Action::Remove {
            let part = self.sublicenses.iter().find(|part| part.is_default && part.ends_at.is_none_or(|end| now < end));
            sublicenses.push(part.ok_or_else(|| Flaw::SublicenseEnded.at("sublicenses"))?.id);
        }
        sublicenses.sort_unstable();
        sublicenses.dedup();
        Ok(Wish {
            action,
            role: data.role.unwrap_or(options.role),
            send_invite: data.send_invite.unwrap_or(options.send_invite),
            sublicenses,
        })
    }

    fn part(&self, name: &str) -> Option<&Part> {
        let id = name.parse::<SublicenseId>().ok();
        let lower = name.to_lowercase();
        self.sublicenses
            .iter()
            .find(|part| Some(part.id) == id || part.slug == lower || part.sku.as_deref() == Some(name))
    }

    /// When access to it would end that begins now; the sublicense's own end and the licence's are asked apart.
    pub fn days_end(&self, sublicense: SublicenseId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let part = self.sublicenses.iter().find(|part| part.id == sublicense)?;
        part.access_days.map(|days| now + Duration::days(days.into()))
    }
}
