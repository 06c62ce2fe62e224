//! Pure parts of writing a mail.

use super::*;

#[test]
fn a_header_has_one_line_and_nothing_unseen() {
    assert_eq!(one_line("  Ada\r\nBcc: all@acme.example \u{202e}x\u{2028}y\t"), "Ada Bcc: all@acme.example x y");
    let long = one_line(&"ü".repeat(500));
    assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_HEADER_TEXT, true));
}

#[test]
fn only_pictures_that_mail_programs_show_are_named() {
    for url in ["/static/a.png", "https://x.example/logo.JPG?v=2"] {
        assert!(is_shown_in_mail(url), "{url}");
    }
    for url in ["/static/a.svg", "https://x.example/logo?a.png", "https://x.example/#.png", ""] {
        assert!(!is_shown_in_mail(url), "{url}");
    }
}

#[test]
fn a_domain_beyond_ascii_is_written_in_ascii() {
    assert_eq!(
        address("ada@müller.example").map(|address| address.to_string()).as_deref(),
        Some("ada@xn--mller-kva.example")
    );
    for text in
        ["", "ada", "@", "ada@", "@acme.example", "a b@acme.example", "a\r\nb@acme.example", "ada@acme.example>"]
    {
        assert!(address(text).is_none(), "{text}");
    }
}
