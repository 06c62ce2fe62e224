//! A transaction that another about the same address or account has beaten is done again, a few times. What it leaves is
//! nothing, so that the second try reads what the winner has written.

use super::{change::ChangeError, confirm::ConfirmError, prove::ProveError, reset::ResetError};
use crate::fault::Fault;

const ROUNDS: usize = 3;

/// Does `attempt`, and again while it loses.
pub(super) async fn retried<T, E, F>(attempt: impl Fn() -> F) -> Result<T, E>
where
    E: Beaten,
    F: Future<Output = Result<T, E>>,
{
    for _ in 1..ROUNDS {
        match attempt().await {
            Err(error) if error.fault().is_some_and(is_race) => {}
            outcome => return outcome,
        }
    }
    attempt().await
}

/// Whether the same again may go well: another proof of the address won, or two transactions waited in a circle.
fn is_race(fault: &Fault) -> bool {
    fault.is_conflict()
        || matches!(fault, Fault::Busy(_))
        || fault.constraint() == Some("learners_verified_email_unique")
}

/// What an attempt may fail by.
pub(super) trait Beaten {
    fn fault(&self) -> Option<&Fault>;
}

impl Beaten for ConfirmError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) | Self::Prove(ProveError::Fault(fault)) => Some(fault),
            Self::Prove(_) | Self::Spent(_) => None,
        }
    }
}

impl Beaten for ProveError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Over | Self::AccountExists | Self::Suspended | Self::Taken => None,
        }
    }
}

impl Beaten for ResetError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Spent(_) => None,
        }
    }
}

impl Beaten for ChangeError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Wrong | Self::Wait(_) | Self::NotOwn | Self::Spent(_) | Self::Taken => None,
        }
    }
}
