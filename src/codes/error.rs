//! Why an admin's wish about codes was not carried out.

use crate::{admin::Invalid, fault::Fault};

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error("there is nothing here")]
    NotFound,
    #[error("{0}")]
    Invalid(Invalid),
    #[error("this client has a code that reads so")]
    TextTaken,
    #[error("the code is redeemed; restore it first")]
    Redeemed,
    #[error("the batch is still being generated")]
    Filling,
    #[error("the rest of the batch is being revoked")]
    Revoking,
    #[error(transparent)]
    Fault(Fault),
}

impl From<Invalid> for CodeError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Fault> for CodeError {
    fn from(fault: Fault) -> Self {
        match fault.constraint() {
            Some("codes_key_unique") => Self::TextTaken,
            Some("code_fills_pkey") => Self::Filling,
            _ => Self::Fault(fault),
        }
    }
}
