//! `…/connections/{id}/mapping/evaluate`: what a login with these claims would do, without doing it.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    evaluate::{self, EvaluateError, Evaluation},
    identity::RecordedClaims,
};
use crate::{
    admin::{ApiRoutes, Body, ClientScope, ConnectionsRead, Id, Permission, Post, find_client},
    app::App,
    cache::{Allowance, Key},
    claims::{Claims, CompiledMapping, Mapping},
    config::Rate,
    connections::{self, invalid_mapping, read_mapping},
    fault::Fault,
    http::Problem,
    ids::{AttemptId, ConnectionId},
};

/// Dry runs of one client: each may take as long as the rules' fuel lasts.
const RATE: Rate = Rate { count: 120, per: Duration::from_secs(60) };
const MAX_SUBJECT: usize = 256;

/// Claims, or an attempt that had some; and rules, or those in force.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateRequest {
    /// Claims as the IdP would send them: names to values or lists of values.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    claims: Option<Map<String, Value>>,
    /// The IdP's lasting name for the person; for OpenID Connect the claim `sub` where absent.
    #[serde(default)]
    subject: Option<String>,
    /// A recorded sign-in of this connection, in place of claims. Needs the scope `attempts:read` too.
    #[serde(default)]
    attempt: Option<AttemptId>,
    /// The client whose page the sign-in begins at, by slug or id; for somebody whom the claims place in several clients
    /// of a shared connection.
    #[serde(default)]
    client: Option<String>,
    /// Rules to try; those in force where absent.
    #[serde(default)]
    #[schema(value_type = Option<Mapping>)]
    mapping: Option<Value>,
}

impl Body for EvaluateRequest {}

/// The route of the dry run.
pub fn routes() -> ApiRoutes {
    ApiRoutes::new().add::<ClientScope<ConnectionsRead>>(routes!(evaluate))
}

/// Says what a login with these claims would do: every rule and why, the learner's record, grants, seats. Changes nothing.
///
/// Opening the claims of a recorded attempt leaves an audit event. An `Idempotency-Key` is taken and not needed.
#[utoipa::path(post, path = "/api/v1/clients/{client}/connections/{id}/mapping/evaluate", tag = "mapping",
    request_body = EvaluateRequest, responses((status = 200, body = Evaluation)))]
async fn evaluate(
    scope: ClientScope<ConnectionsRead>,
    State(app): State<App>,
    Id(id): Id<ConnectionId>,
    // The answer holds claims, so that it is never remembered under the key.
    Post { body, once: _ }: Post<EvaluateRequest>,
) -> Result<Json<Evaluation>, Problem> {
    connections::operators_if_shared(&app, &scope, id).await?;
    let allowance = app.cache.allow(&Key::of_client(scope.client, "evaluate", "rate"), RATE).await;
    if let Allowance::RetryAfter(wait) = allowance.map_err(Fault::from)? {
        let title = "Too many dry runs for this client. Wait as long as Retry-After says.";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "evaluate.rate_limited", title).retry_after(wait));
    }
    let asked = match &body.client {
        None => None,
        Some(name) => match find_client(&app.db, name).await? {
            Some(client) if scope.is_operator() || client == scope.client => Some(client),
            _ => return Err(Problem::field("evaluate.client", "/client", "there is no such client")),
        },
    };
    let given = body.mapping.as_ref().map(compile).transpose()?;
    let person = match (body.claims, body.attempt) {
        (Some(claims), None) => pasted(&claims, body.subject)?,
        (None, Some(attempt)) => {
            if body.subject.is_some() {
                return Err(Problem::field("evaluate.subject", "/subject", "the attempt has its own subject"));
            }
            if !scope.holds(Permission::AttemptsRead) {
                let title = "This token lacks the scope attempts:read, which the claims of an attempt need.";
                return Err(Problem::new(StatusCode::FORBIDDEN, "api.scope_missing", title));
            }
            let reference = scope.reference.as_str();
            let attempt = (attempt, scope.is_operator());
            evaluate::open_attempt(&app, scope.client, id, attempt, scope.actor(), reference, scope.now).await?
        }
        _ => return Err(Problem::field("evaluate.input", "/claims", "give claims, or the id of an attempt")),
    };
    Ok(Json(evaluate::evaluate(&app, scope.client, id, person, given, asked, scope.now).await?))
}

fn compile(rules: &Value) -> Result<CompiledMapping, Problem> {
    let mapping = read_mapping(rules).map_err(|errors| invalid_mapping(errors, "/mapping"))?;
    mapping.compile().map_err(|errors| invalid_mapping(errors, "/mapping"))
}

fn pasted(claims: &Map<String, Value>, subject: Option<String>) -> Result<RecordedClaims, Problem> {
    let subject = subject.or_else(|| claims.get("sub").and_then(Value::as_str).map(str::to_owned)).unwrap_or_default();
    if subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
        return Err(Problem::field(
            "evaluate.subject",
            "/subject",
            "at most 256 characters, none of them a control character",
        ));
    }
    let claims =
        Claims::from_json(claims).map_err(|error| Problem::field(error.code(), "/claims", error.to_string()))?;
    Ok(RecordedClaims { subject, claims })
}

impl From<EvaluateError> for Problem {
    fn from(error: EvaluateError) -> Self {
        let text = error.to_string();
        match error {
            EvaluateError::NotFound => Self::not_found(),
            EvaluateError::UnknownAttempt => Self::field("evaluate.attempt_unknown", "/attempt", text),
            EvaluateError::NoClaims => Self::field("evaluate.claims_gone", "/attempt", text),
            EvaluateError::Fault(fault) => fault.into(),
        }
    }
}
