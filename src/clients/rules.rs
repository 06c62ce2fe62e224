//! Pure rules over single values: slugs, names, addresses, URLs, locales, dates.

use chrono::{DateTime, Datelike, Utc};
use url::{Host, Url};

use crate::config::Settings;

/// What of the deployment decides which values are acceptable.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The host of the public origin, which is no client's own.
    pub base_host: &'a str,
    /// Whether plain http on loopback is acceptable in URLs that browsers load: in development only.
    pub plain_loopback: bool,
}

impl<'a> Surroundings<'a> {
    pub fn of(settings: &'a Settings) -> Self {
        let base_host = settings.server.public_origin.host_str().unwrap_or_default();
        Self { base_host, plain_loopback: !settings.server.is_https() }
    }

    pub(super) fn is_base_host(self, host: &str) -> bool {
        host == self.base_host
    }
}

const MAX_URL: usize = 2000;

/// Words that are, or may become, the first segment of a path of ours, or that would deceive as a client's name.
const RESERVED: &[&str] = &[
    "about",
    "accounts",
    "admin",
    "api",
    "app",
    "apple-app-site-association",
    "assets",
    "auth",
    "authorize",
    "callback",
    "clients",
    "dashboard",
    "docs",
    "error",
    "errors",
    "favicon",
    "forgot",
    "graphql",
    "health",
    "healthz",
    "help",
    "host",
    "hosts",
    "imports",
    "internal",
    "invite",
    "invites",
    "legal",
    "livez",
    "login",
    "logout",
    "mail",
    "me",
    "metrics",
    "new",
    "null",
    "oauth",
    "oauth2",
    "oidc",
    "openid",
    "password",
    "platform",
    "privacy",
    "public",
    "readyz",
    "redeem",
    "register",
    "robots",
    "root",
    "saml",
    "scim",
    "search",
    "security",
    "session",
    "sessions",
    "settings",
    "setup",
    "signin",
    "signout",
    "signup",
    "sso",
    "static",
    "status",
    "support",
    "system",
    "terms",
    "token",
    "tokens",
    "undefined",
    "usher",
    "verify",
    "webhooks",
    "well-known",
    "www",
];

/// Whether a text has the form of a slug: 2 to 63 of `a-z`, `0-9`, and single hyphens between them.
pub fn is_slug(text: &str) -> bool {
    let well_placed = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
    let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (2..=63).contains(&text.len()) && letters && well_placed
}

/// Whether a slug is kept for paths of ours.
pub fn is_reserved(slug: &str) -> bool {
    RESERVED.contains(&slug)
}

/// A slug made from a name; `None` when nothing of it serves.
pub fn slug_from(name: &str) -> Option<String> {
    let mut slug = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 63 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    is_slug(&slug).then_some(slug)
}

/// Whether a text is 1 to `most` characters, not blank at its ends, and holds no control characters (line breaks where
/// `lines`).
pub fn is_plain_text(text: &str, most: usize, lines: bool) -> bool {
    let acceptable = |letter: char| !letter.is_control() || (lines && matches!(letter, '\n' | '\t'));
    (1..=most).contains(&text.chars().count()) && !text.trim().is_empty() && text.chars().all(acceptable)
}

/// Whether a text is one plain e-mail address.
pub fn is_email(text: &str) -> bool {
    text.len() <= 320 && crate::claims::email_domain(text).is_some() && email_address::EmailAddress::is_valid(text)
}

/// A URL that a browser may load or follow: https, or in development http on loopback.
pub fn web_url(text: &str, surroundings: Surroundings<'_>) -> Option<Url> {
    if text.len() > MAX_URL || text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_acceptable = match url.scheme() {
        "https" => true,
        "http" => surroundings.plain_loopback && is_loopback,
        _ => false,
    };
    (is_acceptable && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// Whether a text has the form of a BCP 47 language tag.
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    let is_language = (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_subtag = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 35 && is_language && parts.all(is_subtag)
}

/// Whether a date is one that a person could mean.
pub fn is_sane_date(at: DateTime<Utc>) -> bool {
    (1970..=9999).contains(&at.year())
}

/// A host name in its one spelling.
pub fn host_name(text: &str) -> Option<String> {
    super::domain::own_domain(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_have_one_form() {
        for slug in ["ab", "acme", "acme-2", "a1-b2-c3"] {
            assert!(is_slug(slug), "{slug}");
        }
        for slug in ["", "a", "-a", "a-", "a--b", "Acme", "acme_2", "acmé", "a.b", &"a".repeat(64)] {
            assert!(!is_slug(slug), "{slug}");
        }
        assert!(is_reserved("saml") && is_reserved("healthz") && !is_reserved("acme"));
    }

    #[test]
    fn a_slug_is_made_of_a_name() {
        assert_eq!(slug_from("Sales & Marketing (EU)").as_deref(), Some("sales-marketing-eu"));
        assert_eq!(slug_from("日本"), None);
    }

    #[test]
    fn only_https_is_a_web_url_but_for_loopback_in_development() {
        let (live, dev) = (
            Surroundings { base_host: "usher.example", plain_loopback: false },
            Surroundings { base_host: "localhost", plain_loopback: true },
        );
        assert!(web_url("https://learn.example/x", live).is_some());
        assert!(web_url("http://127.0.0.1:9/x", dev).is_some());
        assert!(web_url("http://localhost/x", live).is_none());
        for text in [
            "http://learn.example/",
            "javascript:alert(1)",
            "//learn.example",
            "https://user@learn.example/",
            "https://a\nb.example/",
            "data:text/html,x",
            "",
        ] {
            assert!(web_url(text, dev).is_none(), "{text}");
        }
    }

    #[test]
    fn locales_are_language_tags() {
        for locale in ["en", "de-CH", "zh-Hant-TW", "es-419"] {
            assert!(is_locale(locale), "{locale}");
        }
        for locale in ["", "e", "EN", "en_GB", "en-", "english", "en-GB-toolongforatag"] {
            assert!(!is_locale(locale), "{locale}");
        }
    }
}
