//! Access as an admin writes it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    admin::{Invalid, present},
    claims::Role,
    clients::is_sane_date,
};

const MAX_DAYS: i32 = 36_500;
const FAR: &str = "a time lies between the years 1970 and 9999";
/// Grants that one request may make.
pub(super) const MAX_GRANTS: usize = 100;

/// Access to be granted by an admin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccess {
    /// The id or slug of a sublicense of the client.
    pub sublicense: String,
    #[serde(default)]
    pub role: Role,
    /// When it begins; now where absent.
    #[serde(default, deserialize_with = "present")]
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends; with neither this nor `access_days`, as the sublicense has it.
    #[serde(default, deserialize_with = "present")]
    pub ends_at: Option<DateTime<Utc>>,
    /// Days from its beginning, in place of `ends_at`.
    #[serde(default, deserialize_with = "present")]
    pub access_days: Option<i32>,
    /// Clears a block of the sublicense first; without it, a block refuses.
    #[serde(default)]
    pub clear_block: bool,
}

/// Changes of the access that an admin granted. What is left out stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessChange {
    #[serde(default, deserialize_with = "present")]
    pub role: Option<Role>,
    /// Null leaves it without an end of its own.
    #[serde(default, deserialize_with = "present")]
    pub ends_at: Option<Option<DateTime<Utc>>>,
}

impl NewAccess {
    /// Says everything that does not hold; `pointer` leads to this grant.
    pub(super) fn check(&self, pointer: &str, now: DateTime<Utc>, invalid: &mut Invalid) {
        if self.ends_at.is_some() && self.access_days.is_some() {
            invalid.push("api.invalid", format!("{pointer}/access_days"), "write either access_days or ends_at");
        }
        if self.access_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
            invalid.push("api.invalid", format!("{pointer}/access_days"), "1 to 36500 days");
        }
        if self.starts_at.is_some_and(|start| !is_sane_date(start)) {
            invalid.push("api.invalid", format!("{pointer}/starts_at"), FAR);
        }
        check_end(
            self.ends_at,
            &format!("{pointer}/ends_at"),
            self.starts_at.map_or(now, |start| start.max(now)),
            invalid,
        );
    }
}

impl AccessChange {
    pub(super) fn check(&self, now: DateTime<Utc>, invalid: &mut Invalid) {
        check_end(self.ends_at.flatten(), "/ends_at", now, invalid);
    }
}

fn check_end(end: Option<DateTime<Utc>>, pointer: &str, after: DateTime<Utc>, invalid: &mut Invalid) {
    if end.is_some_and(|end| !is_sane_date(end)) {
        return invalid.push("api.invalid", pointer, FAR);
    }
    if end.is_some_and(|end| end <= after) {
        invalid.push(
            "api.invalid",
            pointer,
            "access ends after it begins, and in the future; to end it now, DELETE it",
        );
    }
}
