//! The outbox over the admin API: what became of each mail, dead letters sent again, bounces reported. No link is shown.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    bounce::{self, BounceType, Bounced},
    model::{MailKind, MailStatus, MailView},
    resend::{self, ResendError},
    store_admin::{self as store, MailFilter},
};
use crate::{
    admin::{
        ApiQuery, ApiRoutes, Body, Claim, ClientScope, Id, Invalid, MailRead, MailWrite, Once, OperatorScope, Post,
        Reply,
    },
    app::App,
    http::{
        Problem,
        paging::{List, PageQuery},
        problem::ProblemDetails,
    },
    ids::MailId,
};

impl From<ResendError> for Problem {
    fn from(error: ResendError) -> Self {
        let conflict = |code, title| Self::new(StatusCode::CONFLICT, code, title);
        match error {
            ResendError::NotFound => Self::not_found(),
            ResendError::NotDead => conflict(
                "mail.not_dead",
                "Only a dead letter can be sent again. For a new link, resend what the mail is about, such as the invite.",
            ),
            ResendError::LinkExpired => conflict(
                "mail.link_expired",
                "The link in this mail is no longer good. Resend what the mail is about, such as the invite.",
            ),
            ResendError::Fault(fault) => fault.into(),
        }
    }
}

/// Which mails to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct MailQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only mails that stand so, such as `dead`.
    status: Option<MailStatus>,
    /// Only mails of this kind.
    kind: Option<MailKind>,
    /// Only mails about this, such as `inv_…` or `lrn_…`.
    about: Option<String>,
}

/// A bounce, as a mail server or its provider tells it. Names `message_id` or `address`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BounceReport {
    /// The Message-ID of the mail, with or without angle brackets.
    #[serde(default)]
    message_id: Option<String>,
    /// The recipient; concerns what was sent there in the last 14 days, in every client.
    #[serde(default)]
    address: Option<String>,
    r#type: BounceType,
}

impl Body for BounceReport {}

/// What a report changed.
#[derive(Debug, Serialize, ToSchema)]
struct BounceResult {
    /// Mails that are marked as bounced by this report; 0 where it is not new, or about nothing of ours.
    marked: usize,
}

/// The routes of mail.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<ClientScope<MailRead>>(routes!(list_mail))
        .add::<ClientScope<MailRead>>(routes!(get_mail))
        .add::<ClientScope<MailWrite>>(routes!(resend_mail))
        .add::<OperatorScope<MailWrite>>(routes!(report_bounce))
}

/// Lists a client's mails, newest first: waiting, sent, bounced, dead. Their links are never shown.
#[utoipa::path(get, path = "/api/v1/clients/{client}/mail", tag = "mail", params(MailQuery), responses((status = 200, body = List<MailView>)))]
async fn list_mail(
    State(app): State<App>,
    scope: ClientScope<MailRead>,
    ApiQuery(query): ApiQuery<MailQuery>,
) -> Result<Json<List<MailView>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let filter = MailFilter { status: query.status, kind: query.kind, about: query.about };
    let mails = store::list(&mut *app.acquire().await?, scope.client, &filter, page).await?;
    Ok(Json(page.list(mails, |mail| mail.id.uuid(), |mail| mail)))
}

/// Shows one mail and what became of it.
#[utoipa::path(get, path = "/api/v1/clients/{client}/mail/{id}", tag = "mail", responses((status = 200, body = MailView)))]
async fn get_mail(
    State(app): State<App>,
    scope: ClientScope<MailRead>,
    Id(id): Id<MailId>,
) -> Result<Json<MailView>, Problem> {
    let found = store::find(&mut *app.acquire().await?, scope.client, id).await?;
    found.map(Json).ok_or_else(Problem::not_found)
}

/// Sends a dead letter again, with the same link and the same Message-ID.
#[utoipa::path(post, path = "/api/v1/clients/{client}/mail/{id}/resend", tag = "mail", responses(
    (status = 200, body = MailView),
    (status = 409, description = "It is no dead letter, or its link is no longer good.", body = ProblemDetails, content_type = "application/problem+json"),
))]
async fn resend_mail(
    State(app): State<App>,
    scope: ClientScope<MailWrite>,
    Id(id): Id<MailId>,
    once: Once,
) -> Result<Reply, Problem> {
    let mut transaction = app.begin().await?;
    let ticket = match once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let mail = resend::resend(&mut transaction, scope.author(&app.entropy), scope.client, id).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &mail).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Reports a bounce. A permanent one marks the mail as bounced, and the invite that it carried; told twice, it changes
/// nothing twice.
#[utoipa::path(post, path = "/api/v1/mail/bounces", tag = "mail", request_body = BounceReport, responses((status = 200, body = BounceResult)))]
async fn report_bounce(
    State(app): State<App>,
    scope: OperatorScope<MailWrite>,
    input: Post<BounceReport>,
) -> Result<Reply, Problem> {
    let BounceReport { message_id, address, r#type } = input.body;
    let bounced = match (message_id, address) {
        (Some(text), None) => Bounced::MessageId(text),
        (None, Some(text)) => Bounced::Address(text),
        _ => return Err(Invalid::field("mail.bounce", "", "name message_id or address, one of them").into()),
    };
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let marked = bounce::report(&mut transaction, &app, &bounced, r#type, scope.now).await?;
    let reply = ticket.reply(&mut transaction, StatusCode::OK, &BounceResult { marked }).await?;
    app.commit(transaction).await?;
    Ok(reply)
}
