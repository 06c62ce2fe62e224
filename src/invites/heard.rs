//! What became of an invite's mail, noted in the transaction that says so.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{due::tell, store_due as store};
use crate::{
    admin::Author,
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, InviteId},
    mail::MailOutcome,
};

/// Notes what became of a mail. One that is about something else, or about an invite that is over, changes nothing. A
/// mail that was given up leaves the invite pending: the dead letter can be sent again, and the invite be resent.
pub async fn mail_heard(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    about: &str,
    outcome: MailOutcome,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let Ok(invite) = about.parse::<InviteId>() else { return Ok(()) };
    let (is_news, action) = match outcome {
        MailOutcome::Sent => (store::mark_sent(conn, client, invite, now).await?, "invite.sent"),
        MailOutcome::Bounced => (store::mark_bounced(conn, client, invite, now).await?, "invite.bounced"),
        MailOutcome::Dead => (store::is_pending(conn, client, invite).await?, "invite.undelivered"),
    };
    if is_news { tell(conn, Author::system(entropy, now), client, action, &[invite]).await } else { Ok(()) }
}
