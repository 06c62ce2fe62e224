//! Times in SAML: read, and compared with now within the connection's clock skew.

use chrono::{DateTime, Duration, Utc};

use super::error::SamlError;

/// Now, and how far the other side's clock may be from ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub now: DateTime<Utc>,
    pub clock_skew: Duration,
}

impl Moment {
    pub fn not_future(self, what: &'static str, at: DateTime<Utc>) -> Result<(), SamlError> {
        if at <= self.now + self.clock_skew {
            return Ok(());
        }
        Err(SamlError::NotYetValid { what, at: shown(at), now: shown(self.now) })
    }

    pub fn not_over(self, what: &'static str, end: DateTime<Utc>) -> Result<(), SamlError> {
        if self.now - self.clock_skew < end { Ok(()) } else { Err(self.expired(what, end)) }
    }

    pub fn expired(self, what: &'static str, at: DateTime<Utc>) -> SamlError {
        SamlError::Expired { what, at: shown(at), now: shown(self.now) }
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn required(value: Option<&str>, name: &'static str) -> Result<DateTime<Utc>, SamlError> {
    optional(value, name)?.ok_or(SamlError::Time(name))
}

/// An xs:dateTime; SAML has them in UTC (core 1.3.3), and one without a zone is read as such.
pub(super) fn optional(value: Option<&str>, name: &'static str) -> Result<Option<DateTime<Utc>>, SamlError> {
    let Some(value) = value.map(str::trim) else {
        return Ok(None);
    };
    let zoned = DateTime::parse_from_rfc3339(value).map(|t| t.with_timezone(&Utc)).ok();
    let parsed =
        zoned.or_else(|| DateTime::parse_from_rfc3339(&format!("{value}Z")).map(|t| t.with_timezone(&Utc)).ok());
    // Far-away years would overflow the arithmetic with skews.
    parsed.filter(|t| (1970..=9000).contains(&chrono::Datelike::year(t))).map(Some).ok_or(SamlError::Time(name))
}
