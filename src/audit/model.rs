//! What an audit event is made of.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::ids::{ClientId, ConnectionId, LearnerId, TokenId};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A caller of the admin API.
    Token(TokenId),
    /// A learner, in their own session.
    Learner(LearnerId),
    /// An identity provider, by what it asserted at a sign-in.
    Idp(ConnectionId),
    /// The gateway itself: a job, the command line.
    System,
    /// Nobody that was proved.
    Anonymous,
}

impl Actor {
    /// The kind, as stored.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Learner(_) => "learner",
            Self::Idp(_) => "idp",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    /// The id, where there is one.
    pub fn id(self) -> Option<String> {
        match self {
            Self::Token(id) => Some(id.to_string()),
            Self::Learner(id) => Some(id.to_string()),
            Self::Idp(id) => Some(id.to_string()),
            Self::System | Self::Anonymous => None,
        }
    }
}

/// Personal values before and after, kept apart from the event.
#[derive(Debug, Clone)]
pub struct Values {
    /// Whose they are; erasing this learner deletes them.
    pub learner: Option<LearnerId>,
    pub before: Value,
    pub after: Value,
}

/// An event about to be written.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// `None` for what concerns no client.
    pub client: Option<ClientId>,
    pub at: DateTime<Utc>,
    /// `noun.verb`, such as `connection.updated`.
    pub action: &'static str,
    pub actor: Actor,
    /// The id of what it was done to.
    pub target: Option<String>,
    /// A stable reason code.
    pub reason: Option<&'a str>,
    /// The reference of the request.
    pub reference: Option<&'a str>,
    /// Ids, field names, counts and codes; never a personal value.
    pub facts: Value,
    pub values: Option<Values>,
}
