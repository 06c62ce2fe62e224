//! Learners over the admin API.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{
    access_api,
    create::{NewLearner, create},
    edit::{self, RosterError},
    find::{FindError, Query, find},
    model::{LearnerChange, LearnerDetail, LearnerRecord, RecordStatus},
    relocate::{Relocation, relocate},
    store, store_move,
};
use crate::{
    access::Source,
    admin::{
        self, ApiJson, ApiQuery, ApiRoutes, Body, Claim, ClientScope, Id, LearnersRead, LearnersWrite, Post, Reply,
    },
    app::App,
    clients,
    http::{
        Problem,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::{ClientId, LearnerId},
    learners::EmailAddress,
    sessions,
};

const READ_ONLY: &[&str] = &[
    "id",
    "email_verified",
    "access",
    "access/*/source",
    "access/*/source_ref",
    "access/*/is_running",
    "access/*/end_reason",
    "effective_access",
    "blocks",
    "moved_to",
    "created_at",
    "updated_at",
    "last_login_at",
];

impl Body for LearnerChange {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for NewLearner {
    const READ_ONLY: &'static [&'static str] = READ_ONLY;
}

impl Body for Relocation {}

impl From<RosterError> for Problem {
    fn from(error: RosterError) -> Self {
        let conflict = |code, error: &RosterError| Self::new(StatusCode::CONFLICT, code, sentence(error));
        match error {
            RosterError::NotFound => Self::not_found(),
            RosterError::Invalid(invalid) => invalid.into(),
            RosterError::EmailTaken => conflict("learner.email_taken", &error),
            RosterError::Moved => conflict("learner.moved", &error),
            RosterError::SameClient => conflict("learner.same_client", &error),
            RosterError::SeatsFull(_) => conflict("access.seats_full", &error),
            RosterError::Blocked => conflict("access.blocked", &error),
            RosterError::Ended => conflict("access.ended", &error),
            RosterError::NotByHand => conflict("access.not_by_admin", &error),
            RosterError::Fault(fault) => fault.into(),
        }
    }
}

fn sentence(error: &RosterError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Invalid(invalid) => invalid.into(),
            FindError::Fault(fault) => fault.into(),
        }
    }
}

/// Which learners to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct LearnerQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Searched for in names, address and external id: what begins so first, in alphabetical order, then, from three
    /// letters on, what contains each word. Case and accents do not matter.
    q: Option<String>,
    /// Without it, those who were moved away are left out.
    status: Option<RecordStatus>,
    /// Whether the address is proved; `false` finds provisional learners.
    verified: Option<bool>,
    /// The whole address, in any case.
    email: Option<String>,
    /// The id or slug of a sublicense: those who hold a grant to it that runs.
    sublicense: Option<String>,
    /// Those who hold a grant of this source that runs.
    source: Option<Source>,
}

/// The routes of learners.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<LearnersRead>>(routes!(list_learners))
        .add::<ClientScope<LearnersWrite>>(routes!(create_learner))
        .add::<ClientScope<LearnersRead>>(routes!(get_learner))
        .add::<ClientScope<LearnersWrite>>(routes!(update_learner))
        .add::<ClientScope<LearnersWrite>>(routes!(move_learner))
        .add::<ClientScope<LearnersWrite>>(routes!(end_sessions))
        .merge(super::access_api::routes())
}

async fn detail(
    app: &App,
    client: ClientId,
    id: LearnerId,
    is_operator: bool,
    now: DateTime<Utc>,
) -> Result<LearnerDetail, Problem> {
    let mut conn = app.acquire().await?;
    let learner = store::find(&mut conn, client, id).await?.ok_or_else(Problem::not_found)?;
    let access = access_api::access_of(&mut conn, client, &learner, now).await?;
    let blocks = store::blocks(&mut conn, client, id).await?;
    // Where somebody went is no business of the client that they left.
    let moved_to = if is_operator && learner.status == RecordStatus::Moved {
        store_move::moved_to(&mut conn, client, id).await?
    } else {
        None
    };
    Ok(LearnerDetail { learner, access, blocks, moved_to })
}

/// Lists a client's learners, oldest first, or searches them. A page may hold fewer than `limit`: the end is where
/// `next_cursor` is null.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners", tag = "learners", params(LearnerQuery), responses((status = 200, body = List<LearnerRecord>)))]
async fn list_learners(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    ApiQuery(query): ApiQuery<LearnerQuery>,
) -> Result<Json<List<LearnerRecord>>, Problem> {
    let limit = PageQuery { limit: query.limit, cursor: None }.page()?.limit;
    let mut wanted = Query {
        limit,
        cursor: query.cursor,
        text: query.q,
        status: query.status,
        verified: query.verified,
        source: query.source.map(Source::as_str),
        ..Query::default()
    };
    if let Some(email) = &query.email {
        let address = EmailAddress::parse(email)
            .ok_or_else(|| Problem::field("api.query", "/email", "write a whole e-mail address"))?;
        wanted.email_key = Some(address.key().to_owned());
    }
    let mut conn = app.acquire().await?;
    if let Some(name) = &query.sublicense {
        let found = clients::sublicense_named(&mut conn, scope.client, name).await?;
        let missing = || Problem::field("api.query", "/sublicense", "this client has no such sublicense");
        wanted.sublicense = Some(found.ok_or_else(missing)?);
    }
    let found = find(&mut conn, scope.client, &wanted, scope.now).await?;
    Ok(Json(List { items: found.learners, next_cursor: found.next_cursor }))
}

