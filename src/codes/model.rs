//! A code with what it offers, and what it is worth to somebody at one moment: pure.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::text::CodeText;
use crate::{
    access::Source,
    audit::Actor,
    clients::ClientFacts,
    fault::Fault,
    ids::{BatchId, ClientId, CodeId, LearnerId, RegistrationCodeId, SublicenseId},
    learners::EmailAddress,
};

/// The two kinds of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One code, many learners.
    Registration,
    /// One code, one learner.
    Redemption,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Redemption => "redemption",
        }
    }

    pub(super) fn read(word: &str) -> Result<Self, Fault> {
        match word {
            "registration" => Ok(Self::Registration),
            "redemption" => Ok(Self::Redemption),
            other => Err(Fault::Corrupt(format!("`{other}` is no kind of code"))),
        }
    }

    pub(super) const fn source(self) -> Source {
        match self {
            Self::Registration => Source::RegistrationCode,
            Self::Redemption => Source::RedemptionCode,
        }
    }

    /// A code's id as people see it, and as grants name their source.
    pub(super) fn show(self, code: Uuid) -> String {
        match self {
            Self::Registration => RegistrationCodeId::from(code).to_string(),
            Self::Redemption => CodeId::from(code).to_string(),
        }
    }

    /// The id of what the code belongs to.
    pub(super) fn show_offer(self, offer: Uuid) -> String {
        match self {
            Self::Registration => RegistrationCodeId::from(offer).to_string(),
            Self::Redemption => BatchId::from(offer).to_string(),
        }
    }
}

/// Where a code stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodeState {
    Unused,
    Redeemed,
    Revoked,
}

impl CodeState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Redeemed => "redeemed",
            Self::Revoked => "revoked",
        }
    }

    pub(super) fn read(word: &str) -> Result<Self, Fault> {
        match word {
            "unused" => Ok(Self::Unused),
            "redeemed" => Ok(Self::Redeemed),
            "revoked" => Ok(Self::Revoked),
            other => Err(Fault::Corrupt(format!("`{other}` is no state of a code"))),
        }
    }
}

/// A code with the terms of its offer.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub id: Uuid,
    pub key: String,
    pub state: CodeState,
    pub offer: Uuid,
    pub kind: Kind,
    pub version: i64,
    pub active: bool,
    pub starts_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub access_days: Option<i32>,
    pub access_ends_at: Option<DateTime<Utc>>,
    pub email_domains: Vec<String>,
    pub max_redemptions: Option<i32>,
    pub times_redeemed: i32,
    pub sublicenses: Vec<SublicenseId>,
}

/// Why a code is worth nothing, for the audit trail only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The client has no such code; another client may.
    Unknown,
    Disabled,
    Revoked,
    WrongDomain,
}

impl Hidden {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "codes.unknown",
            Self::Disabled => "codes.disabled",
            Self::Revoked => "codes.revoked",
            Self::WrongDomain => "codes.wrong_domain",
        }
    }
}

/// What a code is worth to somebody, seats aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// Good once the address is verified, if its domain fits then.
    WaitsForAddress,
    /// This learner has redeemed it.
    AlreadyUsedByYou,
    Expired,
    UsedUp,
    NotYet(DateTime<Utc>),
    /// One neutral answer; the reason is for the audit trail.
    NotValid(Hidden),
}

/// Who would redeem.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    pub verified_email: Option<&'a EmailAddress>,
    /// Whether this learner has redeemed this very code, and it was not taken back.
    pub has_redeemed: bool,
    /// Whether the client asks for a verified address of this person first.
    pub must_verify_first: bool,
}

impl Code {
    /// What the code is worth now.
    pub fn judge(&self, bearer: Bearer<'_>, now: DateTime<Utc>) -> Verdict {
        if bearer.has_redeemed {
            return Verdict::AlreadyUsedByYou;
        }
        if !self.active {
            return Verdict::NotValid(Hidden::Disabled);
        }
        if self.state == CodeState::Revoked {
            return Verdict::NotValid(Hidden::Revoked);
        }
        if self.expires_at.is_some_and(|end| end <= now) || self.access_ends_at.is_some_and(|end| end <= now) {
            return Verdict::Expired;
        }
        let is_at_maximum = self.max_redemptions.is_some_and(|most| self.times_redeemed >= most);
        if self.state == CodeState::Redeemed || is_at_maximum {
            return Verdict::UsedUp;
        }
        if let Some(start) = self.starts_at.filter(|start| now < *start) {
            return Verdict::NotYet(start);
        }
        match bearer.verified_email {
            None if bearer.must_verify_first || !self.email_domains.is_empty() => Verdict::WaitsForAddress,
            Some(email) if !self.fits(email) => Verdict::NotValid(Hidden::WrongDomain),
            None | Some(_) => Verdict::Good,
        }
    }

    /// Whether the address is of one of the code's domains, or of a sub-domain of one.
    fn fits(&self, email: &EmailAddress) -> bool {
        let is_of = |domain: &String| {
            email.domain() == domain || email.domain().strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        };
        self.email_domains.is_empty() || self.email_domains.iter().any(is_of)
    }

    /// The id as people see it.
    pub fn shown(&self) -> String {
        self.kind.show(self.id)
    }
}

/// Codes that one learner wants to redeem.
#[derive(Debug, Clone)]
pub struct RedeemOrder {
    pub client: Arc<ClientFacts>,
    pub learner: LearnerId,
    /// The learner's address, where it is verified.
    pub verified_email: Option<EmailAddress>,
    pub codes: Vec<CodeText>,
    pub actor: Actor,
    pub reference: Option<String>,
    pub now: DateTime<Utc>,
}

impl RedeemOrder {
    pub(super) fn client_id(&self) -> ClientId {
        self.client.id
    }
}

/// What came of one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeOutcome {
    pub text: CodeText,
    pub result: CodeResult,
}

/// How a redemption ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeResult {
    /// Access began, grew longer or higher.
    Redeemed {
        sublicenses: Vec<SublicenseId>,
    },
    /// The learner has as much already; the code is not used.
    AlreadyHave,
    /// The learner had redeemed this code before; nothing changes.
    AlreadyUsedByYou,
    /// Remembered until the address is verified.
    WaitsForAddress,
    /// No seat is left; the code is not used, and the admins are told.
    SeatsFull,
    Expired,
    UsedUp,
    NotYet(DateTime<Utc>),
    /// An admin removed the learner from what the code grants.
    Blocked,
    /// One neutral answer for whatever must not be told apart.
    NotValid,
}
