//! What is to change of a sublicense, as an admin or a declarative file writes it, and whether it holds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{Sublicense, rules};
use crate::admin::{Invalid, present};

const MAX_REFS: usize = 20;

/// Changes of a sublicense. What is left out stays as it is; null clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SublicenseChange {
    /// Operator only, and only while the sublicense is made; made of the name where it is left out.
    #[serde(default, deserialize_with = "present")]
    pub slug: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub name: Option<String>,
    /// Operator only.
    #[serde(default, deserialize_with = "present")]
    pub sku: Option<Option<String>>,
    /// `true` takes it from the sublicense that was the default before; `false` is refused on the default one.
    #[serde(default, deserialize_with = "present")]
    pub is_default: Option<bool>,
    /// Operator only. A limit below what is in use takes nobody's seat.
    #[serde(default, deserialize_with = "present")]
    pub seat_limit: Option<Option<i32>>,
    /// 1 to 36,500.
    #[serde(default, deserialize_with = "present")]
    pub access_days: Option<Option<i32>>,
    /// Operator only.
    #[serde(default, deserialize_with = "present")]
    pub ends_at: Option<Option<DateTime<Utc>>>,
    /// Merged name by name; null removes a name. At most 20.
    #[serde(default, deserialize_with = "present")]
    pub refs: Option<BTreeMap<String, Option<String>>>,
}

/// A sublicense about to be made: a change that names at least `name`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct NewSublicense(pub SublicenseChange);

impl PartialSchema for NewSublicense {
    fn schema() -> RefOr<Schema> {
        let mut schema = SublicenseChange::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required = vec!["name".to_owned()];
        }
        schema
    }
}

impl ToSchema for NewSublicense {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        SublicenseChange::schemas(schemas);
    }
}

impl SublicenseChange {
    /// The operator-only fields that are written, as JSON pointers.
    pub fn operator_fields(&self) -> impl Iterator<Item = &'static str> {
        [
            self.slug.is_some().then_some("/slug"),
            self.sku.is_some().then_some("/sku"),
            self.seat_limit.is_some().then_some("/seat_limit"),
            self.ends_at.is_some().then_some("/ends_at"),
        ]
        .into_iter()
        .flatten()
    }

    /// Says everything that does not hold.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.slug.as_ref().is_some_and(|slug| !rules::is_slug(slug)) {
            let detail = "a slug is 2 to 63 of a-z, 0-9 and single hyphens between them";
            invalid.push("sublicense.slug", "/slug", detail);
        }
        if self.name.as_ref().is_some_and(|name| !rules::is_plain_text(name, 200, false)) {
            invalid.push("api.invalid", "/name", "a name has 1 to 200 characters");
        }
        if let Some(Some(sku)) = &self.sku
            && !rules::is_plain_text(sku, 100, false)
        {
            invalid.push("api.invalid", "/sku", "a sku has 1 to 100 characters");
        }
        if self.seat_limit.flatten().is_some_and(|limit| limit < 0) {
            invalid.push("api.invalid", "/seat_limit", "a limit is 0 or more");
        }
        if self.access_days.flatten().is_some_and(|days| !(1..=36_500).contains(&days)) {
            invalid.push("api.invalid", "/access_days", "1 to 36500 days");
        }
        if self.ends_at.flatten().is_some_and(|end| !rules::is_sane_date(end)) {
            invalid.push("api.invalid", "/ends_at", "a date lies between 1970 and 9999");
        }
        for (name, value) in self.refs.iter().flatten() {
            let value_holds = value.as_ref().is_none_or(|value| rules::is_plain_text(value, 200, false));
            if !rules::is_plain_text(name, 64, false) || !value_holds {
                invalid.push("api.invalid", "/refs", "a ref's name has 1 to 64 characters, its value 1 to 200");
                break;
            }
        }
        invalid.finish()
    }

    /// The sublicense as it will be. Call it after [`Self::check`].
    pub(super) fn apply(self, sublicense: &mut Sublicense) -> Result<(), Invalid> {
        fn set<T>(field: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        if sublicense.is_default && self.is_default == Some(false) {
            let detail = "a client has one default sublicense; make another one the default instead";
            return Err(Invalid::field("sublicense.default_needed", "/is_default", detail));
        }
        set(&mut sublicense.name, self.name);
        set(&mut sublicense.sku, self.sku);
        set(&mut sublicense.is_default, self.is_default);
        set(&mut sublicense.seat_limit, self.seat_limit);
        set(&mut sublicense.access_days, self.access_days);
        set(&mut sublicense.ends_at, self.ends_at);
        for (name, value) in self.refs.into_iter().flatten() {
            match value {
                Some(value) => sublicense.refs.insert(name, value),
                None => sublicense.refs.remove(&name),
            };
        }
        if sublicense.refs.len() > MAX_REFS {
            return Err(Invalid::field("api.invalid", "/refs", "at most 20 refs"));
        }
        Ok(())
    }
}
