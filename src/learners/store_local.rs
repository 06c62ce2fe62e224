//! SQL of learners who sign in with a password of their own: proofs of an address, merges, and records nobody claimed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Learner, store::Row};
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// Notes that the address was proved. Every session from before is dead; the epoch of those that follow.
pub async fn verify_address(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<i32, Fault> {
    let epoch = sqlx::query_scalar!(
        "update learners set email_verified = true, session_epoch = session_epoch + 1, version = version + 1, updated_at = $3
         where client_id = $1 and id = $2 returning session_epoch",
        client.uuid(),
        learner.uuid(),
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(epoch)
}

/// Puts another address, not proved, in the place of one that never was.
pub async fn correct_address(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    email: (&str, &str),
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update learners set email = $3, email_key = $4, version = version + 1, updated_at = $5
         where client_id = $1 and id = $2 and not email_verified",
        client.uuid(),
        learner.uuid(),
        email.0,
        email.1,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a learner who was merged into another; what refers to them has been handed over.
pub async fn remove(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<(), Fault> {
    sqlx::query!("delete from learners where client_id = $1 and id = $2", client.uuid(), learner.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// One learner as they are now.
pub async fn find(conn: &mut PgConnection, client: ClientId, learner: LearnerId) -> Result<Option<Learner>, Fault> {
    let row = sqlx::query_as!(
        Row,
        "select id, status, session_epoch, email, email_key, email_verified, first_name, last_name, locale, external_id, attributes
         from learners where client_id = $1 and id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Learner::from))
}

/// Learners who never proved their address, have no way to sign in but their provisional password, were made before
/// then, and never held any access.
pub async fn abandoned(
    conn: &mut PgConnection,
    made_before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(ClientId, LearnerId)>, Fault> {
    let rows = sqlx::query!(
        "select p.client_id, p.learner_id
         from provisional_passwords p
         join learners l on l.client_id = p.client_id and l.id = p.learner_id
         where p.created_at < $1 and not l.email_verified
           and not exists (select from access_grants g where g.client_id = p.client_id and g.learner_id = p.learner_id)
           and not exists (select from identities i where i.client_id = p.client_id and i.learner_id = p.learner_id)
         order by p.created_at limit $2 for update of p skip locked",
        made_before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.client_id.into(), row.learner_id.into())).collect())
}
