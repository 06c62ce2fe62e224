//! Making one invite, sending it again, revoking it.

use sqlx::PgConnection;

use super::{
    due::tell,
    judge::Standing,
    model::{Again, Invite, InviteStatus, NewInvite, Outcome},
    send::{self, Order},
    store, store_scene,
};
use crate::{
    access,
    admin::Author,
    app::App,
    fault::Fault,
    ids::{ClientId, InviteId},
    learners::EmailAddress,
    mail,
};

/// Why an invite was not made, resent or revoked.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    #[error("there is nothing here")]
    NotFound,
    /// The outcome says why nobody was invited.
    #[error("nobody was invited: {0:?}")]
    Stopped(Outcome),
    /// All that it offered is over or deleted.
    #[error("nothing is left of what the invite offered")]
    NothingLeft,
    /// It is accepted, expired or revoked.
    #[error("the invite is over")]
    Over(InviteStatus),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Invites one person; an address with an open invite gets that one renewed. Says whether the invite is new. Call it
/// inside a transaction.
pub(super) async fn create(
    conn: &mut PgConnection,
    app: &App,
    author: Author<'_>,
    client: ClientId,
    new: NewInvite,
) -> Result<(Invite, bool), InviteError> {
    let order = Order { invites: std::slice::from_ref(&new), again: Again::Renew, import: None };
    let outcome = send::create_many(conn, app, author, client, order).await?;
    match outcome.first().copied() {
        Some(Outcome::Invited(id)) => Ok((load(conn, client, id).await?, true)),
        // Somebody else has invited the address in this moment: one mail is enough.
        Some(Outcome::Renewed(id) | Outcome::AlreadyInvited(id)) => Ok((load(conn, client, id).await?, false)),
        Some(stopped) => Err(InviteError::Stopped(stopped)),
        None => Err(InviteError::NotFound),
    }
}

/// Sends an invite again, for as long as a new one: earlier links die. One that has expired is opened again. Call it
/// inside a transaction.
pub(super) async fn resend(
    conn: &mut PgConnection,
    app: &App,
    author: Author<'_>,
    client: ClientId,
    id: InviteId,
) -> Result<Invite, InviteError> {
    let invite = load(conn, client, id).await?;
    if matches!(invite.status, InviteStatus::Accepted | InviteStatus::Revoked) {
        return Err(InviteError::Over(invite.status));
    }
    let email = EmailAddress::parse(&invite.email).ok_or_else(|| Fault::Corrupt("an invite's address".into()))?;
    let mut new = NewInvite {
        email,
        first_name: invite.first_name.clone(),
        last_name: invite.last_name.clone(),
        locale: invite.locale.clone(),
        role: invite.role,
        sublicenses: invite.sublicenses.clone(),
        message: invite.message.clone(),
        expires_at: None,
    };
    let mut scene = store_scene::read(conn, client, std::slice::from_ref(&new), author.now).await?;
    new.sublicenses.retain(|sublicense| scene.is_live(*sublicense, author.now));
    if new.sublicenses.is_empty() {
        return Err(InviteError::NothingLeft);
    }
    let own = scene.open.entry(new.email.key().to_owned()).or_insert_with(|| Standing {
        id,
        status: invite.status,
        role: invite.role,
        sublicenses: invite.sublicenses.clone(),
        expires_at: invite.expires_at,
        times_sent: invite.times_sent,
    });
    if own.id != id {
        return Err(InviteError::Stopped(Outcome::AlreadyInvited(own.id)));
    }
    let order = Order { invites: std::slice::from_ref(&new), again: Again::Insist, import: None };
    let outcome = send::carry_out(conn, app, author, client, order, &scene).await.map_err(|fault| {
        // Somebody has made another invite for the address in this moment.
        match fault.constraint() {
            Some("invites_open_email_unique") => InviteError::Stopped(Outcome::AlreadyInvited(id)),
            _ => InviteError::Fault(fault),
        }
    })?;
    match outcome.first().copied() {
        Some(Outcome::Renewed(_) | Outcome::AlreadyInvited(_)) => load(conn, client, id).await,
        Some(stopped) => Err(InviteError::Stopped(stopped)),
        None => Err(InviteError::NotFound),
    }
}

/// Takes an invite back: its links die and its seats are free. Call it inside a transaction.
pub(super) async fn revoke(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: InviteId,
) -> Result<Invite, InviteError> {
    let now = author.now;
    // Counters are locked before the invite; where it turns out to be over, the caller rolls back.
    access::release(conn, client, id.uuid(), now).await?;
    if !store::mark_revoked(conn, client, id, now).await? {
        let invite = load(conn, client, id).await?;
        return Err(InviteError::Over(invite.status.at(invite.expires_at, now)));
    }
    mail::withdraw(conn, client, &[id.to_string()], now).await?;
    tell(conn, author, client, "invite.revoked", &[id]).await?;
    load(conn, client, id).await
}

async fn load(conn: &mut PgConnection, client: ClientId, id: InviteId) -> Result<Invite, InviteError> {
    store::find(conn, client, id).await?.ok_or(InviteError::NotFound)
}
