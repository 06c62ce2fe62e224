//! From a verified identity to a committed learner: reads where everything stands, plans, and writes in one transaction.
//! A returning learner with nothing changed is read once and recorded with a group of others. What the attempt carries is
//! used in the same transaction; where it opens nothing, the sign-in stands on the mapping alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{
    brought::{Brought, Carried},
    enroll::provision,
    identity::VerifiedIdentity,
    reason::{Reason, Stop},
    record::Record,
    scene::{self, Scene},
    store,
};
use crate::{
    access::{self, Applied, Full, Occasion},
    app::App,
    audit,
    clients::ClientFacts,
    connections::ConnectionFacts,
    fault::Fault,
    http::notice::Notice,
    ids::{ClientId, LearnerId},
    learners::{self, Provision, Standing},
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
    /// The client that the person signs in to, chosen among those that the connection serves.
    pub client: ClientId,
    pub reference: &'a str,
    pub now: DateTime<Utc>,
    pub unsolicited: Option<UsedAssertion>,
    /// Codes and the invite that the attempt carries.
    pub carried: &'a Carried,
}

/// What came of it; `record` is completed and written by the caller where it was not part of the transaction.
pub struct Finished {
    pub learner: LearnerId,
    pub session_epoch: i32,
    pub client: Arc<ClientFacts>,
    /// What became of what was carried, for the learner's next page.
    pub notices: Vec<Notice>,
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
    Stale {
        version: i64,
    },
    Stop(Stop),
}

impl<E: Into<Stop>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// What came of one try to write.
enum Written {
    Finished(Finished),
    /// Somebody else got between, and it must be read anew.
    Again,
    /// What was brought opens nothing, so that it does not stand in for what the mapping yields; and why not.
    OpensNothing(Option<Reason>),
}

/// Finishes a sign-in. `record` makes the record of a success; on the write path it is committed with the sign-in.
pub async fn finish(
    app: &App,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    notes: &mut Notes,
    record: &(dyn Fn(&Notes, Option<&Reason>) -> Record + Sync),
) -> Result<Finished, Unfinished> {
    let mut bringing = course.carried.counts_as();
    let mut opened_nothing = None;
    for _ in 0..ROUNDS {
        let Some(scene) = scene::read(app, identity, course, bringing).await? else { continue };
        notes.outcome = Some(serde_json::to_value(scene.outcome.redacted()).map_err(Fault::from)?);
        let mut plan = scene.plan(course);
        if let Standing::Returning(learner) = &scene.standing {
            notes.learner = Some(learner.id);
        }
        if let (Some(refusal), Some(why)) = (&plan.refusal, &opened_nothing)
            && matches!(refusal.code, "mapping.nothing_granted" | "login.learner.not_provisioned")
        {
            // The learner came with something: what is wrong with that helps them more.
            plan.refusal = Some(Reason::clone(why));
        }
        if !plan.writes() && course.unsolicited.is_none() {
            if let Some(reason) = plan.refusal {
                return Err(refused_returning(notes, &scene, reason).into());
            }
            if let Standing::Returning(learner) = &scene.standing
                && course.carried.is_empty()
                && !scene.is_invited
            {
                app.recorder.write(record(notes, None)).await?;
                notes.is_recorded = true;
                return Ok(Finished {
                    learner: learner.id,
                    session_epoch: learner.session_epoch,
                    client: scene.client,
                    notices: Vec::new(),
                });
            }
        }
        match write(app, identity, course, scene, notes, record).await {
            Ok(Written::Finished(finished)) => return Ok(finished),
            Ok(Written::Again) => {}
            Ok(Written::OpensNothing(why)) => (bringing, opened_nothing) = (Default::default(), why),
            // Whoever takes seats for two reasons at once may meet somebody who takes them in another order.
            Err(Unfinished::Stop(Stop::Fault(fault))) if fault.is_conflict() => {}
            Err(unfinished) => return Err(unfinished),
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

/// The transaction.
async fn write(
    app: &App,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    mut scene: Scene,
    notes: &mut Notes,
    record: &(dyn Fn(&Notes, Option<&Reason>) -> Record + Sync),
) -> Result<Written, Unfinished> {
    let client = course.client;
    let mut tx = app.db.begin().await?;
    if let Some(used) = &course.unsolicited
        && !store::use_assertion(&mut tx, course.connection.owner, course.connection.id, &used.digest, used.expires_at)
            .await?
    {
        return Err(Reason::replayed().into());
    }
    if !scene::lock(&mut tx, client, identity, &mut scene).await?
        || !store::hold_served(&mut tx, client, course.connection.id).await?
    {
        return Ok(Written::Again);
    }
    let plan = scene.plan(course);
    let Some((learner, epoch)) = provision(app, &mut tx, identity, course, &scene, &plan).await? else {
        return Ok(Written::Again);
    };
    // Only the invite lets this connection make a learner: one that is not accepted makes none.
    let needs_invite = matches!(plan.provision, Some(Provision::Create { .. })) && !course.connection.jit.create;
    let mut brought = Brought::new(course, &scene.client, learner);
    if plan.refusal.is_none() {
        brought.invite(app, &mut tx).await?;
    }
    let occasion =
        Occasion { client, learner, connection: course.connection.id, reference: course.reference, now: course.now };
    let applied = access::apply(&mut tx, &app.entropy, &occasion, &plan.access).await?;
    if plan.refusal.is_none() {
        brought.codes(app, &mut tx).await?;
    }
    let reason = match plan.refusal {
        Some(reason) => Some(reason),
        None if needs_invite && !brought.is_invited() => return Ok(Written::OpensNothing(brought.why_not())),
        None if brought.opened() && sees_something(&mut tx, &scene, course, learner).await? => None,
        None if scene.bringing().yields && !sees_something(&mut tx, &scene, course, learner).await? => {
            return Ok(Written::OpensNothing(brought.why_not()));
        }
        None => {
            let held = access::current_access(&scene.grants, &scene.sublicenses, scene.license_ends_at, course.now);
            seats_reason(&held, &applied, &plan.access_after)
        }
    };
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
    let notices = brought.notices();
    Ok(Written::Finished(Finished { learner, session_epoch: epoch, client: scene.client, notices }))
}

/// Whether the learner has access as everything stands in this transaction.
async fn sees_something(
    conn: &mut PgConnection,
    scene: &Scene,
    course: &Course<'_>,
    learner: LearnerId,
) -> Result<bool, Fault> {
    let (grants, _) = store::access_of(conn, course.client, learner).await?;
    Ok(!access::current_access(&grants, &scene.sublicenses, scene.license_ends_at, course.now).is_empty())
}

/// Why the learner is not let in although the plan lets them: no seat was left for anything they could have seen.
pub(super) fn seats_reason(held: &[access::Access], applied: &Applied, planned: &[access::Access]) -> Option<Reason> {
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
    let client = course.client;
    let is_returning = matches!(scene.standing, Standing::Returning(_));
    if is_returning {
        notes.learner = Some(learner);
    } else {
        tx.rollback().await?;
        tx = app.db.begin().await?;
        // The assertion was shown and answered: it is used up all the same.
        if let Some(used) = &course.unsolicited {
            store::use_assertion(&mut tx, course.connection.owner, course.connection.id, &used.digest, used.expires_at)
                .await?;
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
