//! Every reason why a sign-in is refused, in one form: a stable code, the side that must fix it, words for the admin, and
//! the kind of advice that the learner's page gives.

use crate::{
    access::Full, claims, http::text::redeem as said, invites::NotAccepted, learners::Refused, login::trail::FixSide,
};

/// What the learner is told to do; `http/text.rs` has the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Begin again: it was too late, used already, or begun in another browser.
    StartAgain,
    /// The browser keeps no cookies for us.
    AllowCookies,
    /// Their own IT desk must look at the identity provider or the connection.
    AskItDesk,
    /// The client's own words for whoever lacks something, where the mapping has some.
    NotEntitled(String),
    /// Nobody with this address or identity is expected here.
    AskForInvite,
    /// Every seat is taken.
    SeatsFull,
    /// The learner is suspended, or was removed.
    AccessStopped,
    /// The access is over.
    AccessEnded,
    /// This way to sign in is closed.
    WayClosed,
    /// The invite that came along is not taken; why, in words.
    InviteNotTaken(String),
    /// The codes that came along open nothing for this person.
    CodesOpenNothing,
    /// They belong to another client that the same connection serves: where each of theirs begins.
    Elsewhere(Vec<Door>),
}

/// Where a sign-in to a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The client's name.
    pub name: String,
    pub href: String,
}

/// Why a sign-in is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable, such as `login.saml.audience`.
    pub code: &'static str,
    pub side: FixSide,
    /// For the admin: what was found, what was wanted, which side must change what. Holds no claim value.
    pub explanation: String,
    pub advice: Advice,
}

impl Reason {
    fn new(code: &'static str, side: FixSide, advice: Advice, explanation: impl Into<String>) -> Self {
        Self { code, side, explanation: explanation.into(), advice }
    }

    /// What a protocol verifier refused.
    pub fn protocol(code: &'static str, side: FixSide, explanation: impl Into<String>) -> Self {
        let advice = if side == FixSide::Learner { Advice::StartAgain } else { Advice::AskItDesk };
        Self::new(code, side, advice, explanation)
    }

    /// No pending attempt of this browser fits.
    pub fn attempt_unknown() -> Self {
        Self::new(
            "login.attempt.unknown",
            FixSide::Learner,
            Advice::StartAgain,
            "The answer fits no sign-in that this browser has pending: it came too late, was used already, or was begun in another browser. The learner begins again.",
        )
    }

    /// A ticket that opens nothing on the client's own host.
    pub fn ticket_unknown() -> Self {
        Self::new(
            "login.ticket.unknown",
            FixSide::Learner,
            Advice::StartAgain,
            "The sign-in came home to the client's own host with a ticket that is good for nothing there: it is older than a minute, was used already, or belongs to another browser, host or connection. The learner begins again.",
        )
    }

    /// The browser sent no cookie although the page was re-posted from our own origin.
    pub fn no_cookie() -> Self {
        Self::new(
            "login.attempt.no_cookie",
            FixSide::Learner,
            Advice::AllowCookies,
            "The browser sent no cookie with the answer, so that it cannot be told whose sign-in it is. The learner allows cookies for this site and begins again.",
        )
    }

    /// The form did not hold a readable answer.
    pub fn malformed(what: &'static str) -> Self {
        Self::new("login.malformed", FixSide::Idp, Advice::AskItDesk, what)
    }

    /// The connection is a draft, disabled, or not ready.
    pub fn connection_closed() -> Self {
        Self::new(
            "login.connection.closed",
            FixSide::Admin,
            Advice::WayClosed,
            "The connection is not active. An admin activates it, or the learner takes another way in.",
        )
    }

    /// The connection changed between start and return.
    pub fn connection_changed() -> Self {
        Self::new(
            "login.connection.changed",
            FixSide::Learner,
            Advice::StartAgain,
            "The connection was changed while the learner was at the identity provider. The learner begins again.",
        )
    }

