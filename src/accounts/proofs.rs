//! Links that prove an address: 256 bits, mailed to it, good once and for a while, in the client that mailed them. They
//! are kept for a day after they expire, so that whoever opens an old one is told so, and the limits of a day hold.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::store_proofs as store;
use crate::{
    app::App,
    clients::ClientFacts,
    crypto,
    fault::Fault,
    ids::{AccountId, LearnerId},
    learners::EmailAddress,
    mail::{self, MailKind, NewMail},
};

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A provisional learner proves their address.
    Confirm,
    /// The owner of an account sets a new password.
    Reset,
    /// The owner of an account changes its address to the one that the link was mailed to.
    Change,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reset => "reset",
            Self::Change => "change",
        }
    }

    pub fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "confirm" => Ok(Self::Confirm),
            "reset" => Ok(Self::Reset),
            "change" => Ok(Self::Change),
            other => Err(Fault::Corrupt(format!("`{other}` is no kind of proof"))),
        }
    }
}

/// A link as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    pub kind: Kind,
    pub learner: LearnerId,
    pub account: Option<AccountId>,
    /// The address that it was mailed to.
    pub email: String,
    pub email_key: String,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}

/// Why a link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// Never was, another client's, or long gone.
    #[error("there is no such link")]
    Unknown,
    #[error("the link has expired, or a newer one took its place")]
    Expired,
    #[error("the link was used already")]
    Used,
}

impl Proof {
    /// Whether it may be used at `now`.
    pub fn judge(&self, now: DateTime<Utc>) -> Result<(), Spent> {
        match self.used_at {
            Some(_) => Err(Spent::Used),
            None if self.expires_at <= now => Err(Spent::Expired),
            None => Ok(()),
        }
    }
}

/// What is stored in a token's place. Anything but the exact form of a token is none.
pub(super) fn token_hash(token: &str) -> Option<[u8; 32]> {
    let is_form =
        token.len() == 43 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_form.then(|| crypto::sha256(token.as_bytes()))
}

/// Whom a link is mailed to, and what for.
pub(super) struct Letter<'a> {
    pub kind: Kind,
    pub mail: MailKind,
    pub learner: LearnerId,
    pub account: Option<AccountId>,
    pub email: &'a EmailAddress,
    pub to_name: &'a str,
    pub locale: Option<&'a str>,
}

/// Mails a link. False where the address had its share of this client's links of the kind for a day: nothing is mailed
/// then. Each kind has a share of its own, so that who signs up with somebody's address does not use up their resets.
pub(super) async fn mail_link(
    conn: &mut PgConnection,
    app: &App,
    client: &ClientFacts,
    letter: &Letter<'_>,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let settings = &app.settings.accounts;
    let sent = store::count_since(conn, client.id, (letter.kind, letter.email.key()), now - Duration::days(1)).await?;
    if sent >= i64::from(settings.mails_per_day) {
        return Ok(false);
    }
    let (path, ttl) = match letter.kind {
        Kind::Confirm | Kind::Change => ("confirm", settings.confirm_ttl),
        Kind::Reset => ("password/reset", settings.reset_ttl),
    };
    let expires_at = now + Duration::from_std(ttl).unwrap_or(Duration::hours(1));
    let token = app.entropy.token();
    let proof = Proof {
        kind: letter.kind,
        learner: letter.learner,
        account: letter.account,
        email: letter.email.as_str().to_owned(),
        email_key: letter.email.key().to_owned(),
        expires_at,
        used_at: None,
    };
    store::insert(conn, client.id, &crypto::sha256(token.as_bytes()), &proof, now).await?;
    let mail = NewMail {
        kind: letter.mail,
        to: letter.email.as_str(),
        to_name: letter.to_name,
        locale: letter.locale,
        path: Some(format!("/{path}/{token}")),
        values: json!({ "expires_at": expires_at }),
        about: None,
    };
    mail::queue(conn, app, client.id, mail, now).await?;
    Ok(true)
}
