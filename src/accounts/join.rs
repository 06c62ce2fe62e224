//! Becoming a learner with an address that is proved already: by accepting an invite that was mailed to it, or by the
//! sign-in of an account.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Acquire, PgConnection};

use super::{NewPerson, model::clean_name, store, trail::Occasion};
use crate::{
    access::{self, By},
    app::App,
    audit::{Actor, Values},
    clients::ClientFacts,
    fault::Fault,
    ids::{AccountId, LearnerId},
    learners::{self, EmailAddress, Learner, LearnerStatus, Profile, store::NewLearner},
};

/// Who joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    pub learner: LearnerId,
    /// For the session that begins after the commit.
    pub epoch: i32,
    /// Whether the record was made just now.
    pub is_new: bool,
}

/// Why nobody joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The address has an account: its owner signs in with it instead of choosing a password.
    #[error("the address has an account already")]
    AccountExists,
    #[error("the learner who has this address is suspended")]
    Suspended,
    /// The learner who has this address signs in with another account.
    #[error("the learner who has this address belongs to another account")]
    Taken,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for JoinError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Makes an account for an address that was proved just now, and its learner in this client: the one who has the
/// address verified, else a new one. In the caller's transaction; grants nothing.
pub async fn create_proved(
    conn: &mut PgConnection,
    app: &App,
    client: &ClientFacts,
    person: NewPerson,
    now: DateTime<Utc>,
) -> Result<Joined, JoinError> {
    let account: AccountId = app.entropy.id(now);
    let (email, key) = (person.email.as_str(), person.email.key());
    if !store::insert_account(conn, account, email, key, &person.password_hash, now).await? {
        return Err(JoinError::AccountExists);
    }
    let profile = Profile {
        first_name: clean_name(&person.first_name),
        last_name: clean_name(&person.last_name),
        locale: person.locale,
        ..Profile::default()
    };
    tie(conn, app, client, account, &person.email, profile, now).await
}

/// Makes an account that has just signed in a learner of this client: the one that it already stands behind, else the
/// one who has its address verified, else a new one with these names. In the caller's transaction; grants nothing.
pub async fn join(
    conn: &mut PgConnection,
    app: &App,
    client: &ClientFacts,
    account: AccountId,
    names: (&str, &str),
    now: DateTime<Utc>,
) -> Result<Joined, JoinError> {
    let gone = || Fault::Corrupt(format!("{account} is gone"));
    let (email, learner) = store::lock_account(conn, client.id, account).await?.ok_or_else(gone)?;
    if let Some(learner) = learner {
        let learner = learners::store::lock(conn, client.id, learner).await?.ok_or_else(gone)?;
        return active(&learner).map(|()| joined(&learner));
    }
    let email = EmailAddress::parse(&email).ok_or_else(gone)?;
    let profile = Profile { first_name: clean_name(names.0), last_name: clean_name(names.1), ..Profile::default() };
    tie(conn, app, client, account, &email, profile, now).await
}

fn active(learner: &Learner) -> Result<(), JoinError> {
    if learner.status == LearnerStatus::Active { Ok(()) } else { Err(JoinError::Suspended) }
}

const fn joined(learner: &Learner) -> Joined {
    Joined { learner: learner.id, epoch: learner.session_epoch, is_new: false }
}

/// Ties the account to the learner who has the address verified, or to a new one.
async fn tie(
    conn: &mut PgConnection,
    app: &App,
    client: &ClientFacts,
    account: AccountId,
    email: &EmailAddress,
    profile: Profile,
    now: DateTime<Utc>,
) -> Result<Joined, JoinError> {
    let profile = Profile {
        email: Some(email.as_str().to_owned()),
        email_key: Some(email.key().to_owned()),
        email_verified: true,
        ..profile
    };
    let occasion = |learner| Occasion {
        entropy: &app.entropy,
        client: client.id,
        actor: Actor::Learner(learner),
        reference: None,
        now,
    };
    let by = |learner| By { actor: Actor::Learner(learner), reference: None };
    let holder = match learners::store::find_by_verified_email(conn, client.id, email.key()).await? {
        Some(holder) => Some(holder),
        None => {
            if let Some(id) = insert(conn, app, client, &profile, now).await? {
                store::link(conn, client.id, id, account, now).await?;
                let facts = json!({ "learner": id, "how": "account" });
                let values = Values {
                    learner: Some(id),
                    before: json!(null),
                    after: serde_json::to_value(&profile).map_err(Fault::from)?,
                };
                occasion(id).tell(conn, "learner.created", id, facts, Some(values)).await?;
                access::claim(conn, &app.entropy, client.id, id, email.key(), &by(id), now).await?;
                return Ok(Joined { learner: id, epoch: 1, is_new: true });
            }
            learners::store::find_by_verified_email(conn, client.id, email.key()).await?
        }
    };
    let Some(holder) = holder else { return Err(Fault::Busy("sign-ups of one address").into()) };
    let gone = || Fault::Busy("sign-ups of one address");
    let learner = learners::store::lock(conn, client.id, holder.id).await?.ok_or_else(gone)?;
    active(&learner)?;
    if !store::link(conn, client.id, learner.id, account, now).await? {
        return Err(JoinError::Taken);
    }
    let facts = json!({ "learner": learner.id, "how": "account" });
    occasion(learner.id).tell(conn, "learner.linked", learner.id, facts, None).await?;
    access::claim(conn, &app.entropy, client.id, learner.id, email.key(), &by(learner.id), now).await?;
    Ok(joined(&learner))
}

/// Makes a learner with a verified address. `None` where somebody verified it a moment before.
async fn insert(
    conn: &mut PgConnection,
    app: &App,
    client: &ClientFacts,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<Option<LearnerId>, Fault> {
    let new = NewLearner { id: app.entropy.id(now), sub: app.entropy.id::<LearnerId>(now).uuid() };
    // A savepoint: the caller's transaction lives on when the address is taken.
    let mut point = conn.begin().await?;
    match learners::store::insert(&mut point, client.id, new, profile, now).await {
        Ok(()) => {
            point.commit().await?;
            Ok(Some(new.id))
        }
        Err(fault) if fault.constraint() == Some("learners_verified_email_unique") => {
            point.rollback().await?;
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}
