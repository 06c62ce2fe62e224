//! What an invite is, and what may come of making one.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    access::Full,
    claims::Role,
    fault::Fault,
    ids::{InviteId, LearnerId, SublicenseId},
    learners::EmailAddress,
};

/// How often one address may be sent an invite within [`SEND_WINDOW`]: the first mail, and three more. Reminders, which
/// follow the client's own schedule, do not count.
pub const MOST_SENDS: i64 = 4;
/// The day that [`MOST_SENDS`] counts.
pub const SEND_WINDOW: Duration = Duration::days(1);

/// Where an invite stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteStatus {
    /// Its mail waits to be sent.
    Pending,
    Sent,
    /// The mail came back. The link in it is good all the same.
    Bounced,
    Accepted,
    Expired,
    Revoked,
}

impl InviteStatus {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Bounced => "bounced",
            Self::Accepted => "accepted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        Ok(match text {
            "pending" => Self::Pending,
            "sent" => Self::Sent,
            "bounced" => Self::Bounced,
            "accepted" => Self::Accepted,
            "expired" => Self::Expired,
            "revoked" => Self::Revoked,
            other => return Err(Fault::Corrupt(format!("`{other}` is no status of an invite"))),
        })
    }

    /// Whether it may still be accepted, as far as its end allows.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Sent | Self::Bounced)
    }

    /// What it is at `now`: an end that has passed counts before the job has noted it.
    pub(super) fn at(self, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        if self.is_open() && expires_at <= now { Self::Expired } else { self }
    }
}

/// An offer by e-mail to one address. Its link is in the mail alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invite {
    pub id: InviteId,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub sublicenses: Vec<SublicenseId>,
    pub role: Role,
    /// The language of its mails; the client's where null.
    pub locale: Option<String>,
    pub message: Option<String>,
    pub status: InviteStatus,
    pub expires_at: DateTime<Utc>,
    /// Who accepted it.
    pub learner: Option<LearnerId>,
    /// The import that made it; null where it was made one by one.
    pub import: Option<String>,
    /// Mails to invite: the first one and each resend.
    pub times_sent: i32,
    pub reminders_sent: i32,
    /// When the last mail to invite was taken by a server; null while it waits.
    pub sent_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An invite about to be made, with every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvite {
    pub email: EmailAddress,
    pub first_name: String,
    pub last_name: String,
    pub locale: Option<String>,
    pub role: Role,
    /// At least one, each of this client.
    pub sublicenses: Vec<SublicenseId>,
    /// Plain text for the mail.
    pub message: Option<String>,
    /// After `now`; the client's days from now where absent.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is done for an address that has an open invite already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing is sent; the outcome says so.
    Leave,
    /// The invite is extended, offers what is new besides, and is sent anew; its earlier links die.
    Renew,
    /// The same, even where mail to the address came back or the invite has expired.
    Insist,
}

/// What came of one wish to invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Invited(InviteId),
    Renewed(InviteId),
    /// The address has an open invite, which stays as it is.
    AlreadyInvited(InviteId),
    /// A learner with this address, verified, may see all of it now, in this role or a higher one.
    AlreadyLearner(LearnerId),
    Suspended(LearnerId),
    /// An admin removed the learner from this sublicense.
    Blocked(LearnerId, SublicenseId),
    /// The address has an open invite whose mail came back.
    Bounced(InviteId),
    SeatsFull(Full),
    /// The address was sent as many invites as a day allows.
    TooOften {
        until: DateTime<Utc>,
    },
    /// The sublicense is over, or the client has none such.
    Ended(SublicenseId),
    /// The client is disabled, or its licence is over.
    Closed,
}

impl Outcome {
    /// Whether a mail goes out for it.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Invited(_) | Self::Renewed(_))
    }

    /// A stable word for it, for reports and the audit trail.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invited(_) => "invites.invited",
            Self::Renewed(_) => "invites.renewed",
            Self::AlreadyInvited(_) => "invites.already_invited",
            Self::AlreadyLearner(_) => "invites.already_learner",
            Self::Suspended(_) => "invites.learner_suspended",
            Self::Blocked(..) => "invites.learner_blocked",
            Self::Bounced(_) => "invites.bounced",
            Self::SeatsFull(_) => "invites.seats_full",
            Self::TooOften { .. } => "invites.too_often",
            Self::Ended(_) => "invites.sublicense_ended",
            Self::Closed => "invites.client_closed",
        }
    }
}
