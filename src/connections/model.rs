//! What a connection is: the words of its columns, its settings as an admin writes them, and the pure rules over them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::settings::{OidcSettings, SamlSettings};
use crate::{
    claims::{Preset, Protocol},
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// Declares an enum whose variants have one word each: in the schema, in JSON and in the database alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)*
        }
        impl $name {
            /// The word of schema, API and log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::fault::Fault;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    other => Err($crate::fault::Fault::Corrupt(format!("`{other}` is no {}", stringify!($name)))),
                }
            }
        }
    };
}
pub(super) use words;

words! {
    /// Whether anybody may sign in by a connection.
    Status {
        /// Being set up; only a dry run works.
        Draft = "draft",
        /// Learners sign in by it.
        Active = "active",
        /// Switched off; refused on every replica at once.
        Disabled = "disabled",
    }
}

words! {
    /// What becomes of a response that nobody asked for.
    IdpInitiated {
        /// Refused.
        Off = "off",
        /// Dropped; our own request starts with the same connection and deep link.
        Restart = "restart",
        /// Verified, and the learner is asked whether to continue.
        Accept = "accept",
    }
}

words! {
    /// When a sign-in writes the profile, whatever a field's own policy allows.
    JitUpdate {
        Always = "always",
        First = "first",
        Never = "never",
    }
}

/// Just-in-time provisioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jit {
    /// Whether a person who is not known yet gets a learner.
    pub create: bool,
    pub update: JitUpdate,
    /// Whether a first sign-in may be tied to an existing learner with the same verified address, in a trusted domain.
    pub link_by_email: bool,
}

impl Default for Jit {
    fn default() -> Self {
        Self { create: true, update: JitUpdate::Always, link_by_email: false }
    }
}

const fn default_skew() -> u16 {
    60
}

const fn draft() -> Status {
    Status::Draft
}

const fn restart() -> IdpInitiated {
    IdpInitiated::Restart
}

fn generic() -> Preset {
    Preset::Generic
}

/// The longest clock skew of a connection.
pub const MAX_CLOCK_SKEW_S: u16 = 300;
/// Clients of one shared connection: a large school district.
const MAX_CLIENTS: usize = 2000;
/// E-mail domains of one connection.
const MAX_DOMAINS: usize = 100;

/// A connection as an admin writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSettings {
    pub name: String,
    /// `saml` or `oidc`; cannot be changed once made.
    pub protocol: Protocol,
    #[serde(default = "generic")]
    pub preset: Preset,
    #[serde(default = "draft")]
    pub status: Status,
    /// E-mail domains whose people are sent to this connection by the e-mail-first login.
    #[serde(default)]
    pub domains: Vec<String>,
    #[serde(default = "restart")]
    pub idp_initiated: IdpInitiated,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saml: Option<SamlSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcSettings>,
    /// E-mail domains for which this IdP's word is taken; each must be a verified one of the client, or of one
    /// that is listed; in a sign-in those of the chosen client count.
    #[serde(default)]
    pub trusted_domains: Vec<String>,
    /// The clients that the mapping's `client` may choose among, by slug or id; shown as slugs. Empty: the connection serves
    /// its own client alone. Operator only, as is every change of a connection that lists some.
    #[serde(default)]
    pub clients: Vec<String>,
    #[serde(default = "default_skew")]
    pub clock_skew_s: u16,
    #[serde(default)]
    pub jit: Jit,
}

/// One thing wrong with one field of what an admin wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub code: &'static str,
    /// A JSON pointer into the request body.
    pub pointer: String,
    pub detail: String,
}

impl FieldError {
    pub(super) fn new(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, pointer: pointer.into(), detail: detail.into() }
    }
}

