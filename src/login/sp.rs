//! What we publish of ourselves as SAML service provider, one document for each connection.

use super::saml::{SpMetadata, sp_metadata};
use crate::{
    app::App,
    connections::{self, ConnectionFacts, KeyState, KeyUse, urls},
    fault::Fault,
};

/// The metadata of a SAML connection; `None` for another protocol. A draft without its IdP has it too: the IdP's side is
/// often configured first.
pub async fn metadata(app: &App, connection: &ConnectionFacts) -> Result<Option<String>, Fault> {
    if connection.protocol != crate::claims::Protocol::Saml {
        return Ok(None);
    }
    let certificates =
        |keys: Vec<connections::SpKey>| keys.into_iter().map(|key| key.certificate_pem).collect::<Vec<_>>();
    let signing = certificates(connections::sp_keys(app, connection, KeyUse::Signing).await?);
    let mut encryption = connections::sp_keys(app, connection, KeyUse::Encryption).await?;
    // A retired key still opens, and nobody is to begin to use it.
    encryption.retain(|key| key.state != KeyState::Retired);
    let encryption = certificates(encryption);
    let config = connection.saml.as_ref().map(|saml| &saml.config);
    let document = sp_metadata(&SpMetadata {
        entity_id: &urls::entity_id(&app.settings, connection.id),
        acs_url: &urls::acs(&app.settings, connection.id),
        slo_url: &urls::slo(&app.settings, connection.id),
        signing_certificates: &signing,
        encryption_certificates: &encryption,
        signs_requests: config.is_some_and(|config| config.sign_requests),
        name_id_format: config.and_then(|config| config.name_id_format.as_deref()),
    });
    document.map(Some).map_err(|_| Fault::Corrupt("a certificate of ours".into()))
}
