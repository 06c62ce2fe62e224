//! Accepting an invite, whichever way the person came: the reservation becomes the grant, inside the caller's
//! transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    link::Link,
    model::InviteStatus,
    store_accept::{self as store, Acceptor, Offered},
};
use crate::{
    access::{Answer, By, Full, Ledger, Offer, Source},
    audit::{self, NewEvent},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, InviteId, LearnerId, SublicenseId},
    learners::LearnerStatus,
    mail,
};

/// How the person proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By the link and a password, new or known.
    Password,
    /// They were signed in already.
    Session,
    /// Single sign-on that carried the invite.
    Sso,
    /// They came another way, and have the invited address, verified.
    Address,
}

impl How {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Session => "session",
            Self::Sso => "sso",
            Self::Address => "address",
        }
    }
}

/// What was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The same learner had accepted it before: nothing was done now.
    pub was_before: bool,
    /// What the learner may see since.
    pub sublicenses: Vec<SublicenseId>,
}

/// Why an invite was not accepted. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// There is none, or it is this and no longer open: accepted by somebody else, expired, revoked.
    #[error("the invite is not open")]
    NotOpen(Option<InviteStatus>),
    /// The learner's address is another one; both are masked.
    #[error("the invite is for another address")]
    OtherAddress { invited: String, own: Option<String> },
    /// The address is the invited one, and nothing proved that it is the learner's.
    #[error("the address is not proved")]
    Unproved { invited: String },
    #[error("the learner is suspended")]
    Suspended,
    #[error("an admin removed the learner from what the invite offers")]
    Blocked,
    #[error("no seat is left")]
    SeatsFull(Full),
    /// All that it offered is over or deleted.
    #[error("what the invite offers is over")]
    Over,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An open invite, as its link shows it to whoever starts single sign-on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInvite {
    pub id: InviteId,
    /// The address invited: a hint for the identity provider.
    pub email: String,
}