    /// Nothing in the claims names a client of a shared connection.
    pub fn client_unsaid(why: &str) -> Self {
        Self::new(
            "login.client.missing",
            FixSide::Idp,
            Advice::AskItDesk,
            format!(
                "The mapping's `client` finds nothing that names a client: {why}. The identity provider sends it, or the mapping looks elsewhere."
            ),
        )
    }

    /// What the claims name is not on the list of a shared connection.
    pub fn client_not_listed(names: usize) -> Self {
        Self::new(
            "login.client.not_listed",
            FixSide::Admin,
            Advice::AskItDesk,
            format!(
                "The mapping's `client` finds {names} values, and none is the slug or sku of a client that the connection lists. An operator lists the client, or the identity provider sends another value."
            ),
        )
    }

    /// The IdP's metadata has ended: SAML Metadata 2.0, 2.3.2, `validUntil`.
    pub fn metadata_expired() -> Self {
        Self::new(
            "login.saml.metadata_expired",
            FixSide::Idp,
            Advice::AskItDesk,
            "The identity provider's metadata is past its validUntil and no newer one could be read. Publish newer metadata, or give it to the connection.",
        )
    }

    /// The client is switched off.
    pub fn client_disabled() -> Self {
        Self::new(
            "login.client.disabled",
            FixSide::Admin,
            Advice::WayClosed,
            "The client is disabled. An operator enables it.",
        )
    }

    /// The client's licence is over.
    pub fn license_ended() -> Self {
        Self::new(
            "login.client.license_ended",
            FixSide::Admin,
            Advice::AccessEnded,
            "The client's licence has ended. An operator extends it.",
        )
    }

    /// A response that nobody asked for, where that is off.
    pub fn unsolicited() -> Self {
        Self::new(
            "login.saml.unsolicited",
            FixSide::Admin,
            Advice::StartAgain,
            "The identity provider sent a response that was not asked for, and the connection has IdP-initiated sign-in off.",
        )
    }

    /// The IdP ended its session while the sign-in was finishing.
    pub fn ended_by_idp() -> Self {
        Self::new(
            "login.session.ended_by_idp",
            FixSide::Learner,
            Advice::StartAgain,
            "The identity provider ended the session while the learner was signing in with it. The learner begins again.",
        )
    }

    /// The same assertion came again.
    pub fn replayed() -> Self {
        Self::new(
            "login.replayed",
            FixSide::Learner,
            Advice::StartAgain,
            "The identity provider's assertion was used already. Each opens one session only.",
        )
    }

    /// What the mapping refused.
    pub fn mapping(refusal: &claims::Refusal) -> Self {
        let advice = Advice::NotEntitled(if refusal.code == "mapping.required" {
            refusal.message.clone()
        } else {
            String::new()
        });
        let explanation = match refusal.code {
            "mapping.required" => "A requirement of the mapping is not met; the rules of the attempt tell which.",
            "mapping.nothing_granted" => {
                "No rule of the mapping grants anything for these claims, and it names no fallback."
            }
            _ => "An expression of the mapping failed; the rules of the attempt tell which.",
        };
        Self::new(refusal.code, FixSide::Mapping, advice, explanation)
    }

    /// What provisioning refused.
    pub fn provision(refused: Refused) -> Self {
        let (code, side, advice) = match refused {
            Refused::Suspended => ("login.learner.suspended", FixSide::Admin, Advice::AccessStopped),
            Refused::NotProvisioned => ("login.learner.not_provisioned", FixSide::Admin, Advice::AskForInvite),
            Refused::UntrustedDomain => ("login.link.untrusted_domain", FixSide::Admin, Advice::AskItDesk),
            Refused::LinkingOff => ("login.link.off", FixSide::Admin, Advice::AskItDesk),
            Refused::OtherSubject => ("login.link.other_subject", FixSide::Admin, Advice::AskItDesk),
        };
        Self::new(code, side, advice, format!("{}{}", capital(&refused.to_string()), "."))
    }

    /// Every sublicense that the mapping yields is blocked for the learner.
    pub fn blocked() -> Self {
        Self::new(
            "login.learner.blocked",
            FixSide::Admin,
            Advice::AccessStopped,
            "An admin removed the learner from every sublicense that the mapping yields. Clear a block to let them in again.",
        )
    }

