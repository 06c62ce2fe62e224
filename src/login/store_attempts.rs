//! SQL of sign-in attempts, as an admin reads them: newest first, each filter by its index.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{AttemptId, ClientId, ConnectionId},
};

pub(super) struct AttemptRow {
    pub id: Uuid,
    pub connection_id: Uuid,
    pub initiated_by: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: String,
    pub code: Option<String>,
    pub fix_side: Option<String>,
    pub explanation: Option<String>,
    pub reference: String,
    pub learner_id: Option<Uuid>,
    pub checks: Value,
    pub mapping_version: Option<i32>,
    pub mapping_outcome: Option<Value>,
    pub claims_expire_at: Option<DateTime<Utc>>,
    pub is_shared: bool,
}

/// Which attempts to list.
#[derive(Debug, Default)]
pub(super) struct AttemptFilter {
    pub outcome: Option<&'static str>,
    pub code: Option<String>,
    pub connection: Option<ConnectionId>,
    pub reference: Option<String>,
}

macro_rules! attempts {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            AttemptRow,
            "select id, connection_id, initiated_by, started_at, finished_at, outcome, code, fix_side, explanation, reference,
                    learner_id, checks, mapping_version, mapping_outcome,
                    case when claims_sealed is not null then claims_expire_at end as claims_expire_at, is_shared
             from attempts where client_id = $1 and " + $rest,
            $($argument),*
        )
    };
}

/// One attempt.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    id: AttemptId,
) -> Result<Option<AttemptRow>, Fault> {
    Ok(attempts!("id = $2", client.uuid(), id.uuid()).fetch_optional(conn).await?)
}

/// One page of attempts.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    filter: &AttemptFilter,
    page: Page,
) -> Result<Vec<AttemptRow>, Fault> {
    let client = client.uuid();
    let (before, limit) = (page.after.unwrap_or(Uuid::max()), page.fetch());
    let AttemptFilter { outcome, code, connection, reference } = filter;
    let rows = match (reference, connection, code, outcome) {
        (Some(reference), connection, code, outcome) => {
            attempts!(
                "reference = $4 and id < $2 and ($5::uuid is null or connection_id = $5)
                 and ($6::text is null or code = $6) and ($7::text is null or outcome = $7) order by id desc limit $3",
                client,
                before,
                limit,
                reference,
                connection.map(ConnectionId::uuid),
                code.as_ref(),
                *outcome,
            )
            .fetch_all(conn)
            .await?
        }
        (None, Some(connection), code, outcome) => {
            attempts!(
                "connection_id = $4 and id < $2 and ($5::text is null or code = $5)
                 and ($6::text is null or outcome = $6) order by id desc limit $3",
                client,
                before,
                limit,
                connection.uuid(),
                code.as_ref(),
                *outcome,
            )
            .fetch_all(conn)
            .await?
        }
        (None, None, Some(code), outcome) => {
            attempts!(
                "code = $4 and id < $2 and ($5::text is null or outcome = $5) order by id desc limit $3",
                client,
                before,
                limit,
                code,
                *outcome,
            )
            .fetch_all(conn)
            .await?
        }
        (None, None, None, Some("refused")) => {
            attempts!("outcome = 'refused' and id < $2 order by id desc limit $3", client, before, limit)
                .fetch_all(conn)
                .await?
        }
        (None, None, None, outcome) => {
            attempts!(
                "id < $2 and ($4::text is null or outcome = $4) order by id desc limit $3",
                client,
                before,
                limit,
                *outcome,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(rows)
}
