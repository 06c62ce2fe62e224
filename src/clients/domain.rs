//! E-mail domains: one spelling, and which of them can be an organisation's own.

use crate::claims::email_domain;

const PUBLIC_MAIL: &str = include_str!("public_mail_domains.txt");
const MAX_LENGTH: usize = 253;

/// Why a text is no domain of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOwn {
    /// Not a domain name at all: an address, a wildcard, a single label, a sentence.
    NotADomain,
    /// A name below which anybody may register, such as `co.uk`.
    PublicSuffix,
    /// A provider that gives mailboxes to anybody, such as `gmail.com`.
    PublicMail,
}

impl NotOwn {
    /// Stable, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotADomain => "domain.invalid",
            Self::PublicSuffix => "domain.public_suffix",
            Self::PublicMail => "domain.public_mail",
        }
    }

    /// For people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotADomain => "write an e-mail domain such as acme.example",
            Self::PublicSuffix => "anybody can register below this name; write the organisation's own domain",
            Self::PublicMail => "anybody can have a mailbox in this domain; write the organisation's own domain",
        }
    }
}

/// A domain of an organisation in its one spelling: lower case, IDNA in ASCII.
pub fn own_domain(text: &str) -> Result<String, NotOwn> {
    let ascii = email_domain(&format!("x@{text}")).ok_or(NotOwn::NotADomain)?;
    let is_address = ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if ascii.len() > MAX_LENGTH || is_address || ascii.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(NotOwn::NotADomain);
    }
    if psl::domain_str(&ascii).is_none() {
        return Err(NotOwn::PublicSuffix);
    }
    // A name below a public mail domain is not an organisation's either.
    let is_public_mail = |name: &str| PUBLIC_MAIL.lines().any(|line| line == name);
    let is_below = |name: &str| ascii.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    if is_public_mail(&ascii) || PUBLIC_MAIL.lines().any(|line| !line.is_empty() && is_below(line)) {
        return Err(NotOwn::PublicMail);
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_spelling() {
        assert_eq!(own_domain("ACME.Example").as_deref(), Ok("acme.example"));
        assert_eq!(own_domain("bücher.example").as_deref(), Ok("xn--bcher-kva.example"));
        assert_eq!(own_domain("mail.acme.co.uk").as_deref(), Ok("mail.acme.co.uk"));
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in [
            "",
            "acme",
            "acme.example.",
            ".acme.example",
            "a@acme.example",
            "*.acme.example",
            "10.0.0.1",
            "a b.example",
        ] {
            assert_eq!(own_domain(text), Err(NotOwn::NotADomain), "{text}");
        }
    }

    #[test]
    fn a_public_suffix_and_a_public_mail_domain_are_nobodys_own() {
        assert_eq!(own_domain("co.uk"), Err(NotOwn::PublicSuffix));
        assert_eq!(own_domain("github.io"), Err(NotOwn::PublicSuffix));
        assert_eq!(own_domain("gmail.com"), Err(NotOwn::PublicMail));
        assert_eq!(own_domain("Mail.GMX.net"), Err(NotOwn::PublicMail));
        assert_eq!(own_domain("notgmail.com").as_deref(), Ok("notgmail.com"));
    }

    #[test]
    fn the_list_of_public_mail_domains_is_sorted_and_in_the_one_spelling() {
        let lines: Vec<&str> = PUBLIC_MAIL.lines().collect();
        assert!(lines.is_sorted(), "sort src/clients/public_mail_domains.txt");
        assert!(lines.iter().all(|line| email_domain(&format!("x@{line}")).as_deref() == Some(*line)));
    }
}
