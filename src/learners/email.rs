//! E-mail addresses in one comparable spelling, so that case, Unicode forms and a trailing dot are no way around a rule.

use unicode_normalization::UnicodeNormalization;

/// An address that was sent or typed, its comparable spelling, and its domain in ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    address: String,
    key: String,
    domain: String,
}

impl EmailAddress {
    /// Reads an address. `None` where it is none: no single `@`, a part empty or malformed, over 254 octets (RFC 5321,
    /// section 4.5.3.1.3), control characters, or a domain that is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let address: String = text.trim().nfc().collect();
        if address.len() > 254 || address.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
            return None;
        }
        // A quoted local part could hold an @ or a comma: no IdP needs one, and every reader splits it differently.
        if address.contains(['"', ',', ';', '<', '>', '(', ')', '\\'])
            || !email_address::EmailAddress::is_valid(&address)
        {
            return None;
        }
        let (local, domain) = address.split_once('@')?;
        let domain = ascii_domain(domain)?;
        let key = format!("{}@{domain}", local.to_lowercase());
        Some(Self { address, key, domain })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The spelling that is compared.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole domain, lower case, in ASCII (UTS #46).
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// A domain in its one spelling, or `None` where it is not a domain with at least two labels.
fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    (ascii.contains('.') && !ascii.ends_with('.') && !ascii.starts_with('.') && ascii.len() <= 253).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_key() {
        let key = |text: &str| EmailAddress::parse(text).map(|address| address.key);
        assert_eq!(key("Ada@ACME.Example"), key(" ada@acme.example "));
        assert_eq!(key("zoë@bücher.example"), key("ZOE\u{308}@XN--BCHER-KVA.example"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@acme.example", "a".repeat(250));
        for text in [
            "",
            "ada",
            "@acme.example",
            "ada@",
            "ada@acme",
            "ada@acme.example.",
            "a@b@acme.example",
            "ada@acme..example",
            "ada\n@acme.example",
            "ada@acme.example,eve@evil.example",
            "\"a@evil.example\"@acme.example",
            "ada@acme example",
            "ada@[127.0.0.1]",
            "Ada <ada@acme.example>",
            &long,
        ] {
            assert_eq!(EmailAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_sub_domain_is_another_domain() {
        assert_ne!(
            EmailAddress::parse("a@mail.acme.example").map(|a| a.domain),
            EmailAddress::parse("a@acme.example").map(|a| a.domain)
        );
    }
}
