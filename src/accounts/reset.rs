//! A forgotten password: a link by mail, good once and for an hour, that sets a new one and ends every session.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    PasswordHash,
    confirm::live,
    passwords,
    proofs::{self, Kind, Letter, Spent},
    retry::retried,
    store, store_proofs, throttle,
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
    mail::{self, MailKind, NewMail},
    sessions,
};

/// Mails a link, where the address has one to get: the link of its account where that has a learner here or waits for a
/// proof, else the one that confirms a provisional learner. The caller is answered the same in every case.
pub async fn ask(
    app: &App,
    client: &ClientFacts,
    email: &EmailAddress,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut tx = app.begin().await?;
    let account = store::account_by_email(&mut tx, client.id, email.key()).await?;
    let provisional = store::provisional_by_email(&mut tx, client.id, email.key()).await?;
    let newest = provisional.first().map(|one| one.door);
    let door = account.as_ref().and_then(|account| account.door).or(newest);
    let Some(door) = door.filter(|door| door.is_active) else { return Ok(()) };
    let (kind, mail) = match &account {
        Some(_) => (Kind::Reset, MailKind::PasswordReset),
        None => (Kind::Confirm, MailKind::ConfirmEmail),
    };
    // Only what is mailed counts: asking where the address is unknown takes nothing from where it is known.
    if !may_mail(app, email, kind).await? {
        return Ok(());
    }
    let account = account.map(|account| account.id);
    let learner = learners::store_local::find(&mut tx, client.id, door.learner).await?;
    let profile = learner.map(|learner| learner.profile).unwrap_or_default();
    // A name is mailed only where the address is known to be that person's.
    let to_name = if profile.email_verified { profile.first_name.as_str() } else { "" };
    let locale = profile.locale.as_deref();
    let letter = Letter { kind, mail, learner: door.learner, account, email, to_name, locale };
    if proofs::mail_link(&mut tx, app, client, &letter, now).await? {
        let occasion = Occasion {
            entropy: &app.entropy,
            client: client.id,
            actor: Actor::Anonymous,
            reference: Some(reference),
            now,
        };
        let facts = json!({ "learner": door.learner, "mail": mail.as_str() });
        occasion.record(&mut tx, "learner.link_mailed", Some(door.learner), None, facts, None).await?;
    }
    app.commit(tx).await
}

/// Whether an address may get one more mail of a kind because somebody asked, by whichever client's form. Each kind has
/// its own share: who signs up with an address does not keep its owner from a new password.
pub(super) async fn may_mail(app: &App, email: &EmailAddress, kind: Kind) -> Result<bool, Fault> {
    let key = Key::global("mails-to", format!("{}:{}", kind.as_str(), throttle::hidden(app, email)));
    Ok(app.cache.allow(&key, app.settings.accounts.mails_per_address).await? == Allowance::Allowed)
}

/// A link that is open, and what others know of its person.
pub struct Opened {
    pub email: EmailAddress,
    pub hints: Vec<String>,
}

/// Looks at a link that sets a password; changes nothing.
pub async fn look(
    app: &App,
    client: &ClientFacts,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Result<Opened, Spent>, Fault> {
    let Some(hash) = proofs::token_hash(token) else { return Ok(Err(Spent::Unknown)) };
    let mut conn = app.acquire().await?;
    let proof = match live(store_proofs::find(&mut conn, client.id, &hash).await?, &[Kind::Reset], now) {
        Ok(proof) => proof,
        Err(spent) => return Ok(Err(spent)),
    };
    let email = EmailAddress::parse(&proof.email).ok_or(Fault::Corrupt("an address of a proof".into()))?;
    let learner = learners::store_local::find(&mut conn, client.id, proof.learner).await?;
    let profile = learner.map(|learner| learner.profile).unwrap_or_default();
    let hints = passwords::hints(&profile.first_name, &profile.last_name, email.as_str(), &client.name);
    Ok(Ok(Opened { email, hints }))
}

/// Why no password was set.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ResetError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Sets the password, once; ends every session of every learner of the account, kills its open links, and says so by
/// mail.
pub async fn reset(
    app: &App,
    client: &ClientFacts,
    token: &str,
    password: &PasswordHash,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<(), ResetError> {
    // Two links of one account at once wait for each other.
    retried(|| reset_once(app, client, token, password, reference, now)).await
}

async fn reset_once(
    app: &App,
    client: &ClientFacts,
    token: &str,
    password: &PasswordHash,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<(), ResetError> {
    let hash = proofs::token_hash(token).ok_or(Spent::Unknown)?;
    let mut tx = app.begin().await?;
    let proof = live(store_proofs::lock(&mut tx, client.id, &hash).await?, &[Kind::Reset], now)?;
    let account = proof.account.ok_or(Spent::Unknown)?;
    let (address, _) = store::lock_account(&mut tx, client.id, account).await?.ok_or(Spent::Expired)?;
    let email = EmailAddress::parse(&address).filter(|email| email.key() == proof.email_key).ok_or(Spent::Expired)?;
    store_proofs::mark_used(&mut tx, client.id, &hash, now).await?;
    store::set_password(&mut tx, account, password, now).await?;
    let ended = changed(&mut tx, app, client, account, &email, proof.learner, "reset", reference, now).await?;
    app.commit(tx).await?;
    throttle::forgive(app, &email).await?;
    end_sessions(app, &ended).await?;
    Ok(())
}

/// What a changed password entails, in its transaction: every session and open link ends, and the owner is told.
#[allow(clippy::too_many_arguments)]
pub(super) async fn changed(
    conn: &mut sqlx::PgConnection,
    app: &App,
    client: &ClientFacts,
    account: AccountId,
    email: &EmailAddress,
    learner: LearnerId,
    how: &'static str,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<Vec<(ClientId, LearnerId)>, Fault> {
    store_proofs::kill_of_account(conn, account, now).await?;
    let ended = store::end_sessions_of_account(conn, account, now).await?;
    let occasion = Occasion {
        entropy: &app.entropy,
        client: client.id,
        actor: Actor::Learner(learner),
        reference: Some(reference),
        now,
    };
    let facts = json!({ "learner": learner, "how": how });
    occasion.tell(conn, "learner.password_changed", learner, facts, None).await?;
    for (other, door) in &ended {
        // Of another client no event names who did it, or where: it has nobody of ours to know.
        let own = if *other == client.id {
            occasion
        } else {
            Occasion { client: *other, actor: Actor::System, reference: None, ..occasion }
        };
        own.record(conn, "learner.sessions_ended", Some(door.learner), Some("password_changed"), json!({}), None)
            .await?;
    }
    let mail = NewMail {
        kind: MailKind::PasswordChanged,
        to: email.as_str(),
        to_name: "",
        locale: None,
        path: Some("/password/forgot".to_owned()),
        values: json!({ "at": now }),
        about: None,
    };
    mail::queue(conn, app, client.id, mail, now).await?;
    Ok(ended.into_iter().map(|(client, door)| (client, door.learner)).collect())
}

/// Tells Redis of sessions that are dead by their epoch.
pub(super) async fn end_sessions(app: &App, ended: &[(ClientId, LearnerId)]) -> Result<(), Fault> {
    for (client, learner) in ended {
        sessions::end_all_of_learner(app, *client, *learner).await?;
    }
    Ok(())
}
