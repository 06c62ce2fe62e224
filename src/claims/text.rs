//! How texts are compared: one Unicode form, one case, and one spelling of an e-mail's domain.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Gives the text in Unicode normal form C.
pub(super) fn nfc(text: &str) -> String {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return text.to_owned();
    }
    text.nfc().collect()
}

/// Gives the form in which two texts are compared without regard to case.
///
/// Upper before lower joins what lower case alone keeps apart (final sigma, sharp s). The dotless ı stays itself, as in
/// Unicode's own folding: `admın` is not `admin`.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for letter in nfc(text).chars() {
        if letter == 'ı' {
            folded.push(letter);
        } else {
            folded.extend(letter.to_uppercase().flat_map(char::to_lowercase));
        }
    }
    nfc(&folded)
}

/// Compares as `case_sensitive` asks.
pub(super) fn comparable(text: &str, case_sensitive: bool) -> String {
    if case_sensitive { nfc(text) } else { fold(text) }
}

/// Gives an e-mail's domain in lower case and IDNA ASCII, or nothing when the address is not plainly one.
///
/// Quoted local parts, a second `@`, a trailing dot, blanks and address literals are refused, because each of them lets one
/// address be read as of two domains.
pub fn email_domain(email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@')?;
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '"' | '[' | ']' | '<' | '>' | ',' | ';');
    if local.is_empty() || local.contains(odd) || domain.is_empty() || domain.contains(odd) {
        return None;
    }
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    (!ascii.is_empty() && !ascii.ends_with('.') && ascii.contains('.')).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::{email_domain, fold};

    #[test]
    fn folding_joins_case_variants_and_composed_forms() {
        assert_eq!(fold("ÉCOLE"), fold("e\u{301}cole"));
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert_eq!(fold("STRASSE"), fold("straße"));
    }

    #[test]
    fn folding_keeps_a_dotless_i_apart() {
        assert_ne!(fold("admın"), fold("admin"));
    }

    #[test]
    fn an_email_domain_is_lower_case_and_ascii() {
        assert_eq!(email_domain("Ann@ACME.Example").as_deref(), Some("acme.example"));
        assert_eq!(email_domain("ann@bücher.example").as_deref(), Some("xn--bcher-kva.example"));
    }

    #[test]
    fn an_address_that_could_be_read_two_ways_has_no_domain() {
        for odd in [
            "ann",
            "@acme.example",
            "ann@",
            "a@b@acme.example",
            "\"a@b\"@acme.example",
            "ann@acme.example.",
            "ann@acme.example ",
            "ann@acme.example,evil.example",
            "ann@[127.0.0.1]",
            "ann@localhost",
            "ann@a..example",
            "a\n@acme.example",
        ] {
            assert_eq!(email_domain(odd), None, "{odd:?}");
        }
    }
}
