//! A provider says, server to server, that a session or all sessions of a person are over: OpenID Connect Back-Channel
//! Logout 1.0, section 2.5 and on.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use super::{
    complete::keys_for,
    jws::{Jws, Kind},
    logout_token::{self, Expected, LogoutTokenError, Said},
};
use crate::{
    app::App,
    cache::Key,
    connections::{ConnectionFacts, OidcFacts},
    crypto,
    fault::Fault,
    sessions::{self, EndOf},
};

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum NotEnded {
    #[error(transparent)]
    Refused(#[from] LogoutTokenError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Verifies a logout token and ends what it names; says how many sessions. The connection must be fresh.
pub async fn end_by_token(
    app: &App,
    connection: &ConnectionFacts,
    facts: &OidcFacts,
    token: &str,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<usize, NotEnded> {
    let said = verified(app, connection, facts, token, now).await?;
    // 2.6, 8. Taken back where the sessions could not be told, so that the provider may try again.
    let seen = seen(connection, &said);
    let left = (said.good_until - now).to_std().unwrap_or_default().max(Duration::from_secs(1));
    if !app.cache.put_new(&seen, b"1", left).await.map_err(Fault::from)? {
        return Err(LogoutTokenError::Replayed.into());
    }
    let end = EndOf {
        issuer: &facts.config.issuer,
        subject: said.subject.as_deref(),
        session: said.session.as_deref(),
        issued_at: said.issued_at,
    };
    let owner = connection.owner;
    let ended = sessions::end_of_idp(app, owner, connection.id, &end, Some(reference), now).await;
    if ended.is_err() {
        app.cache.remove(&[seen]).await.map_err(Fault::from)?;
    }
    Ok(ended?)
}

// 2.6, 1 to 7: signature and algorithm as for an ID token, by the connection's own list, which holds neither `none` nor
// HMAC.
async fn verified(
    app: &App,
    connection: &ConnectionFacts,
    facts: &OidcFacts,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Said, LogoutTokenError> {
    let jws = Jws::read(token, Kind::LogoutToken, &facts.config.id_token_algs)?;
    let keys = keys_for(app, connection.id, &facts.discovery.jwks_uri, &jws, now).await?;
    let signed = jws.verified(&keys)?;
    let expected = Expected {
        issuer: &facts.config.issuer,
        client_id: &facts.config.client_id,
        clock_skew: connection.clock_skew,
        now,
    };
    logout_token::check(&signed.payload, &expected)
}

fn seen(connection: &ConnectionFacts, said: &Said) -> Key {
    let digest = crypto::sha256(said.jti.as_bytes());
    let name = format!("{}:{}", connection.id, URL_SAFE_NO_PAD.encode(digest));
    Key::of_client(connection.owner, "logout-token", name)
}
