//! What falls due by itself: reminders by the client's schedule, and the end of invites that nobody accepted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    link::Link,
    store_due::{self as store, Due},
    store_send,
};
use crate::{
    access,
    admin::Author,
    app::App,
    audit::{self, NewEvent},
    fault::Fault,
    ids::{ClientId, InviteId},
    mail::{self, MailKind, MailValues, NewMail},
};

/// Reminds of at most `limit` invites, each with a link of its own; says how many. Earlier links stay good.
pub async fn remind_due(app: &App, now: DateTime<Utc>, limit: i64) -> Result<usize, Fault> {
    let mut tx = app.begin().await?;
    let due = store::claim_reminders(&mut tx, now, limit).await?;
    let count = due.len();
    let mut by_client: BTreeMap<ClientId, Vec<Due>> = BTreeMap::new();
    for invite in due {
        by_client.entry(invite.client_id.into()).or_default().push(invite);
    }
    for (client, due) in by_client {
        remind(&mut tx, app, client, &due, now).await?;
    }
    app.commit(tx).await?;
    Ok(count)
}

async fn remind(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    due: &[Due],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let names: Vec<String> =
        due.iter().map(|due| format!("{} {}", due.first_name, due.last_name).trim().to_owned()).collect();
    let mut links = Vec::with_capacity(due.len());
    let mut mails = Vec::with_capacity(due.len());
    for (due, name) in due.iter().zip(&names) {
        let (id, link) = (InviteId::from(due.id), Link::fresh(&app.entropy));
        links.push((id, link.hash()));
        let values = MailValues {
            message: due.message.clone(),
            expires_at: Some(due.expires_at),
            sublicenses: due.sublicenses.clone(),
            ..MailValues::default()
        };
        mails.push(NewMail {
            kind: MailKind::InviteReminder,
            to: &due.email,
            to_name: name,
            locale: due.locale.as_deref(),
            path: Some(link.path()),
            values: serde_json::to_value(values)?,
            about: Some(id.to_string()),
        });
    }
    let ids: Vec<InviteId> = links.iter().map(|(id, _)| *id).collect();
    store_send::insert_links(conn, client, &links, true, now).await?;
    mail::queue_many(conn, app, client, &mails, now).await?;
    store::mark_reminded(conn, client, &ids, now).await?;
    tell(conn, Author::system(&app.entropy, now), client, "invite.reminded", &ids).await
}

/// Ends at most `limit` invites that are past their time, and gives their seats back; says how many.
pub async fn expire_due(app: &App, now: DateTime<Utc>, limit: i64) -> Result<usize, Fault> {
    let mut by_client: BTreeMap<ClientId, Vec<InviteId>> = BTreeMap::new();
    let mut conn = app.acquire().await?;
    for (client, invite) in store::overdue(&mut conn, now, limit).await? {
        by_client.entry(client).or_default().push(invite);
    }
    drop(conn);
    let mut count = 0;
    for (client, invites) in by_client {
        count += expire(app, client, invites, now).await?;
    }
    Ok(count)
}

/// Counters are locked before invites, as everybody does. An invite that is renewed in this moment keeps its seats:
/// whoever renews it reserves before, and the reservation is then no longer lapsed.
async fn expire(app: &App, client: ClientId, mut invites: Vec<InviteId>, now: DateTime<Utc>) -> Result<usize, Fault> {
    invites.sort_unstable();
    let mut tx = app.begin().await?;
    let holders: Vec<_> = invites.iter().map(|id| id.uuid()).collect();
    access::release_lapsed(&mut tx, client, &holders, now).await?;
    let expired = store::mark_expired(&mut tx, client, &invites, now).await?;
    let about: Vec<String> = expired.iter().map(InviteId::to_string).collect();
    mail::withdraw(&mut tx, client, &about, now).await?;
    tell(&mut tx, Author::system(&app.entropy, now), client, "invite.expired", &expired).await?;
    app.commit(tx).await?;
    Ok(expired.len())
}

/// One audit event and one outgoing event for each invite.
pub(super) async fn tell(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    action: &'static str,
    invites: &[InviteId],
) -> Result<(), Fault> {
    let facts = |id: &InviteId| -> Value { json!({ "invite": id }) };
    let event = |id: &InviteId| NewEvent {
        client: Some(client),
        at: author.now,
        action,
        actor: author.actor,
        target: Some(id.to_string()),
        reason: None,
        reference: author.reference,
        facts: facts(id),
        values: None,
    };
    audit::record_many(conn, author.entropy, invites.iter().map(event).collect()).await?;
    let told = invites.iter().map(|id| (action, facts(id))).collect();
    audit::announce_many(conn, author.entropy, client, told, author.now).await
}
