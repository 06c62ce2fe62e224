//! A bounce that a mail server reports after it had taken the mail.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    deliver::{Ended, hear},
    model::MailOutcome,
    store_admin::{self as store, Bounceable},
};
use crate::{
    app::App,
    fault::Fault,
    ids::{ClientId, MailId},
};

/// A report by address concerns the mails of so many days.
const DAYS: i64 = 14;
/// And at most so many of them.
const MOST: i64 = 200;

/// Whether trying again could ever help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BounceType {
    /// The recipient does not exist: the mail bounced.
    Permanent,
    /// The server still tries: nothing changes.
    Transient,
}

/// Whom a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounced {
    /// One mail, by its Message-ID, with or without angle brackets.
    MessageId(String),
    /// What was sent to an address lately.
    Address(String),
}

/// Marks the mails that a permanent bounce is about and tells their owners; says how many were marked. A report that
/// comes again marks none. Call it inside a transaction.
pub async fn report(
    conn: &mut PgConnection,
    app: &App,
    bounced: &Bounced,
    kind: BounceType,
    now: DateTime<Utc>,
) -> Result<usize, Fault> {
    if kind == BounceType::Transient {
        return Ok(0);
    }
    let (mails, code) = match bounced {
        Bounced::MessageId(text) => (by_message_id(conn, text).await?, "bounce.message_id"),
        Bounced::Address(address) => {
            (store::out_to(conn, address, now - TimeDelta::days(DAYS), MOST).await?, "bounce.address")
        }
    };
    let mut marked = 0;
    for mail in &mails {
        let ended = Ended { client: mail.client, id: mail.id, kind: mail.kind, about: mail.about.as_deref() };
        let marking =
            hear(conn, app, &ended, MailOutcome::Bounced, Some(code), now, async |conn: &mut PgConnection| {
                store::mark_bounced(conn, mail, code, now).await
            });
        marked += usize::from(Box::pin(marking).await?);
    }
    Ok(marked)
}

async fn by_message_id(conn: &mut PgConnection, text: &str) -> Result<Vec<Bounceable>, Fault> {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
    let Some((client, mail)) = ids(bare) else { return Ok(Vec::new()) };
    let found = store::out_by_message_id(conn, client, mail, &format!("<{bare}>")).await?;
    Ok(found.into_iter().collect())
}

/// The ids that our own Message-IDs are made of.
fn ids(message_id: &str) -> Option<(ClientId, MailId)> {
    let (mail, client) = message_id.split_once('@')?.0.split_once('.')?;
    let read = |text: &str| if text.len() == 32 { Uuid::try_parse(text).ok() } else { None };
    Some((read(client)?.into(), read(mail)?.into()))
}
