//! SQL of invites that are taken back together.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    fault::Fault,
    ids::{ClientId, InviteId},
};

/// Revokes the open ones among these, locked in the order of their ids; says which.
pub(super) async fn mark_many(
    conn: &mut PgConnection,
    client: ClientId,
    ids: &[InviteId],
    now: DateTime<Utc>,
) -> Result<Vec<InviteId>, Fault> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_scalar!(
        "with open as (
           select id from invites
           where client_id = $1 and id = any($2) and status in ('pending', 'sent', 'bounced') and expires_at > $3
           order by id for update
         )
         update invites i set status = 'revoked', next_reminder_at = null, updated_at = $3
         from open where i.client_id = $1 and i.id = open.id returning i.id",
        client.uuid(),
        &ids,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(InviteId::from).collect())
}
