//! What a verified ID token says, held against what this sign-in expects: OpenID Connect Core 1.0, 3.1.3.7. Pure.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Map, Value};

use super::{
    error::{OidcError, word},
    jws::Signed,
    model::{Handshake, RelyingParty},
};
use crate::{crypto, login::trail::Trail};

pub(super) const MAX_SUBJECT: usize = 255;
/// The end of the year 9999: later is nonsense.
const LATEST: i64 = 253_402_300_799;

/// What the ID token must agree with.
pub(super) struct Expected<'a> {
    pub party: &'a RelyingParty,
    pub handshake: &'a Handshake,
    pub code: &'a str,
    pub access_token: Option<&'a str>,
    pub started_at: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

/// What the checks read on their way.
pub(super) struct Checked {
    pub subject: String,
    pub issued_at: DateTime<Utc>,
    pub auth_time: Option<DateTime<Utc>>,
    pub sid: Option<String>,
    pub acr: Option<String>,
}

/// Makes every check, and stops at the first that fails.
pub(super) fn check(signed: &Signed, expected: &Expected<'_>, trail: &mut Trail) -> Result<Checked, OidcError> {
    let claims = &signed.payload;
    trail.outcome("oidc.issuer", issuer(claims, &expected.party.issuer))?;
    trail.outcome("oidc.audience", audience(claims, &expected.party.client_id))?;
    trail.outcome("oidc.authorized_party", authorized_party(claims, &expected.party.client_id))?;
    trail.outcome("oidc.nonce", expected.nonce(claims))?;
    let issued_at = trail.outcome("oidc.times", expected.times(claims))?;
    let auth_time = trail.outcome("oidc.auth_time", expected.auth_time(claims))?;
    let acr = trail.outcome("oidc.acr", expected.acr(claims))?;
    trail.outcome("oidc.hashes", expected.hashes(signed))?;
    let subject = trail.outcome("oidc.subject", subject(claims))?;
    let sid = claims.get("sid").and_then(Value::as_str).filter(|sid| (1..=MAX_SUBJECT).contains(&sid.len()));
    Ok(Checked { subject, issued_at, auth_time, sid: sid.map(str::to_owned), acr })
}

// Core 3.1.3.7, 2: exactly, with the slash at the end or without.
pub(super) fn issuer(claims: &Map<String, Value>, expected: &str) -> Result<(), OidcError> {
    let found = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if found == expected {
        return Ok(());
    }
    Err(OidcError::Issuer { expected: expected.to_owned(), found: word(found) })
}

// Core 3.1.3.7, 3.
pub(super) fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), OidcError> {
    let ours = |audience: &Value| audience.as_str() == Some(client_id);
    let passes = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().all(Value::is_string) && audiences.iter().any(ours),
        Some(audience) => ours(audience),
        None => false,
    };
    if passes { Ok(()) } else { Err(OidcError::Audience { expected: client_id.to_owned() }) }
}

// Core 3.1.3.7, 4 and 5: with several audiences `azp` must be there, and when it is there it must be us. A token that
// was issued to another party is another party's, even if it names us as well.
pub(super) fn authorized_party(claims: &Map<String, Value>, client_id: &str) -> Result<(), OidcError> {
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|audiences| audiences.len() > 1);
    let passes = match claims.get("azp") {
        Some(party) => party.as_str() == Some(client_id),
        None => !several,
    };
    if passes { Ok(()) } else { Err(OidcError::AuthorizedParty { expected: client_id.to_owned() }) }
}

