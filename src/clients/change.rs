//! What is to change of a client, as an admin or a declarative file writes it, and whether it holds.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{
    BrandingChange, Client, ClientStatus, EmailDomain, domain,
    rules::{self, Surroundings},
};
use crate::admin::{Invalid, present};

const MAX_NAME: usize = 200;
const MAX_SKU: usize = 100;
const MAX_DOMAINS: usize = 200;
const MAX_HOSTS: usize = 20;
const MAX_REMINDERS: usize = 10;
const SESSION_S: std::ops::RangeInclusive<i32> = 60..=2_592_000;

/// An e-mail domain as written; who vouched for it is not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainEntry {
    pub domain: String,
}

/// Changes of a client. What is left out stays as it is; null clears.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientChange {
    /// Operator only, and only while the client is made.
    #[serde(default, deserialize_with = "present")]
    pub slug: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub name: Option<String>,
    /// Operator only.
    #[serde(default, deserialize_with = "present")]
    pub sku: Option<Option<String>>,
    /// Operator only. Host names that serve the client's pages at their root; the first one stands in links.
    #[serde(default, deserialize_with = "present")]
    pub hosts: Option<Vec<String>>,
    /// The whole list; a domain that stays in it keeps its vouching.
    #[serde(default, deserialize_with = "present")]
    pub email_domains: Option<Vec<DomainEntry>>,
    /// Operator only.
    #[serde(default, deserialize_with = "present")]
    pub license_ends_at: Option<Option<DateTime<Utc>>>,
    /// Operator only. A limit below what is in use takes nobody's seat.
    #[serde(default, deserialize_with = "present")]
    pub seat_limit: Option<Option<i32>>,
    /// Merged field by field.
    #[serde(default, deserialize_with = "present")]
    pub branding: Option<BrandingChange>,
    #[serde(default, deserialize_with = "present")]
    pub password_login: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub sso_required: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub verify_email_first: Option<bool>,
    /// 1 to 365.
    #[serde(default, deserialize_with = "present")]
    pub invite_ttl_days: Option<i32>,
    /// At most ten, each 1 to 365.
    #[serde(default, deserialize_with = "present")]
    pub reminders_days: Option<Vec<i32>>,
    /// Whether an invite may be accepted by another verified address, where its domain is a proved one of the client.
    #[serde(default, deserialize_with = "present")]
    pub invite_any_domain_address: Option<bool>,
    /// 60 to 2,592,000 seconds.
    #[serde(default, deserialize_with = "present")]
    pub session_idle_s: Option<i32>,
    /// 60 to 2,592,000 seconds.
    #[serde(default, deserialize_with = "present")]
    pub session_absolute_s: Option<i32>,
    /// A BCP 47 language tag.
    #[serde(default, deserialize_with = "present")]
    pub default_locale: Option<String>,
    /// An IANA time zone.
    #[serde(default, deserialize_with = "present")]
    pub time_zone: Option<String>,
    /// Operator only.
    #[serde(default, deserialize_with = "present")]
    pub status: Option<ClientStatus>,
}

/// A client about to be made: a change that names `slug` and `name`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct NewClient(pub ClientChange);

impl PartialSchema for NewClient {
    fn schema() -> RefOr<Schema> {
        let mut schema = ClientChange::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required = vec!["slug".to_owned(), "name".to_owned()];
        }
        schema
    }
}

impl ToSchema for NewClient {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ClientChange::schemas(schemas);
    }
}

