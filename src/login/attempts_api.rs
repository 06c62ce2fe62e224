//! Sign-in attempts over the admin API: every check, the reason, and which side must fix it. Claims are never shown; a dry
//! run of the mapping may use those of a recorded attempt while they are kept.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    store_attempts::{self, AttemptFilter, AttemptRow},
    trail::{Check, FixSide},
};
use crate::{
    admin::{ApiQuery, ApiRoutes, AttemptsRead, ClientScope, Id},
    app::App,
    fault::Fault,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
    ids::{AttemptId, ConnectionId, LearnerId},
};

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    Succeeded,
    Refused,
}

impl AttemptOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
        }
    }
}

/// A sign-in, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptSummary {
    pub id: AttemptId,
    pub connection: ConnectionId,
    /// `sp` or `idp`.
    pub initiated_by: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: AttemptOutcome,
    /// Why it was refused; stable.
    pub code: Option<String>,
    /// Which side must fix it.
    pub fix_side: Option<FixSide>,
    /// What was found and what was expected.
    pub explanation: Option<String>,
    /// What the learner was shown, to be read out to an admin.
    pub reference: String,
    pub learner: Option<LearnerId>,
}

/// A sign-in with all that was checked.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptDetail {
    #[serde(flatten)]
    pub attempt: AttemptSummary,
    /// Each check in order, with its result.
    pub checks: Vec<Check>,
    /// The version of the mapping that ran.
    pub mapping_version: Option<i32>,
    /// What the mapping made of the claims, rule by rule, without a claim's value. Of a connection that serves several
    /// clients for operators only, as its version is.
    #[schema(value_type = Option<Object>)]
    pub mapping_outcome: Option<Value>,
    /// Until when the claims are kept, sealed, for a dry run; null when they are not.
    pub claims_kept_until: Option<DateTime<Utc>>,
}

fn summary(row: &AttemptRow) -> Result<AttemptSummary, Fault> {
    Ok(AttemptSummary {
        id: row.id.into(),
        connection: row.connection_id.into(),
        initiated_by: row.initiated_by.clone(),
        started_at: row.started_at,
        finished_at: row.finished_at,
        outcome: serde_json::from_value(row.outcome.clone().into())?,
        code: row.code.clone(),
        fix_side: row.fix_side.clone().map(|side| serde_json::from_value(side.into())).transpose()?,
        explanation: row.explanation.clone(),
        reference: row.reference.clone(),
        learner: row.learner_id.map(LearnerId::from),
    })
}

/// Which attempts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AttemptQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    outcome: Option<AttemptOutcome>,
    /// Such as `login.saml.audience`.
    code: Option<String>,
    connection: Option<ConnectionId>,
    /// What the learner read out, such as `7KQ2-M9XR-4TDA`.
    reference: Option<String>,
}

/// The routes of attempts.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<AttemptsRead>>(routes!(list_attempts))
        .add::<ClientScope<AttemptsRead>>(routes!(get_attempt))
}

/// Lists a client's sign-in attempts, newest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/attempts", tag = "attempts", params(AttemptQuery), responses((status = 200, body = List<AttemptSummary>)))]
async fn list_attempts(
    State(app): State<App>,
    scope: ClientScope<AttemptsRead>,
    ApiQuery(query): ApiQuery<AttemptQuery>,
) -> Result<Json<List<AttemptSummary>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let filter = AttemptFilter {
        outcome: query.outcome.map(AttemptOutcome::as_str),
        code: query.code,
        connection: query.connection,
        reference: query.reference.map(|reference| reference.trim().to_ascii_uppercase()),
    };
    let rows = store_attempts::list(&mut *app.acquire().await?, scope.client, &filter, page).await?;
    let summaries = rows.iter().map(summary).collect::<Result<Vec<_>, Fault>>()?;
    Ok(Json(page.list(summaries, |attempt| attempt.id.uuid(), |attempt| attempt)))
}

/// Shows one sign-in attempt with every check.
#[utoipa::path(get, path = "/api/v1/clients/{client}/attempts/{id}", tag = "attempts", responses((status = 200, body = AttemptDetail)))]
async fn get_attempt(
    State(app): State<App>,
    scope: ClientScope<AttemptsRead>,
    Id(id): Id<AttemptId>,
) -> Result<Json<AttemptDetail>, Problem> {
    let row =
        store_attempts::find(&mut *app.acquire().await?, scope.client, id).await?.ok_or_else(Problem::not_found)?;
    let attempt = summary(&row)?;
    // The mapping of a shared connection speaks of other clients.
    let is_readable = scope.is_operator() || !row.is_shared;
    let checks = serde_json::from_value(row.checks).map_err(Fault::from)?;
    Ok(Json(AttemptDetail {
        attempt,
        checks,
        mapping_version: row.mapping_version.filter(|_| is_readable),
        mapping_outcome: row.mapping_outcome.filter(|_| is_readable),
        claims_kept_until: row.claims_expire_at,
    }))
}
