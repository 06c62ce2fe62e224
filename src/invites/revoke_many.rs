//! Taking many invites back at once: whoever made them with one file takes them back together.

use sqlx::PgConnection;

use super::{due, store_revoke};
use crate::{
    access,
    admin::Author,
    fault::Fault,
    ids::{ClientId, InviteId},
    mail,
};

/// Revokes those of the invites that are open; says which. Those that were accepted, have expired or were revoked stay
/// as they are. Call it inside a transaction.
pub async fn revoke_many(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    ids: &[InviteId],
) -> Result<Vec<InviteId>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Counters are locked before invites. What an invite that is over had reserved is used or given back already.
    let holders: Vec<uuid::Uuid> = ids.iter().map(|id| id.uuid()).collect();
    access::release_many(conn, client, &holders, author.now).await?;
    let revoked = store_revoke::mark_many(conn, client, ids, author.now).await?;
    if !revoked.is_empty() {
        let about: Vec<String> = revoked.iter().map(InviteId::to_string).collect();
        mail::withdraw(conn, client, &about, author.now).await?;
        due::tell(conn, author, client, "invite.revoked", &revoked).await?;
    }
    Ok(revoked)
}
