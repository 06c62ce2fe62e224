//! A connection as the admin API shows it: what was written, what the IdP says, and what to give to the IdP.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    discovery::Provider,
    keys::KeyUse,
    model::{Connection, ConnectionSettings},
    ready::{self, Warning},
    saml_metadata::{Endpoint, IdpMetadata, TrustedCertificate},
    settings::TokenAuth,
    store_keys::OwnCertificate,
    urls,
};
use crate::{
    claims::Protocol,
    config::Settings,
    ids::{ClientId, ConnectionId},
};

/// A connection, whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionView {
    pub id: ConnectionId,
    pub client: ClientId,
    #[serde(flatten)]
    pub settings: ConnectionSettings,
    /// What the administrator of the IdP has to be given.
    pub service_provider: ServiceProvider,
    /// What the IdP says of itself; null until it was read.
    pub idp: Option<IdpView>,
    /// Why the last reading of the IdP failed; null after a success.
    pub last_refresh_error: Option<RefreshFailure>,
    /// What works today and may not tomorrow, or does not fit what the IdP says.
    pub warnings: Vec<Warning>,
    /// What still stands between the connection and its first sign-in, as names of fields.
    pub missing: Vec<&'static str>,
    pub has_client_secret: bool,
    pub mapping_version: i32,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What the administrator of the IdP has to be given. What belongs to the other protocol is null.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceProvider {
    pub entity_id: Option<String>,
    pub acs_url: Option<String>,
    /// Where logout messages go, by Redirect and by POST; null for OpenID Connect.
    pub slo_url: Option<String>,
    pub metadata_url: Option<String>,
    pub redirect_uri: Option<String>,
    /// Register it as post-logout redirect URI, so that learners who sign out come back; null for SAML.
    pub post_logout_redirect_uri: Option<String>,
    /// Register it as back-channel logout URI, so that a logout at the provider ends sessions here; null for SAML.
    pub backchannel_logout_uri: Option<String>,
    pub jwks_uri: Option<String>,
    /// Our signing certificate, in PEM.
    pub certificate: Option<String>,
    /// The certificate that assertions may be encrypted for, in PEM.
    pub encryption_certificate: Option<String>,
}

/// The IdP as last read.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdpView {
    /// The entity ID, or the issuer.
    pub entity_id: String,
    /// Where authentication requests go.
    pub sign_in: Vec<Endpoint>,
    pub certificates: Vec<CertificateView>,
    pub fetched_at: Option<DateTime<Utc>>,
    pub valid_until: Option<DateTime<Utc>>,
    /// When it is read again; null where its metadata was typed.
    pub refresh_at: Option<DateTime<Utc>>,
    /// The OpenID provider's endpoints and abilities; null for SAML.
    pub discovery: Option<Value>,
}

/// A signing certificate of the IdP.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateView {
    pub subject: String,
    pub fingerprint_sha256: String,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    pub is_expired: bool,
    /// Whether its key is too weak to trust a signature by it.
    pub is_weak: bool,
}

/// Why the IdP could not be read.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefreshFailure {
    pub code: String,
    pub detail: String,
}

