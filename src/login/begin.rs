//! The start of a sign-in: the request to the identity provider, and the attempt that remembers it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use url::Url;

use super::{
    attempt::{self, Attempt, BrowserKey},
    brought::Carried,
    oidc::{self, Handshake},
    party,
    reason::{Reason, Stop},
    saml::{AuthnRequest, SigningKey, request_id},
    store,
    ticket::Home,
};
use crate::{
    app::App,
    claims::Protocol,
    connections::{self, Binding, ConnectionFacts, KeyUse},
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// How the browser leaves for the identity provider.
pub enum Departure {
    Redirect(Url),
    /// The POST binding: a form that sends itself.
    Post {
        action: Url,
        fields: Vec<(&'static str, String)>,
    },
}

/// What the learner's page asked for.
pub struct Wish<'a> {
    /// The client whose page asks; none where an identity provider began, and its claims are to say.
    pub client: Option<ClientId>,
    /// A checked address of the client's site, without what begins it.
    pub return_to: Option<String>,
    /// Whose page that is.
    pub return_of: Option<ClientId>,
    /// Codes and the invite that come along.
    pub carried: Carried,
    /// The address that was typed, as a hint for the IdP.
    pub login_hint: Option<&'a str>,
    /// The client's own host that it began on.
    pub home: Option<Home>,
    pub now: DateTime<Utc>,
}

/// Begins a sign-in. The connection's status is read from PostgreSQL, whatever the cache says.
pub async fn begin(
    app: &App,
    connection: Arc<ConnectionFacts>,
    browser: &BrowserKey,
    wish: Wish<'_>,
) -> Result<Departure, Stop> {
    let door = store::door(&app.db, connection.owner, connection.id, wish.client).await?;
    let door = door.ok_or_else(Reason::connection_closed)?;
    door.check(wish.client)?;
    let connection =
        app.connections.at_version(app, connection.id, door.version).await?.ok_or_else(Reason::connection_closed)?;
    if connection.is_metadata_expired(wish.now) {
        return Err(Reason::metadata_expired().into());
    }
    let handshake = Handshake::new(&app.entropy);
    let handle = handshake.state.clone();
    let mut attempt = Attempt {
        id: app.entropy.id(wish.now),
        connection: connection.id,
        client: wish.client,
        started_at: wish.now,
        request_id: None,
        handshake: None,
        return_to: wish.return_to,
        return_of: wish.return_of,
        carried: wish.carried,
        home: wish.home,
    };
    let departure = match connection.protocol {
        Protocol::Saml => saml(app, &connection, &handle, &mut attempt).await?,
        Protocol::Oidc => openid(app, &connection, handshake, &mut attempt, wish.login_hint).await?,
    };
    attempt::remember(app, connection.owner, browser, &handle, &attempt).await?;
    Ok(departure)
}

/// The connection as it is now, where it serves the client.
pub async fn serves(
    app: &App,
    connection: &ConnectionFacts,
    client: ClientId,
) -> Result<Option<Arc<ConnectionFacts>>, Fault> {
    match store::door(&app.db, connection.owner, connection.id, Some(client)).await? {
        Some(door) if door.client_status.is_some() => {
            app.connections.at_version(app, connection.id, door.version).await
        }
        _ => Ok(None),
    }
}

/// A connection as PostgreSQL has it now, whatever its status; what this replica remembers may be older.
pub async fn as_it_is(
    app: &App,
    owner: ClientId,
    connection: ConnectionId,
) -> Result<Option<Arc<ConnectionFacts>>, Fault> {
    match store::version(&app.db, owner, connection).await? {
        Some(version) => app.connections.at_version(app, connection, version).await,
        None => Ok(None),
    }
}

async fn saml(app: &App, connection: &ConnectionFacts, handle: &str, attempt: &mut Attempt) -> Result<Departure, Stop> {
    let facts = connection.saml.as_ref().ok_or_else(Reason::connection_closed)?;
    // The wanted binding, or the other one where the IdP offers only that.
    let wanted = facts.idp.sso.iter().find(|endpoint| endpoint.binding == facts.config.binding);
    let endpoint = wanted.or_else(|| facts.idp.sso.first()).ok_or_else(Reason::connection_closed)?;
    let id = request_id(&app.entropy.bytes());
    let key = match facts.config.sign_requests || facts.idp.wants_signed_requests {
        true => Some(signing_key(app, connection).await?),
        false => None,
    };
    let entity_id = connections::urls::entity_id(&app.settings, connection.id);
    let acs_url = connections::urls::acs(&app.settings, connection.id);
    let request = AuthnRequest {
        id: &id,
        issue_instant: attempt.started_at,
        destination: &endpoint.location,
        acs_url: &acs_url,
        sp_entity_id: &entity_id,
        force_authn: facts.config.force_authn,
        name_id_format: facts.config.name_id_format.as_deref(),
        requested_authn_context: &facts.config.requested_authn_context,
    };
    let unusable = |_| Fault::Corrupt("a signing key does not sign".into());
    let departure = match endpoint.binding {
        Binding::Redirect => {
            let url = request.redirect_url(Some(handle), key.as_ref()).map_err(unusable)?;
            Departure::Redirect(parse(&url)?)
        }
        Binding::Post => Departure::Post {
            action: parse(&endpoint.location)?,
            fields: vec![
                ("SAMLRequest", request.post_value(key.as_ref()).map_err(unusable)?),
                ("RelayState", handle.to_owned()),
            ],
        },
    };
    attempt.request_id = Some(id);
    Ok(departure)
}

/// The key that signs what we send by SAML.
pub(super) async fn signing_key(app: &App, connection: &ConnectionFacts) -> Result<SigningKey, Fault> {
    let keys = connections::sp_keys(app, connection, KeyUse::Signing).await?;
    let key = keys.first().ok_or_else(|| Fault::Corrupt("a connection without a signing key".into()))?;
    SigningKey::from_pem(&key.private_key_pem()?).map_err(|_| Fault::Corrupt("a signing key".into()))
}

pub(super) fn parse(url: &str) -> Result<Url, Fault> {
    Url::parse(url).map_err(|_| Fault::Corrupt("an identity provider's endpoint".into()))
}

async fn openid(
    app: &App,
    connection: &ConnectionFacts,
    handshake: Handshake,
    attempt: &mut Attempt,
    login_hint: Option<&str>,
) -> Result<Departure, Stop> {
    let party = party::of(app, connection).await?;
    let url = oidc::authorization_url(&party, &handshake, login_hint)
        .map_err(|error| Reason::protocol(error.code(), error.fix_side(), error.to_string()))?;
    attempt.handshake = Some(handshake);
    Ok(Departure::Redirect(parse(&url)?))
}
