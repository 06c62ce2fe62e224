//! What a signed-in learner changes of their own: the password, the address, and, before the proof, an address that was
//! mistyped. Each asks for the password once more.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;

use super::{
    PasswordHash,
    confirm::{Visit, live},
    passwords,
    proofs::{self, Kind, Letter, Spent},
    reset,
    retry::retried,
    session, store, store_proofs,
    throttle::{self, Visitor},
    trail::Occasion,
};
use crate::{
    app::App,
    audit::{Actor, Values},
    clients::ClientFacts,
    fault::Fault,
    ids::{AccountId, ClientId, LearnerId},
    learners::{self, EmailAddress},
    mail::{self, MailKind, NewMail},
    sessions::SessionToken,
};

/// By what a learner signs in, as their own page shows it.
#[derive(Debug, Clone)]
pub struct Own {
    pub learner: LearnerId,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    /// The address of the account, or the one that waits for its proof; the profile's where there is neither.
    pub email: Option<EmailAddress>,
    pub means: Means,
}

/// What lets them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// An account, whose address is proved.
    Account(AccountId),
    /// A provisional password.
    Provisional,
    /// Single sign-on alone.
    SsoOnly,
}

/// Reads what a learner's own page shows.
pub async fn own(app: &App, client: ClientId, learner: LearnerId) -> Result<Option<Own>, Fault> {
    let mut conn = app.acquire().await?;
    let Some(found) = learners::store_local::find(&mut conn, client, learner).await? else { return Ok(None) };
    let account = store::account_of_learner(&mut conn, client, learner).await?;
    let is_provisional = store::provisional_password(&mut conn, client, learner).await?.is_some();
    let (address, means) = match account {
        Some(account) => (Some(account.email), Means::Account(account.id)),
        None if is_provisional => (found.profile.email, Means::Provisional),
        None => (found.profile.email, Means::SsoOnly),
    };
    Ok(Some(Own {
        learner,
        first_name: found.profile.first_name,
        last_name: found.profile.last_name,
        locale: found.profile.locale,
        email: address.as_deref().and_then(EmailAddress::parse),
        means,
    }))
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("the password is wrong")]
    Wrong,
    #[error("too many wrong passwords; wait {0:?}")]
    Wait(Duration),
    /// There is no password of one's own to ask for, or what there was has changed meanwhile.
    #[error("there is nothing of one's own to change")]
    NotOwn,
    #[error(transparent)]
    Spent(#[from] Spent),
    /// Only whoever has the mailbox of the new address is told.
    #[error("the new address belongs to another account or learner")]
    Taken,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Asks for the learner's own password, slowed like a sign-in.
pub async fn ask_password(
    app: &App,
    client: &ClientFacts,
    visitor: &Visitor,
    own: &Own,
    password: &SecretString,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let email = own.email.as_ref().ok_or(ChangeError::NotOwn)?;
    let admitted = throttle::begin(app, visitor, email, now).await?.map_err(ChangeError::Wait)?;
    let hash = {
        let mut conn = app.acquire().await?;
        match own.means {
            Means::Account(_) => {
                store::account_of_learner(&mut conn, client.id, own.learner).await?.and_then(|one| one.password_hash)
            }
            Means::Provisional => store::provisional_password(&mut conn, client.id, own.learner).await?,
            Means::SsoOnly => return Err(ChangeError::NotOwn),
        }
    };
    if passwords::verify(app, vec![hash], password).await?.is_none() {
        return Err(ChangeError::Wrong);
    }
    match own.means {
        Means::Account(_) => admitted.went_well(app, email, now).await.map(drop)?,
        Means::Provisional | Means::SsoOnly => admitted.was_unproved(app).await?,
    }
    Ok(())
}

/// Sets another password; every other session of the account ends, this browser gets a fresh one.
pub async fn change_password(
    app: &App,
    visit: &Visit<'_>,
    own: &Own,
    password: &PasswordHash,
) -> Result<SessionToken, ChangeError> {
    let Visit { client, now, .. } = *visit;
    let Means::Account(account) = own.means else { return Err(ChangeError::NotOwn) };
    let mut tx = app.begin().await?;
    let (address, learner) = store::lock_account(&mut tx, client.id, account).await?.ok_or(ChangeError::NotOwn)?;
    let learner = learner.filter(|learner| *learner == own.learner).ok_or(ChangeError::NotOwn)?;
    let email = EmailAddress::parse(&address).ok_or(ChangeError::NotOwn)?;
    store::set_password(&mut tx, account, password, now).await?;
    let ended = reset::changed(&mut tx, app, client, account, &email, learner, "change", visit.reference, now).await?;
    begin_anew(app, tx, visit, learner, &ended).await
}

/// Commits, tells Redis of the sessions that ended, and begins one for this browser.
async fn begin_anew(
    app: &App,
    mut tx: sqlx::Transaction<'static, sqlx::Postgres>,
    visit: &Visit<'_>,
    learner: LearnerId,
    ended: &[(ClientId, LearnerId)],
) -> Result<SessionToken, ChangeError> {
    let found = learners::store_local::find(&mut tx, visit.client.id, learner).await?.ok_or(ChangeError::NotOwn)?;
    app.commit(tx).await?;
    reset::end_sessions(app, ended).await?;
    Ok(session::begin(app, visit.client, learner, found.session_epoch, visit.replaces, visit.now).await?)
}

/// Mails the link that proves a new address, to that address. Answered the same whether or not somebody has it. For a
/// provisional learner, whose address was never proved, the new one takes its place at once.
pub async fn ask_change(app: &App, visit: &Visit<'_>, own: &Own, email: &EmailAddress) -> Result<(), ChangeError> {
    let Visit { client, now, .. } = *visit;
    let kind = if own.means == Means::Provisional { Kind::Confirm } else { Kind::Change };
    let may_mail = reset::may_mail(app, email, kind).await?;
    let mut tx = app.begin().await?;
    let occasion = occasion(app, visit, own.learner);
    let (kind, mail, account) = match own.means {
        Means::Account(account) => (Kind::Change, MailKind::ChangeEmail, Some(account)),
        Means::Provisional => {
            let learner = learners::store::lock(&mut tx, client.id, own.learner).await?;
            let learner = learner.filter(|learner| !learner.profile.email_verified).ok_or(ChangeError::NotOwn)?;
            learners::store_local::correct_address(&mut tx, client.id, own.learner, (email.as_str(), email.key()), now)
                .await?;
            store_proofs::kill_of_learner(&mut tx, client.id, own.learner, now).await?;
            let values = Values {
                learner: Some(own.learner),
                before: json!({ "email": learner.profile.email }),
                after: json!({ "email": email.as_str() }),
            };
            let facts = json!({ "learner": own.learner, "changed": ["email"] });
            occasion.tell(&mut tx, "learner.updated", own.learner, facts, Some(values)).await?;
            (Kind::Confirm, MailKind::ConfirmEmail, None)
        }
        Means::SsoOnly => return Err(ChangeError::NotOwn),
    };
    let locale = own.locale.as_deref();
    let letter = Letter { kind, mail, learner: own.learner, account, email, to_name: "", locale };
    if may_mail && proofs::mail_link(&mut tx, app, client, &letter, now).await? {
        let facts = json!({ "learner": own.learner, "mail": mail.as_str() });
        occasion.record(&mut tx, "learner.link_mailed", Some(own.learner), None, facts, None).await?;
    }
    app.commit(tx).await?;
    Ok(())
}

/// Mails a provisional learner their link once more.
pub async fn send_again(app: &App, visit: &Visit<'_>, own: &Own) -> Result<(), ChangeError> {
    let Visit { client, now, .. } = *visit;
    let email = own.email.as_ref().filter(|_| own.means == Means::Provisional).ok_or(ChangeError::NotOwn)?;
    if !reset::may_mail(app, email, Kind::Confirm).await? {
        return Ok(());
    }
    let mut tx = app.begin().await?;
    let has_account = store::exists(&mut tx, email.key()).await?;
    let mail = if has_account { MailKind::AccountExists } else { MailKind::ConfirmEmail };
    let locale = own.locale.as_deref();
    let letter = Letter { kind: Kind::Confirm, mail, learner: own.learner, account: None, email, to_name: "", locale };
    if proofs::mail_link(&mut tx, app, client, &letter, now).await? {
        let facts = json!({ "learner": own.learner, "mail": mail.as_str() });
        let occasion = occasion(app, visit, own.learner);
        occasion.record(&mut tx, "learner.link_mailed", Some(own.learner), None, facts, None).await?;
    }
    app.commit(tx).await?;
    Ok(())
}

/// Gives an account its new address, once: the mailbox is proved by the link, the person by the account's password,
/// which the caller has asked for. The learners who had the old address get the new one; every other session ends.
pub async fn change_address(
    app: &App,
    visit: &Visit<'_>,
    token: &str,
    account: AccountId,
) -> Result<(LearnerId, SessionToken), ChangeError> {
    // Two links of one account at once wait for each other.
    retried(|| change_address_once(app, visit, token, account)).await
}

async fn change_address_once(
    app: &App,
    visit: &Visit<'_>,
    token: &str,
    account: AccountId,
) -> Result<(LearnerId, SessionToken), ChangeError> {
    let Visit { client, now, .. } = *visit;
    let hash = proofs::token_hash(token).ok_or(Spent::Unknown)?;
    let mut tx = app.begin().await?;
    let proof = live(store_proofs::lock(&mut tx, client.id, &hash).await?, &[Kind::Change], now)?;
    if proof.account != Some(account) {
        return Err(Spent::Unknown.into());
    }
    let (old, learner) = store::lock_account(&mut tx, client.id, account).await?.ok_or(Spent::Expired)?;
    let learner = learner.ok_or(Spent::Expired)?;
    let broken = || Fault::Corrupt("an address of an account".into());
    let (old, new) = EmailAddress::parse(&old).zip(EmailAddress::parse(&proof.email)).ok_or_else(broken)?;
    store_proofs::mark_used(&mut tx, client.id, &hash, now).await?;
    store_proofs::kill_of_account(&mut tx, account, now).await?;
    store::set_address(&mut tx, account, &new, now).await.map_err(taken)?;
    let moved = store::move_learners(&mut tx, account, &old, &new, now).await.map_err(taken)?;
    if learners::store::is_taken(&mut tx, client.id, learner, new.key()).await? {
        return Err(ChangeError::Taken);
    }
    let occasion = occasion(app, visit, learner);
    for (other, one) in moved {
        let own = if other == client.id {
            occasion
        } else {
            Occasion { client: other, actor: Actor::System, reference: None, ..occasion }
        };
        let values = Values {
            learner: Some(one),
            before: json!({ "email": old.as_str() }),
            after: json!({ "email": new.as_str() }),
        };
        let facts = json!({ "learner": one, "changed": ["email"] });
        own.tell(&mut tx, "learner.updated", one, facts, Some(values)).await?;
    }
    let ended = store::end_sessions_of_account(&mut tx, account, now).await?;
    let ended: Vec<(ClientId, LearnerId)> = ended.into_iter().map(|(client, door)| (client, door.learner)).collect();
    let mail = NewMail {
        kind: MailKind::EmailChanged,
        to: old.as_str(),
        to_name: "",
        locale: None,
        path: None,
        values: json!({ "at": now, "new_email": masked(new.as_str()) }),
        about: None,
    };
    mail::queue(&mut tx, app, client.id, mail, now).await?;
    Ok((learner, begin_anew(app, tx, visit, learner, &ended).await?))
}

fn occasion<'a>(app: &'a App, visit: &Visit<'a>, learner: LearnerId) -> Occasion<'a> {
    Occasion {
        entropy: &app.entropy,
        client: visit.client.id,
        actor: Actor::Learner(learner),
        reference: Some(visit.reference),
        now: visit.now,
    }
}

fn taken(fault: Fault) -> ChangeError {
    match fault.constraint() {
        Some("accounts_email_unique" | "learners_verified_email_unique") => ChangeError::Taken,
        _ => ChangeError::Fault(fault),
    }
}

/// An address that its owner recognises and nobody else learns: `z•••@acme.example`.
fn masked(address: &str) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}•••@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_keeps_its_first_letter_and_its_domain() {
        assert_eq!(masked("zoë.müller@acme.example"), "z•••@acme.example");
    }
}
