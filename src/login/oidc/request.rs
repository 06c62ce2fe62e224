//! The authentication request: a URL that the browser is sent to.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use super::{
    error::OidcError,
    model::{Handshake, RelyingParty, ResponseMode},
};

/// The URL that begins a sign-in (OpenID Connect Core 1.0, 3.1.2.1). PKCE by S256 always goes with it (RFC 9700,
/// 2.1.1): a provider that does not know it ignores it.
pub fn authorization_url(
    party: &RelyingParty,
    handshake: &Handshake,
    login_hint: Option<&str>,
) -> Result<String, OidcError> {
    if party.issuer != party.provider.issuer {
        return Err(OidcError::Provider);
    }
    let mut url = Url::parse(&party.provider.authorization_endpoint).map_err(|_| OidcError::Provider)?;
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, handshake.code_verifier.as_bytes()));
    let max_age = party.max_age.map(|seconds| seconds.to_string());
    let mut parameters = url.query_pairs_mut();
    parameters
        .append_pair("response_type", "code")
        .append_pair("client_id", &party.client_id)
        .append_pair("redirect_uri", &party.redirect_uri)
        .append_pair("scope", &party.scopes.join(" "))
        .append_pair("state", &handshake.state)
        .append_pair("nonce", &handshake.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    let optional = [
        ("prompt", party.prompt.as_deref()),
        ("max_age", max_age.as_deref()),
        ("acr_values", party.acr_values.as_deref()),
        ("login_hint", login_hint),
        ("response_mode", (party.response_mode == ResponseMode::FormPost).then_some("form_post")),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            parameters.append_pair(name, value);
        }
    }
    drop(parameters);
    Ok(url.into())
}
