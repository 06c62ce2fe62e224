//! Signing in with a password: the account of the address first, else one of its newest provisional learners. A failure
//! looks and costs the same, whatever there is.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    confirm::{self, Visit},
    model::Door,
    passwords,
    prove::ProveError,
    session,
    store::{self, Account, PROVISIONAL_TRIED, Provisional},
    throttle::{self, Visitor},
    trail::Occasion,
};
use crate::{
    app::App,
    audit::Actor,
    cache::{Allowance, Key},
    clients::ClientFacts,
    fault::Fault,
    ids::{AccountId, ClientId, LearnerId},
    learners::{self, EmailAddress},
    sessions::SessionToken,
};

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such address here, or another password. Nobody is told which.
    #[error("address and password do not fit")]
    Wrong,
    #[error("too many wrong passwords; wait {0:?}")]
    Wait(Duration),
    /// Told only to whoever knows the password.
    #[error("the learner is suspended")]
    Suspended,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a password of an account is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("address and password do not fit")]
    Wrong,
    #[error("too many wrong passwords; wait {0:?}")]
    Wait(Duration),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<CheckError> for SignInError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Wrong => Self::Wrong,
            CheckError::Wait(wait) => Self::Wait(wait),
            CheckError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// What a sign-in hands to the browser.
pub struct SignedIn {
    pub learner: LearnerId,
    pub session: SessionToken,
    /// The mark by which the browser is known next time, for the cookie [`throttle::KNOWN_BROWSER`]; none before the
    /// address is proved.
    pub mark: Option<String>,
}

/// Who signs in, from where.
pub struct Attempt<'a> {
    pub visitor: &'a Visitor,
    pub email: &'a EmailAddress,
    pub password: &'a SecretString,
    /// The session that the browser had with this client.
    pub replaces: Option<&'a SessionToken>,
    pub reference: &'a str,
}

/// Checks the password and begins a session. The caller has asked whether the client allows passwords.
pub async fn sign_in(
    app: &App,
    client: &Arc<ClientFacts>,
    attempt: &Attempt<'_>,
    now: DateTime<Utc>,
) -> Result<SignedIn, SignInError> {
    let admitted = throttle::begin(app, attempt.visitor, attempt.email, now).await?.map_err(SignInError::Wait)?;
    let (account, provisional) = {
        let mut conn = app.acquire().await?;
        let account = store::account_by_email(&mut conn, client.id, attempt.email.key()).await?;
        (account, store::provisional_by_email(&mut conn, client.id, attempt.email.key()).await?)
    };
    let who = who(app, account.as_ref(), &provisional, attempt.password).await?;
    let is_owner = match who {
        Found::Learner(_) | Found::Provisional { .. } => true,
        Found::Unproved(_) | Found::Nobody => false,
    };
    let found = match who {
        Found::Learner(door) | Found::Unproved(door) => Some(door),
        Found::Provisional { account, learner } => adopt(app, client, attempt, account, learner, now).await?,
        Found::Nobody => None,
    };
    let Some(door) = found else {
        let known = account.as_ref().and_then(|account| account.door).or(provisional.first().map(|one| one.door));
        tell_refused(app, client.id, attempt.reference, known, "sign_in.password.wrong", now).await?;
        return Err(SignInError::Wrong);
    };
    let mark = if is_owner {
        Some(admitted.went_well(app, attempt.email, now).await?)
    } else {
        admitted.was_unproved(app).await?;
        None
    };
    if !door.is_active {
        tell_refused(app, client.id, attempt.reference, Some(door), "login.learner.suspended", now).await?;
        return Err(SignInError::Suspended);
    }
    if let Some(account) = account.as_ref().filter(|account| account.door == Some(door)) {
        renew(app, account, attempt.password).await?;
    }
    let mut tx = app.begin().await?;
    learners::store::touch_last_login(&mut tx, client.id, door.learner, now).await?;
    let occasion = Occasion {
        entropy: &app.entropy,
        client: client.id,
        actor: Actor::Learner(door.learner),
        reference: Some(attempt.reference),
        now,
    };
    let facts = json!({ "learner": door.learner, "how": "password" });
    occasion.record(&mut tx, "sign_in.succeeded", Some(door.learner), None, facts, None).await?;
    app.commit(tx).await?;
    let session = session::begin(app, client, door.learner, door.epoch, attempt.replaces, now).await?;
    Ok(SignedIn { learner: door.learner, session, mark })
}

