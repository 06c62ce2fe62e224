//! The audit trail over the admin API: ids and reason codes only; personal values are not shown here.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    ApiQuery, ApiRoutes, ClientScope, EventsRead, OperatorScope,
    store_events::{self, EventFilter, EventRow},
};
use crate::{
    app::App,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
    ids::{ClientId, EventId},
};

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    pub id: EventId,
    pub at: DateTime<Utc>,
    /// `noun.verb`, such as `connection.updated`.
    pub action: String,
    pub actor: EventActor,
    /// The id of what it was done to.
    pub target: Option<String>,
    /// A stable reason code.
    pub reason: Option<String>,
    /// The reference of the request.
    pub reference: Option<String>,
    /// Ids, field names, counts and codes.
    #[schema(value_type = Object)]
    pub facts: Value,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventActor {
    /// `token`, `learner`, `idp`, `system` or `anonymous`.
    pub kind: String,
    pub id: Option<String>,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id.into(),
            at: row.at,
            action: row.action,
            actor: EventActor { kind: row.actor_kind, id: row.actor_id },
            target: row.target,
            reason: row.reason,
            reference: row.reference,
            facts: row.facts,
        }
    }
}

/// Which events to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct EventQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Such as `learner.suspended`.
    action: Option<String>,
    /// The id of what it was done to.
    target: Option<String>,
    /// What somebody read out, such as `7KQ2-M9XR-4TDA`.
    reference: Option<String>,
}

/// The routes of the audit trail.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<EventsRead>>(routes!(list_client_events))
        .add::<OperatorScope<EventsRead>>(routes!(list_operator_events))
}

async fn page_of(app: &App, client: Option<ClientId>, query: EventQuery) -> Result<Json<List<Event>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let filter = EventFilter { action: query.action, target: query.target, reference: query.reference };
    let rows = store_events::list(&mut *app.acquire().await?, client, &filter, page).await?;
    Ok(Json(page.list(rows, |row| row.id, Event::from)))
}

/// Lists what happened in a client, newest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/events", tag = "events", params(EventQuery), responses((status = 200, body = List<Event>)))]
async fn list_client_events(
    State(app): State<App>,
    scope: ClientScope<EventsRead>,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Json<List<Event>>, Problem> {
    page_of(&app, Some(scope.client), query).await
}

/// Lists what happened outside any client, such as the making of operators' tokens, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery), responses((status = 200, body = List<Event>)))]
async fn list_operator_events(
    State(app): State<App>,
    _: OperatorScope<EventsRead>,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Json<List<Event>>, Problem> {
    page_of(&app, None, query).await
}