/// Makes a learner. An admin's word does not verify the address: nobody can sign in as this learner until somebody
/// proves it, and that person is this learner then. To let somebody know, invite them.
#[utoipa::path(post, path = "/api/v1/clients/{client}/learners", tag = "learners", request_body = NewLearner, responses(
    (status = 201, body = LearnerDetail),
    (status = 409, description = "A learner has the address; or a seat, a block or an end is in the way of the access.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn create_learner(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    input: Post<NewLearner>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let id = create(&mut transaction, scope.author(&app.entropy), scope.client, input.body).await?;
    let learner = store::find(&mut transaction, scope.client, id).await?.ok_or_else(Problem::not_found)?;
    let access = access_api::access_of(&mut transaction, scope.client, &learner, scope.now).await?;
    let detail = LearnerDetail { learner, access, blocks: Vec::new(), moved_to: None };
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &detail).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Moves a learner to another client, for a token that may write learners of both: an operator's. There they are a new
/// learner, whom the learning platform knows by the same `sub`; here their single sign-on identities, sessions and
/// access end, and the record stays with the status `moved`. What is answered is the new learner.
#[utoipa::path(post, path = "/api/v1/clients/{client}/learners/{id}/move", tag = "learners", request_body = Relocation, responses(
    (status = 201, body = LearnerDetail),
    (status = 409, description = "A learner there has the address; the learner was moved already; or a seat or an end is in the way of the access.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn move_learner(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    Id(id): Id<LearnerId>,
    input: Post<Relocation>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    // Another client is, for a client's own token, one that never was.
    let named = admin::find_client(&app.db, &input.body.client).await?;
    let missing = || Problem::field("api.invalid", "/client", "there is no such client");
    let to = named.filter(|to| scope.is_operator() || *to == scope.client).ok_or_else(missing)?;
    let author = scope.author(&app.entropy);
    let new = relocate(&mut transaction, author, scope.client, id, to, &input.body.access).await?;
    let learner = store::find(&mut transaction, to, new).await?.ok_or_else(Problem::not_found)?;
    let access = access_api::access_of(&mut transaction, to, &learner, scope.now).await?;
    let detail = LearnerDetail { learner, access, blocks: Vec::new(), moved_to: None };
    let reply = ticket.reply(&mut transaction, StatusCode::CREATED, &detail).await?;
    app.commit(transaction).await?;
    drop_sessions(&app, scope.client, id).await;
    Ok(reply)
}

/// Shows one learner, with every grant, what they add up to now, and the blocks.
#[utoipa::path(get, path = "/api/v1/clients/{client}/learners/{id}", tag = "learners", responses((status = 200, body = LearnerDetail)))]
async fn get_learner(
    State(app): State<App>,
    scope: ClientScope<LearnersRead>,
    Id(id): Id<LearnerId>,
) -> Result<Json<LearnerDetail>, Problem> {
    detail(&app, scope.client, id, scope.is_operator(), scope.now).await.map(Json)
}

/// Changes one learner: what is left out stays, null clears (JSON Merge Patch). Suspending ends every session at once.
#[utoipa::path(patch, path = "/api/v1/clients/{client}/learners/{id}", tag = "learners", request_body = LearnerChange, responses((status = 200, body = LearnerDetail)))]
async fn update_learner(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    Id(id): Id<LearnerId>,
    ApiJson(change): ApiJson<LearnerChange>,
) -> Result<Json<LearnerDetail>, Problem> {
    let mut transaction = app.begin().await?;
    let author = scope.author(&app.entropy);
    let (_, is_suspended) = edit::update(&mut transaction, author, scope.client, id, change).await?;
    app.commit(transaction).await?;
    if is_suspended {
        drop_sessions(&app, scope.client, id).await;
    }
    detail(&app, scope.client, id, scope.is_operator(), scope.now).await.map(Json)
}

/// Ends every session of a learner.
#[utoipa::path(delete, path = "/api/v1/clients/{client}/learners/{id}/sessions", tag = "learners", responses((status = 204)))]
async fn end_sessions(
    State(app): State<App>,
    scope: ClientScope<LearnersWrite>,
    Id(id): Id<LearnerId>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    edit::end_sessions(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    app.commit(transaction).await?;
    drop_sessions(&app, scope.client, id).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Clears Redis of sessions that the learner's epoch has ended already; one that stays is dead all the same.
async fn drop_sessions(app: &App, client: ClientId, learner: LearnerId) {
    if let Err(error) = sessions::end_all_of_learner(app, client, learner).await {
        tracing::warn!(%error, learner.id = %learner, "sessions were ended by their epoch only");
    }
}
