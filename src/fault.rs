//! What can go wrong that is nobody's decision: PostgreSQL or Redis away, a sealed value that does not open. Every use
//! case carries it as one variant; at the edge it is a 503 or a 500 with a reference, and the cause goes to the log.

use crate::{cache::CacheError, crypto::SealError, db};

/// A failure of the machinery, never of the request.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("postgresql: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("sealing: {0}")]
    Seal(#[from] SealError),
    /// Something that was stored no longer reads as what it should be.
    #[error("stored data does not read: {0}")]
    Corrupt(String),
    /// A bounded queue is full: too much work of one kind at once.
    #[error("too busy: {0}")]
    Busy(&'static str),
    /// A part of the gateway could not be made at start.
    #[error("cannot start: {0}")]
    Start(String),
}

impl Fault {
    /// Whether trying again later may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => db::is_unavailable(error),
            Self::Cache(_) | Self::Busy(_) => true,
            Self::Seal(_) | Self::Corrupt(_) | Self::Start(_) => false,
        }
    }

    /// Whether the same transaction may go through when it is tried again at once: a deadlock, or a lost race.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Database(error) => db::is_conflict(error),
            _ => false,
        }
    }

    /// The constraint that refused a statement, where that is the cause.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(error) => db::violated_constraint(error),
            _ => None,
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