impl Expected<'_> {
    // Core 3.1.3.7, 11.
    fn nonce(&self, claims: &Map<String, Value>) -> Result<(), OidcError> {
        let found = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
        if crypto::same(found.as_bytes(), self.handshake.nonce.as_bytes()) { Ok(()) } else { Err(OidcError::Nonce) }
    }

    // Core 3.1.3.7, 9 and 10; RFC 7519, 4.1.5. A token that was issued before we asked for it is not the answer.
    fn times(&self, claims: &Map<String, Value>) -> Result<DateTime<Utc>, OidcError> {
        let (now, skew) = (self.now, self.party.clock_skew);
        let ends = time(claims, "exp")?.ok_or(OidcError::Time("exp"))?;
        let issued = time(claims, "iat")?.ok_or(OidcError::Time("iat"))?;
        if now >= ends + skew {
            return Err(OidcError::Expired { at: shown(ends), now: shown(now) });
        }
        // `iat` has whole seconds, and ours has not.
        if issued > now + skew || issued + Duration::seconds(1) <= self.started_at - skew {
            return Err(OidcError::IssuedAt { at: shown(issued), now: shown(now) });
        }
        match time(claims, "nbf")? {
            Some(begins) if begins > now + skew => Err(OidcError::NotYetValid { at: shown(begins), now: shown(now) }),
            _ => Ok(issued),
        }
    }

    // Core 3.1.3.7, 13, and 3.1.2.1: `auth_time` is required when `max_age` was asked for; and where it is given, it also
    // shows whether `prompt=login` was heeded.
    fn auth_time(&self, claims: &Map<String, Value>) -> Result<Option<DateTime<Utc>>, OidcError> {
        let (now, skew) = (self.now, self.party.clock_skew);
        let Some(at) = time(claims, "auth_time")? else {
            return if self.party.max_age.is_some() { Err(OidcError::AuthTime) } else { Ok(None) };
        };
        let oldest = self.party.max_age.map(|seconds| now - Duration::seconds(i64::from(seconds)) - skew);
        let asked_again =
            self.party.prompt.as_deref().is_some_and(|prompt| prompt.split(' ').any(|word| word == "login"));
        let not_fresh = asked_again && at + Duration::seconds(1) <= self.started_at - skew;
        if at > now + skew || oldest.is_some_and(|oldest| at < oldest) || not_fresh {
            return Err(OidcError::AuthTime);
        }
        Ok(Some(at))
    }

    // Core 3.1.3.7, 12. A provider may ignore `acr_values`; the connection asks for them for a reason, so that ignoring
    // them must not pass unnoticed.
    fn acr(&self, claims: &Map<String, Value>) -> Result<Option<String>, OidcError> {
        let found = claims.get("acr").and_then(Value::as_str);
        if let Some(wanted) = &self.party.acr_values
            && !found.is_some_and(|found| wanted.split(' ').any(|wanted| wanted == found))
        {
            return Err(OidcError::Acr { found: word(found.unwrap_or_default()) });
        }
        Ok(found.map(str::to_owned))
    }

    // Core 3.1.3.6 and 3.3.2.11: where they are given, they must hold. `at_hash` without an access token holds for nothing.
    fn hashes(&self, signed: &Signed) -> Result<(), OidcError> {
        if let Some(hash) = signed.payload.get("at_hash") {
            let expected = self.access_token.and_then(|token| signed.access_token_hash(token));
            if expected.is_none() || hash.as_str() != expected.as_deref() {
                return Err(OidcError::AccessTokenHash);
            }
        }
        if let Some(hash) = signed.payload.get("c_hash") {
            let expected = signed.code_hash(self.code);
            if expected.is_none() || hash.as_str() != expected.as_deref() {
                return Err(OidcError::CodeHash);
            }
        }
        Ok(())
    }
}

// Core section 2: at most 255 ASCII characters, compared with regard to case.
pub(super) fn subject(claims: &Map<String, Value>) -> Result<String, OidcError> {
    match claims.get("sub") {
        None => Err(OidcError::Subject("is missing")),
        Some(Value::String(subject)) if subject.trim().is_empty() => Err(OidcError::Subject("is empty")),
        Some(Value::String(subject)) if subject.len() > MAX_SUBJECT => {
            Err(OidcError::Subject("is longer than 255 characters"))
        }
        Some(Value::String(subject)) if subject.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) => {
            Err(OidcError::Subject("holds characters that are not printable ASCII"))
        }
        Some(Value::String(subject)) => Ok(subject.clone()),
        Some(_) => Err(OidcError::Subject("is not a text")),
    }
}

/// A NumericDate (RFC 7519, section 2) in whole seconds. Texts, fractions, null and nonsense are refused, not repaired.
pub(super) fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<DateTime<Utc>>, OidcError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().filter(|seconds| (0..=LATEST).contains(seconds));
    let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map(Some).ok_or(OidcError::Time(name))
}

pub(super) fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
