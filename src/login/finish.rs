//! From a verified identity to a committed learner: reads where everything stands, plans, and writes in one transaction.
//! A returning learner with nothing changed is read once and recorded with a group of others.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{
    identity::VerifiedIdentity,
    plan::{self, SignInPlan, Situation},
    reason::{Reason, Stop},
    record::Record,
    store,
};
use crate::{
    access::{self, Applied, Full, Grant, Occasion, SublicenseTerms},
    app::App,
    audit::{self, Actor, NewEvent, Values},
    claims::{ConnectionFacts as MappingConnection, Input, Outcome, SublicenseFacts},
    clients::ClientFacts,
    connections::ConnectionFacts,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
    learners::{self, EmailAddress, Holder, Learner, Profile, Provision, Standing, store::IdentityKey},
};

/// Another sign-in of the same person may win a race; more rounds than this is no race.
const ROUNDS: usize = 5;

/// An unsolicited assertion, to be remembered in the same transaction.
#[derive(Debug, Clone)]
pub struct UsedAssertion {
    pub digest: [u8; 32],
    pub expires_at: DateTime<Utc>,
}

/// How the sign-in came about.
pub struct Course<'a> {
    pub connection: &'a ConnectionFacts,
    pub reference: &'a str,
    pub now: DateTime<Utc>,
    pub unsolicited: Option<UsedAssertion>,
}

/// What came of it; `record` is completed and written by the caller where it was not part of the transaction.
pub struct Finished {
    pub learner: LearnerId,
    pub session_epoch: i32,
    pub client: std::sync::Arc<ClientFacts>,
}

/// How far it came, for the record, whatever the outcome.
#[derive(Debug, Default)]
pub struct Notes {
    pub outcome: Option<Value>,
    pub learner: Option<LearnerId>,
    /// Set when the record was committed with the sign-in's own transaction.
    pub is_recorded: bool,
    /// Set when the learner's sessions must end although the sign-in is refused.
    pub sessions_end: Option<LearnerId>,
}

/// Why there is no finish.
pub enum Unfinished {
    /// The connection has changed since its facts were loaded; nothing was written.
    Stale { version: i64 },
    Stop(Stop),
}

impl<E: Into<Stop>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// What is known before anything is locked.
struct Scene {
    client: std::sync::Arc<ClientFacts>,
    outcome: Outcome,
    standing: Standing,
    grants: Vec<Grant>,
    blocked: Vec<SublicenseId>,
    verified_domains: Vec<String>,
    license_ends_at: Option<DateTime<Utc>>,
    sublicenses: Vec<SublicenseTerms>,
}

impl Scene {
    fn plan(&self, course: &Course<'_>) -> SignInPlan {
        plan::plan(&Situation {
            connection: course.connection,
            sublicenses: &self.sublicenses,
            license_ends_at: self.license_ends_at,
            verified_domains: &self.verified_domains,
            standing: &self.standing,
            grants: &self.grants,
            blocked: &self.blocked,
            outcome: &self.outcome,
            now: course.now,
        })
    }
}

/// Finishes a sign-in. `record` makes the record of a success; on the write path it is committed with the sign-in.
pub async fn finish(
    app: &App,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    notes: &mut Notes,
    record: &(dyn Fn(&Notes, Option<&Reason>) -> Record + Sync),
) -> Result<Finished, Unfinished> {
    for _ in 0..ROUNDS {
        let scene = read(app, identity, course).await?;
        notes.outcome = Some(serde_json::to_value(scene.outcome.redacted()).map_err(Fault::from)?);
        let plan = scene.plan(course);
        if let Standing::Returning(learner) = &scene.standing {
            notes.learner = Some(learner.id);
        }
        if !plan.writes() && course.unsolicited.is_none() {
            if let Some(reason) = plan.refusal {
                return Err(refused_returning(notes, &scene, reason).into());
            }
            if let Standing::Returning(learner) = &scene.standing {
                app.recorder.write(record(notes, None)).await?;
                notes.is_recorded = true;
                return Ok(Finished { learner: learner.id, session_epoch: learner.session_epoch, client: scene.client });
            }
        }
        if let Some(finished) = write(app, identity, course, scene, notes, record).await? {
            return Ok(finished);
        }
    }
    Err(Fault::Busy("sign-ins of one person").into())
}

