//! The extractors of the admin API. A handler that takes one has a caller whose token was found live, holds the
//! permission in the extractor's type, and, for a client's route, belongs to that client or to an operator.

use std::marker::PhantomData;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use super::{Author, Grants, Permission, secret::TokenSecret, store};
use crate::{
    app::App,
    audit::{Actor, NewEvent},
    cache::{Allowance, Key},
    crypto,
    db::Db,
    entropy::Entropy,
    fault::Fault,
    http::{Problem, Reference},
    ids::{ClientId, TokenId},
};

/// How long a token's last use may stay unwritten.
const LAST_USE_RESOLUTION: Duration = Duration::minutes(1);

/// A caller who acts for the operator of the gateway: their token is bound to no client.
#[derive(Debug, Clone)]
pub struct OperatorScope<P> {
    pub token: TokenId,
    /// When the request came; the one reading of the clock for all it does.
    pub now: DateTime<Utc>,
    pub reference: Reference,
    permissions: Vec<Permission>,
    permission: PhantomData<fn() -> P>,
}

/// A caller who may act within the client that the path names.
#[derive(Debug, Clone)]
pub struct ClientScope<P> {
    pub client: ClientId,
    pub token: TokenId,
    /// When the request came; the one reading of the clock for all it does.
    pub now: DateTime<Utc>,
    pub reference: Reference,
    is_operator: bool,
    permissions: Vec<Permission>,
    permission: PhantomData<fn() -> P>,
}

impl<P> OperatorScope<P> {
    /// Who the audit trail says it was.
    pub fn actor(&self) -> Actor {
        Actor::Token(self.token)
    }

    /// Always: the type says so.
    pub const fn is_operator(&self) -> bool {
        true
    }

    /// The author of what this request changes.
    pub fn author<'a>(&'a self, entropy: &'a Entropy) -> Author<'a> {
        Author { entropy, actor: self.actor(), reference: Some(self.reference.as_str()), now: self.now }
    }

    /// Whether the caller's own token holds a permission.
    pub fn holds(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// An audit event of this request.
    pub fn event(&self, client: Option<ClientId>, action: &'static str, target: String, facts: Value) -> NewEvent<'_> {
        event(self.token, self.now, &self.reference, client, action, target, facts)
    }
}

impl<P> ClientScope<P> {
    /// Who the audit trail says it was.
    pub fn actor(&self) -> Actor {
        Actor::Token(self.token)
    }

    /// Whether the token is bound to no client.
    pub const fn is_operator(&self) -> bool {
        self.is_operator
    }

    /// Whether the caller's own token holds a permission.
    pub fn holds(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// Refuses a client's own token where only an operator may write; `pointer` is the field, as a JSON pointer.
    pub fn require_operator(&self, pointer: &str) -> Result<(), Problem> {
        if self.is_operator {
            Ok(())
        } else {
            Err(operator_only().with_field(pointer, "only an operator may set this"))
        }
    }

    /// The same for every field that `pointers` names.
    pub fn require_operator_for(&self, pointers: impl Iterator<Item = &'static str>) -> Result<(), Problem> {
        if self.is_operator {
            return Ok(());
        }
        let refused = pointers.fold(None, |problem: Option<Problem>, pointer| {
            let problem = problem.unwrap_or_else(operator_only);
            Some(problem.with_field(pointer, "only an operator may set this"))
        });
        refused.map_or(Ok(()), Err)
    }

    /// The author of what this request changes.
    pub fn author<'a>(&'a self, entropy: &'a Entropy) -> Author<'a> {
        Author { entropy, actor: self.actor(), reference: Some(self.reference.as_str()), now: self.now }
    }

    /// An audit event of this request.
    pub fn event(&self, action: &'static str, target: String, facts: Value) -> NewEvent<'_> {
        event(self.token, self.now, &self.reference, Some(self.client), action, target, facts)
    }
}

fn event<'a>(
    token: TokenId,
    at: DateTime<Utc>,
    reference: &'a Reference,
    client: Option<ClientId>,
    action: &'static str,
    target: String,
    facts: Value,
) -> NewEvent<'a> {
    NewEvent {
        client,
        at,
        action,
        actor: Actor::Token(token),
        target: Some(target),
        reason: None,
        reference: Some(reference.as_str()),
        facts,
        values: None,
    }
}

/// The client that an id or a slug names.
pub async fn find_client(db: &Db, name: &str) -> Result<Option<ClientId>, Fault> {
    match name.parse::<ClientId>() {
        Ok(id) => store::client_by_id(db, id).await,
        Err(_) if is_slug_shaped(name) => store::client_by_slug(db, name).await,
        Err(_) => Ok(None),
    }
}

/// Why a caller is not let through.
pub enum Denied {
    /// No live token: RFC 6750 section 3 asks for a challenge.
    Unauthenticated {
        challenge: &'static str,
    },
    Refused(Problem),
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.into())
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Unauthenticated { challenge } => {
                let problem = Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "api.unauthenticated",
                    "Send a live API token as `Authorization: Bearer usher_…`.",
                );
                let mut response = problem.into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                response
            }
        }
    }
}