impl ConnectionSettings {
    /// Gives the settings with every domain in its one spelling, or says everything that is wrong with them.
    pub fn checked(mut self, plain_http_allowed: bool) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        self.name = self.name.trim().to_owned();
        if self.name.is_empty() || self.name.chars().count() > 200 || self.name.chars().any(char::is_control) {
            errors.push(FieldError::new("connection.name", "/name", "a name has 1 to 200 characters"));
        }
        if self.clock_skew_s > MAX_CLOCK_SKEW_S {
            errors.push(FieldError::new("connection.clock_skew", "/clock_skew_s", "a clock skew is 0 to 300 seconds"));
        }
        if self.clients.len() > MAX_CLIENTS {
            let detail = format!("at most {MAX_CLIENTS} clients");
            errors.push(FieldError::new("connection.clients", "/clients", detail));
        }
        self.domains = domains(&self.domains, "/domains", &mut errors);
        self.trusted_domains = domains(&self.trusted_domains, "/trusted_domains", &mut errors);
        match (self.protocol, &mut self.saml, &mut self.oidc) {
            (Protocol::Saml, Some(saml), None) => saml.check(plain_http_allowed, &mut errors),
            (Protocol::Saml, None, None) => self.saml = Some(SamlSettings::default()),
            (Protocol::Oidc, None, Some(oidc)) => oidc.check(plain_http_allowed, &mut errors),
            (Protocol::Oidc, None, None) => {
                errors.push(FieldError::new(
                    "connection.oidc",
                    "/oidc",
                    "an OpenID Connect connection needs oidc{issuer, client_id}",
                ));
            }
            (Protocol::Saml, _, Some(_)) => {
                errors.push(FieldError::new("connection.oidc", "/oidc", "a SAML connection has no oidc settings"));
            }
            (Protocol::Oidc, Some(_), _) => {
                errors.push(FieldError::new(
                    "connection.saml",
                    "/saml",
                    "an OpenID Connect connection has no saml settings",
                ));
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// The operator-only fields in which `self` differs from `before`; a new connection differs from the defaults.
    pub fn operator_changes(&self, before: Option<&Self>) -> Vec<&'static str> {
        let sha1 = |settings: &Self| settings.saml.as_ref().is_some_and(|saml| saml.allow_sha1);
        let mut changed = Vec::new();
        if sha1(self) != before.is_some_and(sha1) {
            changed.push("/saml/allow_sha1");
        }
        if self.clients != before.map_or(&[][..], |before| &before.clients) {
            changed.push("/clients");
        }
        changed
    }

    /// The names of the fields in which `self` differs from `before`, for the audit trail.
    pub fn changed_fields(&self, before: &Self) -> Vec<String> {
        let object = |settings: &Self| match serde_json::to_value(settings) {
            Ok(serde_json::Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        let (old, new) = (object(before), object(self));
        let mut changed = Vec::new();
        for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
            match (old.get(key), new.get(key)) {
                (Some(serde_json::Value::Object(a)), Some(serde_json::Value::Object(b))) => {
                    let inner = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
                    changed.extend(
                        inner.filter(|inner| a.get(*inner) != b.get(*inner)).map(|inner| format!("{key}.{inner}")),
                    );
                }
                (a, b) if a != b => changed.push(key.clone()),
                _ => {}
            }
        }
        changed
    }
}

fn domains(written: &[String], pointer: &str, errors: &mut Vec<FieldError>) -> Vec<String> {
    if written.len() > MAX_DOMAINS {
        errors.push(FieldError::new("connection.domains", pointer, format!("at most {MAX_DOMAINS} domains")));
        return Vec::new();
    }
    let mut found = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        match super::domains::normalise(text) {
            Some(domain) if !found.contains(&domain) => found.push(domain),
            Some(_) => {}
            None => errors.push(FieldError::new(
                "connection.domains",
                format!("{pointer}/{index}"),
                "write an organisation's e-mail domain, such as acme.example, without wildcard",
            )),
        }
    }
    found
}

/// A connection as stored: what an admin wrote, and what Usher knows of it.
#[derive(Debug, Clone)]
pub struct Connection {
    pub id: ConnectionId,
    pub client: ClientId,
    pub settings: ConnectionSettings,
    /// Sealed; see [`super::facts::OidcFacts::client_secret`].
    pub secret_sealed: Option<Vec<u8>>,
    pub mapping_version: i32,
    /// The IdP as last read.
    pub idp: Option<serde_json::Value>,
    pub idp_fetched_at: Option<DateTime<Utc>>,
    pub idp_valid_until: Option<DateTime<Utc>>,
    pub idp_refresh_at: Option<DateTime<Utc>>,
    pub idp_error: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What the login pages need to offer a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSummary {
    pub id: ConnectionId,
    pub name: String,
    pub protocol: Protocol,
    pub preset: Preset,
    pub domains: Vec<String>,
}

/// The protocol as stored.
pub(super) fn protocol_from(word: &str) -> Result<Protocol, Fault> {
    [Protocol::Saml, Protocol::Oidc]
        .into_iter()
        .find(|known| known.as_str() == word)
        .ok_or_else(|| Fault::Corrupt(format!("`{word}` is no protocol")))
}

/// The preset as stored.
pub(super) fn preset_from(word: &str) -> Result<Preset, Fault> {
    Preset::ALL
        .into_iter()
        .find(|known| known.as_str() == word)
        .ok_or_else(|| Fault::Corrupt(format!("`{word}` is no preset")))
}
