//! What is kept of an IdP after its metadata or discovery document was read, and when it is read again.

use chrono::{DateTime, Duration, Utc};

use super::saml_metadata::{Binding, Endpoint, IdpMetadata, MetadataWarning};

/// How soon after a reading the next one may come, and how late it must.
const SOONEST: Duration = Duration::hours(1);
const LATEST: Duration = Duration::hours(24);
/// Bounds of the wait after a failure.
const RETRY_SOONEST: Duration = Duration::minutes(5);
const RETRY_LATEST: Duration = Duration::hours(6);

/// The form that is kept: without the warnings that time alone changes, so that two readings of one document are equal.
pub(super) fn kept(mut idp: IdpMetadata) -> IdpMetadata {
    idp.warnings.retain(|warning| matches!(warning, MetadataWarning::CertificateUnreadable));
    idp
}

/// The endpoint for the wanted binding, or the other one where the IdP offers only that.
pub fn sso_endpoint(idp: &IdpMetadata, wanted: Binding) -> Option<&Endpoint> {
    idp.sso.iter().find(|endpoint| endpoint.binding == wanted).or_else(|| idp.sso.first())
}

/// When to read metadata again: by cacheDuration and ahead of validUntil, between an hour and a day.
pub fn metadata_refresh_at(idp: &IdpMetadata, now: DateTime<Utc>) -> DateTime<Utc> {
    let cached = idp.cache_duration_s.and_then(Duration::try_seconds).unwrap_or(LATEST);
    // Half of what is left, so that one failed reading does not yet let it expire.
    let valid = idp.valid_until.map_or(LATEST, |until| (until - now) / 2);
    now + cached.min(valid).clamp(SOONEST, LATEST)
}

/// When to read a discovery document again.
pub fn discovery_refresh_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LATEST
}

/// When to try again after a failure: the longer it has been failing, the longer the wait.
pub fn retry_at(last_success: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let failing = last_success.map_or(Duration::zero(), |at| now - at);
    now + (failing / 4).clamp(RETRY_SOONEST, RETRY_LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idp(valid_for: Option<Duration>, cache_duration_s: Option<i64>) -> IdpMetadata {
        IdpMetadata {
            entity_id: "urn:idp".into(),
            sso: Vec::new(),
            slo: Vec::new(),
            certificates: Vec::new(),
            wants_signed_requests: false,
            valid_until: valid_for.map(|valid| at() + valid),
            cache_duration_s,
            name_id_formats: Vec::new(),
            scopes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn wait(idp: &IdpMetadata) -> Duration {
        metadata_refresh_at(idp, at()) - at()
    }

    #[test]
    fn metadata_is_read_again_by_the_shorter_of_its_two_times_within_bounds() {
        assert_eq!(wait(&idp(None, None)), Duration::hours(24));
        assert_eq!(wait(&idp(None, Some(6 * 3600))), Duration::hours(6));
        assert_eq!(wait(&idp(Some(Duration::hours(8)), Some(6 * 3600))), Duration::hours(4));
        assert_eq!(wait(&idp(Some(Duration::days(30)), None)), Duration::hours(24));
        assert_eq!(wait(&idp(Some(Duration::minutes(-5)), None)), Duration::hours(1));
        assert_eq!(wait(&idp(None, Some(0))), Duration::hours(1));
        assert_eq!(wait(&idp(None, Some(i64::MAX))), Duration::hours(24));
    }

    #[test]
    fn a_failing_idp_is_asked_less_and_less_often() {
        let wait = |failing: Duration| retry_at(Some(at() - failing), at()) - at();
        assert_eq!(retry_at(None, at()) - at(), Duration::minutes(5));
        assert_eq!(wait(Duration::minutes(1)), Duration::minutes(5));
        assert_eq!(wait(Duration::hours(4)), Duration::hours(1));
        assert_eq!(wait(Duration::days(30)), Duration::hours(6));
    }
}