/// A mapping that no longer lets a returning learner in ends their sessions too (design, invariant 7).
fn refused_returning(notes: &mut Notes, scene: &Scene, reason: Reason) -> Reason {
    if let (Standing::Returning(learner), Some(_)) = (&scene.standing, &scene.outcome.refusal)
        && reason.code != "mapping.expression"
    {
        notes.sessions_end = Some(learner.id);
    }
    reason
}

/// One read of where everything stands; a first sign-in with an address costs a second, to find who holds it.
async fn read(app: &App, identity: &VerifiedIdentity, course: &Course<'_>) -> Result<Scene, Unfinished> {
    let connection = course.connection;
    let mut conn = app.db.acquire().await?;
    let found = store::standing(&mut conn, connection.client_id, key(identity)).await?;
    let found = found.ok_or_else(Reason::connection_closed)?;
    if found.connection_status != "active" {
        return Err(Reason::connection_closed().into());
    }
    if found.client_status != "active" {
        return Err(Reason::client_disabled().into());
    }
    if found.connection_version != connection.version {
        return Err(Unfinished::Stale { version: found.connection_version });
    }
    let client = app.clients.at_version(&app.db, connection.client_id, found.client_version).await?;
    let outcome = evaluate(connection, &client, identity);
    let standing = match found.learner {
        Some(learner) => Standing::Returning(learner),
        None => Standing::New { holder: holder(&mut conn, key(identity), connection.client_id, &outcome).await? },
    };
    let (mut grants, mut blocked) = (found.grants, found.blocked);
    if let Standing::New { holder: Some(holder) } = &standing {
        (grants, blocked) = store::access_of(&mut conn, connection.client_id, holder.learner.id).await?;
    }
    Ok(Scene {
        sublicenses: terms_of(&client),
        client,
        outcome,
        standing,
        grants,
        blocked,
        verified_domains: found.verified_domains,
        license_ends_at: found.license_ends_at,
    })
}

/// What the connection's mapping makes of the claims.
pub fn evaluate(connection: &ConnectionFacts, client: &ClientFacts, identity: &VerifiedIdentity) -> Outcome {
    let sublicenses = mapping_sublicenses(client);
    connection.mapping.apply(&Input {
        claims: identity.claims(),
        subject: identity.subject(),
        connection: MappingConnection {
            id: &connection.id.to_string(),
            name: &connection.name,
            protocol: connection.protocol.as_str(),
        },
        sublicenses: &sublicenses,
        carries_entitlement: false,
    })
}

/// The sublicenses as a mapping sees them.
pub fn mapping_sublicenses(client: &ClientFacts) -> Vec<SublicenseFacts> {
    client
        .sublicenses
        .iter()
        .map(|one| SublicenseFacts { slug: one.slug.clone(), sku: one.sku.clone(), refs: one.refs.clone() })
        .collect()
}

/// The sublicenses as access sees them.
pub fn terms_of(client: &ClientFacts) -> Vec<SublicenseTerms> {
    client
        .sublicenses
        .iter()
        .map(|one| SublicenseTerms {
            id: one.id,
            slug: one.slug.clone(),
            access_days: one.access_days,
            ends_at: one.ends_at,
        })
        .collect()
}

fn key(identity: &VerifiedIdentity) -> IdentityKey<'_> {
    IdentityKey { connection: identity.connection(), issuer: identity.issuer(), subject: identity.subject() }
}

/// Who holds the asserted address, verified.
pub(super) async fn holder(
    conn: &mut PgConnection,
    key: IdentityKey<'_>,
    client: ClientId,
    outcome: &Outcome,
) -> Result<Option<Holder>, Fault> {
    let Some(email) = outcome.profile.email.value.as_deref().and_then(EmailAddress::parse) else { return Ok(None) };
    let Some(learner) = learners::store::find_by_verified_email(conn, client, email.key()).await? else {
        return Ok(None);
    };
    let has_other_subject = learners::store::has_other_subject(conn, client, learner.id, key).await?;
    Ok(Some(Holder { learner, has_other_subject }))
}

