//! From bytes as they arrive to rows of cells, without ever holding the file: the encoding and the delimiter are told
//! by the first line, and every row is bounded.

use csv_core::ReadRecordResult;

/// The longest row, cells and all: one more quotation mark would otherwise swallow the rest of a file.
pub const MAX_ROW_BYTES: usize = 64 << 10;
/// The most columns that a file may have.
pub const MAX_COLUMNS: usize = 200;

/// How many bytes tell UTF-16 without its mark.
const TELLING_BYTES: usize = 64;

/// Why a file is not read any further. Each says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("The file is empty. Its first row names the columns; see the template.")]
    Empty,
    #[error("The file is UTF-16. Save it as \"CSV UTF-8\" and upload it again.")]
    Utf16,
    #[error(
        "Row {row} is not UTF-8. Save the file as \"CSV UTF-8\" (not plain CSV or Windows-1252) and upload it again."
    )]
    NotUtf8 { row: u32 },
    #[error("Row {row} holds bytes that no text holds. Upload a CSV file, not a workbook.")]
    NotText { row: u32 },
    #[error("Row {row} is longer than 64 KiB. Look for a quotation mark in or before it that is not closed.")]
    RowTooLong { row: u32 },
    #[error("The file has more than 200 columns.")]
    TooManyColumns,
    #[error("No column is named email or external_id. Its first row names the columns; see the template.")]
    NoKeyColumn,
    #[error("Two columns are named {0}. Leave one.")]
    ColumnTwice(String),
    #[error("The file has more than {0} rows. Split it.")]
    TooManyRows(u32),
}

impl FileError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "imports.empty",
            Self::Utf16 => "imports.utf16",
            Self::NotUtf8 { .. } => "imports.not_utf8",
            Self::NotText { .. } => "imports.not_text",
            Self::RowTooLong { .. } => "imports.row_too_long",
            Self::TooManyColumns => "imports.too_many_columns",
            Self::NoKeyColumn => "imports.no_key_column",
            Self::ColumnTwice(_) => "imports.column_twice",
            Self::TooManyRows(_) => "imports.too_many_rows",
        }
    }
}

/// One row: its number as a spreadsheet shows it (the header is row 1; blank lines are not counted), and its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    pub number: u32,
    pub cells: Vec<String>,
}

/// Reads a file piece by piece. The header row comes out first, as row 1.
pub struct Parser {
    stage: Stage,
    number: u32,
}

enum Stage {
    /// The first line is not whole yet.
    Opening(Vec<u8>),
    Rows(Box<Rows>),
}

struct Rows {
    reader: csv_core::Reader,
    delimiter: u8,
    bytes: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
}

impl Default for Parser {
    fn default() -> Self {
        Self { stage: Stage::Opening(Vec::new()), number: 0 }
    }
}

impl Parser {
    /// Takes the next bytes and gives the rows that they complete.
    pub fn push(&mut self, input: &[u8]) -> Result<Vec<RawRow>, FileError> {
        let mut found = Vec::new();
        if let Stage::Opening(held) = &mut self.stage {
            held.extend_from_slice(input);
            if held.len() < MAX_ROW_BYTES && !has_first_line(held) {
                return Ok(found);
            }
            let held = std::mem::take(held);
            self.open(&held, &mut found)?;
        } else if !input.is_empty() {
            self.read(input, &mut found)?;
        }
        Ok(found)
    }

    /// Says that there are no more bytes, and gives the row that had no line end.
    pub fn finish(&mut self) -> Result<Vec<RawRow>, FileError> {
        let mut found = Vec::new();
        if let Stage::Opening(held) = &mut self.stage {
            let held = std::mem::take(held);
            self.open(&held, &mut found)?;
        }
        self.read(&[], &mut found)?;
        Ok(found)
    }

    /// Which delimiter the file uses, once its first line was seen.
    pub fn delimiter(&self) -> Option<char> {
        match &self.stage {
            Stage::Opening(_) => None,
            Stage::Rows(rows) => Some(char::from(rows.delimiter)),
        }
    }

