//! Where everything stands when a person is verified: read once, and read again under the learner's lock.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    finish::{Course, Unfinished},
    identity::VerifiedIdentity,
    plan::{self, Bringing, SignInPlan, Situation},
    reason::Reason,
    store,
};
use crate::{
    access::{Grant, SublicenseTerms},
    app::App,
    claims::{ConnectionFacts as MappingConnection, Input, Outcome, SublicenseFacts},
    clients::ClientFacts,
    connections::ConnectionFacts,
    fault::Fault,
    ids::{ClientId, SublicenseId},
    learners::{self, EmailAddress, Holder, Standing, store::IdentityKey},
};

/// What is known before anything is locked.
pub(super) struct Scene {
    pub client: Arc<ClientFacts>,
    pub outcome: Outcome,
    pub standing: Standing,
    pub grants: Vec<Grant>,
    blocked: Vec<SublicenseId>,
    verified_domains: Vec<String>,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub sublicenses: Vec<SublicenseTerms>,
    bringing: Bringing,
    /// An invite of the learner's own verified address is open.
    pub is_invited: bool,
}

impl Scene {
    /// What was brought, as far as it still counts.
    pub const fn bringing(&self) -> Bringing {
        self.bringing
    }

    pub fn plan(&self, course: &Course<'_>) -> SignInPlan {
        plan::plan(&Situation {
            connection: course.connection,
            sublicenses: &self.sublicenses,
            license_ends_at: self.license_ends_at,
            verified_domains: &self.verified_domains,
            standing: &self.standing,
            grants: &self.grants,
            blocked: &self.blocked,
            outcome: &self.outcome,
            bringing: self.bringing,
            now: course.now,
        })
    }
}

/// One read of where everything stands; a first sign-in with an address costs a second, to find who holds it.
/// `None` when it changed while it was read.
pub(super) async fn read(
    app: &App,
    identity: &VerifiedIdentity,
    course: &Course<'_>,
    bringing: Bringing,
) -> Result<Option<Scene>, Unfinished> {
    let connection = course.connection;
    // Given back at once: whoever holds one while waiting for a second may wait for ever.
    let found = store::standing(&mut *app.acquire().await?, course.client, key(identity), course.now).await?;
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
    let client = app.clients.at_version(&app.db, course.client, found.client_version).await?;
    let outcome = evaluate(connection, &client, identity, bringing.yields);
    let (mut grants, mut blocked) = (found.grants, found.blocked);
    let standing = match found.learner {
        Some(learner) => Standing::Returning(learner),
        None => {
            let mut conn = app.acquire().await?;
            let holder = holder(&mut conn, key(identity), course.client, &outcome).await?;
            if let Some(holder) = &holder {
                // Another first sign-in of this very person may have been committed between the two reads.
                if learners::store::is_known(&mut conn, course.client, key(identity)).await? {
                    return Ok(None);
                }
                (grants, blocked) = store::access_of(&mut conn, course.client, holder.learner.id).await?;
            }
            Standing::New { holder }
        }
    };
    Ok(Some(Scene {
        sublicenses: terms_of(&client),
        client,
        outcome,
        standing,
        grants,
        blocked,
        verified_domains: found.verified_domains,
        license_ends_at: found.license_ends_at,
        bringing,
        is_invited: found.is_invited,
    }))
}

/// What the connection's mapping makes of the claims, beside what the person brings.
pub fn evaluate(
    connection: &ConnectionFacts,
    client: &ClientFacts,
    identity: &VerifiedIdentity,
    carries_entitlement: bool,
) -> Outcome {
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
        carries_entitlement,
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

pub(super) fn key(identity: &VerifiedIdentity) -> IdentityKey<'_> {
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

/// Locks the learner, where there is one, and reads again what the plan depends on. False when it is another situation.
pub(super) async fn lock(
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
