//! More claims about the person who signed in: OpenID Connect Core 1.0, 5.3.
//!
//! The ID token goes before userinfo wherever both hold a claim: it is signed, and was made for this sign-in.

use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value};

use super::{error::OidcError, exchange::MAX_BYTES, json::Object, model::RelyingParty};
use crate::app::App;

/// Fetches userinfo; it must be about `subject`.
pub(super) async fn fetch(
    app: &App,
    party: &RelyingParty,
    access_token: Option<&str>,
    subject: &str,
) -> Result<Map<String, Value>, OidcError> {
    let endpoint = party.provider.userinfo_endpoint.as_deref();
    let endpoint = endpoint.ok_or(OidcError::UserinfoMissing("the provider has no userinfo endpoint"))?;
    let token = access_token.ok_or(OidcError::UserinfoMissing("the provider sent no access token"))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut bearer = bearer.map_err(|_| OidcError::UserinfoMissing("the access token does not fit into a header"))?;
    bearer.set_sensitive(true);
    let accept = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, bearer), (header::ACCEPT, accept)]);
    let fetched = app.outbound.get_with(endpoint, headers, MAX_BYTES).await.map_err(OidcError::Userinfo)?;
    match fetched.content_type.as_deref() {
        Some("application/jwt") => return Err(OidcError::UserinfoSigned),
        // Core 5.3.2: application/json. A page or a text that happens to parse is not an answer.
        Some(kind) if kind == "application/json" || kind.ends_with("+json") => {}
        _ => return Err(OidcError::UserinfoUnreadable),
    }
    let claims = Object::read(&fetched.body).ok_or(OidcError::UserinfoUnreadable)?;
    // Core 5.3.2: must be the same, or nothing of it may be used (token substitution, 16.11).
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(OidcError::UserinfoSubject);
    }
    Ok(claims)
}

/// Adds what the ID token does not say itself.
pub(super) fn merge(id_token: &mut Map<String, Value>, userinfo: Map<String, Value>) {
    for (name, value) in userinfo {
        id_token.entry(name).or_insert(value);
    }
}