impl ClientChange {
    /// The operator-only fields that are written, as JSON pointers.
    pub fn operator_fields(&self) -> impl Iterator<Item = &'static str> {
        [
            self.slug.is_some().then_some("/slug"),
            self.sku.is_some().then_some("/sku"),
            self.hosts.is_some().then_some("/hosts"),
            self.license_ends_at.is_some().then_some("/license_ends_at"),
            self.seat_limit.is_some().then_some("/seat_limit"),
            self.status.is_some().then_some("/status"),
        ]
        .into_iter()
        .flatten()
    }

    /// Says everything that does not hold, and brings domains and hosts into their one spelling.
    pub(super) fn check(&mut self, surroundings: Surroundings<'_>) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        self.check_names(&mut invalid);
        self.check_domains(surroundings, &mut invalid);
        self.check_numbers(&mut invalid);
        if let Some(branding) = &self.branding {
            branding.check(surroundings, &mut invalid);
        }
        if let Some(locale) = &self.default_locale
            && !rules::is_locale(locale)
        {
            invalid.push("api.invalid", "/default_locale", "write a language tag such as en or de-CH");
        }
        if let Some(zone) = &self.time_zone
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            invalid.push("api.invalid", "/time_zone", "write an IANA time zone such as Europe/Berlin");
        }
        invalid.finish()
    }

    fn check_names(&self, invalid: &mut Invalid) {
        if let Some(slug) = &self.slug {
            if !rules::is_slug(slug) {
                invalid.push("client.slug", "/slug", "a slug is 2 to 63 of a-z, 0-9 and single hyphens between them");
            } else if rules::is_reserved(slug) {
                invalid.push("client.slug_reserved", "/slug", "this word is kept for paths of the gateway");
            }
        }
        if let Some(name) = &self.name
            && !rules::is_plain_text(name, MAX_NAME, false)
        {
            invalid.push("api.invalid", "/name", "a name has 1 to 200 characters");
        }
        if let Some(Some(sku)) = &self.sku
            && !rules::is_plain_text(sku, MAX_SKU, false)
        {
            invalid.push("api.invalid", "/sku", "a sku has 1 to 100 characters");
        }
    }

    fn check_domains(&mut self, surroundings: Surroundings<'_>, invalid: &mut Invalid) {
        if let Some(domains) = &mut self.email_domains {
            if domains.len() > MAX_DOMAINS {
                invalid.push("api.invalid", "/email_domains", "at most 200 domains");
            }
            for (index, entry) in domains.iter_mut().enumerate() {
                match domain::own_domain(&entry.domain) {
                    Ok(spelling) => entry.domain = spelling,
                    Err(why) => invalid.push(why.code(), format!("/email_domains/{index}/domain"), why.detail()),
                }
            }
            domains.sort_by(|one, other| one.domain.cmp(&other.domain));
            domains.dedup();
        }
        if let Some(hosts) = &mut self.hosts {
            if hosts.len() > MAX_HOSTS {
                invalid.push("api.invalid", "/hosts", "at most 20 host names");
            }
            for (index, host) in hosts.iter_mut().enumerate() {
                match rules::host_name(host) {
                    Some(spelling) if surroundings.is_base_host(&spelling) => invalid.push(
                        "api.invalid",
                        format!("/hosts/{index}"),
                        "this is the host of the gateway itself, which serves every client",
                    ),
                    Some(spelling) => *host = spelling,
                    None => invalid.push(
                        "api.invalid",
                        format!("/hosts/{index}"),
                        "write a host name such as learn.acme.example",
                    ),
                }
            }
            // The order is kept: the first one stands in links.
            let mut seen = BTreeSet::new();
            hosts.retain(|host| seen.insert(host.clone()));
        }
    }

    fn check_numbers(&mut self, invalid: &mut Invalid) {
        if let Some(Some(limit)) = self.seat_limit
            && limit < 0
        {
            invalid.push("api.invalid", "/seat_limit", "a limit is 0 or more");
        }
        if let Some(Some(end)) = self.license_ends_at
            && !rules::is_sane_date(end)
        {
            invalid.push("api.invalid", "/license_ends_at", "a date lies between 1970 and 9999");
        }
        if let Some(days) = self.invite_ttl_days
            && !(1..=365).contains(&days)
        {
            invalid.push("api.invalid", "/invite_ttl_days", "1 to 365 days");
        }
        if let Some(days) = &mut self.reminders_days {
            if days.len() > MAX_REMINDERS || days.iter().any(|days| !(1..=365).contains(days)) {
                invalid.push("api.invalid", "/reminders_days", "at most ten reminders, each after 1 to 365 days");
            }
            days.sort_unstable();
            days.dedup();
        }
        for (name, seconds) in
            [("session_idle_s", self.session_idle_s), ("session_absolute_s", self.session_absolute_s)]
        {
            if seconds.is_some_and(|seconds| !SESSION_S.contains(&seconds)) {
                invalid.push("api.invalid", format!("/{name}"), "60 to 2592000 seconds");
            }
        }
    }

    /// The client as it will be. Call it after [`Self::check`].
    pub(super) fn apply(self, client: &mut Client) {
        fn set<T>(field: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        set(&mut client.name, self.name);
        set(&mut client.sku, self.sku);
        set(&mut client.hosts, self.hosts);
        if let Some(entries) = self.email_domains {
            let known = std::mem::take(&mut client.email_domains);
            let entry = |DomainEntry { domain }: DomainEntry| {
                let kept = known.iter().find(|known| known.domain == domain).cloned();
                kept.unwrap_or(EmailDomain { domain, verified_at: None, by: None })
            };
            client.email_domains = entries.into_iter().map(entry).collect();
        }
        set(&mut client.license_ends_at, self.license_ends_at);
        set(&mut client.seat_limit, self.seat_limit);
        if let Some(branding) = self.branding {
            branding.apply(&mut client.branding);
        }
        set(&mut client.password_login, self.password_login);
        set(&mut client.sso_required, self.sso_required);
        set(&mut client.verify_email_first, self.verify_email_first);
        set(&mut client.invite_ttl_days, self.invite_ttl_days);
        set(&mut client.reminders_days, self.reminders_days);
        set(&mut client.invite_any_domain_address, self.invite_any_domain_address);
        set(&mut client.session_idle_s, self.session_idle_s);
        set(&mut client.session_absolute_s, self.session_absolute_s);
        set(&mut client.default_locale, self.default_locale);
        set(&mut client.time_zone, self.time_zone);
        set(&mut client.status, self.status);
    }
}
