//! The one place where this crate asks for the time; builders take `now` from their caller.

use chrono::{DateTime, SecondsFormat, Utc};

/// The current time.
#[allow(clippy::disallowed_methods)]
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// An instant as `xs:dateTime` in UTC with milliseconds, the form that every vendor sends.
#[must_use]
pub fn xs_date_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
