//! OpenID Connect Discovery 1.0: what a provider says of itself, read strictly once and then kept with the connection.
//! Fetches nothing but the one document.

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    outbound::{Outbound, OutboundError},
};

/// The largest discovery document that is read; real ones have 2 to 10 KB.
const MAX_BYTES: usize = 256 << 10;
/// The most entries of one list that are kept.
const MAX_ENTRIES: usize = 100;

/// An OpenID provider as its discovery document describes it. Every URL in it may be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Exactly as the connection and the provider both spell it.
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_session_endpoint: Option<String>,
    /// By which algorithms it may sign ID tokens.
    pub id_token_algs: Vec<String>,
    /// Empty when not said, which stands for `query` and `fragment`.
    #[serde(default)]
    pub response_modes: Vec<String>,
    /// Empty when not said, which stands for `client_secret_basic`.
    #[serde(default)]
    pub token_auth_methods: Vec<String>,
    /// By which algorithms a `private_key_jwt` may be signed; empty when not said.
    #[serde(default)]
    pub token_auth_algs: Vec<String>,
    /// Whether every authorization response names the issuer (RFC 9207, section 3).
    #[serde(default)]
    pub iss_parameter: bool,
}

/// Why a provider's discovery document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    #[error("the discovery document at {url} could not be fetched: {cause}")]
    Fetch { url: String, cause: OutboundError },
    #[error("what is served at {url} is not a discovery document: {problem}")]
    Unreadable { url: String, problem: &'static str },
    #[error(
        "the provider calls itself {found:?}, but the connection's issuer is {expected:?}: copy the provider's spelling exactly, \
         with or without the slash at its end, and with the tenant in place of `common` or `organizations`"
    )]
    Issuer { expected: String, found: String },
    #[error("the discovery document lacks {0}")]
    Missing(&'static str),
    #[error("the {name} of the discovery document cannot be used: {cause}")]
    Endpoint { name: &'static str, cause: OutboundError },
    #[error("the provider does not offer the authorization code flow (response_type=code)")]
    NoCodeFlow,
}

impl DiscoveryError {
    /// The stable code of problem details and of the connection's last error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch { .. } => "connection.discovery.fetch",
            Self::Unreadable { .. } => "connection.discovery.unreadable",
            Self::Issuer { .. } => "connection.discovery.issuer",
            Self::Missing(_) => "connection.discovery.missing",
            Self::Endpoint { .. } => "connection.discovery.endpoint",
            Self::NoCodeFlow => "connection.discovery.no_code_flow",
        }
    }

    /// Whether trying again later may help without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Fetch { cause, .. } if cause.is_passing())
    }
}

/// The document as it is sent; what is not listed is not read.
#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    response_modes_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// Where an issuer's document lies: Discovery 1.0, section 4.1, takes the slash at the end away.
pub fn document_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Fetches and reads the discovery document of an issuer.
pub async fn discover(app: &App, issuer: &str) -> Result<Provider, DiscoveryError> {
    let url = document_url(issuer);
    let accept = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    match app.outbound.get_with(&url, accept, MAX_BYTES).await {
        Ok(fetched) => read(&app.outbound, issuer, &fetched.body),
        Err(cause) => Err(DiscoveryError::Fetch { url, cause }),
    }
}

fn read(outbound: &Outbound, issuer: &str, body: &[u8]) -> Result<Provider, DiscoveryError> {
    let document: Document = serde_json::from_slice(body).map_err(|error| DiscoveryError::Unreadable {
        url: document_url(issuer),
        problem: if error.is_data() { "a member has the wrong type" } else { "it is not JSON" },
    })?;
    // Discovery 1.0, section 4.3: the issuer must be exactly the one that the URL was made of.
    let found = document.issuer.ok_or(DiscoveryError::Missing("issuer"))?;
    if found != issuer {
        let found = found.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(DiscoveryError::Issuer { expected: issuer.to_owned(), found });
    }
    let endpoint = |name: &'static str, url: Option<String>| {
        let judged = url.map(|url| outbound.judge(&url).map(|_| url)).transpose();
        judged.map_err(|cause| DiscoveryError::Endpoint { name, cause })
    };
    let required = |name: &'static str, url| endpoint(name, url)?.ok_or(DiscoveryError::Missing(name));
    let types = document.response_types_supported.ok_or(DiscoveryError::Missing("response_types_supported"))?;
    if !types.iter().any(|kind| kind == "code") {
        return Err(DiscoveryError::NoCodeFlow);
    }
    let algs = document.id_token_signing_alg_values_supported.filter(|algs| !algs.is_empty());
    Ok(Provider {
        authorization_endpoint: required("authorization_endpoint", document.authorization_endpoint)?,
        token_endpoint: required("token_endpoint", document.token_endpoint)?,
        jwks_uri: required("jwks_uri", document.jwks_uri)?,
        userinfo_endpoint: endpoint("userinfo_endpoint", document.userinfo_endpoint)?,
        end_session_endpoint: endpoint("end_session_endpoint", document.end_session_endpoint)?,
        id_token_algs: algs.map(short).ok_or(DiscoveryError::Missing("id_token_signing_alg_values_supported"))?,
        response_modes: document.response_modes_supported.map(short).unwrap_or_default(),
        token_auth_methods: document.token_endpoint_auth_methods_supported.map(short).unwrap_or_default(),
        token_auth_algs: document.token_endpoint_auth_signing_alg_values_supported.map(short).unwrap_or_default(),
        iss_parameter: document.authorization_response_iss_parameter_supported.unwrap_or(false),
        issuer: found,
    })
}

