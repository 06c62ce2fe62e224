//! SQL of the audit trail, as an admin reads it: newest first, each filter by its index.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{fault::Fault, http::paging::Page, ids::ClientId};

pub(super) struct EventRow {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub action: String,
    pub actor_kind: String,
    pub actor_id: Option<String>,
    pub target: Option<String>,
    pub reason: Option<String>,
    pub reference: Option<String>,
    pub facts: Value,
}

/// Which events to list.
#[derive(Debug, Default)]
pub(super) struct EventFilter {
    pub action: Option<String>,
    pub target: Option<String>,
    pub reference: Option<String>,
}

macro_rules! events {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            EventRow,
            "select id, at, action, actor_kind, actor_id, target, reason, reference, facts from audit_events
             where client_id = $1 and id < $2 " + $rest + " order by id desc limit $3",
            $($argument),*
        )
    };
}

/// One page of the events of a client, or of those that concern none.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: Option<ClientId>,
    filter: &EventFilter,
    page: Page,
) -> Result<Vec<EventRow>, Fault> {
    let client = client.map_or(Uuid::nil(), ClientId::uuid);
    let (before, limit) = (page.after.unwrap_or(Uuid::max()), page.fetch());
    let EventFilter { action, target, reference } = filter;
    let is_sign_in = action.as_ref().is_some_and(|action| action.starts_with("sign_in."));
    let rows = match (reference, target, action) {
        (Some(reference), target, action) => {
            events!(
                "and reference = $4 and ($5::text is null or target = $5) and ($6::text is null or action = $6)",
                client,
                before,
                limit,
                reference,
                target.as_ref(),
                action.as_ref(),
            )
            .fetch_all(conn)
            .await?
        }
        (None, Some(target), action) => {
            events!(
                "and target = $4 and ($5::text is null or action = $5)",
                client,
                before,
                limit,
                target,
                action.as_ref()
            )
            .fetch_all(conn)
            .await?
        }
        // Outcomes of sign-ins are the bulk of the trail: walking back from its end meets them soon.
        (None, None, Some(action)) if is_sign_in => {
            events!("and action = $4", client, before, limit, action).fetch_all(conn).await?
        }
        (None, None, Some(action)) => {
            events!(
                "and action = $4 and action not in ('sign_in.succeeded', 'sign_in.refused')",
                client,
                before,
                limit,
                action
            )
            .fetch_all(conn)
            .await?
        }
        (None, None, None) => events!("", client, before, limit).fetch_all(conn).await?,
    };
    Ok(rows)
}
