//! Reads what an IdP says of itself, SAML metadata or an OpenID discovery document, before anything is written.

use chrono::{DateTime, Utc};

use super::{
    discovery::{self, DiscoveryError},
    idp,
    model::ConnectionSettings,
    saml_metadata::{self, MetadataError},
    settings::{OidcSettings, SamlSettings},
    store_idp::IdpUpdate,
};
use crate::{app::App, fault::Fault, outbound::OutboundError};

/// Why an IdP could not be read: a reason that its admin, or ours, can act on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdpError {
    #[error("the metadata could not be fetched: {0}")]
    Fetch(OutboundError),
    #[error("this is no metadata of a SAML identity provider that can be used: {0}")]
    Metadata(MetadataError),
    #[error("{0}")]
    Discovery(DiscoveryError),
}

impl IdpError {
    /// The stable code of problem details, and of the connection's last refresh.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.code(),
            Self::Metadata(error) => error.code(),
            Self::Discovery(error) => error.code(),
        }
    }

    /// The field whose value led there.
    pub fn pointer(&self, settings: &ConnectionSettings) -> &'static str {
        match self {
            Self::Discovery(_) => "/oidc/issuer",
            Self::Fetch(_) => "/saml/metadata_url",
            Self::Metadata(_) if settings.saml.as_ref().is_some_and(|saml| saml.metadata_url.is_some()) => {
                "/saml/metadata_url"
            }
            Self::Metadata(_) => "/saml/metadata_xml",
        }
    }
}

/// Reads the IdP that the settings name; nothing where they name none yet.
pub(super) async fn read(
    app: &App,
    settings: &ConnectionSettings,
    now: DateTime<Utc>,
) -> Result<Option<IdpUpdate>, ReadError> {
    match (&settings.saml, &settings.oidc) {
        (Some(saml), _) => read_saml(app, saml, now).await,
        (None, Some(oidc)) => read_oidc(app, oidc, now).await.map(Some),
        (None, None) => Ok(None),
    }
}

/// An IdP that could not be read, or a failure of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Idp(#[from] IdpError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

async fn read_saml(app: &App, saml: &SamlSettings, now: DateTime<Utc>) -> Result<Option<IdpUpdate>, ReadError> {
    let (xml, is_fetched) = match (&saml.metadata_url, &saml.metadata_xml) {
        (Some(url), _) => (app.outbound.get(url).await.map_err(IdpError::Fetch)?.body, true),
        (None, Some(xml)) => (xml.clone().into_bytes(), false),
        (None, None) => return Ok(None),
    };
    let (wanted, plain_http) = (saml.entity_id.clone(), app.settings.outbound.allow_plain_http);
    // A federation's aggregate takes a while: not on the async threads.
    let parsed =
        tokio::task::spawn_blocking(move || saml_metadata::parse(&xml, now, wanted.as_deref(), plain_http)).await;
    let parsed = parsed.map_err(|_| Fault::Busy("reading metadata"))?.map_err(IdpError::Metadata)?;
    let idp = idp::kept(parsed);
    Ok(Some(IdpUpdate {
        valid_until: idp.valid_until,
        refresh_at: is_fetched.then(|| idp::metadata_refresh_at(&idp, now)),
        idp: serde_json::to_value(&idp).map_err(Fault::from)?,
    }))
}

async fn read_oidc(app: &App, oidc: &OidcSettings, now: DateTime<Utc>) -> Result<IdpUpdate, ReadError> {
    let document = discovery::discover(app, &oidc.issuer).await.map_err(IdpError::Discovery)?;
    Ok(IdpUpdate {
        idp: serde_json::to_value(&document).map_err(Fault::from)?,
        valid_until: None,
        refresh_at: Some(idp::discovery_refresh_at(now)),
    })
}
