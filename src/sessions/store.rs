//! SQL that tells whether a session's learner may still be let in.

use sqlx::PgExecutor;

use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// The learner's epoch, when learner and client are both active. A session that no identity provider stands behind
/// counts only where the client lets people in without one.
pub(super) async fn live_epoch(
    conn: impl PgExecutor<'_>,
    client: ClientId,
    learner: LearnerId,
    is_by_sso: bool,
) -> Result<Option<i32>, Fault> {
    let epoch = sqlx::query_scalar!(
        "select l.session_epoch from learners l join clients c on c.id = l.client_id
         where l.client_id = $1 and l.id = $2 and l.status = 'active' and c.status = 'active'
           and ($3 or (c.password_login and not c.sso_required))",
        client.uuid(),
        learner.uuid(),
        is_by_sso,
    )
    .fetch_optional(conn)
    .await?;
    Ok(epoch)
}
