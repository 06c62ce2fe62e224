//! CSV as we write it: one dialect, and no cell that a spreadsheet would run.

use std::borrow::Cow;

/// What a file for spreadsheets begins with, so that they read it as UTF-8.
pub const BOM: &str = "\u{feff}";

/// The media type, with the header row named.
pub const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection): what begins like one gets an apostrophe.
pub fn safe_cell(text: &str) -> Cow<'_, str> {
    match text.trim_start_matches([' ', '\u{a0}']).chars().next() {
        // The full-width forms are read as the plain ones by some.
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => format!("'{text}").into(),
        _ => text.into(),
    }
}

/// Rows as bytes, quoted where needed, each ended by CR LF (RFC 4180); every cell is made safe.
#[derive(Debug, Default)]
pub struct Rows(Vec<u8>);

impl Rows {
    /// Adds one row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            let cell = safe_cell(cell);
            if cell.contains([',', ';', '"', '\n', '\r', '\t']) {
                self.0.push(b'"');
                self.0.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
                self.0.push(b'"');
            } else {
                self.0.extend_from_slice(cell.as_bytes());
            }
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// What was written so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for text in ["=1+1", "+49", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"] {
            assert_eq!(safe_cell(text), format!("'{text}"));
        }
        for text in ["", "Ada", "a=b", "1-2", "ada@acme.example"] {
            assert_eq!(safe_cell(text), text);
        }
    }

    #[test]
    fn a_reader_of_csv_reads_back_what_was_written() {
        let mut rows = Rows::default();
        rows.row(["Ada \"the first\"", "a,b", "two\r\nlines", "x;y", ""]);
        rows.row(["second", "", "", "", "ü"]);
        let bytes = rows.into_bytes();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
        let read: Vec<Vec<String>> =
            reader.records().map(|row| row.expect("it reads").iter().map(str::to_owned).collect()).collect();
        assert_eq!(read[0], ["Ada \"the first\"", "a,b", "two\r\nlines", "x;y", ""]);
        assert_eq!(read[1], ["second", "", "", "", "ü"]);
    }
}
