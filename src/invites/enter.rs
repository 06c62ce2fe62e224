//! Accepting with a password or in a session: one transaction in which account, learner, grant and acceptance are made.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{
    accept::{How, NotAccepted, accept_within},
    store_accept::Offered,
};
use crate::{
    access::By,
    accounts::{self, CheckError, JoinError, Joined, NewPerson, Visitor, Weak, passwords},
    app::App,
    audit::Actor,
    clients::ClientFacts,
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners::EmailAddress,
};

/// What the invited person typed.
pub(super) struct Typed<'a> {
    pub first_name: &'a str,
    pub last_name: &'a str,
    pub password: SecretString,
}

/// Why nobody came in.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotEntered {
    #[error("the password is not taken: {0}")]
    Weak(Weak),
    #[error("address and password do not fit")]
    Wrong,
    #[error("too many wrong passwords; wait {0:?}")]
    Wait(Duration),
    #[error("the learner is suspended")]
    Suspended,
    #[error("the learner who has the address belongs to another account")]
    Taken,
    #[error(transparent)]
    NotAccepted(NotAccepted),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<CheckError> for NotEntered {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Wrong => Self::Wrong,
            CheckError::Wait(wait) => Self::Wait(wait),
            CheckError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<JoinError> for NotEntered {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Suspended => Self::Suspended,
            JoinError::Taken => Self::Taken,
            // Whoever meets an account asks for its password; one that comes and goes in between is told to try again.
            JoinError::AccountExists => Self::Fault(Fault::Busy("accounts of one address")),
            JoinError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<NotAccepted> for NotEntered {
    fn from(error: NotAccepted) -> Self {
        match error {
            NotAccepted::Fault(fault) => Self::Fault(fault),
            NotAccepted::Suspended => Self::Suspended,
            other => Self::NotAccepted(other),
        }
    }
}

/// Accepts with a password: of the account that the address has, else a new one. A form that is sent twice finds its own
/// account the second time, and ends the same.
pub(super) async fn with_password(
    app: &App,
    client: &ClientFacts,
    offered: &Offered,
    visitor: &Visitor,
    typed: &Typed<'_>,
    (reference, now): (&str, DateTime<Utc>),
) -> Result<Joined, NotEntered> {
    let email = EmailAddress::parse(&offered.email).ok_or_else(|| Fault::Corrupt("an invite's address".into()))?;
    let has_account = accounts::exists(&mut *app.acquire().await?, email.key()).await?;
    if !has_account && offered.status.is_open() {
        match with_new(app, client, offered, &email, typed, (reference, now)).await {
            Err(Unentered::AccountExists) => {}
            Err(Unentered::Other(error)) => return Err(error),
            Ok(joined) => return Ok(joined),
        }
    }
    let account = accounts::check_password(app, visitor, client, &email, &typed.password, now).await?;
    let mut tx = app.begin().await?;
    let names = (offered.first_name.as_str(), offered.last_name.as_str());
    let joined = accounts::join(&mut tx, app, client, account, names, now).await?;
    let by = by(joined.learner, reference);
    accept_within(&mut tx, &app.entropy, client.id, offered.id, joined.learner, (How::Password, &by), now).await?;
    app.commit(tx).await?;
    Ok(joined)
}

enum Unentered {
    /// Somebody, or the same form a moment ago, has made the account.
    AccountExists,
    Other(NotEntered),
}

impl<E: Into<NotEntered>> From<E> for Unentered {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

async fn with_new(
    app: &App,
    client: &ClientFacts,
    offered: &Offered,
    email: &EmailAddress,
    typed: &Typed<'_>,
    (reference, now): (&str, DateTime<Utc>),
) -> Result<Joined, Unentered> {
    let hints = passwords::hints(typed.first_name, typed.last_name, email.as_str(), &client.name);
    if let Err(weak) = passwords::judged(app, &typed.password, hints).await? {
        return Err(Unentered::Other(NotEntered::Weak(weak)));
    }
    let person = NewPerson {
        first_name: typed.first_name.to_owned(),
        last_name: typed.last_name.to_owned(),
        email: email.clone(),
        password_hash: passwords::hash(app, typed.password.clone()).await?,
        locale: None,
    };
    let mut tx = app.begin().await?;
    let joined = match accounts::create_proved(&mut tx, app, client, person, now).await {
        Err(JoinError::AccountExists) => return Err(Unentered::AccountExists),
        other => other?,
    };
    let by = by(joined.learner, reference);
    accept_within(&mut tx, &app.entropy, client.id, offered.id, joined.learner, (How::Password, &by), now).await?;
    app.commit(tx).await?;
    Ok(joined)
}

/// Accepts for a learner who is signed in.
pub(super) async fn in_session(
    app: &App,
    client: ClientId,
    offered: &Offered,
    learner: LearnerId,
    (reference, now): (&str, DateTime<Utc>),
) -> Result<(), NotEntered> {
    let mut tx = app.begin().await?;
    let by = by(learner, reference);
    accept_within(&mut tx, &app.entropy, client, offered.id, learner, (How::Session, &by), now).await?;
    app.commit(tx).await?;
    Ok(())
}

fn by(learner: LearnerId, reference: &str) -> By {
    By { actor: Actor::Learner(learner), reference: Some(reference.to_owned()) }
}
