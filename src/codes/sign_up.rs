//! Signing up with a code and a password: a provisional learner, their redemption and their mail, in one transaction. The
//! same form sent again by the same browser, however often and however soon, is one sign-up.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;

use super::{CodeOutcome, CodeResult, CodeText, RedeemOrder, redeem, redeem_within, store_person as store};
use crate::{
    accounts::{self, NewPerson, PasswordHash, passwords},
    app::App,
    audit::Actor,
    clients::ClientFacts,
    fault::Fault,
    http::BrowserKey,
    ids::LearnerId,
    learners::EmailAddress,
};

/// Transactions that met another one's change or lock before this one gives up.
const ROUNDS: usize = 4;

/// Somebody who is not signed in, with codes that were looked at and a password that was judged.
pub struct SignUp {
    pub client: Arc<ClientFacts>,
    pub codes: Vec<CodeText>,
    pub first_name: String,
    pub last_name: String,
    pub email: EmailAddress,
    pub password: SecretString,
    pub browser: BrowserKey,
    pub reference: String,
}

/// A learner who is to be signed in.
#[derive(Debug)]
pub struct SignedUp {
    pub learner: LearnerId,
    pub session_epoch: i32,
    pub outcomes: Vec<CodeOutcome>,
}

/// Why nobody was made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// Between the look and the redemption the codes ceased to open anything.
    #[error("no code opens anything")]
    OpensNothing(Vec<CodeOutcome>),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for SignUpError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Makes a provisional learner, whether or not anybody has the address, and redeems the codes for them.
pub async fn sign_up(app: &App, new: &SignUp, now: DateTime<Utc>) -> Result<SignedUp, SignUpError> {
    let hash = passwords::hash(app, new.password.clone()).await?;
    let mut key = Some(key(new));
    for _ in 0..ROUNDS {
        match once(app, new, &hash, key, now).await {
            Ok(Once::New(signed_up)) => return Ok(signed_up),
            Ok(Once::Before(learner)) => match again(app, new, learner, now).await? {
                Some(signed_up) => return Ok(signed_up),
                // The same browser, address and codes with another password is somebody else, or wants to be.
                None => key = None,
            },
            Err(SignUpError::Fault(fault)) if fault.is_conflict() || matches!(fault, Fault::Busy(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Fault::Busy("sign-ups").into())
}

enum Once {
    New(SignedUp),
    Before(LearnerId),
}

/// One try, one transaction.
async fn once(
    app: &App,
    new: &SignUp,
    hash: &PasswordHash,
    key: Option<[u8; 32]>,
    now: DateTime<Utc>,
) -> Result<Once, SignUpError> {
    let mut tx = app.begin().await?;
    let person = NewPerson {
        first_name: new.first_name.clone(),
        last_name: new.last_name.clone(),
        email: new.email.clone(),
        password_hash: hash.clone(),
        locale: None,
    };
    let learner = accounts::sign_up_provisional(&mut tx, app, &new.client, person, now).await?;
    if let Some(key) = key
        && let Some(before) = store::claim_sign_up(&mut tx, new.client.id, &key, learner, now).await?
    {
        return Ok(Once::Before(before));
    }
    let outcomes = redeem_within(&mut tx, &app.entropy, &order(new, learner, now)).await?;
    let is_in =
        |outcome: &CodeOutcome| matches!(outcome.result, CodeResult::Redeemed { .. } | CodeResult::WaitsForAddress);
    if !outcomes.iter().any(is_in) {
        return Err(SignUpError::OpensNothing(outcomes));
    }
    app.commit(tx).await?;
    Ok(Once::New(SignedUp { learner, session_epoch: 1, outcomes }))
}

/// The learner whom the same sign-up made before, where the password is theirs.
async fn again(
    app: &App,
    new: &SignUp,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<Option<SignedUp>, SignUpError> {
    if !accounts::is_provisional_password(app, new.client.id, learner, &new.password).await? {
        return Ok(None);
    }
    let Some(person) = store::person(&app.db, new.client.id, learner, None).await? else { return Ok(None) };
    let outcomes = redeem(app, order(new, learner, now)).await?;
    Ok(Some(SignedUp { learner, session_epoch: person.session_epoch, outcomes }))
}

fn order(new: &SignUp, learner: LearnerId, now: DateTime<Utc>) -> RedeemOrder {
    RedeemOrder {
        client: new.client.clone(),
        learner,
        verified_email: None,
        codes: new.codes.clone(),
        actor: Actor::Learner(learner),
        reference: Some(new.reference.clone()),
        now,
    }
}

/// What makes two sign-ups the same one.
fn key(new: &SignUp) -> [u8; 32] {
    let mut keys: Vec<&str> = new.codes.iter().map(CodeText::key).collect();
    keys.sort_unstable();
    new.browser.digest(&format!("sign-up\n{}\n{}\n{}", new.client.id, new.email.key(), keys.join("\n")))
}

/// Removes the places of sign-ups older than a day, for the clean-up; says how many.
pub async fn forget_sign_ups(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    store::remove_sign_ups(conn, now - Duration::days(1), limit).await
}
