//! SQL of learners and identities, on the path of a sign-in. Every statement leads with the client.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Learner, LearnerStatus, Profile};
use crate::{
    fault::Fault,
    ids::{ClientId, ConnectionId, LearnerId},
};

/// By what an IdP calls a person.
#[derive(Debug, Clone, Copy)]
pub struct IdentityKey<'a> {
    pub connection: ConnectionId,
    pub issuer: &'a str,
    pub subject: &'a str,
}

/// A learner's columns as a statement returns them.
pub(crate) struct Row {
    pub id: Uuid,
    pub status: String,
    pub session_epoch: i32,
    pub email: Option<String>,
    pub email_key: Option<String>,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    pub attributes: Value,
}

impl From<Row> for Learner {
    fn from(row: Row) -> Self {
        let attributes = match row.attributes {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        Self {
            id: LearnerId::from(row.id),
            status: LearnerStatus::from_word(&row.status),
            session_epoch: row.session_epoch,
            profile: Profile {
                email: row.email,
                email_key: row.email_key,
                email_verified: row.email_verified,
                first_name: row.first_name,
                last_name: row.last_name,
                locale: row.locale,
                external_id: row.external_id,
                attributes,
            },
        }
    }
}

/// Locks a learner until the transaction ends, and reads it as it is now.
pub async fn lock(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<Option<Learner>, Fault> {
    let row = sqlx::query_as!(
        Row,
        "select id, status, session_epoch, email, email_key, email_verified, first_name, last_name, locale, external_id, attributes
         from learners where client_id = $1 and id = $2 for no key update",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Learner::from))
}

/// The learner who has this address verified in the client.
pub async fn find_by_verified_email(
    conn: &mut PgConnection,
    client: ClientId,
    email_key: &str,
) -> Result<Option<Learner>, Fault> {
    let row = sqlx::query_as!(
        Row,
        "select id, status, session_epoch, email, email_key, email_verified, first_name, last_name, locale, external_id, attributes
         from learners where client_id = $1 and email_key = $2 and email_verified",
        client.uuid(),
        email_key,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Learner::from))
}

/// Whether the connection knows the learner by another subject than this one.
pub async fn has_other_subject(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    key: IdentityKey<'_>,
) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select exists (
            select from identities where client_id = $1 and learner_id = $2 and connection_id = $3 and issuer = $4 and subject <> $5
        ) as "found!""#,
        client.uuid(),
        learner.uuid(),
        key.connection.uuid(),
        key.issuer,
        key.subject,
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// Whether the identity is tied to a learner.
pub async fn is_known(conn: &mut PgConnection, client: ClientId, key: IdentityKey<'_>) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select exists (
            select from identities where client_id = $1 and connection_id = $2 and issuer = $3 and subject = $4
        ) as "found!""#,
        client.uuid(),
        key.connection.uuid(),
        key.issuer,
        key.subject,
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// Whether another learner of the client has this address verified.
pub async fn is_taken(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    email_key: &str,
) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from learners where client_id = $1 and email_key = $2 and email_verified and id <> $3) as "found!""#,
        client.uuid(),
        email_key,
        learner.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// A new learner's fixed parts.
#[derive(Debug, Clone, Copy)]
pub struct NewLearner {
    pub id: LearnerId,
    pub sub: Uuid,
}

pub async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    new: NewLearner,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, last_name, locale,
                               external_id, attributes, created_at, updated_at, last_login_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $12)",
        client.uuid(),
        new.id.uuid(),
        new.sub,
        profile.email,
        profile.email_key,
        profile.email_verified,
        profile.first_name,
        profile.last_name,
        profile.locale,
        profile.external_id,
        Value::Object(profile.attributes.clone()),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn update_profile(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update learners set email = $3, email_key = $4, email_verified = $5, first_name = $6, last_name = $7, locale = $8,
                external_id = $9, attributes = $10, version = version + 1, updated_at = $11
         where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
        profile.email,
        profile.email_key,
        profile.email_verified,
        profile.first_name,
        profile.last_name,
        profile.locale,
        profile.external_id,
        Value::Object(profile.attributes.clone()),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ties an identity to a learner; false when somebody else's sign-in did so first.
pub async fn insert_identity(
    conn: &mut PgConnection,
    client: ClientId,
    key: IdentityKey<'_>,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "insert into identities (client_id, connection_id, issuer, subject, learner_id, created_at)
         values ($1, $2, $3, $4, $5, $6) on conflict on constraint identities_pkey do nothing",
        client.uuid(),
        key.connection.uuid(),
        key.issuer,
        key.subject,
        learner.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes every session of the learner dead at its next page, whatever Redis holds.
pub async fn bump_session_epoch(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update learners set session_epoch = session_epoch + 1, version = version + 1, updated_at = $3 where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes when the learner last signed in.
pub async fn touch_last_login(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update learners set last_login_at = $3 where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