/// The transaction. `None`: somebody else's sign-in got between, and it must be read anew.
async fn write(
    app: &App,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    mut scene: Scene,
    notes: &mut Notes,
    record: &(dyn Fn(&Notes, Option<&Reason>) -> Record + Sync),
) -> Result<Option<Finished>, Unfinished> {
    let client = course.connection.client_id;
    let mut tx = app.db.begin().await?;
    if let Some(used) = &course.unsolicited
        && !store::use_assertion(&mut tx, client, course.connection.id, &used.digest, used.expires_at).await?
    {
        return Err(Reason::replayed().into());
    }
    if !lock(&mut tx, client, identity, &mut scene).await? {
        return Ok(None);
    }
    let plan = scene.plan(course);
    let Some((learner, epoch)) = provision(app, &mut tx, identity, course, &scene, &plan).await? else {
        return Ok(None);
    };
    let occasion = Occasion { client, learner, connection: course.connection.id, reference: course.reference, now: course.now };
    let applied = access::apply(&mut tx, &app.entropy, &occasion, &plan.access).await?;
    let reason = plan.refusal.or_else(|| {
        let held = access::current_access(&scene.grants, &scene.sublicenses, scene.license_ends_at, course.now);
        seats_reason(&held, &applied, &plan.access_after)
    });
    notes.learner = matches!(scene.standing, Standing::Returning(_)).then_some(learner);
    if let Some(reason) = reason {
        refuse(app, tx, course, &scene, notes, learner, &applied, &reason).await?;
        return Err(refused_returning(notes, &scene, reason).into());
    }
    notes.learner = Some(learner);
    let records = [record(notes, None)];
    store::insert_attempts(&mut tx, &records).await?;
    store::insert_events(&mut tx, &records).await?;
    learners::store::touch_last_login(&mut tx, client, learner, course.now).await?;
    tx.commit().await?;
    notes.is_recorded = true;
    Ok(Some(Finished { learner, session_epoch: epoch, client: scene.client }))
}

/// Locks the learner, where there is one, and reads again what the plan depends on. False when it is another situation.
async fn lock(
    conn: &mut PgConnection,
    client: ClientId,
    identity: &VerifiedIdentity,
    scene: &mut Scene,
) -> Result<bool, Fault> {
    let learner = match &scene.standing {
        Standing::Returning(learner) => learner.id,
        Standing::New { holder: Some(holder) } => holder.learner.id,
        Standing::New { holder: None } => return Ok(true),
    };
    let Some(fresh) = learners::store::lock(conn, client, learner).await? else { return Ok(false) };
    match &mut scene.standing {
        Standing::Returning(held) => *held = fresh,
        Standing::New { holder: Some(holder) } => {
            if fresh.profile.email_key != holder.learner.profile.email_key || !fresh.profile.email_verified {
                return Ok(false);
            }
            holder.has_other_subject = learners::store::has_other_subject(conn, client, learner, key(identity)).await?;
            holder.learner = fresh;
        }
        Standing::New { holder: None } => {}
    }
    (scene.grants, scene.blocked) = store::access_of(conn, client, learner).await?;
    Ok(true)
}

/// Writes the learner's record. `None` when another sign-in of the same person was faster.
async fn provision(
    app: &App,
    tx: &mut Transaction<'_, Postgres>,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    scene: &Scene,
    plan: &SignInPlan,
) -> Result<Option<(LearnerId, i32)>, Unfinished> {
    let (client, now) = (course.connection.client_id, course.now);
    let known = match &scene.standing {
        Standing::Returning(learner) => Some(learner),
        Standing::New { holder } => holder.as_ref().map(|holder| &holder.learner),
    };
    match (&plan.provision, known) {
        (Some(Provision::Create { profile }), _) => {
            let new = learners::store::NewLearner { id: app.entropy.id(now), sub: app.entropy.id::<LearnerId>(now).uuid() };
            match learners::store::insert(tx, client, new, profile, now).await {
                Err(fault) if fault.constraint() == Some("learners_verified_email_unique") => return Ok(None),
                other => other?,
            }
            if !learners::store::insert_identity(tx, client, key(identity), new.id, now).await? {
                return Ok(None);
            }
            tell(app, tx, course, "learner.created", new.id, json!({}), None, Some(profile)).await?;
            Ok(Some((new.id, 1)))
        }
        (Some(Provision::Link { changed, profile, .. }), Some(learner)) => {
            if !learners::store::insert_identity(tx, client, key(identity), learner.id, now).await? {
                return Ok(None);
            }
            if !changed.is_empty() {
                update(tx, client, learner, profile, now).await?;
            }
            tell(app, tx, course, "learner.linked", learner.id, json!({ "changed": changed }), Some(learner), Some(profile)).await?;
            Ok(Some((learner.id, learner.session_epoch)))
        }
        (Some(Provision::Update { changed, profile, .. }), Some(learner)) => {
            update(tx, client, learner, profile, now).await?;
            tell(app, tx, course, "learner.updated", learner.id, json!({ "changed": changed }), Some(learner), Some(profile)).await?;
            Ok(Some((learner.id, learner.session_epoch)))
        }
        (_, Some(learner)) => Ok(Some((learner.id, learner.session_epoch))),
        // A new person who is refused leaves nothing behind.
        (_, None) => Err(plan.refusal.clone().unwrap_or_else(Reason::connection_closed).into()),
    }
}

