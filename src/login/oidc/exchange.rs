//! The code for tokens: OpenID Connect Core 1.0, 3.1.3.

use chrono::{DateTime, Utc};
use http::{HeaderValue, header};
use serde_json::{Map, Value};

use super::{
    client_auth::Proof,
    error::{OidcError, sentence, word},
    json::Object,
    model::{Handshake, RelyingParty},
};
use crate::{app::App, login::trail::Trail, outbound::Fetched};

/// The largest token answer that is read: an ID token with thousands of groups has some hundred KB.
pub(super) const MAX_BYTES: usize = 2 << 20;

/// What the token endpoint gave. Never printed or logged.
pub(super) struct Tokens {
    pub id_token: String,
    pub access_token: Option<String>,
}

/// Redeems the code, with the PKCE verifier and our authentication.
pub(super) async fn exchange(
    app: &App,
    party: &RelyingParty,
    handshake: &Handshake,
    code: &str,
    now: DateTime<Utc>,
    trail: &mut Trail,
) -> Result<Tokens, OidcError> {
    let proof = trail.outcome("oidc.client_authentication", Proof::make(party, &app.entropy, now))?;
    let mut headers = proof.headers;
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", party.redirect_uri.as_str()),
        ("code_verifier", handshake.code_verifier.as_str()),
    ];
    form.extend(proof.form.iter().map(|(name, value)| (*name, value.as_str())));
    let sent = app.outbound.post_form(&party.provider.token_endpoint, headers, &form, MAX_BYTES).await;
    let fetched = trail.outcome("oidc.token_request", sent.map_err(OidcError::TokenRequest))?;
    match Object::read(&fetched.body) {
        Some(answer) if fetched.status == 200 => trail.outcome("oidc.token_response", tokens(answer)),
        answer => {
            let (refusal, said) = refusal(&fetched, answer.unwrap_or_default());
            trail.failed(
                "oidc.token_response",
                said.map_or_else(|| refusal.to_string(), |said| format!("{refusal} ({said})")),
            );
            Err(refusal)
        }
    }
}

fn tokens(mut answer: Map<String, Value>) -> Result<Tokens, OidcError> {
    let id_token = match answer.remove("id_token") {
        Some(Value::String(token)) if !token.is_empty() => token,
        None | Some(Value::Null) => return Err(OidcError::NoIdToken),
        Some(_) => return Err(OidcError::TokenResponse("the ID token is not a text")),
    };
    let access_token = match answer.remove("access_token") {
        Some(Value::String(token)) if !token.is_empty() => Some(token),
        None => None,
        Some(_) => return Err(OidcError::TokenResponse("the access token is not a text")),
    };
    // RFC 6749, 7.1: a token of a type that is not understood must not be used.
    let bearer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if access_token.is_some() && !answer.get("token_type").is_some_and(bearer) {
        return Err(OidcError::TokenResponse("the access token is not of the type Bearer"));
    }
    Ok(Tokens { id_token, access_token })
}

// RFC 6749, section 5.2.
fn refusal(fetched: &Fetched, answer: Map<String, Value>) -> (OidcError, Option<String>) {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let said = text("error_description").map(sentence).filter(|said| !said.is_empty());
    let status = fetched.status;
    let refusal = match text("error") {
        Some("invalid_client" | "unauthorized_client") => {
            OidcError::ClientAuthentication { status, error: word(text("error").unwrap_or_default()) }
        }
        Some(error) => OidcError::TokenRefused { status, error: word(error) },
        None if status == 401 => OidcError::ClientAuthentication { status, error: "nothing".to_owned() },
        None if status == 200 => OidcError::TokenResponse("it is not a JSON object"),
        None => OidcError::TokenRequest(crate::outbound::OutboundError::Status(status)),
    };
    (refusal, said)
}
