//! Our side of an OpenID Connect connection, put together from the connection's facts.

use super::{
    oidc::{ClientAuth, ClientKey, RelyingParty, ResponseMode},
    reason::{Reason, Stop},
};
use crate::{
    app::App,
    connections::{self, ConnectionFacts, KeyUse, OidcFacts, TokenAuth},
    fault::Fault,
};

/// The relying party of a connection; secrets and keys are opened here and dropped with it.
pub async fn of(app: &App, connection: &ConnectionFacts) -> Result<RelyingParty, Stop> {
    let facts = connection.oidc.as_ref().ok_or_else(Reason::connection_closed)?;
    Ok(RelyingParty {
        connection: connection.id,
        issuer: facts.config.issuer.clone(),
        provider: facts.discovery.clone(),
        client_id: facts.config.client_id.clone(),
        redirect_uri: connections::urls::redirect_uri(&app.settings, connection.id),
        auth: auth(app, connection, facts).await?,
        scopes: facts.config.scopes.clone(),
        prompt: facts.config.prompt.clone(),
        max_age: facts.config.max_age,
        acr_values: facts.config.acr_values.clone(),
        response_mode: ResponseMode::Query,
        userinfo: facts.config.userinfo,
        id_token_algs: facts.config.id_token_algs.clone(),
        clock_skew: connection.clock_skew,
    })
}

async fn auth(app: &App, connection: &ConnectionFacts, facts: &OidcFacts) -> Result<ClientAuth, Stop> {
    let secret =
        || facts.client_secret(app)?.ok_or_else(|| Fault::Corrupt("a connection without its client secret".into()));
    Ok(match facts.config.token_auth {
        TokenAuth::ClientSecretBasic => ClientAuth::SecretBasic(secret()?),
        TokenAuth::ClientSecretPost => ClientAuth::SecretPost(secret()?),
        TokenAuth::None => ClientAuth::None,
        TokenAuth::PrivateKeyJwt => {
            let keys = connections::sp_keys(app, connection, KeyUse::Signing).await?;
            let key = keys.first().ok_or_else(|| Fault::Corrupt("a connection without a signing key".into()))?;
            let pem = key.private_key_pem()?;
            let key = ClientKey::rs256(key.id.to_string(), &pem);
            ClientAuth::PrivateKeyJwt(key.map_err(|error| Fault::Corrupt(error.to_string()))?)
        }
    })
}
