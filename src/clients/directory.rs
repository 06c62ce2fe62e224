//! The clients that this replica has met lately, for the learner's path: bounded by what they weigh, and never older than
//! the version that PostgreSQL names.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Branding, ClientStatus, EmailDomain, rules,
    store_facts::{self as store, FactsRow},
};
use crate::{
    db::Db,
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// Bytes that all kept clients may weigh together, out of the 120 MB of an idle replica.
const CAPACITY: u64 = 24 << 20;

/// How many slugs are remembered, at about 200 bytes each.
const SLUGS: u64 = 20_000;

/// What the learner's path asks of a client.
#[derive(Debug, Clone)]
pub struct ClientFacts {
    pub id: ClientId,
    pub slug: String,
    pub name: String,
    /// Host names that serve this client's pages; the first one stands in links.
    pub hosts: Vec<String>,
    pub status: ClientStatus,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub seat_limit: Option<i32>,
    pub branding: Branding,
    pub session_idle: Duration,
    pub session_absolute: Duration,
    pub default_locale: String,
    pub time_zone: chrono_tz::Tz,
    pub password_login: bool,
    pub sso_required: bool,
    /// Whether access from a code begins only once the address is proved.
    pub verify_email_first: bool,
    pub email_domains: Vec<EmailDomain>,
    pub sublicenses: Vec<SublicenseFacts>,
    pub version: i64,
}

/// What the learner's path asks of a sublicense.
#[derive(Debug, Clone)]
pub struct SublicenseFacts {
    pub id: SublicenseId,
    pub slug: String,
    pub name: String,
    pub sku: Option<String>,
    pub refs: BTreeMap<String, String>,
    pub is_default: bool,
    pub seat_limit: Option<i32>,
    pub access_days: Option<i32>,
    pub ends_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct StoredSublicense {
    id: Uuid,
    slug: String,
    name: String,
    sku: Option<String>,
    refs: BTreeMap<String, String>,
    is_default: bool,
    seat_limit: Option<i32>,
    access_days: Option<i32>,
    ends_at: Option<DateTime<Utc>>,
}

impl ClientFacts {
    /// Whether the client's people may be let in at `now`: it is active and its licence runs.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.status == ClientStatus::Active && self.license_ends_at.is_none_or(|end| now < end)
    }

    /// Whether a host name serves this client's pages.
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own == host)
    }

    /// Whether people may sign in with a password.
    pub const fn allows_passwords(&self) -> bool {
        self.password_login && !self.sso_required
    }

    fn read(id: ClientId, row: FactsRow) -> Result<Self, Fault> {
        let stored: Vec<StoredSublicense> = serde_json::from_value(row.sublicenses)?;
        let seconds = |count: i32| Duration::from_secs(u64::try_from(count).unwrap_or(0));
        let sublicense = |stored: StoredSublicense| SublicenseFacts {
            id: stored.id.into(),
            slug: stored.slug,
            name: stored.name,
            sku: stored.sku,
            refs: stored.refs,
            is_default: stored.is_default,
            seat_limit: stored.seat_limit,
            access_days: stored.access_days,
            ends_at: stored.ends_at,
        };
        Ok(Self {
            id,
            slug: row.slug,
            name: row.name,
            hosts: row.hosts,
            status: row.status,
            license_ends_at: row.license_ends_at,
            seat_limit: row.seat_limit,
            branding: row.branding,
            session_idle: seconds(row.session_idle_s),
            session_absolute: seconds(row.session_absolute_s),
            default_locale: row.default_locale,
            time_zone: row.time_zone.parse().unwrap_or(chrono_tz::UTC),
            password_login: row.password_login,
            sso_required: row.sso_required,
            verify_email_first: row.verify_email_first,
            email_domains: row.email_domains,
            sublicenses: stored.into_iter().map(sublicense).collect(),
            version: row.version,
        })
    }

    // An estimate: the texts, and what their containers take.
    fn weight(&self) -> u32 {
        let texts = [
            &self.branding.logo_url,
            &self.branding.background_url,
            &self.branding.welcome_text,
            &self.branding.footer,
        ];
        let branding: usize = texts.into_iter().flatten().map(String::len).sum();
        let domains: usize = self.email_domains.iter().map(|domain| 120 + domain.domain.len()).sum();
        let sublicense = |part: &SublicenseFacts| {
            let refs: usize = part.refs.iter().map(|(name, value)| 100 + name.len() + value.len()).sum();
            250 + part.slug.len() + part.name.len() + part.sku.as_ref().map_or(0, String::len) + refs
        };
        let sublicenses: usize = self.sublicenses.iter().map(sublicense).sum();
        let hosts: usize = self.hosts.iter().map(|host| 24 + host.len()).sum();
        u32::try_from(800 + self.name.len() + hosts + branding + domains + sublicenses).unwrap_or(u32::MAX)
    }
}

