//! From what the browser brought back to who signed in.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    callback::Callback,
    checks::{self, Expected},
    error::OidcError,
    exchange,
    jws::{Jws, Kind, Signed},
    model::{Handshake, RelyingParty, VerifiedOidc},
    userinfo,
};
use crate::{app::App, claims::Claims, connections::jwks::KeySet, ids::ConnectionId, login::trail::Trail};

/// Claims that speak of the token and not of the person.
const OF_THE_TOKEN: [&str; 9] = ["nonce", "at_hash", "c_hash", "s_hash", "exp", "iat", "nbf", "jti", "azp"];

/// Verifies the provider's answer to one sign-in. The attempt must have been taken, and the connection looked at again,
/// before. Reads the clock by itself, twice, since requests to the provider lie between: with no skew allowed, a token
/// that was issued a second after the handler began would be one from the future.
pub async fn complete(
    app: &App,
    party: &RelyingParty,
    handshake: &Handshake,
    callback: &Callback,
    started_at: DateTime<Utc>,
    trail: &mut Trail,
) -> Result<VerifiedOidc, OidcError> {
    let same = party.issuer == party.provider.issuer;
    trail.outcome("oidc.provider", if same { Ok(()) } else { Err(OidcError::Provider) })?;
    let code = callback.code(party, handshake, trail)?;
    let tokens = exchange::exchange(app, party, handshake, code, app.clock.now(), trail).await?;
    let now = app.clock.now();
    let access_token = tokens.access_token.as_deref();
    let signed = signed(app, party, &tokens.id_token, now, trail).await?;
    let expected = Expected { party, handshake, code, access_token, started_at, now };
    let checked = checks::check(&signed, &expected, trail)?;
    let mut claims = signed.payload;
    if party.userinfo {
        let fetched = userinfo::fetch(app, party, access_token, &checked.subject).await;
        userinfo::merge(&mut claims, trail.outcome("oidc.userinfo", fetched)?);
    }
    let claims = trail.outcome("oidc.claims", about_the_person(claims))?;
    Ok(VerifiedOidc {
        issuer: party.issuer.clone(),
        subject: checked.subject,
        claims,
        issued_at: checked.issued_at,
        id_token: tokens.id_token.into(),
        auth_time: checked.auth_time,
        sid: checked.sid,
        acr: checked.acr,
    })
}

async fn signed(
    app: &App,
    party: &RelyingParty,
    token: &str,
    now: DateTime<Utc>,
    trail: &mut Trail,
) -> Result<Signed, OidcError> {
    let jws = trail.outcome("oidc.id_token", Jws::read(token, Kind::IdToken, &party.id_token_algs))?;
    let keys =
        trail.outcome("oidc.keys", keys_for(app, party.connection, &party.provider.jwks_uri, &jws, now).await)?;
    trail.outcome("oidc.signature", jws.verified(&keys))
}

/// The keys in hand, or newer ones when the token's is not among those: a provider may change its key at any time.
pub(super) async fn keys_for(
    app: &App,
    connection: ConnectionId,
    jwks_uri: &str,
    jws: &Jws<'_>,
    now: DateTime<Utc>,
) -> Result<Arc<KeySet>, OidcError> {
    let keys = app.key_sets.load(&app.outbound, connection, jwks_uri, now).await.map_err(OidcError::Keys)?;
    if jws.is_known_to(&keys) {
        return Ok(keys);
    }
    let newer = app.key_sets.newer(&app.outbound, connection, jwks_uri, &keys, now).await.map_err(OidcError::Keys)?;
    Ok(newer.unwrap_or(keys))
}

fn about_the_person(mut claims: Map<String, Value>) -> Result<Claims, OidcError> {
    claims.retain(|name, _| !OF_THE_TOKEN.contains(&name.as_str()));
    Ok(Claims::from_json(&claims)?)
}
