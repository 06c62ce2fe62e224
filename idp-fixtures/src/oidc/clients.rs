//! The relying parties that the provider knows, and how each proves itself at the token endpoint.

use anyhow::{Context, Result, bail, ensure};
use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Map, Value};

/// How a client authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic` or `client_secret_post`, whichever it uses.
    Secret(String),
    /// `private_key_jwt` with the keys at this URL.
    PrivateKeyJwt { jwks_uri: String },
    /// None: PKCE is then obligatory.
    Public,
}

/// A relying party.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub auth: ClientAuth,
    /// Exact redirect URIs; empty stands for any on this machine.
    pub redirect_uris: Vec<String>,
    /// Where logout tokens go; may be relative to the redirect URI, such as `backchannel-logout`.
    pub backchannel_logout_uri: Option<String>,
}

impl Client {
    #[must_use]
    pub fn with_secret(id: &str, secret: &str) -> Self {
        Self { auth: ClientAuth::Secret(secret.to_owned()), ..Self::public(id) }
    }

    #[must_use]
    pub fn with_keys_at(id: &str, jwks_uri: &str) -> Self {
        let auth = ClientAuth::PrivateKeyJwt { jwks_uri: jwks_uri.to_owned() };
        Self { auth, ..Self::public(id) }
    }

    #[must_use]
    pub fn public(id: &str) -> Self {
        Self { id: id.to_owned(), auth: ClientAuth::Public, redirect_uris: Vec::new(), backchannel_logout_uri: None }
    }

    /// Has it told of logouts at this address.
    #[must_use]
    pub fn told_at(mut self, uri: &str) -> Self {
        self.backchannel_logout_uri = Some(uri.to_owned());
        self
    }

    /// Whether somebody who signed out may be sent there: to any address on this machine.
    #[must_use]
    pub fn may_return_to(&self, uri: &str) -> bool {
        crate::fetch::is_loopback(uri)
    }

    pub(super) fn secret(&self) -> Option<String> {
        match &self.auth {
            ClientAuth::Secret(secret) => Some(secret.clone()),
            ClientAuth::PrivateKeyJwt { .. } | ClientAuth::Public => None,
        }
    }

    /// Whether codes may be sent there.
    #[must_use]
    pub fn may_redirect_to(&self, uri: &str) -> bool {
        if self.redirect_uris.is_empty() {
            return crate::fetch::is_loopback(uri);
        }
        self.redirect_uris.iter().any(|known| known == uri)
    }
}

/// What a token request says about its sender.
#[derive(Debug)]
pub(super) struct Presented {
    pub client_id: String,
    secret: Option<String>,
    assertion: Option<String>,
    /// The method as discovery names it.
    pub method: &'static str,
}

impl Presented {
    pub fn from_request(headers: &HeaderMap, form: &Map<String, Value>) -> Result<Self> {
        let field = |name: &str| form.get(name).and_then(Value::as_str).map(str::to_owned);
        let basic = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "));
        if let Some(basic) = basic {
            ensure!(field("client_secret").is_none(), "two kinds of client authentication at once");
            let pair = String::from_utf8(BASE64_STANDARD.decode(basic)?)?;
            let (id, secret) = pair.split_once(':').context("no colon in the Basic credentials")?;
            // RFC 6749, 2.3.1: both halves are form-encoded before they are joined.
            let (client_id, secret) = (decoded(id), Some(decoded(secret)));
            return Ok(Self { client_id, secret, assertion: None, method: "client_secret_basic" });
        }
        if let Some(assertion) = field("client_assertion") {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            ensure!(field("client_assertion_type").as_deref() == Some(kind), "unknown client_assertion_type");
            let claims = jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(&assertion)?.claims;
            let subject = claims.get("sub").and_then(Value::as_str).context("the client assertion has no sub")?;
            let client_id = subject.to_owned();
            return Ok(Self { client_id, secret: None, assertion: Some(assertion), method: "private_key_jwt" });
        }
        let client_id = field("client_id").context("no client_id")?;
        let secret = field("client_secret");
        let method = if secret.is_some() { "client_secret_post" } else { "none" };
        Ok(Self { client_id, secret, assertion: None, method })
    }

    /// Proves the sender; `audiences` are the values that an assertion may be made for.
    pub async fn prove(&self, client: &Client, audiences: &[&str]) -> Result<()> {
        match (&client.auth, &self.secret, &self.assertion) {
            (ClientAuth::Public, None, None) => Ok(()),
            (ClientAuth::Secret(expected), Some(secret), None) => {
                ensure!(secret == expected, "wrong client secret");
                Ok(())
            }
            (ClientAuth::PrivateKeyJwt { jwks_uri }, None, Some(assertion)) => {
                let keys: JwkSet = serde_json::from_str(&crate::fetch::text(jwks_uri).await?)?;
                verify_assertion(&client.id, assertion, &keys, audiences)
            }
            _ => bail!("the client authenticates in another way than agreed"),
        }
    }
}

fn verify_assertion(client_id: &str, assertion: &str, keys: &JwkSet, audiences: &[&str]) -> Result<()> {
    let header = decode_header(assertion)?;
    let key = match &header.kid {
        Some(kid) => keys.find(kid),
        None => keys.keys.first(),
    };
    let key = DecodingKey::from_jwk(key.context("the client's keys hold no such kid")?)?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(audiences);
    validation.set_issuer(&[client_id]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let claims = decode::<Map<String, Value>>(assertion, &key, &validation)?.claims;
    ensure!(claims.get("jti").and_then(Value::as_str).is_some_and(|jti| !jti.is_empty()), "the assertion has no jti");
    Ok(())
}

fn decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("v={text}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
