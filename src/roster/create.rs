//! Making a learner by an admin's word. It does not prove the address: whoever proves it is this learner.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{
    access_model::{MAX_GRANTS, NewAccess},
    edit::RosterError,
    grant,
    model::{LearnerChange, LearnerRecord, RecordStatus},
    store_move,
};
use crate::{
    admin::{Author, Invalid},
    audit::{self, Values},
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners::EmailAddress,
};

/// A learner about to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLearner {
    /// Not verified by being written here.
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
    /// A BCP 47 language tag.
    #[serde(default)]
    pub locale: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    /// Each a text or a list of texts. At most 50.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub attributes: std::collections::BTreeMap<String, super::model::AttributeValue>,
    /// What the learner may see from the start; all of it, or nobody is made.
    #[serde(default)]
    pub access: Vec<NewAccess>,
}

/// Makes a learner, with access. Call it inside a transaction.
pub async fn create(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    new: NewLearner,
) -> Result<LearnerId, RosterError> {
    if new.email.is_none() && new.external_id.is_none() && new.first_name.is_empty() && new.last_name.is_empty() {
        return Err(Invalid::field("api.required", "/email", "write an address, an external id or a name").into());
    }
    check_access(&new.access, author.now)?;
    let change = LearnerChange {
        email: Some(new.email),
        first_name: Some(new.first_name),
        last_name: Some(new.last_name),
        locale: Some(new.locale),
        external_id: Some(new.external_id),
        attributes: Some(new.attributes.into_iter().map(|(name, value)| (name, Some(value))).collect()),
        status: None,
    };
    change.check()?;
    let mut learner = blank(author.entropy.id(author.now), author.now);
    change.apply(&mut learner)?;
    insert(conn, client, &learner, author.entropy.id::<LearnerId>(author.now).uuid()).await?;
    let facts = json!({ "learner": learner.id, "how": "admin" });
    let after = serde_json::to_value(&learner).map_err(Fault::from)?;
    let values = Values { learner: Some(learner.id), before: json!(null), after };
    author.record(conn, client, "learner.created", learner.id.to_string(), facts.clone(), Some(values)).await?;
    audit::announce(conn, author.entropy, client, "learner.created", facts, author.now).await?;
    grant::give(conn, author, client, learner.id, &new.access, "/access").await?;
    Ok(learner.id)
}

pub(super) fn check_access(access: &[NewAccess], now: DateTime<Utc>) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    if access.len() > MAX_GRANTS {
        invalid.push("api.invalid", "/access", "at most 100 grants");
    }
    for (index, access) in access.iter().enumerate() {
        access.check(&format!("/access/{index}"), now, &mut invalid);
    }
    invalid.finish()
}

fn blank(id: LearnerId, now: DateTime<Utc>) -> LearnerRecord {
    LearnerRecord {
        id,
        email: None,
        email_verified: false,
        first_name: String::new(),
        last_name: String::new(),
        locale: None,
        external_id: None,
        status: RecordStatus::Active,
        attributes: serde_json::Map::new(),
        created_at: now,
        updated_at: now,
        last_login_at: None,
    }
}

/// Stores a learner unless somebody of the client has the address. Those who only say that it is theirs, and have not
/// proved it, are in nobody's way.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    learner: &LearnerRecord,
    sub: uuid::Uuid,
) -> Result<(), RosterError> {
    if let Some(email) = learner.email.as_deref().and_then(EmailAddress::parse)
        && store_move::holds_address(conn, client, email.key()).await?
    {
        return Err(RosterError::EmailTaken);
    }
    Ok(store_move::insert(conn, client, learner, sub).await?)
}
