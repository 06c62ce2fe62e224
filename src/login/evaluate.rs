//! The dry run of a mapping: reads, plans and writes as [`super::finish`] does, in a transaction that is rolled back, so
//! that it says the very outcome of a login down to the seats, and leaves nothing behind.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{
    choice::{self, Choice},
    finish,
    identity::RecordedClaims,
    journey,
    plan::{self, Bringing, SignInPlan, Situation},
    reason::{Advice, Reason},
    scene, store,
    trail::FixSide,
};
use crate::{
    access::{self, Access, Applied, Change, Full, Occasion, Skipped, SublicenseTerms},
    app::App,
    audit::{self, Actor, NewEvent},
    claims::{CompiledMapping, ConnectionFacts as MappingConnection, Input, Outcome},
    connections::ConnectionFacts,
    fault::Fault,
    ids::{AttemptId, ClientId, ConnectionId, LearnerId, SublicenseId},
    learners::{self, Provision, Standing, store::IdentityKey},
};

/// The name of a person whom nobody could be.
const NOBODY: &str = "";

/// What a login would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evaluation {
    /// Whether the person would be let in, if the connection were active.
    pub would_sign_in: bool,
    /// Why not; null when they would.
    pub refusal: Option<RefusalView>,
    /// `draft`, `active` or `disabled`: only by an active connection does anybody sign in.
    pub connection_status: String,
    /// The stored version that was tried; null when rules were given.
    pub mapping_version: Option<i32>,
    /// The client that they would sign in to; null where a shared connection's `client` chooses none.
    pub client: Option<ChosenClient>,
    /// What the rules make of the claims: every rule, whether it fired and why. Null where no client was chosen.
    pub mapping: Option<Outcome>,
    /// What would become of the learner's record; null when the person gets none.
    pub provision: Option<Provision>,
    /// Grants that would begin, change or end.
    pub changes: Vec<Change>,
    /// What the rules want and nobody gets, and why.
    pub skipped: Vec<Skipped>,
    /// Limits that leave no seat: `client`, or the id of a sublicense.
    pub full: Vec<String>,
    /// What the learner would see afterwards.
    pub access_after: Vec<Access>,
}

/// The client of a dry run.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChosenClient {
    pub id: ClientId,
    pub slug: String,
    pub name: String,
}

/// Why a person would not be let in.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusalView {
    pub code: &'static str,
    /// Which side must change something.
    pub side: FixSide,
    /// For the admin.
    pub explanation: String,
    /// The mapping's own words for the person, where it has some.
    pub message: Option<String>,
}

impl From<Reason> for RefusalView {
    fn from(reason: Reason) -> Self {
        let message = match reason.advice {
            Advice::NotEntitled(words) if !words.is_empty() => Some(words),
            _ => None,
        };
        Self { code: reason.code, side: reason.side, explanation: reason.explanation, message }
    }
}

/// Why there is no dry run.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error("there is no such connection")]
    NotFound,
    #[error("this connection has no such attempt")]
    UnknownAttempt,
    #[error("the claims of this attempt were removed, or it never had any")]
    NoClaims,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for EvaluateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Opens what an attempt of this connection had received; those of a shared connection only `with_shared`. Leaves an audit event, since the claims are somebody's.
