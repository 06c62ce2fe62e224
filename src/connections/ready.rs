//! What an active connection must have, and what its admin should know before it breaks.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    discovery::Provider,
    idp::sso_endpoint,
    model::ConnectionSettings,
    saml_metadata::{Binding, IdpMetadata, KeyKind, TrustedCertificate},
    settings::{OidcSettings, SamlSettings, TokenAuth},
    store_keys::OwnCertificate,
};

/// How long ahead an end is told.
const CERTIFICATE_AHEAD: Duration = Duration::days(30);
const METADATA_AHEAD: Duration = Duration::days(3);

/// Something that works today and may not tomorrow, or that the IdP says and the settings do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Stable, for programs.
    pub code: &'static str,
    /// What it means and what to do.
    pub detail: String,
}

fn warning(code: &'static str, detail: impl Into<String>) -> Warning {
    Warning { code, detail: detail.into() }
}

/// The names of what the connection lacks; empty when learners can sign in by it.
pub fn missing(
    settings: &ConnectionSettings,
    idp: Option<&Value>,
    valid_until: Option<DateTime<Utc>>,
    has_secret: bool,
    now: DateTime<Utc>,
) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if let Some(saml) = &settings.saml {
        let known = idp.and_then(|idp| IdpMetadata::deserialize(idp).ok());
        match known {
            None if saml.metadata_url.is_none() && saml.metadata_xml.is_none() => missing.push("saml.metadata_url"),
            None => missing.push("saml.metadata"),
            Some(idp) => {
                if idp.sso.is_empty() {
                    missing.push("saml.metadata.single_sign_on_service");
                }
                if idp.certificates.iter().all(TrustedCertificate::is_weak) {
                    missing.push("saml.metadata.signing_certificate");
                }
            }
        }
        if valid_until.is_some_and(|until| now >= until) {
            missing.push("saml.metadata.valid_until");
        }
    }
    if let Some(oidc) = &settings.oidc {
        if idp.is_none() {
            missing.push("oidc.issuer");
        }
        if oidc.token_auth.needs_secret() && !has_secret {
            missing.push("oidc.client_secret");
        }
    }
    missing
}

/// What is told of a SAML identity provider.
pub fn saml_warnings(saml: &SamlSettings, idp: &IdpMetadata, now: DateTime<Utc>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for certificate in &idp.certificates {
        certificate_warning(certificate, now, &mut warnings);
    }
    if !idp.warnings.is_empty() {
        warnings.push(warning(
            "certificate_unreadable",
            "the metadata holds something that is no X.509 certificate; it is left out",
        ));
    }
    match idp.valid_until {
        Some(until) if now >= until => {
            warnings.push(warning(
                "metadata_expired",
                format!(
                    "the metadata ended on {until}; nobody can sign in until it is renewed at the identity provider"
                ),
            ));
        }
        Some(until) if now + METADATA_AHEAD >= until => {
            warnings.push(warning("metadata_expires_soon", format!("the metadata ends on {until}")));
        }
        _ => {}
    }
    if let Some(endpoint) = sso_endpoint(idp, saml.binding)
        && endpoint.binding != saml.binding
    {
        let (wanted, found) = match endpoint.binding {
            Binding::Redirect => ("post", "redirect"),
            Binding::Post => ("redirect", "post"),
        };
        warnings.push(warning(
            "binding_not_offered",
            format!("the identity provider does not offer the binding {wanted}; {found} is used"),
        ));
    }
    if idp.wants_signed_requests && !saml.sign_requests {
        warnings
            .push(warning("requests_unsigned", "the identity provider asks for signed requests; set sign_requests"));
    }
    if saml.allow_sha1 {
        warnings.push(warning(
            "sha1_allowed",
            "SHA-1 signatures are accepted; let the identity provider sign with SHA-256 and take this back",
        ));
    }
    warnings
}

fn certificate_warning(certificate: &TrustedCertificate, now: DateTime<Utc>, warnings: &mut Vec<Warning>) {
    let (name, end) = (certificate.subject(), certificate.not_after());
    if certificate.is_weak() {
        let what = match certificate.key_kind() {
            KeyKind::Rsa { bits } => format!("RSA with {bits} bits"),
            _ => "a kind that is not used here".to_owned(),
        };
        warnings.push(warning(
            "certificate_weak",
            format!("the key of the certificate {name:?} is {what}; signatures by it are refused"),
        ));
    }
    if certificate.is_expired(now) {
        warnings.push(warning(
            "certificate_expired",
            format!("the certificate {name:?} expired on {end}; have it replaced at the identity provider"),
        ));
    } else if now + CERTIFICATE_AHEAD >= end {
        warnings.push(warning(
            "certificate_expires_soon",
            format!(
                "the certificate {name:?} expires on {end}; the identity provider has to publish its successor before"
            ),
        ));
    }
    if now < certificate.not_before() {
        let begin = certificate.not_before();
        warnings.push(warning("certificate_not_yet_valid", format!("the certificate {name:?} begins on {begin}")));
    }
}

/// What is told of a key of ours.
pub fn key_warning(key: &OwnCertificate, now: DateTime<Utc>) -> Option<Warning> {
    let (key_use, end) = (key.key_use.as_str(), key.not_after);
    let next = if key.has_next {
        "give the identity provider the next one, which is published already, then promote it"
    } else {
        "make the next one, give it to the identity provider, then promote it"
    };
    if now > end {
        Some(warning("key_expired", format!("the certificate of our {key_use} key expired on {end}; {next}")))
    } else if now + CERTIFICATE_AHEAD >= end {
        Some(warning("key_expires_soon", format!("the certificate of our {key_use} key expires on {end}; {next}")))
    } else {
        None
    }
}

/// What is told of an OpenID provider, by its discovery document.
pub fn oidc_warnings(oidc: &OidcSettings, provider: &Provider) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if !oidc.id_token_algs.iter().any(|alg| provider.id_token_algs.iter().any(|offered| offered == alg.as_str())) {
        let offered = provider.id_token_algs.join(", ");
        warnings.push(warning(
            "algorithm_not_offered",
            format!("the provider signs by {offered}; id_token_algs names none of them"),
        ));
    }
    // Not said stands for client_secret_basic (OpenID Connect Discovery 1.0, 3); `none` is never listed by some.
    let methods = &provider.token_auth_methods;
    let is_offered = match methods.as_slice() {
        [] => oidc.token_auth == TokenAuth::ClientSecretBasic,
        methods => methods.iter().any(|method| method == oidc.token_auth.as_str()),
    };
    if !is_offered && oidc.token_auth != TokenAuth::None {
        let offered = if methods.is_empty() { "client_secret_basic".to_owned() } else { methods.join(", ") };
        warnings
            .push(warning("token_auth_not_offered", format!("the provider offers {offered} at its token endpoint")));
    }
    let algs = &provider.token_auth_algs;
    if oidc.token_auth == TokenAuth::PrivateKeyJwt && !algs.is_empty() && !algs.iter().any(|alg| alg == "RS256") {
        warnings.push(warning(
            "client_assertion_not_offered",
            "the provider does not take client assertions signed by RS256, which ours are",
        ));
    }
    if oidc.userinfo && provider.userinfo_endpoint.is_none() {
        warnings.push(warning("userinfo_not_offered", "the provider has no userinfo endpoint"));
    }
    warnings
}
