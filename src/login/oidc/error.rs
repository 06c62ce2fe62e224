//! Why a sign-in over OpenID Connect was refused: one variant for each thing that somebody can put right.
//! The texts are for admins; a learner is shown a reference and what to do.

use thiserror::Error;

use crate::{claims::ClaimsError, connections::jwks::JwksError, login::trail::FixSide, outbound::OutboundError};

/// Why a sign-in over OpenID Connect was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum OidcError {
    #[error(
        "the connection's issuer and the discovery document that is kept do not belong together: save the connection again"
    )]
    Provider,
    #[error("the provider's answer cannot be read: {0}")]
    Callback(&'static str),
    #[error("the answer belongs to another sign-in than the one that this browser began")]
    State,
    #[error(
        "the answer {found}, but it must come from {expected:?}: another provider may be trying to pass as this one"
    )]
    IssParameter { expected: String, found: String },
    #[error("the provider says that access was denied: the person declined, or may not use this application there")]
    AccessDenied,
    #[error(
        "the provider refused the request with `{0}`: compare the client ID, the redirect URI and the scopes with what is registered there"
    )]
    Refused(String),
    #[error("the provider could not serve the request just now: `{0}`")]
    Unavailable(String),
    #[error("the provider needs the person to act, and was asked not to show anything: `{0}`")]
    InteractionNeeded(String),

    #[error("the token endpoint could not be asked: {0}")]
    TokenRequest(OutboundError),
    #[error(
        "the provider does not accept our credentials (`{error}`, status {status}): check the client ID, the client secret and the way of authentication"
    )]
    ClientAuthentication { status: u16, error: String },
    #[error("the provider refused the code with `{error}`, status {status}")]
    TokenRefused { status: u16, error: String },
    #[error("the token endpoint's answer cannot be used: {0}")]
    TokenResponse(&'static str),
    #[error("the connection's own key for private_key_jwt cannot be used: {0}")]
    ClientKey(&'static str),

    #[error("the provider sent no ID token: let it offer the scope `openid` to this client")]
    NoIdToken,
    #[error("the ID token is not built as a signed JWT: {0}")]
    Malformed(&'static str),
    #[error(
        "the ID token is encrypted, which is not spoken here: switch ID token encryption off for this client at the provider"
    )]
    Encrypted,
    #[error("the ID token is signed by {found}, which is not among the connection's algorithms ({allowed})")]
    Algorithm { found: String, allowed: String },
    #[error("the ID token's header {0}")]
    Header(&'static str),
    #[error("{0}")]
    Keys(JwksError),
    #[error("the ID token is signed by the key {kid}, which the provider does not publish at its jwks_uri")]
    UnknownKey { kid: String },
    #[error("the ID token names no key, and the provider publishes several that fit: let it send `kid`")]
    AmbiguousKey,
    #[error("the signature of the ID token is not by the provider's key")]
    Signature,

    #[error("issued by {found:?}, but the connection expects {expected:?}")]
    Issuer { expected: String, found: String },
    #[error("the ID token is meant for another client than {expected:?}")]
    Audience { expected: String },
    #[error(
        "the ID token was issued to another party (`azp`) than {expected:?}, or is meant for several and does not say for whom it was issued"
    )]
    AuthorizedParty { expected: String },
    #[error("the claim `{0}` must be a whole number of seconds")]
    Time(&'static str),
    #[error("the ID token ended at {at}, and it is {now} here: the clocks differ")]
    Expired { at: String, now: String },
    #[error("the ID token was issued at {at}, before this sign-in began or after now ({now}): the clocks differ")]
    IssuedAt { at: String, now: String },
    #[error("the ID token is not valid before {at}, and it is {now} here: the provider's clock is probably ahead")]
    NotYetValid { at: String, now: String },
    #[error("the ID token answers another sign-in than this one (`nonce`)")]
    Nonce,
    #[error(
        "the connection asks for a recent sign-in, and the provider's is older or it does not say when it was (`auth_time`)"
    )]
    AuthTime,
    #[error("signed in by {found}, which is not among the `acr_values` that the connection asks for")]
    Acr { found: String },
    #[error("the ID token was not issued together with the access token (`at_hash`)")]
    AccessTokenHash,
    #[error("the ID token was not issued for this code (`c_hash`)")]
    CodeHash,
    #[error("the subject (`sub`) {0}")]
    Subject(&'static str),

    #[error("userinfo could not be fetched: {0}")]
    Userinfo(OutboundError),
    #[error("userinfo is not available: {0}")]
    UserinfoMissing(&'static str),
    #[error(
        "userinfo is signed or encrypted, which is not spoken here: switch it off for this client at the provider, or take the claims from the ID token alone"
    )]
    UserinfoSigned,
    #[error("userinfo is not a JSON object")]
    UserinfoUnreadable,
    #[error("userinfo is about another subject than the ID token")]
    UserinfoSubject,
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

