//! How Usher proves itself at a token endpoint: OpenID Connect Core 1.0, section 9.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::form_urlencoded;

use super::{error::OidcError, model::RelyingParty};
use crate::entropy::Entropy;

const ASSERTION_SECONDS: i64 = 60;

/// The way of authentication, with what it needs.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    SecretBasic(SecretString),
    SecretPost(SecretString),
    PrivateKeyJwt(ClientKey),
    /// A public client: PKCE alone.
    None,
}

/// A private key of a connection, whose public half is served at the connection's `jwks_uri`.
#[derive(Clone)]
pub struct ClientKey {
    kid: String,
    key: Arc<EncodingKey>,
}

/// Prints no key.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl ClientKey {
    /// An RSA key in PEM, which signs by RS256: the one algorithm that every provider takes.
    pub fn rs256(kid: impl Into<String>, private_key_pem: &str) -> Result<Self, OidcError> {
        let key = EncodingKey::from_rsa_pem(private_key_pem.as_bytes());
        let key = key.map_err(|_| OidcError::ClientKey("it is not an RSA key in PEM"))?;
        Ok(Self { kid: kid.into(), key: Arc::new(key) })
    }
}

/// What goes into a token request for our authentication.
pub(super) struct Proof {
    pub headers: HeaderMap,
    pub form: Vec<(&'static str, String)>,
}

impl Proof {
    pub fn make(party: &RelyingParty, entropy: &Entropy, now: DateTime<Utc>) -> Result<Self, OidcError> {
        let mut proof = Self { headers: HeaderMap::new(), form: Vec::new() };
        match &party.auth {
            ClientAuth::SecretBasic(secret) => proof.basic(&party.client_id, secret)?,
            ClientAuth::SecretPost(secret) => {
                proof.form.push(("client_id", party.client_id.clone()));
                proof.form.push(("client_secret", secret.expose_secret().to_owned()));
            }
            ClientAuth::PrivateKeyJwt(key) => {
                proof.form.push(("client_id", party.client_id.clone()));
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                proof.form.push(("client_assertion_type", kind.to_owned()));
                proof.form.push(("client_assertion", assertion(party, key, entropy, now)?));
            }
            ClientAuth::None => proof.form.push(("client_id", party.client_id.clone())),
        }
        Ok(proof)
    }

    // RFC 6749, 2.3.1: both are form-encoded before they are joined, so that a colon or a plus in them survives.
    fn basic(&mut self, client_id: &str, secret: &SecretString) -> Result<(), OidcError> {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose_secret()));
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|_| OidcError::ClientKey("the client secret does not fit into a header"))?;
        value.set_sensitive(true);
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

// RFC 7523, section 3. The audience is the token endpoint, which Core's section 9 recommends and every product takes;
// the issuer alone, which the revision of RFC 7523 wants, several do not. What that revision guards against, an
// assertion lured to one provider and used at another, fails here anyhow: each connection has a key of its own, and
// its public half is given to one provider.
fn assertion(
    party: &RelyingParty,
    key: &ClientKey,
    entropy: &Entropy,
    now: DateTime<Utc>,
) -> Result<String, OidcError> {
    let taken = &party.provider.token_auth_algs;
    if !taken.is_empty() && !taken.iter().any(|alg| alg == "RS256") {
        return Err(OidcError::ClientKey("the provider does not take RS256 at its token endpoint"));
    }
    let claims = Assertion {
        iss: &party.client_id,
        sub: &party.client_id,
        aud: &party.provider.token_endpoint,
        jti: entropy.token(),
        iat: now.timestamp(),
        exp: now.timestamp() + ASSERTION_SECONDS,
    };
    let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, &claims, &key.key).map_err(|_| OidcError::ClientKey("it does not sign"))
}
