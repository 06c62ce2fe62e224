//! SQL of making learners and of moving them between clients.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{LearnerRecord, MovedTo};
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners::EmailAddress,
};

/// Stores a learner whom nobody has signed in as yet. One whose address is not proved is unclaimed: whoever proves the
/// address is that learner.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    learner: &LearnerRecord,
    sub: Uuid,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, last_name, locale,
                               external_id, attributes, status, is_unclaimed, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
        client.uuid(),
        learner.id.uuid(),
        sub,
        learner.email,
        learner.email.as_deref().and_then(EmailAddress::parse).map(|email| email.key().to_owned()),
        learner.email_verified,
        learner.first_name,
        learner.last_name,
        learner.locale,
        learner.external_id,
        Value::Object(learner.attributes.clone()),
        learner.status.as_str(),
        learner.email.is_some() && !learner.email_verified,
        learner.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the learning platform knows a learner by.
pub(super) async fn sub(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<Uuid, Fault> {
    let sub = sqlx::query_scalar!(
        "select sub from learners where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(sub)
}

/// Whether somebody of the client has this address, verified, or waits to be claimed by it.
pub(super) async fn holds_address(conn: &mut PgConnection, client: ClientId, email_key: &str) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from learners where client_id = $1 and email_key = $2
                            and (email_verified or is_unclaimed)) as "found!""#,
        client.uuid(),
        email_key,
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// Makes the record history: it finds and admits nobody any more, and its address is free.
pub(super) async fn retire(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update learners set status = 'moved', email_verified = false, is_unclaimed = false,
             session_epoch = session_epoch + 1, version = version + 1, updated_at = $3
         where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from identities where client_id = $1 and learner_id = $2", client.uuid(), learner.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes where the learner is now.
pub(super) async fn note_move(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    to: MovedTo,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into learner_moves (client_id, learner_id, to_client_id, to_learner_id, moved_at) values ($1, $2, $3, $4, $5)",
        client.uuid(),
        learner.uuid(),
        to.client.uuid(),
        to.learner.uuid(),
        to.moved_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where the learner is now, if they were moved.
pub(super) async fn moved_to(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<MovedTo>, Fault> {
    let row = sqlx::query!(
        "select to_client_id, to_learner_id, moved_at from learner_moves where client_id = $1 and learner_id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| MovedTo {
        client: row.to_client_id.into(),
        learner: row.to_learner_id.into(),
        moved_at: row.moved_at,
    }))
}