    fn open(&mut self, held: &[u8], found: &mut Vec<RawRow>) -> Result<(), FileError> {
        if held.starts_with(&[0xff, 0xfe]) || held.starts_with(&[0xfe, 0xff]) {
            return Err(FileError::Utf16);
        }
        let mut rest = held.strip_prefix(&[0xef, 0xbb, 0xbf][..]).unwrap_or(held);
        // UTF-16 without its mark: every other byte of Latin letters is nought.
        if rest.iter().take(TELLING_BYTES - 3).filter(|byte| **byte == 0).count() > 4 {
            return Err(FileError::Utf16);
        }
        let mut delimiter = delimiter_of(first_line(rest));
        // Spreadsheets write and read a first line that names the delimiter.
        let line = first_line(rest);
        if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', named @ (b',' | b';' | b'\t')] = line.trim_ascii_end() {
            delimiter = *named;
            rest = rest.get(line.len()..).unwrap_or_default();
        }
        self.stage = Stage::Rows(Box::new(Rows {
            reader: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            bytes: vec![0; MAX_ROW_BYTES],
            filled: 0,
            ends: vec![0; MAX_COLUMNS + 1],
            ended: 0,
        }));
        if rest.is_empty() { Ok(()) } else { self.read(rest, found) }
    }

    /// Reads all of `input`; an empty one is the end of the file.
    fn read(&mut self, mut input: &[u8], found: &mut Vec<RawRow>) -> Result<(), FileError> {
        let Stage::Rows(rows) = &mut self.stage else { return Ok(()) };
        let is_end = input.is_empty();
        loop {
            let (output, ends) = (rows.bytes.get_mut(rows.filled..), rows.ends.get_mut(rows.ended..));
            let (result, read, written, ended) =
                rows.reader.read_record(input, output.unwrap_or_default(), ends.unwrap_or_default());
            input = input.get(read..).unwrap_or_default();
            rows.filled += written;
            rows.ended += ended;
            match result {
                ReadRecordResult::InputEmpty if is_end => {}
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull => return Err(FileError::RowTooLong { row: self.number + 1 }),
                ReadRecordResult::OutputEndsFull => return Err(FileError::TooManyColumns),
                ReadRecordResult::Record => {
                    let cells = rows.cells(self.number + 1)?;
                    (rows.filled, rows.ended) = (0, 0);
                    // A row of nothing but delimiters is what spreadsheets write below a table.
                    if cells.iter().any(|cell| !cell.trim().is_empty()) {
                        self.number += 1;
                        found.push(RawRow { number: self.number, cells });
                    }
                }
            }
        }
    }
}

impl Rows {
    fn cells(&self, row: u32) -> Result<Vec<String>, FileError> {
        let mut start = 0;
        let mut cells = Vec::with_capacity(self.ended);
        for end in self.ends.iter().take(self.ended) {
            let bytes = self.bytes.get(start..*end).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map_err(|_| FileError::NotUtf8 { row })?;
            if text.contains('\0') {
                return Err(FileError::NotText { row });
            }
            cells.push(text.to_owned());
            start = *end;
        }
        Ok(cells)
    }
}

/// Whether enough was seen to tell encoding and delimiter: however the bytes arrive, they are told by the same ones.
fn has_first_line(held: &[u8]) -> bool {
    held.len() >= TELLING_BYTES && first_line(held).len() < held.len()
}

/// The first line with its line end, which quotation marks may hide.
fn first_line(held: &[u8]) -> &[u8] {
    let mut is_quoted = false;
    let end = held.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b'\n' && !is_quoted
    });
    end.and_then(|end| held.get(..=end)).unwrap_or(held)
}

/// The delimiter that the first line has most of outside quotation marks.
fn delimiter_of(line: &[u8]) -> u8 {
    let count = |wanted: u8| {
        let mut is_quoted = false;
        line.iter()
            .filter(|byte| {
                is_quoted ^= **byte == b'"';
                **byte == wanted && !is_quoted
            })
            .count()
    };
    // Of equals the last wins: the comma, which is also what a file of one column has.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
