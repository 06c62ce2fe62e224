//! A learner's record as the rules see it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ids::LearnerId;

/// Whether a learner may sign in at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LearnerStatus {
    Active,
    Suspended,
}

impl LearnerStatus {
    /// Reads the word of the schema; an unknown one is no leave to sign in.
    pub fn from_word(word: &str) -> Self {
        if word == "active" { Self::Active } else { Self::Suspended }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// What is known of the person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    pub email: Option<String>,
    /// The address in its comparable spelling; present exactly when `email` is.
    pub email_key: Option<String>,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    pub attributes: Map<String, Value>,
}

/// A learner's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learner {
    pub id: LearnerId,
    pub status: LearnerStatus,
    pub session_epoch: i32,
    pub profile: Profile,
}