/// Whom a password fits.
enum Found {
    Learner(Door),
    /// A provisional learner, by the password of their own.
    Unproved(Door),
    /// The account, which has no learner here, only a provisional one of its address.
    Provisional {
        account: AccountId,
        learner: LearnerId,
    },
    Nobody,
}

/// The sign-in of the account proves the address of the provisional learner.
async fn adopt(
    app: &App,
    client: &Arc<ClientFacts>,
    attempt: &Attempt<'_>,
    account: AccountId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<Option<Door>, SignInError> {
    let visit = Visit { client, replaces: attempt.replaces, reference: attempt.reference, now };
    match confirm::adopt(app, &visit, account, attempt.email, learner).await {
        Ok(proven) => Ok(proven.map(|one| Door { learner: one.learner, epoch: one.epoch, is_active: true })),
        Err(ProveError::Suspended) => Err(SignInError::Suspended),
        Err(ProveError::Over | ProveError::AccountExists | ProveError::Taken) => Ok(None),
        Err(ProveError::Fault(fault)) => Err(fault.into()),
    }
}

/// Whom the password lets in. As many comparisons for every address, so that a failure tells nothing by its time.
async fn who(
    app: &App,
    account: Option<&Account>,
    provisional: &[Provisional],
    password: &SecretString,
) -> Result<Found, Fault> {
    let mut hashes = vec![account.and_then(|account| account.password_hash.clone())];
    hashes.extend((0..PROVISIONAL_TRIED).map(|at| provisional.get(at).map(|one| one.password_hash.clone())));
    Ok(match passwords::verify(app, hashes, password).await? {
        None => Found::Nobody,
        Some(0) => match (account, provisional.first()) {
            (Some(Account { door: Some(door), .. }), _) => Found::Learner(*door),
            (Some(account), Some(newest)) => Found::Provisional { account: account.id, learner: newest.door.learner },
            _ => Found::Nobody,
        },
        Some(at) => provisional.get(at - 1).map_or(Found::Nobody, |one| Found::Unproved(one.door)),
    })
}

/// Checks the password of an account, wherever it has learners, for what needs its owner's sign-in. Slowed like a
/// sign-in.
pub async fn check_password(
    app: &App,
    visitor: &Visitor,
    client: &ClientFacts,
    email: &EmailAddress,
    password: &SecretString,
    now: DateTime<Utc>,
) -> Result<AccountId, CheckError> {
    let admitted = throttle::begin(app, visitor, email, now).await?.map_err(CheckError::Wait)?;
    let account =
        store::account_by_email(&mut *app.acquire().await.map_err(CheckError::Fault)?, client.id, email.key()).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let fits = passwords::verify(app, vec![hash], password).await?.is_some();
    let Some(account) = account.filter(|_| fits) else { return Err(CheckError::Wrong) };
    admitted.went_well(app, email, now).await?;
    renew(app, &account, password).await?;
    Ok(account.id)
}

/// Hashes anew what was hashed at another cost than the settings name now.
async fn renew(app: &App, account: &Account, password: &SecretString) -> Result<(), Fault> {
    let Some(old) = account.password_hash.as_ref().filter(|hash| passwords::is_outdated(app, hash)) else {
        return Ok(());
    };
    let new = passwords::hash(app, password.clone()).await?;
    let mut tx = app.begin().await?;
    store::renew_hash(&mut tx, account.id, old, &new).await?;
    app.commit(tx).await
}

/// Records a refusal. Guesses could be sent without end: past the configured rate they are counted and leave no row.
async fn tell_refused(
    app: &App,
    client: ClientId,
    reference: &str,
    known: Option<Door>,
    code: &'static str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    metrics::counter!("usher_sign_ins_refused", "code" => code).increment(1);
    let rate = app.settings.limits.refused_records_per_connection;
    if app.cache.allow(&Key::of_client(client, "refused", "passwords"), rate).await? != Allowance::Allowed {
        metrics::counter!("usher_refused_records_left_out").increment(1);
        return Ok(());
    }
    let occasion = Occasion { entropy: &app.entropy, client, actor: Actor::Anonymous, reference: Some(reference), now };
    let mut tx = app.begin().await?;
    record_refused(&mut tx, &occasion, known, code).await?;
    app.commit(tx).await
}

async fn record_refused(
    conn: &mut PgConnection,
    occasion: &Occasion<'_>,
    known: Option<Door>,
    code: &str,
) -> Result<(), Fault> {
    let facts = json!({ "how": "password" });
    occasion.record(conn, "sign_in.refused", known.map(|door| door.learner), Some(code), facts, None).await
}
