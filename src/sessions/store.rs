//! SQL that tells whether a session's learner may still be let in.

use sqlx::PgExecutor;

use super::IdpSession;
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// The learner's epoch, when learner and client are both active. A session that hangs on a connection counts only while
/// that is active, and one that no identity provider stands behind only where the client lets people in without one.
pub(super) async fn live_epoch(
    conn: impl PgExecutor<'_>,
    client: ClientId,
    learner: LearnerId,
    idp: Option<&IdpSession>,
) -> Result<Option<i32>, Fault> {
    let epoch = sqlx::query_scalar!(
        "select l.session_epoch from learners l join clients c on c.id = l.client_id
         where l.client_id = $1 and l.id = $2 and l.status = 'active' and c.status = 'active'
           and case when $4::uuid is null then c.password_login and not c.sso_required
               else exists (select from connections n where n.client_id = $3 and n.id = $4 and n.status = 'active') end",
        client.uuid(),
        learner.uuid(),
        idp.map(|idp| idp.owner.uuid()),
        idp.map(|idp| idp.connection.uuid()),
    )
    .fetch_optional(conn)
    .await?;
    Ok(epoch)
}
