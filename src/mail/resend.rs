//! Sending a dead letter again.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::{MailStatus, MailView},
    store_admin as store,
};
use crate::{
    admin::Author,
    fault::Fault,
    ids::{ClientId, MailId},
};

/// Why a mail was not queued again.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    #[error("there is nothing here")]
    NotFound,
    #[error("only a dead letter can be sent again")]
    NotDead,
    #[error("the link of this mail is no longer good")]
    LinkExpired,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Queues a dead letter again, with the link and the Message-ID that it had. Call it inside a transaction.
pub async fn resend(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: MailId,
) -> Result<MailView, ResendError> {
    let (status, expires_at) = store::lock(conn, client, id).await?.ok_or(ResendError::NotFound)?;
    if status != MailStatus::Dead {
        return Err(ResendError::NotDead);
    }
    if expires_at.is_some_and(|end| end <= author.now) {
        return Err(ResendError::LinkExpired);
    }
    store::revive(conn, client, id, author.now).await?;
    author.record(conn, client, "mail.resent", id.to_string(), json!({}), None).await?;
    store::find(conn, client, id).await?.ok_or(ResendError::NotFound)
}
