//! What a verified logout token says, held against what a back-channel logout must be: OpenID Connect Back-Channel
//! Logout 1.0, sections 2.4 and 2.6. Pure.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value};

use super::{
    checks::{self, MAX_SUBJECT, shown, subject, time},
    error::OidcError,
};

/// The member of `events` that makes a JWT a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a logout token may be, clock skew aside, whatever it says of its end: as long as its `jti` is remembered.
const MAX_AGE: Duration = Duration::minutes(10);

/// Why a logout token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    #[error("the request must hold one logout_token in a form")]
    Request,
    #[error(transparent)]
    Token(#[from] OidcError),
    #[error("it was issued at {at}, and it is {now} here: it is too old, or the clocks differ")]
    IssuedAt { at: String, now: String },
    #[error("it must have a jti of 1 to 255 characters")]
    Jti,
    #[error("it must have sub, sid, or both, and each must be a text of 1 to 255 characters")]
    Whom,
    #[error("its events must be an object with the member {EVENT}, which is an object")]
    Events,
    #[error("it has a nonce, which no logout token may have")]
    Nonce,
    #[error("it was received before")]
    Replayed,
}

impl LogoutTokenError {
    /// The stable code of logs and audit.
    pub fn code(&self) -> String {
        let own = match self {
            Self::Request => "logout.oidc.request",
            Self::Token(error) => return error.code().replacen("login.", "logout.", 1),
            Self::IssuedAt { .. } => "logout.oidc.issued_at",
            Self::Jti => "logout.oidc.jti",
            Self::Whom => "logout.oidc.subject",
            Self::Events => "logout.oidc.events",
            Self::Nonce => "logout.oidc.nonce",
            Self::Replayed => "logout.oidc.replayed",
        };
        own.to_owned()
    }

    /// In words for whoever runs the provider.
    pub fn explanation(&self) -> String {
        self.to_string().replace("ID token", "logout token")
    }
}

/// What the token must agree with.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub clock_skew: Duration,
    pub now: DateTime<Utc>,
}

/// What a good logout token says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub subject: Option<String>,
    pub session: Option<String>,
    pub issued_at: DateTime<Utc>,
    pub jti: String,
    /// Until then it would be taken again, so that its `jti` has to be remembered.
    pub good_until: DateTime<Utc>,
}

/// Makes every check of section 2.6 that is not of the signature or the replay, and stops at the first that fails.
pub(super) fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Said, LogoutTokenError> {
    // 2.6, 4: iss, aud, iat and exp as in an ID token.
    checks::issuer(claims, expected.issuer)?;
    checks::audience(claims, expected.client_id)?;
    checks::authorized_party(claims, expected.client_id)?;
    let (issued_at, good_until) = times(claims, expected)?;
    // 2.4: jti is required.
    let jti = short_text(claims.get("jti")).ok_or(LogoutTokenError::Jti)?;
    // 2.6, 5: whom it is about; what is there must be readable, or it would end more than it says.
    let session = claims.get("sid").map(|sid| short_text(Some(sid)).ok_or(LogoutTokenError::Whom)).transpose()?;
    let subject = match claims.contains_key("sub") {
        true => Some(subject(claims).map_err(|_| LogoutTokenError::Whom)?),
        false => None,
    };
    if subject.is_none() && session.is_none() {
        return Err(LogoutTokenError::Whom);
    }
    // 2.6, 6.
    let events = claims.get("events").and_then(Value::as_object);
    if !events.and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Events);
    }
    // 2.6, 7: an ID token must not pass as a logout token, nor the other way round (4.1).
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::Nonce);
    }
    Ok(Said { subject, session, issued_at, jti, good_until })
}