/// A bounded cache of [`ClientFacts`], each valid for one version.
pub struct Directory {
    facts: Cache<ClientId, Arc<ClientFacts>>,
    /// A slug is never changed and never reused, so that what it once led to holds for good.
    slugs: Cache<Box<str>, ClientId>,
    /// Which slug a host led to when it was last asked for; whoever serves a page asks the client itself.
    hosts: Cache<Box<str>, Arc<str>>,
}

impl Default for Directory {
    fn default() -> Self {
        let weigher = |_: &ClientId, facts: &Arc<ClientFacts>| facts.weight();
        let facts = Cache::builder().weigher(weigher).max_capacity(CAPACITY).build();
        Self { facts, slugs: Cache::new(SLUGS), hosts: Cache::new(SLUGS) }
    }
}

impl Directory {
    /// The client of a slug, as it is now: one indexed read for its version, the rest from the cache where it fits.
    pub async fn by_slug(&self, db: &Db, slug: &str) -> Result<Option<Arc<ClientFacts>>, Fault> {
        if !rules::is_slug(slug) {
            return Ok(None);
        }
        let sighting = store::sight(&mut *db.acquire().await?, slug).await?;
        match sighting {
            None => Ok(None),
            Some(seen) => {
                self.slugs.insert(slug.into(), seen.id).await;
                self.at_version(db, seen.id, seen.version).await.map(Some)
            }
        }
    }

    /// The client of a slug as this replica met it last, which may be older than PostgreSQL's; read now where it was not
    /// met. For a caller whose own query tells the version, and who then asks [`Self::at_version`].
    pub async fn met(&self, db: &Db, slug: &str) -> Result<Option<Arc<ClientFacts>>, Fault> {
        if let Some(id) = self.slugs.get(slug).await
            && let Some(facts) = self.facts.get(&id).await
        {
            return Ok(Some(facts));
        }
        self.by_slug(db, slug).await
    }

    /// The slug that a host leads to, which may be older than PostgreSQL's; see [`super::Site`].
    pub async fn of_host(&self, db: &Db, host: &str) -> Result<Option<Arc<str>>, Fault> {
        if let Some(slug) = self.hosts.get(host).await {
            return Ok(Some(slug));
        }
        let Some(slug) = store::of_host(&mut *db.acquire().await?, host).await? else { return Ok(None) };
        let slug: Arc<str> = slug.into();
        self.hosts.insert(host.into(), slug.clone()).await;
        Ok(Some(slug))
    }

    /// A host turned out not to be the client's any more: it is read anew when it is asked for next.
    pub async fn forget_host(&self, host: &str) {
        self.hosts.invalidate(host).await;
    }

    /// The client as it is now, for a caller who knows its id alone.
    pub async fn now(&self, db: &Db, client: ClientId) -> Result<Arc<ClientFacts>, Fault> {
        let met = self.at_version(db, client, 0).await?;
        // A slug is never changed: it leads to the version that counts.
        Ok(self.by_slug(db, &met.slug).await?.unwrap_or(met))
    }

    /// The client at least as new as `version`, which the caller has just read from PostgreSQL.
    pub async fn at_version(&self, db: &Db, client: ClientId, version: i64) -> Result<Arc<ClientFacts>, Fault> {
        if let Some(facts) = self.facts.get(&client).await
            && facts.version >= version
        {
            return Ok(facts);
        }
        let row = store::facts(&mut *db.acquire().await?, client).await?;
        let row = row.ok_or_else(|| Fault::Corrupt(format!("{client} is referred to and is not there")))?;
        let facts = Arc::new(ClientFacts::read(client, row)?);
        self.facts.insert(client, facts.clone()).await;
        Ok(facts)
    }
}
