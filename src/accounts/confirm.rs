//! Opening the link that was mailed: it shows what it is for, and does it when asked. A new password is chosen, or the
//! account of the address signs in; then the address is proved and a fresh session begins.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    passwords,
    proofs::{self, Kind, Proof, Spent},
    prove::{self, Claim, Credential, ProveError, Proven},
    retry::retried,
    session, store, store_proofs,
};
use crate::{
    app::App,
    clients::ClientFacts,
    fault::Fault,
    ids::{AccountId, ClientId, LearnerId},
    learners::{self, EmailAddress},
    sessions::{self, SessionToken},
};

/// What a link asks of whoever opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A new password: the address has no account.
    NewPassword,
    /// The password of the account that the address has.
    SignIn,
    /// Nothing but a yes: this client lets nobody in by password.
    Yes,
    /// The account's password, to change its address to the one of the link.
    Change,
}

/// A link that is open.
#[derive(Debug, Clone)]
pub struct Opened {
    pub asks: Asks,
    /// The address that the link was mailed to.
    pub email: EmailAddress,
    /// The address of the account that signs in.
    pub sign_in_as: EmailAddress,
    /// What others know of the person, for judging a new password.
    pub hints: Vec<String>,
}

/// Looks at a link that confirms or changes an address; changes nothing.
pub async fn look(
    app: &App,
    client: &ClientFacts,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Result<Opened, Spent>, Fault> {
    let Some(hash) = proofs::token_hash(token) else { return Ok(Err(Spent::Unknown)) };
    let mut conn = app.acquire().await?;
    let proof = match live(store_proofs::find(&mut conn, client.id, &hash).await?, &[Kind::Confirm, Kind::Change], now)
    {
        Ok(proof) => proof,
        Err(spent) => return Ok(Err(spent)),
    };
    let gone = || Fault::Corrupt("an address of a proof".into());
    let email = EmailAddress::parse(&proof.email).ok_or_else(gone)?;
    let learner = learners::store_local::find(&mut conn, client.id, proof.learner).await?.ok_or_else(gone)?;
    let profile = &learner.profile;
    let hints = passwords::hints(&profile.first_name, &profile.last_name, &proof.email, &client.name);
    if let Some(account) = proof.account {
        let Some((address, _)) = store::find_account(&mut conn, client.id, account).await? else {
            return Ok(Err(Spent::Expired));
        };
        let sign_in_as = EmailAddress::parse(&address).ok_or_else(gone)?;
        return Ok(Ok(Opened { asks: Asks::Change, email, sign_in_as, hints }));
    }
    if profile.email_verified || profile.email_key.as_deref() != Some(&proof.email_key) {
        return Ok(Err(Spent::Expired));
    }
    let asks = match (client.allows_passwords(), store::exists(&mut conn, email.key()).await?) {
        (false, _) => Asks::Yes,
        (true, true) => Asks::SignIn,
        (true, false) => Asks::NewPassword,
    };
    Ok(Ok(Opened { asks, sign_in_as: email.clone(), email, hints }))
}

/// A link of one of these kinds that is good now.
pub(super) fn live(found: Option<Proof>, kinds: &[Kind], now: DateTime<Utc>) -> Result<Proof, Spent> {
    let proof = found.filter(|proof| kinds.contains(&proof.kind)).ok_or(Spent::Unknown)?;
    proof.judge(now).map(|()| proof)
}

/// Why nothing was confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ConfirmError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// What the confirmation led to.
pub struct Confirmed {
    pub learner: LearnerId,
    /// The fresh session; none where the client lets nobody in by password.
    pub session: Option<SessionToken>,
}

/// In which request.
pub struct Visit<'a> {
    pub client: &'a Arc<ClientFacts>,
    /// The session that the browser had with this client.
    pub replaces: Option<&'a SessionToken>,
    pub reference: &'a str,
    pub now: DateTime<Utc>,
}

/// Proves the address of a link, once, and begins a session.
pub async fn confirm(
    app: &App,
    visit: &Visit<'_>,
    token: &str,
    credential: &Credential,
) -> Result<Confirmed, ConfirmError> {
    let (provisional, proven) = retried(|| confirm_once(app, visit, token, credential)).await?;
    end_provisional(app, visit.client.id, provisional).await?;
    let session = match credential {
        Credential::None => None,
        Credential::New(_) | Credential::Account(_) => Some(begin(app, visit, proven).await?),
    };
    Ok(Confirmed { learner: proven.learner, session })
}

/// The transaction of it: the learner of the link, and who they are from now on.
async fn confirm_once(
    app: &App,
    visit: &Visit<'_>,
    token: &str,
    credential: &Credential,
) -> Result<(LearnerId, Proven), ConfirmError> {
    let Visit { client, reference, now, .. } = *visit;
    let hash = proofs::token_hash(token).ok_or(Spent::Unknown)?;
    let mut tx = app.begin().await?;
    let proof = live(store_proofs::lock(&mut tx, client.id, &hash).await?, &[Kind::Confirm], now)?;
    // First: what the proof hands over or kills must find this one used.
    store_proofs::mark_used(&mut tx, client.id, &hash, now).await?;
    let email = EmailAddress::parse(&proof.email).ok_or(Fault::Corrupt("an address of a proof".into()))?;
    let claim = Claim { client, learner: proof.learner, email: &email, credential, reference, now };
    let proven = prove::prove(&mut tx, app, &claim).await?;
    app.commit(tx).await?;
    Ok((proof.learner, proven))
}

/// An account that signs in where it has no learner yet, only a provisional one of its address: its sign-in is the
/// proof. `None` where there is nothing to prove any more.
pub(super) async fn adopt(
    app: &App,
    visit: &Visit<'_>,
    account: AccountId,
    email: &EmailAddress,
    provisional: LearnerId,
) -> Result<Option<Proven>, ProveError> {
    let Visit { client, now, .. } = *visit;
    let credential = Credential::Account(account);
    let claim = Claim { client, learner: provisional, email, credential: &credential, reference: visit.reference, now };
    let proven = retried(|| async {
        let mut tx = app.begin().await?;
        let proven = prove::prove(&mut tx, app, &claim).await?;
        app.commit(tx).await?;
        Ok(proven)
    });
    match proven.await {
        Ok(proven) => {
            end_provisional(app, client.id, provisional).await?;
            Ok(Some(proven))
        }
        Err(ProveError::Over) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The sessions of before the proof are dead by their epoch, or with their record; Redis is told as well.
async fn end_provisional(app: &App, client: ClientId, learner: LearnerId) -> Result<(), Fault> {
    sessions::end_all_of_learner(app, client, learner).await.map(drop)
}

async fn begin(app: &App, visit: &Visit<'_>, proven: Proven) -> Result<SessionToken, Fault> {
    session::begin(app, visit.client, proven.learner, proven.epoch, visit.replaces, visit.now).await
}
