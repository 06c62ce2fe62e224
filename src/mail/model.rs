//! What a mail is, which kinds there are, and what becomes of one.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::{
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, MailId},
};

/// What a mail is for. Its words are in `http/text/mail.rs`; what it says besides is [`MailValues`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// An admin invites somebody. Link; `message`, `expires_at`, `sublicenses`.
    Invite,
    /// The same once more, because it was not accepted yet. Link; `message`, `expires_at`, `sublicenses`.
    InviteReminder,
    /// Somebody signed up with this address. Link; `expires_at`.
    ConfirmEmail,
    /// Somebody asked for a new password. Link; `expires_at`.
    PasswordReset,
    /// The password was changed. The link, where there is one, leads to where it can be set again; `at`.
    PasswordChanged,
    /// Proof of a new address, sent to it. Link; `expires_at`.
    ChangeEmail,
    /// Notice of a new address, sent to the old one; `at`, and `new_email` masked.
    EmailChanged,
    /// Somebody signed up with an address that has an account. The link leads to the sign-in.
    AccountExists,
}

impl MailKind {
    pub const ALL: [Self; 8] = [
        Self::Invite,
        Self::InviteReminder,
        Self::ConfirmEmail,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::ChangeEmail,
        Self::EmailChanged,
        Self::AccountExists,
    ];

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::InviteReminder => "invite_reminder",
            Self::ConfirmEmail => "confirm_email",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::ChangeEmail => "change_email",
            Self::EmailChanged => "email_changed",
            Self::AccountExists => "account_exists",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Fault::Corrupt(format!("`{text}` is no kind of mail")))
    }

    /// Whether somebody waits for it before a screen, so that thousands of invites do not delay it.
    pub(super) const fn is_urgent(self) -> bool {
        !matches!(self, Self::Invite | Self::InviteReminder)
    }
}

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailStatus {
    /// Waiting for its first or its next try.
    Queued,
    /// A server has taken it.
    Sent,
    /// A server said that there is no such recipient.
    Bounced,
    /// Given up: refused for another reason, or tried too often.
    Dead,
    /// Taken back before it was sent.
    Withdrawn,
}

impl MailStatus {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Bounced => "bounced",
            Self::Dead => "dead",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        [Self::Queued, Self::Sent, Self::Bounced, Self::Dead, Self::Withdrawn]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Fault::Corrupt(format!("`{text}` is no state of a mail")))
    }
}

/// A mail as an admin sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MailView {
    pub id: MailId,
    pub kind: MailKind,
    pub status: MailStatus,
    pub to: String,
    pub name: String,
    /// What it is about, such as `inv_…` or `lrn_…`.
    pub about: Option<String>,
    /// The same at every try.
    pub message_id: String,
    pub attempts: i32,
    /// Why it was last not taken, such as `smtp.550.5.1.1` or `smtp.timeout`.
    pub answer: Option<String>,
    pub created_at: DateTime<Utc>,
    /// When it is tried next; null once it has come to an end.
    pub next_try_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// A mail about to be put in the outbox.
#[derive(Debug, Clone)]
pub struct NewMail<'a> {
    pub kind: MailKind,
    /// The recipient's address.
    pub to: &'a str,
    /// Their name; may be empty.
    pub to_name: &'a str,
    pub locale: Option<&'a str>,
    /// The path of its link below the client's site, such as `/invites/…`. Sealed while it waits.
    pub path: Option<String>,
    /// [`MailValues`] as JSON.
    pub values: serde_json::Value,
    /// The id of what it is about, such as `inv_…` or `lrn_…`: told to the [`Listener`], and what [`super::withdraw`]
    /// finds it by.
    pub about: Option<String>,
}

/// What the templates ask for. What a kind does not ask for is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailValues {
    /// What an admin wrote: plain text, shown as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Until when the link is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The names of what it opens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sublicenses: Vec<String>,
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// The new address, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_email: Option<String>,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailOutcome {
    /// A server has taken it.
    Sent,
    /// There is no such recipient.
    Bounced,
    /// Given up.
    Dead,
}

/// Is told what became of a mail that is about something, in the transaction that says so. Composed in `app.rs`.
/// It may lock what the mail is about; the mail itself is locked after it.
pub type Listener = for<'a> fn(
    &'a mut PgConnection,
    &'a Entropy,
    ClientId,
    &'a str,
    MailOutcome,
    DateTime<Utc>,
) -> BoxFuture<'a, Result<(), Fault>>;