fn short(mut list: Vec<String>) -> Vec<String> {
    list.retain(|entry| entry.len() <= 64);
    list.truncate(MAX_ENTRIES);
    list
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::OutboundSettings;

    const ISSUER: &str = "https://idp.example/tenant";

    fn document(change: impl Fn(&mut Value)) -> Result<Provider, DiscoveryError> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/authorize",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://keys.idp.example/jwks",
            "userinfo_endpoint": "https://idp.example/userinfo",
            "end_session_endpoint": "https://idp.example/logout",
            "response_types_supported": ["code", "id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": true,
            "something_else": {"of": ["no", "concern"]},
        });
        change(&mut document);
        let settings = OutboundSettings {
            allowed_networks: Vec::new(),
            allow_plain_http: false,
            timeout: Duration::from_secs(1),
            max_bytes: 1 << 20,
        };
        read(&Outbound::new(&settings).unwrap(), ISSUER, document.to_string().as_bytes())
    }

    #[test]
    fn a_document_is_read_and_comes_back_from_where_it_was_kept() {
        let provider = document(|_| {}).unwrap();
        assert!(provider.iss_parameter);
        assert_eq!(provider.end_session_endpoint.as_deref(), Some("https://idp.example/logout"));
        let kept = serde_json::to_value(&provider).unwrap();
        assert_eq!(serde_json::from_value::<Provider>(kept).unwrap(), provider);
    }

    #[test]
    fn an_issuer_that_differs_in_anything_is_refused() {
        for issuer in [
            "https://idp.example/tenant/",
            "https://IDP.example/tenant",
            "http://idp.example/tenant",
            "https://evil.example",
        ] {
            let outcome = document(|document| document["issuer"] = json!(issuer));
            assert_eq!(outcome.unwrap_err().code(), "connection.discovery.issuer", "{issuer}");
        }
    }

    #[test]
    fn an_endpoint_that_nothing_may_be_sent_to_is_refused() {
        for name in
            ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"]
        {
            for url in [
                "http://idp.example/",
                "https://127.0.0.1/",
                "https://169.254.169.254/",
                "https://user@idp.example/",
                "javascript:alert(1)",
                "/relative",
            ] {
                let outcome = document(|document| document[name] = json!(url));
                assert_eq!(outcome.unwrap_err().code(), "connection.discovery.endpoint", "{name} {url}");
            }
        }
    }

    #[test]
    fn what_a_sign_in_needs_must_be_there() {
        for name in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "response_types_supported",
            "id_token_signing_alg_values_supported",
        ] {
            let outcome = document(|document| _ = document.as_object_mut().unwrap().remove(name));
            assert_eq!(outcome.unwrap_err(), DiscoveryError::Missing(name));
        }
        for name in ["userinfo_endpoint", "end_session_endpoint", "authorization_response_iss_parameter_supported"] {
            assert!(document(|document| _ = document.as_object_mut().unwrap().remove(name)).is_ok(), "{name}");
        }
        let implicit = document(|document| document["response_types_supported"] = json!(["id_token"]));
        assert_eq!(implicit.unwrap_err(), DiscoveryError::NoCodeFlow);
        let odd = document(|document| document["token_endpoint"] = json!(["https://idp.example/token"]));
        assert_eq!(odd.unwrap_err().code(), "connection.discovery.unreadable");
    }

    #[test]
    fn the_document_of_an_issuer_lies_where_the_specification_says() {
        assert_eq!(document_url("https://idp.example"), "https://idp.example/.well-known/openid-configuration");
        assert_eq!(document_url("https://idp.example/t/"), "https://idp.example/t/.well-known/openid-configuration");
    }
}
