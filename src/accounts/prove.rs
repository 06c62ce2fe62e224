//! What the proof of an address makes of a provisional learner: verified, or merged into the learner of the client who
//! is that person already. Nothing that was set before the proof survives it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    PasswordHash,
    merge::{self, AddressProved, Merging},
    store, store_proofs,
    trail::Occasion,
};
use crate::{
    access::By,
    app::App,
    audit::Actor,
    clients::ClientFacts,
    fault::Fault,
    ids::{AccountId, LearnerId},
    learners::{self, EmailAddress, Learner, LearnerStatus},
};

/// By what the person signs in from now on.
#[derive(Clone)]
pub enum Credential {
    /// A password chosen after the proof, for an address without an account.
    New(PasswordHash),
    /// The account of the address, which has just signed in.
    Account(AccountId),
    /// None: the client lets nobody in by password.
    None,
}

/// Why the proof makes nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The learner is proved already, gone, or has another address by now.
    #[error("there is nothing left to prove")]
    Over,
    /// Somebody made an account for the address meanwhile: it is asked for its sign-in.
    #[error("the address has an account")]
    AccountExists,
    #[error("the learner is suspended")]
    Suspended,
    /// The learner who has the address signs in with an account of another address.
    #[error("the learner who has the address belongs to another account")]
    Taken,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ProveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// The learner who the person is from now on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proven {
    pub learner: LearnerId,
    pub epoch: i32,
}

/// What is proved, and in which request.
pub(super) struct Claim<'a> {
    pub client: &'a Arc<ClientFacts>,
    /// The provisional learner.
    pub learner: LearnerId,
    /// The address that was proved.
    pub email: &'a EmailAddress,
    pub credential: &'a Credential,
    pub reference: &'a str,
    pub now: DateTime<Utc>,
}

/// Makes the proof true, in the caller's transaction.
pub(super) async fn prove(conn: &mut PgConnection, app: &App, claim: &Claim<'_>) -> Result<Proven, ProveError> {
    let Claim { client, email, now, .. } = *claim;
    let account = credential_of(conn, app, claim).await?;
    let (provisional, holder) = lock_both(conn, claim, account).await?;
    let target = holder.as_ref().unwrap_or(&provisional);
    if [&provisional, target].iter().any(|learner| learner.status == LearnerStatus::Suspended) {
        return Err(ProveError::Suspended);
    }
    let occasion = Occasion {
        entropy: &app.entropy,
        client: client.id,
        actor: Actor::Learner(target.id),
        reference: Some(claim.reference),
        now,
    };
    let by = By { actor: occasion.actor, reference: Some(claim.reference.to_owned()) };
    if let Some(account) = account
        && !store::link(conn, client.id, target.id, account, now).await?
    {
        return Err(ProveError::Taken);
    }
    store::delete_provisional_password(conn, client.id, provisional.id).await?;
    store_proofs::kill_of_learner(conn, client.id, provisional.id, now).await?;
    let facts = json!({ "learner": target.id, "provisional": provisional.id });
    occasion.tell(conn, "learner.email_verified", target.id, facts, None).await?;
    let epoch = if target.id == provisional.id {
        learners::store_local::verify_address(conn, client.id, target.id, now).await?
    } else {
        let merging = Merging { client: client.clone(), from: provisional.id, to: target.id, by: by.clone(), now };
        merge::merge(conn, app, &merging, &occasion).await?;
        target.session_epoch
    };
    let proved = AddressProved { client: client.clone(), learner: target.id, email: email.clone(), by, now };
    (app.proofs.address_proved)(app, conn, &proved).await?;
    Ok(Proven { learner: target.id, epoch })
}

/// The account that stands behind the learner from now on.
async fn credential_of(conn: &mut PgConnection, app: &App, claim: &Claim<'_>) -> Result<Option<AccountId>, ProveError> {
    let (email, key) = (claim.email.as_str(), claim.email.key());
    match claim.credential {
        Credential::None => Ok(None),
        Credential::New(hash) => {
            let account: AccountId = app.entropy.id(claim.now);
            let is_new = store::insert_account(conn, account, email, key, hash, claim.now).await?;
            if is_new { Ok(Some(account)) } else { Err(ProveError::AccountExists) }
        }
        Credential::Account(account) => {
            let held = store::lock_account(conn, claim.client.id, *account).await?;
            // Its address may have changed since it signed in.
            let is_its = held.is_some_and(|(address, _)| EmailAddress::parse(&address).is_some_and(|a| a.key() == key));
            if is_its { Ok(Some(*account)) } else { Err(ProveError::Over) }
        }
    }
}

/// Locks the provisional learner and the one whom they are merged into, in the order of their ids like everybody: the
/// learner behind the account, else the one who has the address verified.
async fn lock_both(
    conn: &mut PgConnection,
    claim: &Claim<'_>,
    account: Option<AccountId>,
) -> Result<(Learner, Option<Learner>), ProveError> {
    let (client, key) = (claim.client.id, claim.email.key());
    let behind = match account {
        Some(account) => store::lock_account(conn, client, account).await?.and_then(|(_, learner)| learner),
        None => None,
    };
    let holder = match behind {
        Some(learner) => Some(learner),
        None => learners::store::find_by_verified_email(conn, client, key).await?.map(|learner| learner.id),
    };
    let mut ids: Vec<LearnerId> = [Some(claim.learner), holder].into_iter().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut locked = Vec::with_capacity(ids.len());
    for id in ids {
        locked.extend(learners::store::lock(conn, client, id).await?);
    }
    let find = |id: LearnerId| locked.iter().find(|learner| learner.id == id).cloned();
    let provisional = find(claim.learner).ok_or(ProveError::Over)?;
    let profile = &provisional.profile;
    if profile.email_verified || profile.email_key.as_deref() != Some(key) {
        return Err(ProveError::Over);
    }
    match holder {
        None => Ok((provisional, None)),
        Some(holder) => {
            let gone = || Fault::Busy("proofs of one address");
            let holder = find(holder).ok_or_else(gone)?;
            let still_holds =
                behind.is_some() || (holder.profile.email_verified && holder.profile.email_key.as_deref() == Some(key));
            if still_holds { Ok((provisional, Some(holder))) } else { Err(gone().into()) }
        }
    }
}
