//! Putting mails in the outbox, inside the transaction that makes them due, and taking them out again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    model::NewMail,
    store::{self, MailRow},
};
use crate::{
    app::App,
    fault::Fault,
    ids::{ClientId, MailId},
};

/// Rows in one statement.
const CHUNK: usize = 2_000;

/// Where a link is sealed for.
pub(super) fn link_place(client: ClientId, mail: MailId) -> String {
    format!("mails.link:{client}:{mail}")
}

/// Puts one mail in the outbox. A worker sends it within a second or two of the commit.
pub async fn queue(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    mail: NewMail<'_>,
    now: DateTime<Utc>,
) -> Result<MailId, Fault> {
    let row = row(app, client, &mail, now)?;
    store::insert(conn, client, std::slice::from_ref(&row), now).await?;
    Ok(row.id)
}

/// Puts many mails in the outbox; their ids are in the order of `mails`.
pub async fn queue_many(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    mails: &[NewMail<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<MailId>, Fault> {
    let mut ids = Vec::with_capacity(mails.len());
    for chunk in mails.chunks(CHUNK) {
        let rows = chunk.iter().map(|mail| row(app, client, mail, now)).collect::<Result<Vec<_>, _>>()?;
        store::insert(conn, client, &rows, now).await?;
        ids.extend(rows.iter().map(|row| row.id));
    }
    Ok(ids)
}

/// Takes back what is still queued about something, because it is over: a revoked invite, a link that a new one
/// replaces. Says how many. One that a worker is sending at this moment may still arrive.
pub async fn withdraw(
    conn: &mut PgConnection,
    client: ClientId,
    about: &[String],
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    store::withdraw(conn, client, about, now).await
}

fn row(app: &App, client: ClientId, mail: &NewMail<'_>, now: DateTime<Utc>) -> Result<MailRow, Fault> {
    let id: MailId = app.entropy.id(now);
    let domain = app.settings.mail.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let link_sealed =
        mail.path.as_ref().map(|path| app.sealer.seal(&app.entropy, &link_place(client, id), path.as_bytes()));
    Ok(MailRow {
        id,
        kind: mail.kind,
        recipient: mail.to.to_owned(),
        name: mail.to_name.to_owned(),
        locale: mail.locale.map(str::to_owned),
        link_sealed,
        content: mail.values.clone(),
        about: mail.about.clone(),
        // Ours alone (RFC 5322, section 3.6.4), and enough to find the row when a bounce names it.
        message_id: format!("<{}.{}@{domain}>", id.uuid().simple(), client.uuid().simple()),
    })
}
