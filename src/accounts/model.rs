//! People as they come: what they typed of themselves.

use super::PasswordHash;
use crate::{ids::LearnerId, learners::EmailAddress};

/// The longest first or last name.
const NAME_LENGTH: usize = 200;

/// Somebody who chose a password.
#[derive(Debug, Clone)]
pub struct NewPerson {
    pub first_name: String,
    pub last_name: String,
    pub email: EmailAddress,
    pub password_hash: PasswordHash,
    pub locale: Option<String>,
}

/// A name as it is kept: trimmed, without control characters, not longer than a name may be.
pub fn clean_name(text: &str) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(NAME_LENGTH).collect()
}

/// A learner as far as signing in needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Door {
    pub learner: LearnerId,
    pub epoch: i32,
    pub is_active: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_without_what_is_no_name() {
        assert_eq!(clean_name("  Zoë\u{0}\r\nMüller "), "ZoëMüller");
        assert_eq!(clean_name(&"x".repeat(500)).len(), 200);
    }
}
