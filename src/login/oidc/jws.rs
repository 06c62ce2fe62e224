//! The form, algorithm, key and signature of an ID token: RFC 7515 in its compact form, with RFC 8725 in mind. Gives the
//! payload only when the signature has been verified.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthorizationCode, AuthorizationCodeHash, JsonWebKey,
    core::{CoreJsonWebKey, CoreJwsSigningAlgorithm},
};
use serde_json::{Map, Value};

use super::{
    error::{OidcError, word},
    json::Object,
};
use crate::connections::{IdTokenAlg, jwks::KeySet};

/// What a token must be for: one of another kind is not it (RFC 8725, 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    IdToken,
    /// OpenID Connect Back-Channel Logout 1.0, 2.4.
    LogoutToken,
}

impl Kind {
    /// Whether a token of this `typ` may be one. Many providers type none of theirs.
    fn allows(self, typ: &str) -> bool {
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        matches!(typ, "jwt" | "jose") || (self == Self::LogoutToken && typ == "logout+jwt")
    }
}

/// A token whose header was read and whose payload was not.
pub(super) struct Jws<'a> {
    signing_input: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
    alg: IdTokenAlg,
    kid: Option<String>,
}

/// The payload of a token, and the key that signed it.
pub(super) struct Signed {
    pub payload: Map<String, Value>,
    key: CoreJsonWebKey,
    alg: CoreJwsSigningAlgorithm,
}

impl<'a> Jws<'a> {
    /// Takes a token apart and judges its header.
    pub fn read(token: &'a str, kind: Kind, allowed: &[IdTokenAlg]) -> Result<Self, OidcError> {
        let parts: Vec<&str> = token.split('.').collect();
        let (header, payload, signature) = match parts.as_slice() {
            [header, payload, signature] => (*header, *payload, *signature),
            [_, _, _, _, _] => return Err(OidcError::Encrypted),
            _ => return Err(OidcError::Malformed("it does not have three parts")),
        };
        let header = Object::read(&decoded(header)?).ok_or(OidcError::Malformed("its header is not a JSON object"))?;
        let (alg, kid) = judged(&header, kind, allowed)?;
        let signature = decoded(signature)?;
        let signing_input = token.rsplit_once('.').map_or(token, |(input, _)| input);
        Ok(Self { signing_input, payload, signature, alg, kid })
    }

    /// The key by which it claims to be signed.
    pub fn kid(&self) -> Cow<'_, str> {
        self.kid.as_deref().map_or(Cow::Borrowed("without a name"), |kid| Cow::Owned(word(kid)))
    }

    /// Whether some key of the set may have signed it.
    pub fn is_known_to(&self, keys: &KeySet) -> bool {
        !keys.fitting(self.kid.as_deref(), self.alg).is_empty()
    }

    /// Verifies the signature by the one key that fits, and reads the payload.
    pub fn verified(&self, keys: &KeySet) -> Result<Signed, OidcError> {
        let key = match keys.fitting(self.kid.as_deref(), self.alg).as_slice() {
            [] => return Err(OidcError::UnknownKey { kid: self.kid().into_owned() }),
            [key] => *key,
            // OpenID Connect Core 1.0, 10.1: `kid` is required when there are several keys.
            _ => return Err(OidcError::AmbiguousKey),
        };
        let alg = library_alg(self.alg);
        key.verify_signature(&alg, self.signing_input.as_bytes(), &self.signature).map_err(|_| OidcError::Signature)?;
        let payload = Object::read(&decoded(self.payload)?);
        let payload = payload.ok_or(OidcError::Malformed("its payload is not a JSON object with different names"))?;
        Ok(Signed { payload, key: key.clone(), alg })
    }
}

impl Signed {
    /// `at_hash` as it must be for this access token (Core 3.1.3.6).
    pub fn access_token_hash(&self, token: &str) -> Option<String> {
        let hash = AccessTokenHash::from_token(&AccessToken::new(token.to_owned()), &self.alg, &self.key);
        hash.ok().map(|hash| hash.as_str().to_owned())
    }

