//! SQL of what a learner's record lets go of when an admin gives it another address or moves it: its own links and
//! passwords, never anything of an account.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::store_proofs;
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// Kills the links that were mailed for this learner: they would prove an address that is no longer meant.
pub async fn forget_links(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    store_proofs::kill_of_learner(conn, client, learner, now).await
}

/// Unties the learner from the account that signs in as them, and forgets the password of a provisional one. The
/// account stays as it is.
pub async fn leave(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "delete from account_learners where client_id = $1 and learner_id = $2",
        client.uuid(),
        learner.uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from provisional_passwords where client_id = $1 and learner_id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .execute(&mut *conn)
    .await?;
    forget_links(conn, client, learner, now).await
}