    /// The mapping grants only sublicenses that the client does not have.
    pub fn unknown_sublicenses() -> Self {
        Self::new(
            "login.mapping.unknown_sublicense",
            FixSide::Mapping,
            Advice::AskItDesk,
            "The mapping grants only sublicenses that the client does not have. Correct the mapping, or make the sublicense.",
        )
    }

    /// Every access that the learner had or would get is over.
    pub fn access_ended() -> Self {
        Self::new(
            "login.access.ended",
            FixSide::Admin,
            Advice::AccessEnded,
            "Every access that the learner has or would get is over: the sublicense ended, or their days of access are used up.",
        )
    }

    /// No seat is left, and the learner has no other access.
    pub fn seats_full(full: Full) -> Self {
        match full {
            Full::Client => Self::new(
                "login.seats.client_full",
                FixSide::Admin,
                Advice::SeatsFull,
                "Every seat of the client is taken. An operator raises the limit, or an admin ends somebody's access.",
            ),
            Full::Sublicense(id) => Self::new(
                "login.seats.sublicense_full",
                FixSide::Admin,
                Advice::SeatsFull,
                format!(
                    "Every seat of the sublicense {id} is taken. An operator raises the limit, or an admin ends somebody's access."
                ),
            ),
        }
    }
}

/// What was brought along, and opens nothing.
impl Reason {
    /// The invite that came along was not accepted.
    pub fn invite(refused: &NotAccepted) -> Self {
        let (code, side, words) = match refused {
            NotAccepted::NotOpen(_) => ("login.invite.not_open", FixSide::Admin, said::INVITE_NOT_OPEN.to_owned()),
            NotAccepted::OtherAddress { invited, own } => {
                ("login.invite.other_address", FixSide::Learner, said::invite_of_another(invited, own.as_deref()))
            }
            NotAccepted::Unproved { invited } => {
                ("login.invite.unproved", FixSide::Admin, said::invite_unproved(invited))
            }
            NotAccepted::Suspended => ("login.invite.suspended", FixSide::Admin, said::INVITE_BLOCKED.to_owned()),
            NotAccepted::Blocked => ("login.invite.blocked", FixSide::Admin, said::INVITE_BLOCKED.to_owned()),
            NotAccepted::SeatsFull(_) => ("login.invite.seats_full", FixSide::Admin, said::INVITE_FULL.to_owned()),
            NotAccepted::Over | NotAccepted::Fault(_) => {
                ("login.invite.over", FixSide::Admin, said::INVITE_OVER.to_owned())
            }
        };
        let explanation = format!("The invite that came along was not accepted: {refused}.");
        Self::new(code, side, Advice::InviteNotTaken(words), explanation)
    }

    /// No seat is left for what the codes would open, and the learner has no other access.
    pub fn code_seats_full() -> Self {
        Self::new(
            "login.code.seats_full",
            FixSide::Admin,
            Advice::SeatsFull,
            "No seat is left for what the codes that came along open. An operator raises the limit, or an admin ends somebody's access.",
        )
    }

    /// The codes that came along open nothing for this learner, and neither does the mapping.
    pub fn codes_open_nothing() -> Self {
        Self::new(
            "login.code.opens_nothing",
            FixSide::Learner,
            Advice::CodesOpenNothing,
            "The codes that came along open nothing for this person, and neither does the mapping. The audit trail says of each code why.",
        )
    }

    /// The words for the person, where the advice has its own.
    pub fn message(&self) -> &str {
        match &self.advice {
            Advice::NotEntitled(words) | Advice::InviteNotTaken(words) => words,
            _ => "",
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Why a sign-in stops: somebody's decision, or the machinery.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("refused: {}", .0.code)]
    Refused(Reason),
    #[error(transparent)]
    Fault(#[from] crate::fault::Fault),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<crate::cache::CacheError> for Stop {
    fn from(error: crate::cache::CacheError) -> Self {
        Self::Fault(error.into())
    }
}