pub async fn open_attempt(
    app: &App,
    client: ClientId,
    connection: ConnectionId,
    (attempt, with_shared): (AttemptId, bool),
    actor: Actor,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<RecordedClaims, EvaluateError> {
    let mut transaction = app.db.begin().await?;
    let sealed = store::sealed_claims(&mut transaction, client, connection, attempt, with_shared).await?;
    let (whose, sealed) = sealed.ok_or(EvaluateError::UnknownAttempt)?;
    let opened = journey::open_claims(app, whose, attempt, &sealed.ok_or(EvaluateError::NoClaims)?)?;
    let event = NewEvent {
        client: Some(whose),
        at: now,
        action: "attempt.claims_opened",
        actor,
        target: Some(attempt.to_string()),
        reason: None,
        reference: Some(reference),
        facts: serde_json::json!({ "connection": connection }),
        values: None,
    };
    audit::record(&mut transaction, &app.entropy, event).await?;
    transaction.commit().await?;
    Ok(opened)
}

/// Tries a mapping, given or the one in force, on somebody's claims; `asked` is the client whose page the sign-in began
/// at, where that matters.
pub async fn evaluate(
    app: &App,
    owner: ClientId,
    connection: ConnectionId,
    person: RecordedClaims,
    given: Option<CompiledMapping>,
    asked: Option<ClientId>,
    now: DateTime<Utc>,
) -> Result<Evaluation, EvaluateError> {
    let door = store::door(&app.db, owner, connection, None).await?.ok_or(EvaluateError::NotFound)?;
    let facts = app.connections.at_version(app, connection, door.version).await?.ok_or(EvaluateError::NotFound)?;
    let mapping_version = given.is_none().then_some(facts.mapping_version);
    let mapping = given.map_or_else(|| facts.mapping.clone(), Arc::new);
    let client = match choice::choose(app, &facts, &mapping, (&person.claims, &person.subject), asked).await? {
        Choice::Of(client) => client,
        Choice::Refused { reason, .. } => return Ok(nowhere(&facts, mapping_version, reason)),
        Choice::Stale => return Err(Fault::Busy("a connection that changes").into()),
    };
    let subject = person.subject.clone();
    let issuer = issuer(&facts);
    let key = IdentityKey { connection, issuer: &issuer, subject: &subject };
    let found = {
        let mut conn = app.db.acquire().await?;
        store::standing(&mut conn, client, key, now).await?.ok_or(EvaluateError::NotFound)?
    };
    let client_facts = app.clients.at_version(&app.db, client, found.client_version).await?;
    let outcome = apply(&facts, scene::mapping_sublicenses(&client_facts), mapping, person).await?;

    let mut transaction = app.db.begin().await?;
    let (mut grants, mut blocked) = (found.grants, found.blocked);
    let standing = match found.learner {
        Some(learner) => Standing::Returning(learner),
        None => Standing::New { holder: scene::holder(&mut transaction, key, client, &outcome).await? },
    };
    if let Standing::New { holder: Some(holder) } = &standing {
        (grants, blocked) = store::access_of(&mut transaction, client, holder.learner.id).await?;
    }
    let sublicenses = scene::terms_of(&client_facts);
    let plan = plan::plan(&Situation {
        connection: &facts,
        sublicenses: &sublicenses,
        license_ends_at: found.license_ends_at,
        verified_domains: &found.verified_domains,
        standing: &standing,
        grants: &grants,
        blocked: &blocked,
        outcome: &outcome,
        bringing: Bringing::default(),
        now,
    });
    let applied = rehearse(app, &mut transaction, (client, facts.id), &standing, &plan, now).await?;
    transaction.rollback().await?;

    let held = access::current_access(&grants, &sublicenses, found.license_ends_at, now);
    let is_closed = found.client_status != "active";
    let refusal = is_closed.then(Reason::client_disabled).or_else(|| plan.refusal.clone());
    let refusal = refusal.or_else(|| finish::seats_reason(&held, &applied, &plan.access_after));
    let chosen = ChosenClient { id: client, slug: client_facts.slug.clone(), name: client_facts.name.clone() };
    let tried = (facts.status.as_str(), mapping_version, chosen);
    Ok(shown(tried, outcome, plan, refusal, &applied, &held, &sublicenses))
}

/// Who belongs to no client of the connection gets nothing of any.
fn nowhere(facts: &ConnectionFacts, mapping_version: Option<i32>, reason: Reason) -> Evaluation {
    Evaluation {
        would_sign_in: false,
        refusal: Some(reason.into()),
        connection_status: facts.status.as_str().to_owned(),
        mapping_version,
        client: None,
        mapping: None,
        provision: None,
        changes: Vec::new(),
        skipped: Vec::new(),
        full: Vec::new(),
        access_after: Vec::new(),
    }
}

fn issuer(facts: &ConnectionFacts) -> String {
    let saml = facts.saml.as_ref().map(|saml| saml.idp.entity_id.clone());
    saml.or_else(|| facts.oidc.as_ref().map(|oidc| oidc.config.issuer.clone())).unwrap_or_else(|| NOBODY.to_owned())
}

/// Off the async threads: expressions are bounded by fuel, but there may be many of them.
async fn apply(
    facts: &ConnectionFacts,
    sublicenses: Vec<crate::claims::SublicenseFacts>,
    mapping: Arc<CompiledMapping>,
    person: RecordedClaims,
) -> Result<Outcome, Fault> {
    let (id, name, protocol) = (facts.id.to_string(), facts.name.clone(), facts.protocol);
    let work = move || {
        mapping.apply(&Input {
            claims: &person.claims,
            subject: &person.subject,
            connection: MappingConnection { id: &id, name: &name, protocol: protocol.as_str() },
            sublicenses: &sublicenses,
            carries_entitlement: false,
        })
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::Busy("trying a mapping"))
}

/// Writes the plan, for its seats; the caller rolls it back.
async fn rehearse(
    app: &App,
    conn: &mut PgConnection,
    (client, connection): (ClientId, ConnectionId),
    standing: &Standing,
    plan: &SignInPlan,
    now: DateTime<Utc>,
) -> Result<Applied, Fault> {
    let learner: LearnerId = match (standing, &plan.provision) {
        (Standing::Returning(learner), _) => learner.id,
        (Standing::New { holder: Some(holder) }, Some(_)) => holder.learner.id,
        (Standing::New { .. }, Some(Provision::Create { profile })) => {
            let id: LearnerId = app.entropy.id(now);
            let new = learners::store::NewLearner { id, sub: id.uuid() };
            learners::store::insert(conn, client, new, profile, now).await?;
            id
        }
        (Standing::New { .. }, _) => return Ok(Applied::default()),
    };
    let occasion = Occasion { client, learner, connection, reference: "dry run", now };
    access::apply(conn, &app.entropy, &occasion, &plan.access).await
}

#[allow(clippy::too_many_arguments)]
fn shown(
    (status, mapping_version, client): (&str, Option<i32>, ChosenClient),
    mapping: Outcome,
    plan: SignInPlan,
    refusal: Option<Reason>,
    applied: &Applied,
    held: &[Access],
    sublicenses: &[SublicenseTerms],
) -> Evaluation {
    // What found no seat does not begin.
    let begins = |sublicense: &SublicenseId| applied.begun.contains(sublicense);
    let mut changes = plan.access.changes;
    changes.retain(|change| !matches!(change, Change::Begin { sublicense, .. } if !begins(sublicense)));
    let mut access_after = plan.access_after;
    access_after
        .retain(|access| begins(&access.sublicense) || held.iter().any(|one| one.sublicense == access.sublicense));
    access_after.sort_by_key(|access| sublicenses.iter().position(|known| known.id == access.sublicense));
    let full = applied.full.iter().map(|full| match full {
        Full::Client => "client".to_owned(),
        Full::Sublicense(id) => id.to_string(),
    });
    let is_new_and_refused =
        refusal.is_some() && !matches!(plan.provision, Some(Provision::Update { .. } | Provision::Unchanged { .. }));
    Evaluation {
        would_sign_in: refusal.is_none(),
        connection_status: status.to_owned(),
        mapping_version,
        client: Some(client),
        mapping: Some(mapping),
        provision: plan.provision.filter(|_| !is_new_and_refused),
        changes,
        skipped: plan.access.skipped,
        full: full.collect(),
        access_after,
        refusal: refusal.map(RefusalView::from),
    }
}
