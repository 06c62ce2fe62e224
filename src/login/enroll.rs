//! Writing the learner's record within the transaction of a sign-in: create, link or update, with audit and events.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{
    finish::{Course, Unfinished},
    identity::VerifiedIdentity,
    plan::SignInPlan,
    reason::Reason,
    scene::{Scene, key},
};
use crate::{
    access::{self, By},
    app::App,
    audit::{self, Actor, NewEvent, Values},
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners::{self, Learner, Profile, Provision, Standing},
};

/// Writes the learner's record. `None` when another sign-in of the same person was faster.
pub(super) async fn provision(
    app: &App,
    tx: &mut Transaction<'_, Postgres>,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    scene: &Scene,
    plan: &SignInPlan,
) -> Result<Option<(LearnerId, i32)>, Unfinished> {
    let (client, now) = (course.client, course.now);
    let known = match &scene.standing {
        Standing::Returning(learner) => Some(learner),
        Standing::New { holder } => holder.as_ref().map(|holder| &holder.learner),
    };
    match (&plan.provision, known) {
        (Some(Provision::Create { profile }), _) => {
            let new =
                learners::store::NewLearner { id: app.entropy.id(now), sub: app.entropy.id::<LearnerId>(now).uuid() };
            match learners::store::insert(tx, client, new, profile, now).await {
                Err(fault) if fault.constraint() == Some("learners_verified_email_unique") => return Ok(None),
                other => other?,
            }
            if !learners::store::insert_identity(tx, client, key(identity), new.id, now).await? {
                return Ok(None);
            }
            tell(app, tx, course, "learner.created", new.id, json!({}), None, Some(profile)).await?;
            claim(app, tx, course, new.id, profile).await?;
            Ok(Some((new.id, 1)))
        }
        (Some(Provision::Link { changed, profile, .. }), Some(learner)) => {
            if !learners::store::insert_identity(tx, client, key(identity), learner.id, now).await? {
                return Ok(None);
            }
            if !changed.is_empty() {
                update(tx, client, learner, profile, now).await?;
            }
            tell(
                app,
                tx,
                course,
                "learner.linked",
                learner.id,
                json!({ "changed": changed }),
                Some(learner),
                Some(profile),
            )
            .await?;
            claim(app, tx, course, learner.id, profile).await?;
            Ok(Some((learner.id, learner.session_epoch)))
        }
        (Some(Provision::Update { changed, profile, .. }), Some(learner)) => {
            update(tx, client, learner, profile, now).await?;
            tell(
                app,
                tx,
                course,
                "learner.updated",
                learner.id,
                json!({ "changed": changed }),
                Some(learner),
                Some(profile),
            )
            .await?;
            Ok(Some((learner.id, learner.session_epoch)))
        }
        (_, Some(learner)) => Ok(Some((learner.id, learner.session_epoch))),
        // A new person who is refused leaves nothing behind.
        (_, None) => Err(plan.refusal.clone().unwrap_or_else(Reason::connection_closed).into()),
    }
}

/// What an import wrote down for the address is the learner's, now that a trusted identity provider vouches for it.
async fn claim(
    app: &App,
    conn: &mut PgConnection,
    course: &Course<'_>,
    learner: LearnerId,
    profile: &Profile,
) -> Result<(), Fault> {
    let Some(email_key) = profile.email_key.as_deref().filter(|_| profile.email_verified) else { return Ok(()) };
    let by = By { actor: Actor::Idp(course.connection.id), reference: Some(course.reference.to_owned()) };
    let client = course.client;
    access::claim(conn, &app.entropy, client, learner, email_key, &by, course.now).await?;
    Ok(())
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
    let client = course.client;
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
