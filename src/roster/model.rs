//! A learner as an admin sees one, and what an admin may change.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    access::{Access, Source},
    admin::{Invalid, present},
    claims::{Role, limits},
    clients::{is_locale, is_plain_text},
    ids::{ClientId, LearnerId, SublicenseId},
    learners::{EmailAddress, LearnerStatus},
};

const MAX_NAME: usize = 200;
const MAX_EXTERNAL_ID: usize = 255;
const MAX_ATTRIBUTE_NAME: usize = 64;

/// Whether a learner may sign in, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    Active,
    Suspended,
    /// The person is a learner of another client now; this record is history.
    Moved,
}

impl RecordStatus {
    /// Reads the word of the schema.
    pub fn from_word(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "moved" => Self::Moved,
            _ => Self::Suspended,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Moved => "moved",
        }
    }
}

/// A learner's record.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LearnerRecord {
    pub id: LearnerId,
    pub email: Option<String>,
    /// Whether the person has proved that the address is theirs; an admin's word does not.
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    pub status: RecordStatus,
    /// Each a text or a list of texts.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

/// Where a learner who was moved is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct MovedTo {
    pub client: ClientId,
    pub learner: LearnerId,
    pub moved_at: DateTime<Utc>,
}

/// One reason why a learner may see a sublicense, or once could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccessEntry {
    pub sublicense: SublicenseId,
    pub role: Role,
    pub source: Source,
    /// What within the source granted it: the connection, code, invite or import.
    pub source_ref: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    /// Why it ended before its time.
    pub end_reason: Option<String>,
    /// Whether this grant itself runs now; the sublicense or the licence may have ended all the same.
    pub is_running: bool,
}

/// A learner's access: every grant, and what they add up to now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LearnerAccess {
    pub access: Vec<AccessEntry>,
    /// One per sublicense: the highest role, the latest end. What ended, or belongs to a suspended learner, is not here.
    pub effective_access: Vec<Access>,
}

/// A removal of a learner from a sublicense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Block {
    pub sublicense: SublicenseId,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
}

/// A learner with all that belongs to one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LearnerDetail {
    #[serde(flatten)]
    pub learner: LearnerRecord,
    #[serde(flatten)]
    pub access: LearnerAccess,
    pub blocks: Vec<Block>,
    /// For operators, of a learner who was moved to another client.
    pub moved_to: Option<MovedTo>,
}

/// One attribute as written: a text, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub enum AttributeValue {
    One(String),
    Several(Vec<String>),
}

impl AttributeValue {
    fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values) => values,
        }
    }

    fn into_json(self) -> Value {
        match self {
            Self::One(value) => value.into(),
            Self::Several(values) => values.into(),
        }
    }
}

/// Changes of a learner. What is left out stays as it is; null clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnerChange {
    /// Another address is not verified, whoever writes it. It touches no account: whoever signs in with one goes on to.
    #[serde(default, deserialize_with = "present")]
    pub email: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub first_name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub last_name: Option<String>,
    /// A BCP 47 language tag.
    #[serde(default, deserialize_with = "present")]
    pub locale: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub external_id: Option<Option<String>>,
    /// Merged name by name; null removes a name. At most 50.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// `suspended` ends every session of the learner at once.
    #[serde(default, deserialize_with = "present")]
    pub status: Option<LearnerStatus>,
}

impl LearnerChange {
    /// Says everything that does not hold.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if let Some(Some(email)) = &self.email
            && EmailAddress::parse(email).is_none()
        {
            invalid.push("api.invalid", "/email", "write an e-mail address");
        }
        for (field, name) in [("first_name", &self.first_name), ("last_name", &self.last_name)] {
            if name.as_ref().is_some_and(|name| !name.is_empty() && !is_plain_text(name, MAX_NAME, false)) {
                invalid.push("api.invalid", format!("/{field}"), "a name has at most 200 characters");
            }
        }
        if let Some(Some(locale)) = &self.locale
            && !is_locale(locale)
        {
            invalid.push("api.invalid", "/locale", "write a language tag such as en or de-CH");
        }
        if let Some(Some(id)) = &self.external_id
            && !is_plain_text(id, MAX_EXTERNAL_ID, false)
        {
            invalid.push("api.invalid", "/external_id", "an external id has 1 to 255 characters");
        }
        let value_holds = |value: &String| value.len() <= limits::MAX_FIELD_BYTES;
        for (name, value) in self.attributes.iter().flatten() {
            let values = value.as_ref().map_or(&[][..], AttributeValue::values);
            let holds = values.len() <= limits::MAX_ATTRIBUTE_VALUES && values.iter().all(value_holds);
            if !is_plain_text(name, MAX_ATTRIBUTE_NAME, false) || !holds {
                let detail = "a name has 1 to 64 characters; it has at most 100 values of at most 1000 bytes";
                invalid.push("api.invalid", "/attributes", detail);
                break;
            }
        }
        invalid.finish()
    }

    /// The learner as it will be. Call it after [`Self::check`].
    pub(super) fn apply(self, learner: &mut LearnerRecord) -> Result<(), Invalid> {
        fn set<T>(field: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        if let Some(email) = self.email {
            set_email(learner, email);
        }
        set(&mut learner.first_name, self.first_name);
        set(&mut learner.last_name, self.last_name);
        set(&mut learner.locale, self.locale);
        set(&mut learner.external_id, self.external_id);
        set(&mut learner.status, self.status.map(|status| RecordStatus::from_word(status.as_str())));
        for (name, value) in self.attributes.into_iter().flatten() {
            match value {
                Some(value) => learner.attributes.insert(name, value.into_json()),
                None => learner.attributes.remove(&name),
            };
        }
        if learner.attributes.len() > limits::MAX_ATTRIBUTES {
            return Err(Invalid::field("api.invalid", "/attributes", "a learner has at most 50 attributes"));
        }
        Ok(())
    }
}

/// A proof is of one address: another spelling of it keeps the proof, another address does not.
fn set_email(learner: &mut LearnerRecord, email: Option<String>) {
    let key = |text: &Option<String>| text.as_deref().and_then(EmailAddress::parse);
    let (before, after) = (key(&learner.email), key(&email));
    let is_same = before.as_ref().map(EmailAddress::key) == after.as_ref().map(EmailAddress::key);
    learner.email_verified = learner.email_verified && is_same && after.is_some();
    learner.email = after.map(|address| address.as_str().to_owned());
}