fn operator_only() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "api.operator_only", "Only an operator may do this.")
}

struct Caller {
    token: TokenId,
    bound_to: Option<ClientId>,
    permissions: Vec<Permission>,
    now: DateTime<Utc>,
    reference: Reference,
}

fn presented(headers: &HeaderMap) -> Result<TokenSecret, Denied> {
    const NONE: Denied = Denied::Unauthenticated { challenge: "Bearer realm=\"usher\"" };
    const INVALID: Denied = Denied::Unauthenticated { challenge: "Bearer realm=\"usher\", error=\"invalid_token\"" };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(NONE)?;
    // Two credentials are none: which one a proxy had checked is unknown.
    if values.next().is_some() {
        return Err(INVALID);
    }
    let text = value.to_str().map_err(|_| INVALID)?;
    let (scheme, token) = text.split_once(' ').ok_or(INVALID)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NONE);
    }
    TokenSecret::parse(token.trim()).ok_or(INVALID)
}

async fn authenticate(parts: &mut Parts, app: &App, permission: Permission) -> Result<Caller, Denied> {
    const INVALID: Denied = Denied::Unauthenticated { challenge: "Bearer realm=\"usher\", error=\"invalid_token\"" };
    let secret = presented(&parts.headers)?;
    let now = app.clock.now();
    let reference = match Reference::from_request_parts(parts, app).await {
        Ok(reference) => reference,
        Err(never) => match never {},
    };
    let hash = secret.hash();
    let found = store::find_credential(&app.db, &hash).await?.ok_or(INVALID)?;
    let is_live = found.revoked_at.is_none() && found.expires_at.is_none_or(|end| now < end);
    if !crypto::same(&found.secret_hash, &hash) || !is_live {
        return Err(INVALID);
    }
    // A count that cannot be kept refuses nobody: with Redis away an admin must still be able to suspend somebody.
    let counted = app.cache.allow(&Key::global("api", found.id), app.settings.limits.api_per_token).await;
    match counted {
        Ok(Allowance::Allowed) => {}
        Ok(Allowance::RetryAfter(wait)) => {
            let problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "api.rate_limited",
                "This token has sent too many requests. Wait as long as Retry-After says.",
            );
            return Err(problem.retry_after(wait).into());
        }
        Err(error) => tracing::warn!(%error, "requests of a token are not counted"),
    }
    if found.last_used_at.is_none_or(|last| last + LAST_USE_RESOLUTION <= now) {
        store::mark_used(&app.db, found.id, now).await?;
    }
    if !found.scopes.contains(&permission) {
        let problem = Problem::new(
            StatusCode::FORBIDDEN,
            "api.scope_missing",
            format!("This token lacks the scope {}.", permission.as_str()),
        );
        return Err(problem.into());
    }
    Ok(Caller { token: found.id, bound_to: found.client, permissions: found.scopes, now, reference })
}

impl<P: Grants> FromRequestParts<App> for OperatorScope<P> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Denied> {
        let caller = authenticate(parts, app, P::PERMISSION).await?;
        if caller.bound_to.is_some() {
            return Err(operator_only().into());
        }
        Ok(Self {
            token: caller.token,
            now: caller.now,
            reference: caller.reference,
            permissions: caller.permissions,
            permission: PhantomData,
        })
    }
}

impl<P: Grants> FromRequestParts<App> for ClientScope<P> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Denied> {
        let caller = authenticate(parts, app, P::PERMISSION).await?;
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::not_found())?;
        let segment = params.iter().find_map(|(name, value)| (name == "client").then_some(value));
        let segment = segment.ok_or_else(Problem::not_found)?;
        let found = find_client(&app.db, segment).await?;
        // Another client and a client that never was are one answer.
        let client =
            found.filter(|found| caller.bound_to.is_none_or(|bound| bound == *found)).ok_or_else(Problem::not_found)?;
        Ok(Self {
            client,
            token: caller.token,
            now: caller.now,
            reference: caller.reference,
            is_operator: caller.bound_to.is_none(),
            permissions: caller.permissions,
            permission: PhantomData,
        })
    }
}

fn is_slug_shaped(text: &str) -> bool {
    text.len() <= 63 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
