//! What somebody offers a learner, and what may come of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{model::Source, seats::Full, store::GrantKey};
use crate::{
    audit::Actor,
    claims::Role,
    ids::{LearnerId, SublicenseId},
};

/// Who does it, and under which request's reference, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub actor: Actor,
    pub reference: Option<String>,
}

/// Access to one or several sublicenses for one learner; all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub learner: LearnerId,
    pub source: Source,
    /// What within the source offers it: the id of the code, invite or import. Never a code's text.
    pub source_ref: String,
    pub role: Role,
    pub sublicenses: Vec<SublicenseId>,
    /// When it begins; `None` is now.
    pub starts_at: Option<DateTime<Utc>>,
    /// Access ends at the earliest of this and of the days of access.
    pub ends_at: Option<DateTime<Utc>>,
    /// Days of access from its beginning; `None` leaves it to each sublicense.
    pub access_days: Option<i32>,
    /// Whose reserved seats it may use and then releases; see [`super::Ledger::know_reservations`].
    pub reservation: Option<Uuid>,
    /// An admin's own deed: goes past a block, and does not clear it.
    pub overrides_block: bool,
    pub by: By,
}

impl Offer {
    pub(super) fn key(&self, sublicense: SublicenseId) -> GrantKey {
        GrantKey { learner: self.learner, sublicense, source: self.source, source_ref: self.source_ref.clone() }
    }
}

/// What came of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The learner sees more than before.
    Changed { begun: Vec<SublicenseId>, lengthened: Vec<SublicenseId>, raised: Vec<SublicenseId> },
    /// The learner has as much already.
    Nothing,
    /// No seat is left.
    Full(Full),
    /// An admin removed the learner from this sublicense.
    Blocked(SublicenseId),
    /// The sublicense, the client's licence or the access offered is over.
    Ended(SublicenseId),
    /// The client has no such learner.
    NoLearner,
}

/// Which grants of a learner are to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub learner: LearnerId,
    /// Of this sublicense; `None` of all.
    pub sublicense: Option<SublicenseId>,
    /// Of this source and reference; `None` of all.
    pub source: Option<(Source, String)>,
    /// A stable reason: `admin`, `sync`, `restored`, `merged`, …
    pub reason: &'static str,
    pub by: By,
}