/// The invite of a link, if it may be accepted at `now` and no newer link replaces this one.
pub async fn find_open(
    conn: &mut PgConnection,
    client: ClientId,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<OpenInvite>, Fault> {
    let Some(link) = Link::read(token) else { return Ok(None) };
    let found = store::by_link(conn, client, &link).await?;
    let open = found.filter(|(invite, is_replaced)| !is_replaced && is_open(invite, now));
    Ok(open.map(|(invite, _)| OpenInvite { id: invite.id, email: invite.email }))
}

fn is_open(invite: &Offered, now: DateTime<Utc>) -> bool {
    invite.status.at(invite.expires_at, now).is_open()
}

/// Accepts an invite for a learner whose address is verified and is the invited one, or one that the client's setting
/// allows. The reserved seats become the grant's, so call it before anything else takes seats for the learner. What of
/// the offer is over or blocked meanwhile is left out; where nothing is left, it is refused. The same learner accepting
/// twice is one acceptance.
pub async fn accept_within(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    invite: InviteId,
    learner: LearnerId,
    (how, by): (How, &By),
    now: DateTime<Utc>,
) -> Result<Accepted, NotAccepted> {
    let seen = open(conn, client, invite, learner, now).await?;
    let seen = match seen {
        Ok(offered) => offered,
        Err(before) => return Ok(before),
    };
    let mut ledger = Ledger::open(conn, client, &[learner], &seen.sublicenses, now).await?;
    ledger.know_reservations(conn, &[invite.uuid()]).await?;
    store::lock(conn, client, invite).await?;
    let offered = match open(conn, client, invite, learner, now).await? {
        Ok(offered) => offered,
        Err(before) => return Ok(before),
    };
    if offered.sublicenses != seen.sublicenses {
        return Err(Fault::Busy("an invite that is being renewed").into());
    }
    if ledger.status(learner) == Some(LearnerStatus::Suspended) {
        return Err(NotAccepted::Suspended);
    }
    let acceptor = store::acceptor(conn, client, learner).await?.ok_or(NotAccepted::NotOpen(None))?;
    check_address(&offered, &acceptor)?;
    let sublicenses = take(&mut ledger, &offered, learner, by)?;
    store::mark_accepted(conn, client, invite, learner, now).await?;
    ledger.write(conn, entropy).await?;
    mail::withdraw(conn, client, &[invite.to_string()], now).await?;
    tell(conn, entropy, client, invite, learner, (how, by), &sublicenses, now).await?;
    Ok(Accepted { was_before: false, sublicenses })
}

/// The invite while it is open; what was accepted before where the same learner did.
async fn open(
    conn: &mut PgConnection,
    client: ClientId,
    invite: InviteId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<Result<Offered, Accepted>, NotAccepted> {
    let offered = store::find(conn, client, invite).await?.ok_or(NotAccepted::NotOpen(None))?;
    if offered.status == InviteStatus::Accepted && offered.learner == Some(learner) {
        return Ok(Err(Accepted { was_before: true, sublicenses: offered.sublicenses }));
    }
    match offered.status.at(offered.expires_at, now) {
        status if status.is_open() => Ok(Ok(offered)),
        status => Err(NotAccepted::NotOpen(Some(status))),
    }
}

fn check_address(offered: &Offered, acceptor: &Acceptor) -> Result<(), NotAccepted> {
    let is_same = acceptor.email_key.as_deref() == Some(offered.email_key.as_str());
    if (is_same && acceptor.is_verified) || acceptor.is_of_the_client {
        return Ok(());
    }
    let invited = mask(&offered.email);
    if is_same {
        return Err(NotAccepted::Unproved { invited });
    }
    Err(NotAccepted::OtherAddress { invited, own: acceptor.email.as_deref().map(mask) })
}

/// Takes all that can be taken of the offer.
fn take(ledger: &mut Ledger, offered: &Offered, learner: LearnerId, by: &By) -> Result<Vec<SublicenseId>, NotAccepted> {
    let mut offer = Offer {
        learner,
        source: Source::Invite,
        source_ref: offered.id.to_string(),
        role: offered.role,
        sublicenses: offered.sublicenses.clone(),
        starts_at: None,
        ends_at: None,
        access_days: None,
        reservation: Some(offered.id.uuid()),
        overrides_block: false,
        by: by.clone(),
    };
    let mut refusal = NotAccepted::Over;
    while !offer.sublicenses.is_empty() {
        let gone = match ledger.look(&offer) {
            Answer::Changed { .. } | Answer::Nothing => {
                ledger.offer(&offer);
                return Ok(offer.sublicenses);
            }
            Answer::Full(full) => return Err(NotAccepted::SeatsFull(full)),
            Answer::NoLearner => return Err(NotAccepted::NotOpen(None)),
            Answer::Ended(gone) => gone,
            Answer::Blocked(gone) => {
                refusal = NotAccepted::Blocked;
                gone
            }
        };
        offer.sublicenses.retain(|sublicense| *sublicense != gone);
    }
    Err(refusal)
}

#[allow(clippy::too_many_arguments)]
async fn tell(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    invite: InviteId,
    learner: LearnerId,
    (how, by): (How, &By),
    sublicenses: &[SublicenseId],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let facts = json!({ "invite": invite, "learner": learner, "sublicenses": sublicenses, "how": how.as_str() });
    let event = NewEvent {
        client: Some(client),
        at: now,
        action: "invite.accepted",
        actor: by.actor,
        target: Some(invite.to_string()),
        reason: None,
        reference: by.reference.as_deref(),
        facts: facts.clone(),
        values: None,
    };
    audit::record(conn, entropy, event).await?;
    audit::announce(conn, entropy, client, "invite.accepted", facts, now).await
}

/// Uses up the open invite of an address that a learner has just proved another way: single sign-on, a confirmation, a
/// code. One indexed lookup where there is none. An invite that cannot be accepted stays as it is, and hinders nobody.
pub async fn consume_by_address(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    learner: LearnerId,
    email_key: &str,
    by: &By,
    now: DateTime<Utc>,
) -> Result<Option<Accepted>, Fault> {
    let Some(invite) = store::open_by_address(conn, client, email_key, now).await? else { return Ok(None) };
    match accept_within(conn, entropy, client, invite, learner, (How::Address, by), now).await {
        Ok(accepted) => Ok(Some(accepted)),
        Err(NotAccepted::Fault(fault)) => Err(fault),
        Err(_) => Ok(None),
    }
}

/// An address of which a stranger learns nothing and its owner knows it: `a•••@acme.example`.
pub(super) fn mask(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}•••@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Role;

    fn offered() -> Offered {
        Offered {
            id: uuid::Uuid::nil().into(),
            email: "Ada@acme.example".into(),
            email_key: "ada@acme.example".into(),
            first_name: String::new(),
            last_name: String::new(),
            role: Role::Learner,
            status: InviteStatus::Sent,
            expires_at: DateTime::UNIX_EPOCH,
            learner: None,
            sublicenses: vec![],
        }
    }

    fn acceptor(key: &str, is_verified: bool, is_of_the_client: bool) -> Acceptor {
        Acceptor { email: Some(key.to_owned()), email_key: Some(key.to_owned()), is_verified, is_of_the_client }
    }

    #[test]
    fn only_the_invited_address_verified_accepts() {
        assert!(check_address(&offered(), &acceptor("ada@acme.example", true, false)).is_ok());
        let unproved = check_address(&offered(), &acceptor("ada@acme.example", false, false));
        assert!(matches!(unproved, Err(NotAccepted::Unproved { .. })));
        let other = check_address(&offered(), &acceptor("eve@evil.example", true, false));
        let Err(NotAccepted::OtherAddress { invited, own }) = other else { unreachable!("refused") };
        assert_eq!((invited.as_str(), own.as_deref()), ("A•••@acme.example", Some("e•••@evil.example")));
        assert!(check_address(&offered(), &acceptor("bob@acme.example", true, true)).is_ok());
    }
}
