//! SQL of learners as an admin reads and changes them. Every statement leads with the client.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Block, LearnerRecord, RecordStatus};
use crate::{
    access::{Grant, SublicenseTerms},
    claims::Role,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
    learners::EmailAddress,
};

/// A learner's columns as a statement returns them.
pub(super) struct Row {
    pub id: Uuid,
    pub email: Option<String>,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    pub status: String,
    pub attributes: Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

impl From<Row> for LearnerRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            email_verified: row.email_verified,
            first_name: row.first_name,
            last_name: row.last_name,
            locale: row.locale,
            external_id: row.external_id,
            status: RecordStatus::from_word(&row.status),
            attributes: row.attributes.as_object().cloned().unwrap_or_default(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_login_at: row.last_login_at,
        }
    }
}

/// The columns of a learner, from where the filter says.
macro_rules! learners {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select l.id, l.email, l.email_verified, l.first_name, l.last_name, l.locale, l.external_id, l.status,
                    l.attributes, l.created_at, l.updated_at, l.last_login_at
             from learners l " + $rest,
            $($argument),*
        )
    };
}

/// One learner.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<LearnerRecord>, Fault> {
    let row =
        learners!("where l.client_id = $1 and l.id = $2", client.uuid(), learner.uuid()).fetch_optional(conn).await?;
    Ok(row.map(LearnerRecord::from))
}

/// The same, locked until the transaction ends.
pub(super) async fn lock(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<LearnerRecord>, Fault> {
    let row = learners!("where l.client_id = $1 and l.id = $2 for no key update", client.uuid(), learner.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(LearnerRecord::from))
}

/// Writes what an admin may change.
pub(super) async fn update(conn: &mut PgConnection, client: ClientId, learner: &LearnerRecord) -> Result<(), Fault> {
    sqlx::query!(
        "update learners set first_name = $3, last_name = $4, locale = $5, external_id = $6, attributes = $7, status = $8,
             email = $10, email_key = $11, email_verified = $12, version = version + 1, updated_at = $9
         where client_id = $1 and id = $2",
        client.uuid(),
        learner.id.uuid(),
        learner.first_name,
        learner.last_name,
        learner.locale,
        learner.external_id,
        Value::Object(learner.attributes.clone()),
        learner.status.as_str(),
        learner.updated_at,
        learner.email,
        learner.email.as_deref().and_then(EmailAddress::parse).map(|email| email.key().to_owned()),
        learner.email_verified,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes every session of the learner dead at its next page; says whether there is such a learner.
pub(super) async fn bump_session_epoch(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let outcome = sqlx::query!(
        "update learners set session_epoch = session_epoch + 1, version = version + 1, updated_at = $3
         where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Every grant of a learner, the ended ones too.
pub(super) async fn grants(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<Vec<Grant>, Fault> {
    let rows = sqlx::query!(
        "select sublicense_id, source, source_ref, role, starts_at, ends_at, end_reason from access_grants
         where client_id = $1 and learner_id = $2 order by sublicense_id, source, source_ref",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let word = |word: String| Value::String(word);
    rows.into_iter()
        .map(|row| {
            Ok(Grant {
                sublicense: row.sublicense_id.into(),
                source: serde_json::from_value(word(row.source))?,
                source_ref: row.source_ref,
                role: serde_json::from_value::<Role>(word(row.role))?,
                starts_at: row.starts_at,
                ends_at: row.ends_at,
                end_reason: row.end_reason,
            })
        })
        .collect()
}

/// What of the client and its sublicenses ends access.
pub(super) struct Ends {
    pub license_ends_at: Option<DateTime<Utc>>,
    pub sublicenses: Vec<SublicenseTerms>,
}

/// Reads [`Ends`] for the sublicenses that the learner has ever held.
pub(super) async fn ends(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<Ends, Fault> {
    let license_ends_at = sqlx::query_scalar!("select license_ends_at from clients where id = $1", client.uuid())
        .fetch_one(&mut *conn)
        .await?;
    let rows = sqlx::query!(
        "select s.id, s.slug, s.access_days, s.ends_at from sublicenses s
         where s.client_id = $1 and s.id in
             (select g.sublicense_id from access_grants g where g.client_id = $1 and g.learner_id = $2)",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let terms = rows.into_iter().map(|row| SublicenseTerms {
        id: row.id.into(),
        slug: row.slug,
        access_days: row.access_days,
        ends_at: row.ends_at,
    });
    Ok(Ends { license_ends_at, sublicenses: terms.collect() })
}

/// A learner's blocks.
pub(super) async fn blocks(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<Vec<Block>, Fault> {
    let rows = sqlx::query!(
        "select sublicense_id, created_at, created_by from blocks where client_id = $1 and learner_id = $2
         order by sublicense_id",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let block = rows.into_iter().map(|row| Block {
        sublicense: row.sublicense_id.into(),
        created_at: row.created_at,
        created_by: row.created_by,
    });
    Ok(block.collect())
}

/// Writes a block; says whether there was none before.
pub(super) async fn insert_block(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    sublicense: SublicenseId,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let outcome = sqlx::query!(
        "insert into blocks (client_id, learner_id, sublicense_id, created_at, created_by)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
        client.uuid(),
        learner.uuid(),
        sublicense.uuid(),
        now,
        by,
    )
    .execute(conn)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Clears a block; says whether there was one.
pub(super) async fn delete_block(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    sublicense: SublicenseId,
) -> Result<bool, Fault> {
    let outcome = sqlx::query!(
        "delete from blocks where client_id = $1 and learner_id = $2 and sublicense_id = $3",
        client.uuid(),
        learner.uuid(),
        sublicense.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(outcome.rows_affected() > 0)
}
