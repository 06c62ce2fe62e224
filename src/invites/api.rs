//! Invites over the admin API. No answer ever holds a link.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{
    change::{self, InviteError},
    draft::{InviteDraft, Unfit},
    model::{Invite, InviteStatus, Outcome},
    store::{self, Filter},
};
use crate::{
    access::Full,
    admin::{ApiQuery, ApiRoutes, Body, Claim, ClientScope, Id, InvitesRead, InvitesWrite, Once, Post, Reply},
    app::App,
    clients,
    http::{
        Problem,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::InviteId,
    learners::EmailAddress,
};

impl Body for InviteDraft {
    const READ_ONLY: &'static [&'static str] = &[
        "id",
        "status",
        "learner",
        "import",
        "times_sent",
        "reminders_sent",
        "sent_at",
        "accepted_at",
        "created_at",
        "updated_at",
    ];
}

/// Which invites to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct InviteQuery {
    /// Those that stand so.
    status: Option<InviteStatus>,
    /// Those of this address.
    email: Option<String>,
    /// Those that offer this sublicense, by id or slug.
    sublicense: Option<String>,
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The routes of invites.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<InvitesRead>>(routes!(list_invites))
        .add::<ClientScope<InvitesWrite>>(routes!(create_invite))
        .add::<ClientScope<InvitesRead>>(routes!(get_invite))
        .add::<ClientScope<InvitesWrite>>(routes!(resend_invite))
        .add::<ClientScope<InvitesWrite>>(routes!(revoke_invite))
}

fn problem(error: InviteError, now: DateTime<Utc>) -> Problem {
    match error {
        InviteError::NotFound => Problem::not_found(),
        InviteError::Stopped(outcome) => stopped(outcome, now),
        InviteError::NothingLeft => {
            conflict("invites.nothing_left", "All that this invite offered is over or deleted. Make a new one.")
        }
        InviteError::Over(status) => over(status),
        InviteError::Fault(fault) => fault.into(),
    }
}

fn conflict(code: &'static str, title: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, title)
}

fn over(status: InviteStatus) -> Problem {
    let (code, title) = match status {
        InviteStatus::Accepted => ("invites.accepted", "This invite was accepted. There is nothing left to do."),
        InviteStatus::Expired => ("invites.expired", "This invite has expired. Resend it to open it again."),
        InviteStatus::Revoked => ("invites.revoked", "This invite was revoked. Make a new one."),
        InviteStatus::Pending | InviteStatus::Sent | InviteStatus::Bounced => {
            ("invites.changed", "This invite changed in this moment. Read it again.")
        }
    };
    conflict(code, title)
}

/// Why nobody was invited. What was done never comes here.
fn stopped(outcome: Outcome, now: DateTime<Utc>) -> Problem {
    let code = outcome.code();
    match outcome {
        Outcome::AlreadyLearner(learner) => {
            conflict(code, format!("The learner {learner} has this address and all of this access already."))
        }
        Outcome::Suspended(learner) => {
            conflict(code, format!("The learner {learner} has this address and is suspended. Lift that first."))
        }
        Outcome::Blocked(learner, sublicense) => {
            conflict(code, format!("The learner {learner} is blocked from {sublicense}. Clear the block first."))
        }
        Outcome::Bounced(invite) => {
            conflict(code, format!("Mail to this address came back. Correct it, or resend {invite} if it is right."))
        }
        Outcome::AlreadyInvited(invite) => conflict(code, format!("This address has an open invite, {invite}.")),
        Outcome::SeatsFull(Full::Client) => conflict(code, "The client has no seat left. Raise the limit or free one."),
        Outcome::SeatsFull(Full::Sublicense(sublicense)) => {
            conflict(code, format!("{sublicense} has no seat left. Raise its limit or free one."))
        }
        Outcome::TooOften { until } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            code,
            "This address was sent as many invites as a day allows. Wait as long as Retry-After says.",
        )
        .retry_after((until - now).to_std().unwrap_or_default()),
        Outcome::Ended(sublicense) => {
            Problem::field(code, "/sublicenses", format!("{sublicense} is over, or was just deleted"))
        }
        Outcome::Closed => conflict(code, "The client is disabled, or its licence is over."),
        Outcome::Invited(_) | Outcome::Renewed(_) => conflict(code, "The invite was sent."),
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Invalid(invalid) => invalid.into(),
            Unfit::Fault(fault) => fault.into(),
        }
    }
}

/// An invite whose time is over is shown so before the job has noted it.
fn shown(invite: Invite, now: DateTime<Utc>) -> Invite {
    Invite { status: invite.status.at(invite.expires_at, now), ..invite }
}

