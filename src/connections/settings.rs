//! The protocol settings of a connection, SAML and OpenID Connect, with the rules that each field must keep.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{
    model::{FieldError, words},
    saml_metadata::Binding,
};

/// The largest metadata document that may be typed; a fetched one is bounded by the outbound client.
pub const MAX_METADATA_BYTES: usize = 512 * 1024;
const MAX_URI: usize = 1024;
const MAX_CONTEXTS: usize = 10;
const MAX_SCOPES: usize = 30;
/// A year: more is a mistake.
const MAX_MAX_AGE_S: u32 = 31_536_000;

words! {
    /// How Usher proves itself at the token endpoint.
    TokenAuth {
        ClientSecretBasic = "client_secret_basic",
        ClientSecretPost = "client_secret_post",
        PrivateKeyJwt = "private_key_jwt",
        /// A public client: PKCE alone.
        None = "none",
    }
}

words! {
    /// Signature algorithms that an ID token may have. Neither `none` nor HMAC exists here (RFC 8725, 3.1 and 3.2).
    IdTokenAlg {
        Rs256 = "RS256",
        Rs384 = "RS384",
        Rs512 = "RS512",
        Ps256 = "PS256",
        Ps384 = "PS384",
        Ps512 = "PS512",
        Es256 = "ES256",
        Es384 = "ES384",
        EdDsa = "EdDSA",
    }
}

impl TokenAuth {
    /// Whether it needs the secret that the OP gave us.
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// How a SAML identity provider is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamlSettings {
    /// Where the IdP publishes its metadata; it is read again in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<String>,
    /// The metadata itself, where there is no URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_xml: Option<String>,
    /// Which entity is meant when the metadata holds several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
    pub sign_requests: bool,
    pub force_authn: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_id_format: Option<String>,
    pub requested_authn_context: Vec<String>,
    /// How the authentication request travels.
    pub binding: Binding,
    /// Accepts SHA-1 signatures of an old IdP. Operator only.
    pub allow_sha1: bool,
    /// Accepts AES-CBC in a response that is not signed itself.
    pub allow_cbc_unsigned_response: bool,
    /// The attribute whose one value is the subject, where the NameID is transient or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_attribute: Option<String>,
}

impl Default for SamlSettings {
    fn default() -> Self {
        Self {
            metadata_url: None,
            metadata_xml: None,
            entity_id: None,
            sign_requests: false,
            force_authn: false,
            name_id_format: None,
            requested_authn_context: Vec::new(),
            binding: Binding::Redirect,
            allow_sha1: false,
            allow_cbc_unsigned_response: false,
            subject_attribute: None,
        }
    }
}

impl SamlSettings {
    pub(super) fn check(&mut self, plain_http_allowed: bool, errors: &mut Vec<FieldError>) {
        if let (Some(_), Some(_)) = (&self.metadata_url, &self.metadata_xml) {
            let detail = "give metadata_url or metadata_xml, not both";
            errors.push(FieldError::new("connection.saml.metadata", "/saml/metadata_xml", detail));
        }
        if let Some(text) = &self.metadata_url
            && let Some(detail) = url_mistake(text, plain_http_allowed)
        {
            errors.push(FieldError::new("connection.saml.metadata_url", "/saml/metadata_url", detail));
        }
        if self.metadata_xml.as_ref().is_some_and(|xml| xml.len() > MAX_METADATA_BYTES) {
            let detail =
                format!("at most {MAX_METADATA_BYTES} bytes; cut it down to the one entity, or give metadata_url");
            errors.push(FieldError::new("connection.saml.metadata", "/saml/metadata_xml", detail));
        }
        let contexts = self.requested_authn_context.iter().enumerate();
        let contexts = contexts.map(|(index, text)| (format!("/saml/requested_authn_context/{index}"), Some(text)));
        let uris = [
            ("/saml/entity_id".to_owned(), self.entity_id.as_ref()),
            ("/saml/name_id_format".to_owned(), self.name_id_format.as_ref()),
            ("/saml/subject_attribute".to_owned(), self.subject_attribute.as_ref()),
        ];
        for (pointer, text) in uris.into_iter().chain(contexts) {
            if text.is_some_and(|text| !is_token(text, MAX_URI)) {
                errors.push(FieldError::new("connection.saml", pointer, "1 to 1024 characters without blanks"));
            }
        }
        if self.requested_authn_context.len() > MAX_CONTEXTS {
            let detail = format!("at most {MAX_CONTEXTS} authentication contexts");
            errors.push(FieldError::new("connection.saml", "/saml/requested_authn_context", detail));
        }
    }
}

