//! Taking back what can be taken back: invites that an import made and nobody has accepted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{effects, store_rows::WorkRow, store_work::Job};
use crate::{
    app::App,
    fault::Fault,
    ids::{ClientId, InviteId},
    invites,
};

/// Revokes the invites of one batch of rows; those that were accepted, or are over, stay as they are.
pub(super) async fn revoke(
    conn: &mut PgConnection,
    app: &App,
    job: &Job,
    rows: &[WorkRow],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let author = effects::author(&app.entropy, job.author.as_deref(), job.reference.as_deref(), now);
    let mut by_client: BTreeMap<ClientId, Vec<InviteId>> = BTreeMap::new();
    for row in rows {
        if let (Some(client), Some(invite)) = (row.target, row.invite) {
            by_client.entry(client).or_default().push(invite.into());
        }
    }
    for (client, ids) in by_client {
        invites::revoke_many(conn, author, client, &ids).await?;
    }
    Ok(())
}