fn times(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), LogoutTokenError> {
    let (now, skew) = (expected.now, expected.clock_skew);
    let ends = time(claims, "exp")?.ok_or(OidcError::Time("exp"))?;
    let issued = time(claims, "iat")?.ok_or(OidcError::Time("iat"))?;
    if now >= ends + skew {
        return Err(OidcError::Expired { at: shown(ends), now: shown(now) }.into());
    }
    if issued > now + skew || issued < now - MAX_AGE - skew {
        return Err(LogoutTokenError::IssuedAt { at: shown(issued), now: shown(now) });
    }
    // RFC 7519, 4.1.5.
    if let Some(begins) = time(claims, "nbf")?
        && begins > now + skew
    {
        return Err(OidcError::NotYetValid { at: shown(begins), now: shown(now) }.into());
    }
    Ok((issued, ends.min(issued + MAX_AGE) + skew))
}

fn short_text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    (1..=MAX_SUBJECT).contains(&text.len()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn said(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Said, LogoutTokenError> {
        let claims = json!({
            "iss": "https://op.example", "aud": "usher", "iat": NOW - 1, "exp": NOW + 120, "jti": "one",
            "sub": "grace", "sid": "s1", "events": { EVENT: {} },
        });
        let mut claims = claims.as_object().unwrap().clone();
        change(&mut claims);
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        let (issuer, client_id) = ("https://op.example", "usher");
        check(&claims, &Expected { issuer, client_id, clock_skew: Duration::seconds(60), now })
    }

    fn with(name: &str, value: Value) -> Result<Said, LogoutTokenError> {
        said(|claims| drop(claims.insert(name.to_owned(), value)))
    }

    fn without(name: &str) -> Result<Said, LogoutTokenError> {
        said(|claims| drop(claims.remove(name)))
    }

    #[test]
    fn a_whole_token_and_one_with_either_name_are_good() {
        let whole = said(|_| ()).unwrap();
        assert_eq!((whole.subject.as_deref(), whole.session.as_deref()), (Some("grace"), Some("s1")));
        assert_eq!(without("sid").unwrap().session, None);
        assert_eq!(without("sub").unwrap().subject, None);
        assert!(with("aud", json!(["usher"])).is_ok());
        assert!(with("trace_id", json!("unknown claims are ignored")).is_ok());
        assert!(with("events", json!({ EVENT: { "more": 1 }, "other": {} })).is_ok());
    }

    #[test]
    fn each_claim_that_is_missing_or_wrong_refuses_it() {
        let wrong = [
            with("iss", json!("https://op.example/")),
            without("iss"),
            with("aud", json!("other")),
            with("aud", json!(["usher", "other"])),
            with("azp", json!("other")),
            without("aud"),
            without("exp"),
            with("exp", json!(NOW - 60)),
            with("exp", json!((NOW + 60).to_string())),
            without("iat"),
            with("iat", json!(NOW + 61)),
            with("iat", json!(NOW - 661)),
            with("nbf", json!(NOW + 61)),
            without("jti"),
            with("jti", json!("")),
            with("jti", json!(7)),
            with("jti", json!("j".repeat(256))),
            said(|claims| claims.retain(|name, _| name != "sub" && name != "sid")),
            with("sid", json!(7)),
            with("sid", Value::Null),
            with("sid", json!("")),
            with("sub", json!(["grace"])),
            with("sub", json!("")),
            without("events"),
            with("events", json!([EVENT])),
            with("events", json!({ "http://schemas.openid.net/event/other": {} })),
            with("events", json!({ EVENT: true })),
            with("nonce", json!("n")),
            with("nonce", Value::Null),
        ];
        for (index, outcome) in wrong.into_iter().enumerate() {
            assert!(outcome.is_err(), "{index}: {outcome:?}");
        }
        for good in [with("exp", json!(NOW - 59)), with("iat", json!(NOW + 60)), with("iat", json!(NOW - 660))] {
            assert!(good.is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_token_is_remembered_for_as_long_as_it_would_be_taken_again() {
        let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap();
        assert_eq!(said(|_| ()).unwrap().good_until, at(NOW + 180));
        assert_eq!(with("exp", json!(NOW + 1_000_000)).unwrap().good_until, at(NOW - 1 + 660));
    }
}