/// How an OpenID provider is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// Exactly as the provider spells it.
    pub issuer: String,
    pub client_id: String,
    /// Written, never read back.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Option<String>, write_only)]
    pub client_secret: Option<WriteOnly>,
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Seconds after which the provider has to ask for the credentials again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr_values: Option<String>,
    #[serde(default = "default_token_auth")]
    pub token_auth: TokenAuth,
    /// Whether the claims of the userinfo endpoint are added to those of the ID token.
    #[serde(default)]
    pub userinfo: bool,
    #[serde(default = "default_algs")]
    pub id_token_algs: Vec<IdTokenAlg>,
}

fn default_scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(str::to_owned).to_vec()
}

const fn default_token_auth() -> TokenAuth {
    TokenAuth::ClientSecretBasic
}

fn default_algs() -> Vec<IdTokenAlg> {
    vec![IdTokenAlg::Rs256]
}

impl OidcSettings {
    pub(super) fn check(&mut self, plain_http_allowed: bool, errors: &mut Vec<FieldError>) {
        let mut wrong = |pointer: &str, detail: &str| errors.push(FieldError::new("connection.oidc", pointer, detail));
        if let Some(detail) = issuer_mistake(&self.issuer, plain_http_allowed) {
            wrong("/oidc/issuer", detail);
        }
        if self.client_id.is_empty() || self.client_id.len() > 512 || self.client_id.chars().any(char::is_control) {
            wrong("/oidc/client_id", "1 to 512 characters");
        }
        if self.client_secret.as_ref().is_some_and(|secret| !(1..=4096).contains(&secret.0.expose_secret().len())) {
            wrong("/oidc/client_secret", "1 to 4096 characters; leave it out for a public client");
        }
        if self.scopes.len() > MAX_SCOPES || self.scopes.iter().any(|scope| !is_scope(scope)) {
            wrong("/oidc/scopes", "at most 30 scopes, each without blanks and quotes");
        } else if !self.scopes.iter().any(|scope| scope == "openid") {
            wrong("/oidc/scopes", "the scope `openid` is what makes it OpenID Connect");
        }
        let prompts = ["login", "consent", "select_account"];
        if self.prompt.as_ref().is_some_and(|text| !text.split(' ').all(|word| prompts.contains(&word))) {
            wrong("/oidc/prompt", "one or several of login, consent and select_account, with a blank between");
        }
        if self.max_age.is_some_and(|seconds| seconds > MAX_MAX_AGE_S) {
            wrong("/oidc/max_age", "at most a year, in seconds");
        }
        if self
            .acr_values
            .as_ref()
            .is_some_and(|text| text.is_empty() || text.len() > MAX_URI || text.chars().any(char::is_control))
        {
            wrong("/oidc/acr_values", "1 to 1024 characters, several values with a blank between");
        }
        if self.id_token_algs.is_empty() || self.id_token_algs.len() > 9 {
            wrong("/oidc/id_token_algs", "name the algorithms by which the provider signs, such as RS256");
        }
    }
}

/// A secret that can be written and not read.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct WriteOnly(pub SecretString);

impl PartialEq for WriteOnly {
    fn eq(&self, other: &Self) -> bool {
        crate::crypto::same(self.0.expose_secret().as_bytes(), other.0.expose_secret().as_bytes())
    }
}

impl Eq for WriteOnly {}

fn is_token(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

// RFC 6749, 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
fn is_scope(text: &str) -> bool {
    is_token(text, 200) && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn url_mistake(text: &str, plain_http_allowed: bool) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else {
        return Some("write a whole URL, such as https://idp.example/metadata");
    };
    if text.len() > 2048 {
        return Some("at most 2048 characters");
    }
    if url.scheme() != "https" && !(plain_http_allowed && url.scheme() == "http") {
        return Some("the URL must begin with https://");
    }
    if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
        return Some("the URL needs a host, and holds no user name or password");
    }
    None
}

// OpenID Connect Discovery 1.0, 3: a URL with https scheme and no query or fragment component.
fn issuer_mistake(text: &str, plain_http_allowed: bool) -> Option<&'static str> {
    url_mistake(text, plain_http_allowed)
        .or_else(|| text.contains(['?', '#']).then_some("an issuer has neither query nor fragment"))
}
