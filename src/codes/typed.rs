//! What somebody typed or pasted into the box: one code per line, or separated by comma, semicolon or tab. Blanks do not
//! separate: people type codes in groups.

use super::CodeText;

/// The most codes at a time.
pub const MOST: usize = 20;
/// What of a text that is no code is shown again.
const SHOWN: usize = 40;

/// The box, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Empty,
    TooMany,
    Some {
        /// Each once, in the order typed.
        codes: Vec<CodeText>,
        /// What cannot be a code, cut to a length that can be shown.
        malformed: Vec<String>,
    },
}

impl Typed {
    /// Reads what was typed, whatever it is.
    pub fn read(typed: &str) -> Self {
        let parts = typed.split(['\n', '\r', ',', ';', '\t']).map(str::trim).filter(|part| !part.is_empty());
        let (mut codes, mut malformed): (Vec<CodeText>, Vec<String>) = (Vec::new(), Vec::new());
        for part in parts {
            match CodeText::read(part) {
                Some(code) if codes.iter().any(|known| known.key() == code.key()) => {}
                Some(code) => codes.push(code),
                None => malformed.push(part.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect()),
            }
            if codes.len() + malformed.len() > MOST {
                return Self::TooMany;
            }
        }
        if codes.is_empty() && malformed.is_empty() { Self::Empty } else { Self::Some { codes, malformed } }
    }
}

/// Codes as a form carries them.
pub fn joined<'a>(codes: impl IntoIterator<Item = &'a CodeText>) -> String {
    codes.into_iter().map(CodeText::as_str).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(typed: &str) -> Vec<String> {
        match Typed::read(typed) {
            Typed::Some { codes, .. } => codes.iter().map(|code| code.key().to_owned()).collect(),
            Typed::Empty | Typed::TooMany => Vec::new(),
        }
    }

    #[test]
    fn lines_commas_semicolons_and_tabs_separate_and_blanks_do_not() {
        assert_eq!(
            keys("abcd-1111\r\nabcd-2222, ABCD 3333;abcd4444\tabcd5555"),
            ["ABCD1111", "ABCD2222", "ABCD3333", "ABCD4444", "ABCD5555"]
        );
    }

    #[test]
    fn the_same_code_in_other_spellings_is_one() {
        assert_eq!(keys("ABCD-1111\nabcd 1111\nａｂｃｄ１１１１"), ["ABCD1111"]);
    }

    #[test]
    fn nothing_and_too_much_are_told_apart() {
        assert_eq!(Typed::read(" \n ,;\t"), Typed::Empty);
        let many = |count: usize| (0..count).map(|number| format!("CODE-{number:06}\n")).collect::<String>();
        assert!(matches!(Typed::read(&many(MOST)), Typed::Some { codes, .. } if codes.len() == MOST));
        assert_eq!(Typed::read(&many(MOST + 1)), Typed::TooMany);
        assert_eq!(Typed::read(&many(200)), Typed::TooMany);
    }

    #[test]
    fn what_cannot_be_a_code_is_shown_again_in_part() {
        let Typed::Some { codes, malformed } = Typed::read("АВСD1234\nx\nGOOD-1234\n") else { panic!("something") };
        assert_eq!((codes.len(), malformed), (1, vec!["АВСD1234".to_owned(), "x".to_owned()]));
        let Typed::Some { malformed, .. } = Typed::read(&"é".repeat(5000)) else { panic!("something") };
        assert_eq!(malformed[0].chars().count(), SHOWN);
    }
}
