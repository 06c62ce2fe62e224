//! SQL of the learner who stands before the redeem page, and of sign-ups that must not happen twice.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
    sessions::IdpSession,
};

/// A learner as the redeem page needs them.
#[derive(Debug)]
pub(super) struct PersonRow {
    pub first_name: String,
    pub last_name: String,
    pub email: Option<String>,
    pub email_verified: bool,
    /// Sessions of another epoch are dead.
    pub session_epoch: i32,
    pub client_version: i64,
}

/// The learner, when they, their client and the connection that their session hangs on are active.
pub(super) async fn person(
    conn: impl PgExecutor<'_>,
    client: ClientId,
    learner: LearnerId,
    idp: Option<&IdpSession>,
) -> Result<Option<PersonRow>, Fault> {
    let row = sqlx::query_as!(
        PersonRow,
        "select l.first_name, l.last_name, l.email, l.email_verified, l.session_epoch, c.version as client_version
         from learners l join clients c on c.id = l.client_id
         where l.client_id = $1 and l.id = $2 and l.status = 'active' and c.status = 'active'
           and ($4::uuid is null or exists (select from connections n where n.client_id = $3 and n.id = $4 and n.status = 'active'))",
        client.uuid(),
        learner.uuid(),
        idp.map(|idp| idp.owner.uuid()),
        idp.map(|idp| idp.connection.uuid()),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Takes the place of one sign-up. `None` when it is taken now, or by whom it was; waits for whoever is at it.
pub(super) async fn claim_sign_up(
    conn: &mut PgConnection,
    client: ClientId,
    key: &[u8],
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<Option<LearnerId>, Fault> {
    let done = sqlx::query!(
        "insert into sign_ups (client_id, key, learner_id, created_at) values ($1, $2, $3, $4)
         on conflict on constraint sign_ups_pkey do nothing",
        client.uuid(),
        key,
        learner.uuid(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(None);
    }
    let before =
        sqlx::query_scalar!("select learner_id from sign_ups where client_id = $1 and key = $2", client.uuid(), key)
            .fetch_optional(conn)
            .await?;
    Ok(before.map(LearnerId::from))
}

/// Removes the places of sign-ups that nobody repeats any more; says how many.
pub(super) async fn remove_sign_ups(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "delete from sign_ups where (client_id, key) in (
             select client_id, key from sign_ups where created_at < $1 order by created_at limit $2 for update skip locked)",
        before,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