    /// `c_hash` as it must be for this code (Core 3.3.2.11).
    pub fn code_hash(&self, code: &str) -> Option<String> {
        let hash = AuthorizationCodeHash::from_code(&AuthorizationCode::new(code.to_owned()), &self.alg, &self.key);
        hash.ok().map(|hash| hash.as_str().to_owned())
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, OidcError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| OidcError::Malformed("a part of it is not base64url"))
}

// Members such as `jku`, `jwk`, `x5u` and `x5c` are not even looked at: keys come from `jwks_uri` alone (RFC 8725, 3.10).
fn judged(
    header: &Map<String, Value>,
    wanted: Kind,
    allowed: &[IdTokenAlg],
) -> Result<(IdTokenAlg, Option<String>), OidcError> {
    let found = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let Some(alg) = allowed.iter().copied().find(|alg| alg.as_str() == found) else {
        let allowed = allowed.iter().map(|alg| alg.as_str()).collect::<Vec<_>>().join(", ");
        return Err(OidcError::Algorithm { found: word(found), allowed });
    };
    // RFC 7515, 4.1.11: we understand no extension, so that any that must be understood refuses the token.
    if header.contains_key("crit") {
        return Err(OidcError::Header("names extensions that must be understood (`crit`)"));
    }
    if header.contains_key("cty") {
        return Err(OidcError::Header("says that another token is inside (`cty`)"));
    }
    // RFC 8725, 3.11: a token made for another purpose, such as at+jwt, is not it.
    if header.get("typ").is_some_and(|kind| !kind.as_str().is_some_and(|kind| wanted.allows(kind))) {
        return Err(OidcError::Header("says that it is another kind of token (`typ`)"));
    }
    match header.get("kid") {
        None => Ok((alg, None)),
        Some(Value::String(kid)) if kid.len() <= 1024 => Ok((alg, Some(kid.clone()))),
        Some(_) => Err(OidcError::Header("names its key by something else than a short text (`kid`)")),
    }
}

const fn library_alg(alg: IdTokenAlg) -> CoreJwsSigningAlgorithm {
    match alg {
        IdTokenAlg::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        IdTokenAlg::Rs384 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
        IdTokenAlg::Rs512 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
        IdTokenAlg::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        IdTokenAlg::Ps384 => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
        IdTokenAlg::Ps512 => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
        IdTokenAlg::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        IdTokenAlg::Es384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
        IdTokenAlg::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
    }
}

#[cfg(test)]
mod tests {
    use idp_fixtures::{
        oidc::jose::{Algorithm, SigningKey},
        sign::{KeyKind, shared},
    };
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key(algorithm: Algorithm, kind: KeyKind) -> (SigningKey, KeySet) {
        let key = SigningKey::new(algorithm, shared(kind, "fixture OpenID provider").unwrap()).unwrap();
        let set = KeySet::read(json!({"keys": [key.jwk().unwrap()]}).to_string().as_bytes()).unwrap();
        (key, set)
    }

    fn verified(token: &str, keys: &KeySet) -> Result<Signed, OidcError> {
        Jws::read(token, Kind::IdToken, &[IdTokenAlg::Es256, IdTokenAlg::EdDsa])?.verified(keys)
    }

    #[test]
    fn a_token_with_any_character_changed_added_or_taken_away_is_refused() {
        for (algorithm, kind) in [(Algorithm::Es256, KeyKind::P256), (Algorithm::EdDsa, KeyKind::Ed25519)] {
            let (key, keys) = key(algorithm, kind);
            let token = key.token(json!({"sub": "grace", "nonce": "n"}).as_object().unwrap()).unwrap();
            assert_eq!(verified(&token, &keys).unwrap().payload["sub"], "grace");
            for at in 0..token.len() {
                let (before, rest) = token.split_at(at);
                let (here, after) = rest.split_at(1);
                let other = if here == "A" { "B" } else { "A" };
                for changed in
                    [format!("{before}{other}{after}"), format!("{before}{after}"), format!("{before}{other}{rest}")]
                {
                    assert!(verified(&changed, &keys).is_err(), "{algorithm:?} {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_no_token_is_taken_for_one(text in "[A-Za-z0-9_.-]{0,200}", noise in any::<String>()) {
            let (_, keys) = key(Algorithm::Es256, KeyKind::P256);
            prop_assert!(verified(&text, &keys).is_err());
            prop_assert!(verified(&noise, &keys).is_err());
        }
    }
}