/// Shows a connection; `certificates` are the current ones of ours. What a shared one says of other clients is for
/// operators.
pub(super) fn show(
    settings: &Settings,
    mut connection: Connection,
    certificates: &[OwnCertificate],
    is_operator: bool,
    now: DateTime<Utc>,
) -> ConnectionView {
    if !is_operator && !connection.settings.clients.is_empty() {
        connection.settings.clients.clear();
        connection.settings.domains.clear();
        connection.settings.trusted_domains.clear();
    }
    let certificate = |wanted: KeyUse| {
        let ours = |ours: &&OwnCertificate| ours.connection == connection.id && ours.key_use == wanted;
        certificates.iter().find(ours).map(|ours| ours.pem.clone())
    };
    let service_provider = service_provider(settings, &connection, certificate);
    let (idp, mut warnings) = idp(&connection, now);
    let own = certificates.iter().filter(|ours| ours.connection == connection.id);
    warnings.extend(own.filter_map(|ours| ready::key_warning(ours, now)));
    let has_client_secret = connection.secret_sealed.is_some();
    let known = connection.idp.as_ref();
    let missing = ready::missing(&connection.settings, known, connection.idp_valid_until, has_client_secret, now);
    let last_refresh_error = connection.idp_error.as_deref().map(|told| {
        let (code, detail) = told.split_once(": ").unwrap_or((told, ""));
        RefreshFailure { code: code.to_owned(), detail: detail.to_owned() }
    });
    ConnectionView {
        id: connection.id,
        client: connection.client,
        service_provider,
        idp,
        last_refresh_error,
        warnings,
        missing,
        has_client_secret,
        mapping_version: connection.mapping_version,
        version: connection.version,
        created_at: connection.created_at,
        updated_at: connection.updated_at,
        settings: connection.settings,
    }
}

fn service_provider(
    settings: &Settings,
    connection: &Connection,
    certificate: impl Fn(KeyUse) -> Option<String>,
) -> ServiceProvider {
    let id = connection.id;
    let is_saml = connection.settings.protocol == Protocol::Saml;
    let has_keys = connection.settings.oidc.as_ref().is_some_and(|oidc| oidc.token_auth == TokenAuth::PrivateKeyJwt);
    let entity_id = is_saml.then(|| urls::entity_id(settings, id));
    ServiceProvider {
        metadata_url: entity_id.clone(),
        entity_id,
        acs_url: is_saml.then(|| urls::acs(settings, id)),
        slo_url: is_saml.then(|| urls::slo(settings, id)),
        redirect_uri: (!is_saml).then(|| urls::redirect_uri(settings, id)),
        post_logout_redirect_uri: (!is_saml).then(|| urls::post_logout_redirect_uri(settings, id)),
        backchannel_logout_uri: (!is_saml).then(|| urls::backchannel_logout_uri(settings, id)),
        jwks_uri: has_keys.then(|| urls::jwks_uri(settings, id)),
        certificate: certificate(KeyUse::Signing),
        encryption_certificate: certificate(KeyUse::Encryption),
    }
}

fn idp(connection: &Connection, now: DateTime<Utc>) -> (Option<IdpView>, Vec<Warning>) {
    let Some(kept) = &connection.idp else { return (None, Vec::new()) };
    let view = |entity_id: String, sign_in: Vec<Endpoint>, certificates: &[TrustedCertificate], discovery| IdpView {
        entity_id,
        sign_in,
        certificates: certificates.iter().map(|certificate| certificate_view(certificate, now)).collect(),
        fetched_at: connection.idp_fetched_at,
        valid_until: connection.idp_valid_until,
        refresh_at: connection.idp_refresh_at,
        discovery,
    };
    if let Some(saml) = &connection.settings.saml
        && let Ok(idp) = IdpMetadata::deserialize(kept)
    {
        let warnings = ready::saml_warnings(saml, &idp, now);
        return (Some(view(idp.entity_id, idp.sso, &idp.certificates, None)), warnings);
    }
    if let Some(oidc) = &connection.settings.oidc
        && let Ok(provider) = Provider::deserialize(kept)
    {
        let warnings = ready::oidc_warnings(oidc, &provider);
        return (Some(view(provider.issuer, Vec::new(), &[], Some(kept.clone()))), warnings);
    }
    (None, Vec::new())
}

fn certificate_view(certificate: &TrustedCertificate, now: DateTime<Utc>) -> CertificateView {
    CertificateView {
        subject: certificate.subject().to_owned(),
        fingerprint_sha256: certificate.fingerprint_sha256().to_owned(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        is_expired: certificate.is_expired(now),
        is_weak: certificate.is_weak(),
    }
}
