//! Claims and the mapping that turns them into a profile and access: pure, without I/O, the same for SAML and OpenID Connect.
//!
//! | step | where | result |
//! |---|---|---|
//! | a verifier collects what the IdP sent | [`Claims`] (`value`, `json`) | names to lists of values, bounded |
//! | an admin types a mapping | [`Mapping`] (`mapping`, `selector`, `condition`) | JSON, unknown keys refused |
//! | it is saved | [`Mapping::compile`] (`compile`, `compiled`) | [`CompiledMapping`], or every mistake with its JSON pointer |
//! | the connection serves several clients | [`CompiledMapping::client_names`] (`client`) | what names the person's client |
//! | somebody signs in, or dry-runs | [`CompiledMapping::apply`] (`apply`, `run`, `reading`, `expr`) | [`Outcome`]: profile, grants, every rule and why |
//! | a connection is new | [`presets`] (`presets`, `vendors`) | a mapping with the vendor's own claim names, and settings to begin with |
//! | the attempt is recorded | [`Outcome::redacted`] (`outcome`) | the same without any claim value |
//!
//! # The mapping, in JSON
//!
//! A **selector** is a claim's name (SAML: Name or FriendlyName; OIDC: dotted when nested), `{"expr": "…"}`, or a list of
//! those, of which the first that has a value wins. A **profile field** is a selector, or
//! `{"from": selector, "update": "always" | "first" | "locked"}`. A **condition** is one of
//! - `"always"`;
//! - `{"claim": name, …}` with one of `equals` (its only value is this), `contains` (one of its values is this),
//!   `one_of` (one of its values is in the list), `matches` (a pattern that matches the whole of one value),
//!   `present` (it has a value that is not blank, or has none); `case_sensitive` where wanted;
//! - `{"all": […]}`, `{"any": […]}`, `{"not": …}`;
//! - `{"expr": "…"}`, which must yield true or something empty.
//!
//! `client` is a selector, on a shared connection alone: each of its values may be the slug or the sku of a client that
//! the connection lists; what names none is passed over, and where none is named nobody is let in.
//!
//! An **access rule** is `{"when": condition, "sublicenses": [slug…], "role"}`, or
//! `{"from": selector, "match": "slug" | "sku" | "ref" | {"ref": name}, "role", "when"}`, which grants the sublicenses
//! whose slug, sku or ref equals a value.
//!
//! # Invariants
//!
//! - Order: `client`; then, with the sublicenses of the chosen client, e-mail, e-mail domain, the other profile fields, `require`, `access` in order, `fallback`.
//! - A rule set that yields nothing refuses (`mapping.nothing_granted`), unless a fallback or an entitlement that the
//!   attempt carries yields. Whatever refuses also takes every grant out of the outcome.
//! - A missing claim is not an empty one. A claim that an IdP replaced by a link (overage) is *unknown*: a condition on it
//!   neither holds nor fails, `not` included, so that its rule does not fire.
//! - An expression that fails refuses the sign-in (`mapping.expression`): access is never decided by half of the rules.
//! - Values are compared in NFC and without regard to case unless `case_sensitive`; they are never split unasked.
//! - No sentence of the outcome quotes a claim's value; `detail` may, and `redacted` drops it.

mod apply;
mod client;
mod compile;
mod compiled;
mod condition;
mod engine;
mod expr;
mod json;
pub mod limits;
mod mapping;
mod outcome;
pub mod presets;
mod reading;
mod run;
mod selector;
mod text;
mod value;
mod vendors;

pub use apply::{ConnectionFacts, Input, SublicenseFacts};
pub use client::{ClientNames, comparable_name};
pub use compile::MappingError;
pub use compiled::CompiledMapping;
pub use condition::{Condition, Test};
pub use mapping::{
    AccessRule, Fallback, Field, Mapping, MatchBy, MatchWord, NamedRef, ProfileRules, Requirement, Role, SyncMode,
    UpdatePolicy,
};
pub use outcome::{
    AttributeOutcome, FieldOutcome, Outcome, ProfileOutcome, RedactedField, RedactedOutcome, RedactedRule, Refusal,
    RuleKind, RuleTrace, WantedGrant,
};
pub use presets::{Preset, Protocol};
pub use selector::Selector;
pub use text::email_domain;
pub use value::{Claims, ClaimsError};