/// Lists a client's invites, oldest first.
#[utoipa::path(get, path = "/api/v1/clients/{client}/invites", tag = "invites", params(InviteQuery), responses((status = 200, body = List<Invite>)))]
async fn list_invites(
    State(app): State<App>,
    scope: ClientScope<InvitesRead>,
    ApiQuery(query): ApiQuery<InviteQuery>,
) -> Result<Json<List<Invite>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let email_key = match query.email.as_deref().map(EmailAddress::parse) {
        None => None,
        Some(Some(email)) => Some(email.key().to_owned()),
        Some(None) => return Err(Problem::field("api.query", "/email", "write one whole e-mail address")),
    };
    let mut conn = app.acquire().await?;
    let sublicense = match query.sublicense {
        None => None,
        Some(name) => {
            let found = clients::sublicense_named(&mut conn, scope.client, &name).await?;
            let missing = || Problem::field("api.query", "/sublicense", "this client has no such sublicense");
            Some(found.ok_or_else(missing)?)
        }
    };
    let filter = Filter { status: query.status, email_key, sublicense };
    let rows = store::list(&mut conn, scope.client, &filter, page).await?;
    Ok(Json(page.list(rows, |invite| invite.id.uuid(), |invite| shown(invite, scope.now))))
}

/// Invites somebody by e-mail. An address that has an open invite gets that one renewed: it is extended, offers what is
/// new besides, is sent again, and its earlier links die. An invite reserves its seats until it is accepted, revoked or
/// expired; somebody who holds seats already needs none.
#[utoipa::path(post, path = "/api/v1/clients/{client}/invites", tag = "invites", request_body = InviteDraft, responses(
    (status = 201, description = "The invite is new.", body = Invite),
    (status = 200, description = "The address had an open invite, which was renewed.", body = Invite),
    (status = 409, description = "Nobody was invited; the code says why: `invites.already_learner`, `invites.learner_suspended`, `invites.learner_blocked`, `invites.bounced`, `invites.seats_full`, `invites.client_closed`.", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 429, description = "The address was sent four invites within a day; see Retry-After.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn create_invite(
    State(app): State<App>,
    scope: ClientScope<InvitesWrite>,
    input: Post<InviteDraft>,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let new = input.body.read(&mut transaction, scope.client, scope.now).await?;
    let made = change::create(&mut transaction, &app, scope.author(&app.entropy), scope.client, new).await;
    let (invite, is_new) = made.map_err(|error| problem(error, scope.now))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let reply = ticket.reply(&mut transaction, status, &invite).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one invite.
#[utoipa::path(get, path = "/api/v1/clients/{client}/invites/{id}", tag = "invites", responses((status = 200, body = Invite)))]
async fn get_invite(
    State(app): State<App>,
    scope: ClientScope<InvitesRead>,
    Id(id): Id<InviteId>,
) -> Result<Json<Invite>, Problem> {
    let found = store::find(&mut *app.acquire().await?, scope.client, id).await?;
    found.map(|invite| Json(shown(invite, scope.now))).ok_or_else(Problem::not_found)
}

/// Sends an invite again with a new link, for as long as a new one; earlier links die. One that has expired, or whose
/// mail came back, is opened again.
#[utoipa::path(post, path = "/api/v1/clients/{client}/invites/{id}/resend", tag = "invites", responses(
    (status = 200, body = Invite),
    (status = 409, description = "It was accepted or revoked, or nobody may be invited; the code says why.", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 429, description = "The address was sent four invites within a day; see Retry-After.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn resend_invite(
    State(app): State<App>,
    scope: ClientScope<InvitesWrite>,
    Id(id): Id<InviteId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let sent = change::resend(&mut transaction, &app, scope.author(&app.entropy), scope.client, id).await;
    let invite = sent.map_err(|error| problem(error, scope.now))?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &invite).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Takes an invite back: its links say so from now on, and its seats are free. Mail that still waits is not sent.
#[utoipa::path(post, path = "/api/v1/clients/{client}/invites/{id}/revoke", tag = "invites", responses(
    (status = 200, body = Invite),
    (status = 409, description = "It was accepted, has expired or was revoked before.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn revoke_invite(
    State(app): State<App>,
    scope: ClientScope<InvitesWrite>,
    Id(id): Id<InviteId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let revoked = change::revoke(&mut transaction, scope.author(&app.entropy), scope.client, id).await;
    let invite = revoked.map_err(|error| problem(error, scope.now))?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &invite).await?;
    app.commit(transaction).await?;
    Ok(reply)
}
