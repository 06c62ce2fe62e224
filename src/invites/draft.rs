//! An invite as an admin writes it, and whether it holds.

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{model::NewInvite, store};
use crate::{
    admin::{Invalid, present},
    claims::Role,
    clients::{self, is_locale, is_plain_text},
    fault::Fault,
    ids::ClientId,
    learners::EmailAddress,
};

const MAX_NAME: usize = 200;
const MAX_MESSAGE: usize = 2000;
const MAX_SUBLICENSES: usize = 100;
const MAX_DAYS: i64 = 365;

/// An invite about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteDraft {
    pub email: String,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
    /// Ids or slugs; the client's default one where absent.
    #[serde(default, deserialize_with = "present")]
    pub sublicenses: Option<Vec<String>>,
    #[serde(default)]
    pub role: Role,
    /// The language of the mail, as a BCP 47 tag.
    #[serde(default)]
    pub locale: Option<String>,
    /// Plain text for the mail, at most 2,000 characters.
    #[serde(default)]
    pub message: Option<String>,
    /// At most a year ahead; the client's `invite_ttl_days` from now where absent.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a draft is no invite.
pub(super) enum Unfit {
    Invalid(Invalid),
    Fault(Fault),
}

impl From<Invalid> for Unfit {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl InviteDraft {
    /// The invite, with every value checked and every sublicense found.
    pub(super) async fn read(
        self,
        conn: &mut PgConnection,
        client: ClientId,
        now: DateTime<Utc>,
    ) -> Result<NewInvite, Unfit> {
        let email = self.check(now)?;
        let sublicenses = match &self.sublicenses {
            Some(names) => clients::sublicenses_named(conn, client, names).await??,
            None => {
                let default = store::default_sublicense(conn, client).await?;
                vec![default.ok_or_else(|| Fault::Corrupt("a client without a default sublicense".into()))?]
            }
        };
        let text = |text: String| text.trim().to_owned();
        Ok(NewInvite {
            email,
            first_name: text(self.first_name),
            last_name: text(self.last_name),
            locale: self.locale,
            role: self.role,
            sublicenses,
            message: self.message.map(text),
            expires_at: self.expires_at,
        })
    }

    fn check(&self, now: DateTime<Utc>) -> Result<EmailAddress, Invalid> {
        let mut invalid = Invalid::default();
        let email = EmailAddress::parse(&self.email);
        if email.is_none() {
            invalid.push("invites.email", "/email", "write one e-mail address, such as name@company.example");
        }
        for (pointer, name) in [("/first_name", &self.first_name), ("/last_name", &self.last_name)] {
            if !name.is_empty() && !is_plain_text(name, MAX_NAME, false) {
                invalid.push("api.invalid", pointer, "a name has at most 200 characters");
            }
        }
        if self.locale.as_ref().is_some_and(|locale| !is_locale(locale)) {
            invalid.push("api.invalid", "/locale", "write a language tag such as en or de-CH");
        }
        if self.message.as_ref().is_some_and(|message| !is_plain_text(message, MAX_MESSAGE, true)) {
            invalid.push("api.invalid", "/message", "a message is plain text of 1 to 2000 characters");
        }
        if self.expires_at.is_some_and(|end| end <= now || end > now + Duration::days(MAX_DAYS)) {
            invalid.push("api.invalid", "/expires_at", "a time to come, at most 365 days ahead");
        }
        let count = self.sublicenses.as_ref().map_or(1, Vec::len);
        if !(1..=MAX_SUBLICENSES).contains(&count) {
            invalid.push("api.invalid", "/sublicenses", "name 1 to 100 sublicenses, or leave the field out");
        }
        invalid.finish()?;
        email.ok_or_else(|| Invalid::field("invites.email", "/email", "write one e-mail address"))
    }
}
