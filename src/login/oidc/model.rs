//! What a sign-in over OpenID Connect is made of: our side of the connection, what the browser's attempt remembers, and
//! who was verified in the end.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Duration, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::client_auth::ClientAuth;
use crate::{
    claims::Claims,
    connections::{IdTokenAlg, discovery::Provider},
    entropy::Entropy,
    ids::ConnectionId,
};

/// How the provider sends the browser back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// By redirect; what a provider does unasked.
    #[default]
    Query,
    /// By a form that posts itself (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// Our side of one OpenID Connect connection.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    pub connection: ConnectionId,
    /// The issuer of the connection's settings; the provider must be the same.
    pub issuer: String,
    pub provider: Arc<Provider>,
    pub client_id: String,
    /// One for each connection: RFC 9700, section 4.4.2.
    pub redirect_uri: String,
    pub auth: ClientAuth,
    pub scopes: Vec<String>,
    pub prompt: Option<String>,
    /// Seconds since the last real sign-in at the provider; asked for, and then checked.
    pub max_age: Option<u32>,
    /// Several with blanks between; asked for, and then one of them is required.
    pub acr_values: Option<String>,
    pub response_mode: ResponseMode,
    /// Whether userinfo adds claims to those of the ID token.
    pub userinfo: bool,
    pub id_token_algs: Vec<IdTokenAlg>,
    pub clock_skew: Duration,
}

/// What only the browser's attempt and the provider know of one sign-in. To be kept for one use.
#[derive(Clone, Serialize, Deserialize)]
pub struct Handshake {
    pub state: String,
    pub nonce: String,
    pub code_verifier: String,
}

impl Handshake {
    /// Three secrets of 256 bits.
    pub fn new(entropy: &Entropy) -> Self {
        Self { state: entropy.token(), nonce: entropy.token(), code_verifier: entropy.token() }
    }
}

/// Prints no secret.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

/// Who signed in, by the provider's verified word.
#[derive(Debug, Clone)]
pub struct VerifiedOidc {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) claims: Claims,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) id_token: SecretString,
    pub(super) auth_time: Option<DateTime<Utc>>,
    pub(super) sid: Option<String>,
    pub(super) acr: Option<String>,
}

impl VerifiedOidc {
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Never empty, at most 255 ASCII characters; unique at the issuer and never given to another.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Those of the ID token, and of userinfo where the connection asks for it.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// When the provider issued the ID token, by its own clock.
    pub const fn issued_at(&self) -> DateTime<Utc> {
        self.issued_at
    }

    /// The ID token as it came, which a logout request shows to the provider.
    pub const fn id_token(&self) -> &SecretString {
        &self.id_token
    }

    /// When the person last proved who they are.
    pub const fn auth_time(&self) -> Option<DateTime<Utc>> {
        self.auth_time
    }

    /// The session at the provider, by which back-channel logout names it.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// The claims, when nothing else is needed any more.
    pub fn into_claims(self) -> Claims {
        self.claims
    }
}
