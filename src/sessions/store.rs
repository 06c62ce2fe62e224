//! SQL that tells whether a session's learner may still be let in.

use sqlx::PgExecutor;

use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// The learner's epoch, when learner and client are both active.
pub(super) async fn live_epoch(
    conn: impl PgExecutor<'_>,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<i32>, Fault> {
    let epoch = sqlx::query_scalar!(
        "select l.session_epoch from learners l join clients c on c.id = l.client_id
         where l.client_id = $1 and l.id = $2 and l.status = 'active' and c.status = 'active'",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(epoch)
}
