//! A code as somebody typed it and as it is compared, the words that no code may read like, and drawing new ones.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::entropy::Entropy;

/// Paths below a client, as codes would be compared: `/{client}/{code}` must not be one of them.
const RESERVED: &[&str] = &[
    "LOGIN",
    "REDEEM",
    "INVITES",
    "DASHBOARD",
    "LOGOUT",
    "PASSWORD",
    "CONFIRM",
    "ACCOUNT",
    "BRANDING",
    "STATIC",
    "JOIN",
    "CONTENT",
    "HELP",
    // What stands at the root of the base origin is not there on a client's own host, and is no code either.
    "ADMIN",
    "HEALTHZ",
    "METRICS",
    "OAUTH2",
    "READYZ",
    "SETUP",
];

/// The page that a path word reads like, in the spelling of its address.
pub(super) fn reserved(word: &str) -> Option<String> {
    let key: String =
        word.chars().filter(|letter| !is_ignored(*letter)).map(|letter| letter.to_ascii_uppercase()).collect();
    RESERVED.contains(&key.as_str()).then(|| key.to_ascii_lowercase())
}

/// Fewest and most letters and digits of any code.
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 6..=64;
/// Fewest of one that a registration code is given, and of one that is drawn.
pub(super) const OWN_LENGTH: usize = 8;
/// What somebody pastes into the box by mistake is not read to its end.
const MOST_TYPED: usize = 200;

/// A text that may be a code. Its `Debug` shows nothing: codes never reach a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeText {
    text: String,
    key: String,
}

impl fmt::Debug for CodeText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CodeText(…)")
    }
}

/// The text cannot be a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code")]
pub struct NotACode;

impl CodeText {
    /// Reads what was typed: case, spaces and dashes of every kind do not matter. `None` where no code could read so.
    pub fn read(typed: &str) -> Option<Self> {
        let text = typed.trim();
        if text.chars().count() > MOST_TYPED {
            return None;
        }
        let mut key = String::with_capacity(text.len());
        for letter in text.nfkc() {
            if letter.is_ascii_alphanumeric() {
                key.push(letter.to_ascii_uppercase());
            } else if !is_ignored(letter) {
                return None;
            }
        }
        KEY_LENGTH.contains(&key.len()).then(|| Self { text: text.to_owned(), key })
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it is compared.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl TryFrom<String> for CodeText {
    type Error = NotACode;

    fn try_from(text: String) -> Result<Self, NotACode> {
        Self::read(&text).ok_or(NotACode)
    }
}

impl From<CodeText> for String {
    fn from(code: CodeText) -> Self {
        code.text
    }
}

fn is_ignored(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{200b}' | '\u{feff}')
}

/// Why a text cannot become a code of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Not 6 to 64 of `[A-Za-z0-9-]`, or shorter than this kind needs.
    Form,
    /// It reads like a path.
    Reserved,
}

/// Reads a code that somebody wants to use as their own, with at least `fewest` letters and digits.
pub fn own(text: &str, fewest: usize) -> Result<CodeText, Malformed> {
    let text = text.trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let code = CodeText::read(text).filter(|code| is_plain && text.len() <= 64 && code.key.len() >= fewest);
    let code = code.ok_or(Malformed::Form)?;
    if RESERVED.contains(&code.key.as_str()) { Err(Malformed::Reserved) } else { Ok(code) }
}

/// Draws a code: the prefix, then `length` letters and digits that are not mistaken for each other, in groups of four.
pub fn draw(entropy: &Entropy, prefix: &str, length: usize) -> CodeText {
    let drawn = entropy.unambiguous(length);
    let mut text = String::with_capacity(prefix.len() + length + length / 4 + 1);
    text.push_str(prefix);
    for (index, letter) in drawn.chars().enumerate() {
        if index % 4 == 0 && !text.is_empty() && !text.ends_with('-') {
            text.push('-');
        }
        text.push(letter);
    }
    let key = text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
    CodeText { text, key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_dashes_of_every_kind_do_not_matter() {
        let key = |text: &str| CodeText::read(text).map(|code| code.key);
        let expected = Some("ABC123XYZ".to_owned());
        for text in [
            "ABC123XYZ",
            " abc-123-xyz ",
            "ＡＢＣ１２３ｘｙｚ",
            "abc–123—xyz",
            "a b c\u{a0}123\txyz",
            "\u{feff}ABC‑123‑XYZ",
        ] {
            assert_eq!(key(text), expected, "{text}");
        }
    }

    #[test]
    fn what_no_code_reads_like_is_none() {
        for text in
            ["", "short", "ABC_123", "ABC/123", "АBC123", "😀ABC123", "ABC123\0", &"A".repeat(65), &"-".repeat(300)]
        {
            assert_eq!(CodeText::read(text), None, "{text}");
        }
    }

    #[test]
    fn paths_and_short_texts_are_no_codes_of_a_client() {
        assert_eq!(own("Dash-Board", 6), Err(Malformed::Reserved));
        assert_eq!(own("SPRING7", 8), Err(Malformed::Form));
        assert_eq!(own("SPRING 27", 6), Err(Malformed::Form));
        assert!(own("SPRING-27", 8).is_ok());
    }

    #[test]
    fn a_drawn_code_reads_back_and_has_no_look_alikes() {
        let entropy = Entropy::default();
        for (prefix, length) in [("", 8), ("ACME-", 12), ("ACME", 13)] {
            let code = draw(&entropy, prefix, length);
            assert_eq!(CodeText::read(&code.text).as_ref(), Some(&code));
            assert_eq!(code.key.len(), prefix.replace('-', "").len() + length);
            let drawn = &code.key[code.key.len() - length..];
            assert!(!drawn.contains(['0', '1', 'I', 'O']), "{drawn}");
        }
    }

    #[test]
    fn a_code_does_not_print() {
        let code = CodeText::read("SECRET-CODE-1").expect("a code");
        assert!(!format!("{code:?}").contains("SECRET"));
    }
}
