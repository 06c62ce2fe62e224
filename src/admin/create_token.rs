//! Making an API token: by an operator over the API, and by `usher token create`.

use chrono::{DateTime, Datelike, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Permission,
    secret::TokenSecret,
    store::{self, TokenRow},
};
use crate::{
    audit::{self, Actor, NewEvent},
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, TokenId},
};

/// A token about to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    /// The client it is bound to; `None` makes an operator's token.
    pub client: Option<ClientId>,
    pub scopes: Vec<Permission>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token just made. The secret is not stored and cannot be shown again.
pub struct CreatedToken {
    pub id: TokenId,
    pub secret: TokenSecret,
    pub(super) row: TokenRow,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTokenError {
    #[error("a token's name has 1 to 200 characters")]
    Name,
    #[error("name at least one scope")]
    NoScopes,
    #[error("a token expires in the future, before the year 10000")]
    Expiry,
    #[error("there is no such client")]
    NoSuchClient,
    #[error(transparent)]
    Fault(Fault),
}

impl From<Fault> for CreateTokenError {
    fn from(fault: Fault) -> Self {
        if fault.constraint() == Some("tokens_client_fkey") { Self::NoSuchClient } else { Self::Fault(fault) }
    }
}

/// Makes a token and records who made it. Call it inside a transaction.
pub async fn create_token(
    conn: &mut PgConnection,
    entropy: &Entropy,
    actor: Actor,
    new: NewToken,
    reference: Option<&str>,
    now: DateTime<Utc>,
) -> Result<CreatedToken, CreateTokenError> {
    if !(1..=200).contains(&new.name.chars().count()) || new.name.chars().any(char::is_control) {
        return Err(CreateTokenError::Name);
    }
    if new.expires_at.is_some_and(|end| end <= now || end.year() > 9999) {
        return Err(CreateTokenError::Expiry);
    }
    let mut scopes = new.scopes;
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(CreateTokenError::NoScopes);
    }
    let id: TokenId = entropy.id(now);
    let secret = TokenSecret::generate(entropy);
    let row = TokenRow {
        id,
        client: new.client,
        name: new.name,
        scopes,
        created_at: now,
        created_by: actor.id().unwrap_or_else(|| actor.kind().to_owned()),
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    store::insert(conn, &row, &secret.hash()).await?;
    let event = NewEvent {
        client: new.client,
        at: now,
        action: "token.created",
        actor,
        target: Some(id.to_string()),
        reason: None,
        reference,
        facts: json!({ "scopes": row.scopes, "expires_at": row.expires_at }),
        values: None,
    };
    audit::record(conn, entropy, event).await?;
    Ok(CreatedToken { id, secret, row })
}