impl OidcError {
    /// The stable code that logs, attempts and documentation use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Provider => "login.oidc.provider",
            Self::Callback(_) => "login.oidc.callback",
            Self::State => "login.oidc.state",
            Self::IssParameter { .. } => "login.oidc.iss_parameter",
            Self::AccessDenied => "login.oidc.access_denied",
            Self::Refused(_) => "login.oidc.refused",
            Self::Unavailable(_) => "login.oidc.unavailable",
            Self::InteractionNeeded(_) => "login.oidc.interaction_needed",
            Self::TokenRequest(_) => "login.oidc.token_request",
            Self::ClientAuthentication { .. } => "login.oidc.client_authentication",
            Self::TokenRefused { .. } => "login.oidc.token_refused",
            Self::TokenResponse(_) => "login.oidc.token_response",
            Self::ClientKey(_) => "login.oidc.client_key",
            Self::NoIdToken => "login.oidc.no_id_token",
            Self::Malformed(_) => "login.oidc.malformed",
            Self::Encrypted => "login.oidc.encrypted",
            Self::Algorithm { .. } => "login.oidc.algorithm",
            Self::Header(_) => "login.oidc.header",
            Self::Keys(_) => "login.oidc.keys",
            Self::UnknownKey { .. } => "login.oidc.unknown_key",
            Self::AmbiguousKey => "login.oidc.ambiguous_key",
            Self::Signature => "login.oidc.signature",
            Self::Issuer { .. } => "login.oidc.issuer",
            Self::Audience { .. } => "login.oidc.audience",
            Self::AuthorizedParty { .. } => "login.oidc.authorized_party",
            Self::Time(_) => "login.oidc.time",
            Self::Expired { .. } => "login.oidc.expired",
            Self::IssuedAt { .. } => "login.oidc.issued_at",
            Self::NotYetValid { .. } => "login.oidc.not_yet_valid",
            Self::Nonce => "login.oidc.nonce",
            Self::AuthTime => "login.oidc.auth_time",
            Self::Acr { .. } => "login.oidc.acr",
            Self::AccessTokenHash => "login.oidc.access_token_hash",
            Self::CodeHash => "login.oidc.code_hash",
            Self::Subject(_) => "login.oidc.subject",
            Self::Userinfo(_) => "login.oidc.userinfo",
            Self::UserinfoMissing(_) => "login.oidc.userinfo_missing",
            Self::UserinfoSigned => "login.oidc.userinfo_signed",
            Self::UserinfoUnreadable => "login.oidc.userinfo_unreadable",
            Self::UserinfoSubject => "login.oidc.userinfo_subject",
            Self::Claims(error) => error.code(),
        }
    }

    /// Which side must fix it.
    pub fn fix_side(&self) -> FixSide {
        match self {
            // Any error but a code that is used up or too old is about how we are registered.
            Self::TokenRefused { error, .. } if error != "invalid_grant" => FixSide::Admin,
            Self::Refused(_)
            | Self::ClientAuthentication { .. }
            | Self::Algorithm { .. }
            | Self::Issuer { .. }
            | Self::Audience { .. }
            | Self::UserinfoMissing(_)
            | Self::UserinfoSigned => FixSide::Admin,
            Self::State | Self::Nonce | Self::AuthTime | Self::InteractionNeeded(_) | Self::TokenRefused { .. } => {
                FixSide::Learner
            }
            Self::Provider | Self::ClientKey(_) => FixSide::Ours,
            Self::Callback(_)
            | Self::IssParameter { .. }
            | Self::AccessDenied
            | Self::Unavailable(_)
            | Self::TokenRequest(_)
            | Self::TokenResponse(_)
            | Self::NoIdToken
            | Self::Malformed(_)
            | Self::Encrypted
            | Self::Header(_)
            | Self::Keys(_)
            | Self::UnknownKey { .. }
            | Self::AmbiguousKey
            | Self::Signature
            | Self::AuthorizedParty { .. }
            | Self::Time(_)
            | Self::Expired { .. }
            | Self::IssuedAt { .. }
            | Self::NotYetValid { .. }
            | Self::Acr { .. }
            | Self::AccessTokenHash
            | Self::CodeHash
            | Self::Subject(_)
            | Self::Userinfo(_)
            | Self::UserinfoUnreadable
            | Self::UserinfoSubject
            | Self::Claims(_) => FixSide::Idp,
        }
    }
}

/// A short word of the other side's, such as an error code, in harmless characters.
pub(super) fn word(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'))
        .take(100)
        .collect();
    if kept.is_empty() { "nothing".to_owned() } else { kept }
}

/// A sentence of the other side's, fit for an admin: no markup, and no word that may be somebody's address.
pub(super) fn sentence(text: &str) -> String {
    let harmless = |c: &char| c.is_ascii_alphanumeric() || " _.,:;'()/-".contains(*c);
    let words = text.split_whitespace().filter(|word| !word.contains('@'));
    let kept: Vec<String> = words.map(|word| word.chars().filter(harmless).collect()).collect();
    kept.join(" ").chars().take(300).collect()
}
