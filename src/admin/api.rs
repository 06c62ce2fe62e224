//! Tokens over the admin API. A secret is shown once, by the answer that made it, and is stored nowhere.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    ApiQuery, ApiRoutes, Body, Claim, CreateTokenError, Id, NewToken, OperatorScope, Permission, Post, Reply,
    TokensRead, TokensWrite, create_token, find_client,
    store::{self, TokenRow},
};
use crate::{
    app::App,
    audit,
    http::{
        Problem,
        paging::{List, PageQuery},
    },
    ids::{ClientId, TokenId},
};

/// A token about to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    pub name: String,
    /// The id or slug of the client that the token is bound to; without it the token is an operator's.
    #[serde(default)]
    pub client: Option<String>,
    /// At most those that the caller's own token holds.
    pub scopes: Vec<Permission>,
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

impl Body for TokenRequest {
    const READ_ONLY: &'static [&'static str] =
        &["id", "secret", "secret_note", "created_at", "created_by", "last_used_at", "revoked_at"];
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Token {
    pub id: TokenId,
    pub client: Option<ClientId>,
    pub name: String,
    pub scopes: Vec<Permission>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            client: row.client,
            name: row.name,
            scopes: row.scopes,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// A token just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenWithSecret {
    #[serde(flatten)]
    pub token: Token,
    /// Shown by the first answer only; null when that answer is repeated.
    pub secret: Option<String>,
    pub secret_note: &'static str,
}

impl From<CreateTokenError> for Problem {
    fn from(error: CreateTokenError) -> Self {
        let detail = error.to_string();
        match error {
            CreateTokenError::Name => Self::field("api.invalid", "/name", detail),
            CreateTokenError::NoScopes => Self::field("api.invalid", "/scopes", detail),
            CreateTokenError::Expiry => Self::field("api.invalid", "/expires_at", detail),
            CreateTokenError::NoSuchClient => Self::field("token.no_such_client", "/client", detail),
            CreateTokenError::Fault(fault) => fault.into(),
        }
    }
}

/// Which tokens to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct TokenQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those bound to this client, by id or slug.
    client: Option<String>,
}

/// The routes of tokens.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new()
        .add::<OperatorScope<TokensRead>>(routes!(list_tokens))
        .add::<OperatorScope<TokensWrite>>(routes!(create))
        .add::<OperatorScope<TokensRead>>(routes!(get_token))
        .add::<OperatorScope<TokensWrite>>(routes!(revoke_token))
}

/// Lists tokens, oldest first, the revoked ones too.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(TokenQuery), responses((status = 200, body = List<Token>)))]
async fn list_tokens(
    State(app): State<App>,
    _: OperatorScope<TokensRead>,
    ApiQuery(query): ApiQuery<TokenQuery>,
) -> Result<Json<List<Token>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    let client = match &query.client {
        None => None,
        Some(name) => match find_client(&app.db, name).await? {
            Some(client) => Some(client),
            None => return Err(Problem::field("token.no_such_client", "/client", "there is no such client")),
        },
    };
    let rows = store::list(&app.db, client, page).await?;
    Ok(Json(page.list(rows, |row| row.id.uuid(), Token::from)))
}

/// Makes a token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "create_token", tag = "tokens", request_body = TokenRequest, responses((status = 201, body = TokenWithSecret)))]
async fn create(
    State(app): State<App>,
    scope: OperatorScope<TokensWrite>,
    input: Post<TokenRequest>,
) -> Result<Reply, Problem> {
    let request = input.body;
    if let Some(index) = request.scopes.iter().position(|permission| !scope.holds(*permission)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "token.scope_beyond_own",
            "A token cannot give what it does not hold itself.",
        )
        .with_field(format!("/scopes/{index}"), "the calling token lacks this scope"));
    }
    let client = match &request.client {
        None => None,
        Some(name) => Some(find_client(&app.db, name).await?.ok_or(CreateTokenError::NoSuchClient)?),
    };
    let mut transaction = app.begin().await?;
    let ticket = match input.once.claim(&mut transaction, scope.token, scope.now).await? {
        Claim::Replay(reply) => return Ok(reply),
        Claim::Fresh(ticket) => ticket,
    };
    let new = NewToken { name: request.name, client, scopes: request.scopes, expires_at: request.expires_at };
    let reference = Some(scope.reference.as_str());
    let created = create_token(&mut transaction, &app.entropy, scope.actor(), new, reference, scope.now).await?;
    let token = Token::from(created.row);
    let shown = TokenWithSecret {
        token: token.clone(),
        secret: Some(created.secret.expose().to_owned()),
        secret_note: "Keep it now: it is not stored and cannot be shown again.",
    };
    let remembered = TokenWithSecret {
        token,
        secret: None,
        secret_note: "The secret was shown once, by the first answer to this Idempotency-Key.",
    };
    let reply = ticket.reply_with_secret(&mut transaction, StatusCode::CREATED, &shown, &remembered).await?;
    app.commit(transaction).await?;
    Ok(reply)
}

/// Shows one token.
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "tokens", responses((status = 200, body = Token)))]
async fn get_token(
    State(app): State<App>,
    _: OperatorScope<TokensRead>,
    Id(id): Id<TokenId>,
) -> Result<Json<Token>, Problem> {
    store::find(&app.db, id).await?.map(|row| Json(row.into())).ok_or_else(Problem::not_found)
}

/// Revokes a token: it is refused from this moment on. The record stays.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", responses((status = 204)))]
async fn revoke_token(
    State(app): State<App>,
    scope: OperatorScope<TokensWrite>,
    Id(id): Id<TokenId>,
) -> Result<StatusCode, Problem> {
    let mut transaction = app.begin().await?;
    let Some(revoked) = store::revoke(&mut transaction, id, scope.now).await? else {
        return Err(Problem::not_found());
    };
    if revoked.is_new {
        let event = scope.event(revoked.client, "token.revoked", id.to_string(), json!({}));
        audit::record(&mut transaction, &app.entropy, event).await?;
    }
    app.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