/// Writes a changed profile. An address that another learner holds, verified, is left as it was.
async fn update(
    conn: &mut PgConnection,
    client: ClientId,
    learner: &Learner,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut profile = profile.clone();
    if let Some(email_key) = profile.email_key.as_deref().filter(|_| profile.email_verified)
        && learners::store::is_taken(conn, client, learner.id, email_key).await?
    {
        profile.email.clone_from(&learner.profile.email);
        profile.email_key.clone_from(&learner.profile.email_key);
        profile.email_verified = learner.profile.email_verified;
    }
    learners::store::update_profile(conn, client, learner.id, &profile, now).await
}

/// Why the learner is not let in although the plan lets them: no seat was left for anything they could have seen.
pub(super) fn seats_reason(
    held: &[access::Access],
    applied: &Applied,
    planned: &[access::Access],
) -> Option<Reason> {
    let full = *applied.full.first()?;
    let sees_something = planned.iter().any(|access| {
        applied.begun.contains(&access.sublicense)
            || held.iter().any(|one| one.sublicense == access.sublicense && !applied.ended.contains(&one.sublicense))
    });
    (!sees_something).then(|| Reason::seats_full(full))
}

/// Commits what a refusal leaves standing: for a returning learner the removals, for a new one nothing.
#[allow(clippy::too_many_arguments)]
async fn refuse(
    app: &App,
    mut tx: Transaction<'_, Postgres>,
    course: &Course<'_>,
    scene: &Scene,
    notes: &mut Notes,
    learner: LearnerId,
    applied: &Applied,
    reason: &Reason,
) -> Result<(), Unfinished> {
    let client = course.connection.client_id;
    let is_returning = matches!(scene.standing, Standing::Returning(_));
    if is_returning {
        notes.learner = Some(learner);
    } else {
        tx.rollback().await?;
        tx = app.db.begin().await?;
        // The assertion was shown and answered: it is used up all the same.
        if let Some(used) = &course.unsolicited {
            store::use_assertion(&mut tx, client, course.connection.id, &used.digest, used.expires_at).await?;
        }
    }
    for full in &applied.full {
        let sublicense = match full {
            Full::Client => None,
            Full::Sublicense(id) => Some(*id),
        };
        let facts = json!({ "sublicense": sublicense, "connection": course.connection.id, "code": reason.code });
        audit::announce(&mut tx, &app.entropy, client, "seats.full", facts, course.now).await?;
    }
    tx.commit().await?;
    Ok(())
}

#[allow(clippy::too_many_arguments)]
async fn tell(
    app: &App,
    conn: &mut PgConnection,
    course: &Course<'_>,
    action: &'static str,
    learner: LearnerId,
    mut facts: Value,
    before: Option<&Learner>,
    after: Option<&Profile>,
) -> Result<(), Fault> {
    let client = course.connection.client_id;
    facts["learner"] = json!(learner);
    facts["connection"] = json!(course.connection.id);
    let values = Values {
        learner: Some(learner),
        before: serde_json::to_value(before.map(|learner| &learner.profile))?,
        after: serde_json::to_value(after)?,
    };
    let event = NewEvent {
        client: Some(client),
        at: course.now,
        action,
        actor: Actor::Idp(course.connection.id),
        target: Some(learner.to_string()),
        reason: None,
        reference: Some(course.reference),
        facts: facts.clone(),
        values: Some(values),
    };
    audit::record(conn, &app.entropy, event).await?;
    audit::announce(conn, &app.entropy, client, action, facts, course.now).await
}
