//! What a sign-in checked, in order, with each outcome: the part of an attempt that tells an admin where it went wrong.
//! Holds no claim value, assertion or code.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// Who has to change something for the sign-in to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FixSide {
    /// The gateway or its operator.
    Ours,
    /// The identity provider's configuration.
    Idp,
    /// The connection's mapping.
    Mapping,
    /// The client's or the connection's settings.
    Admin,
    /// The person: start again, or use another account.
    Learner,
}

impl FixSide {
    /// The word of schema, API and log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Idp => "idp",
            Self::Mapping => "mapping",
            Self::Admin => "admin",
            Self::Learner => "learner",
        }
    }
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Stable name, such as `saml.signature`.
    #[schema(value_type = String, example = "saml.audience")]
    pub name: Cow<'static, str>,
    pub passed: bool,
    /// What was found and what was wanted, for an admin to read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// The checks of one sign-in, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Trail(Vec<Check>);

impl Trail {
    /// A trail with nothing checked yet.
    pub fn new() -> Trail {
        // A whole verification makes about twenty checks.
        Trail(Vec::with_capacity(24))
    }

    /// Notes a check that passed.
    pub fn passed(&mut self, name: &'static str) {
        self.note(name, true, None);
    }

    /// Notes a check that passed and what is worth knowing about it.
    pub fn passed_with(&mut self, name: &'static str, detail: impl Into<String>) {
        self.note(name, true, Some(detail.into()));
    }

    /// Notes a check that failed and why.
    pub fn failed(&mut self, name: &'static str, detail: impl Into<String>) {
        self.note(name, false, Some(detail.into()));
    }

    /// Notes the outcome of a check and hands it on.
    pub fn outcome<T, E: std::fmt::Display>(&mut self, name: &'static str, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.passed(name),
            Err(error) => self.failed(name, error.to_string()),
        }
        result
    }

    /// The checks so far.
    pub fn checks(&self) -> &[Check] {
        &self.0
    }

    fn note(&mut self, name: &'static str, passed: bool, detail: Option<String>) {
        self.0.push(Check { name: Cow::Borrowed(name), passed, detail });
    }
}
