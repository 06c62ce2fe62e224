//! The parser beside the csv crate's own reader, and what it refuses.

use proptest::prelude::*;

use super::*;

/// Every row of a file that arrives in pieces of these sizes.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Vec<String>>, FileError> {
    let mut parser = Parser::default();
    let mut rows = Vec::new();
    for chunk in bytes.chunks(piece.max(1)) {
        rows.extend(parser.push(chunk)?);
    }
    rows.extend(parser.finish()?);
    let numbers: Vec<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..).take(rows.len()).collect::<Vec<u32>>(), "rows are numbered from 1");
    Ok(rows.into_iter().map(|row| row.cells).collect())
}

fn rows(text: &str) -> Vec<Vec<String>> {
    read(text.as_bytes(), 7).expect(text)
}

proptest! {
    #[test]
    fn what_the_csv_crate_writes_is_read_back_in_whatever_pieces_it_arrives(
        table in prop::collection::vec(prop::collection::vec("[ -~äß日\n\r\"]{0,12}", 3), 1..20),
        delimiter in prop::sample::select(vec![b',', b';', b'\t']),
        piece in 1_usize..40,
        has_mark in any::<bool>(),
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(["email", "first_name", "last_name"]).expect("memory");
        for row in &table {
            writer.write_record(row).expect("memory");
        }
        let mut bytes = if has_mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        bytes.extend(writer.into_inner().expect("memory"));
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(bytes.as_slice());
        let expected: Vec<Vec<String>> = reader
            .records()
            .map(|row| row.expect("its own").iter().map(str::to_owned).collect::<Vec<_>>())
            .filter(|row: &Vec<String>| row.iter().any(|cell| !cell.trim().is_empty()))
            .collect();
        prop_assert_eq!(read(&bytes, piece).expect("it reads"), expected);
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise_than_with_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        let whole = read(&bytes, bytes.len());
        prop_assert_eq!(read(&bytes, piece), whole);
    }
}

#[test]
fn comma_semicolon_and_tab_are_told_apart_by_the_first_line() {
    for delimiter in [",", ";", "\t"] {
        let text = format!("email{delimiter}\"na,m;e\"\r\nada@acme.example{delimiter}Ada\r\n");
        let found = rows(&text);
        assert_eq!(found[0], ["email", "na,m;e"]);
        assert_eq!(found[1], ["ada@acme.example", "Ada"]);
    }
    assert_eq!(rows("sep=;\r\nemail;a,b,c\nx;y\n")[1], ["x", "y"]);
    assert_eq!(rows("email\nada@acme.example"), [["email"], ["ada@acme.example"]]);
}

#[test]
fn a_quoted_line_break_is_part_of_its_cell_and_blank_lines_are_none() {
    let found =
        rows("\u{feff}email,note\n\n\"ada@acme.example\",\"one\ntwo\"\n,\n\r\nbob@acme.example,\"a \"\"b\"\"\"");
    assert_eq!(found[1], ["ada@acme.example", "one\ntwo"]);
    assert_eq!(found[2], ["bob@acme.example", "a \"b\""]);
    assert_eq!(found.len(), 3);
}

#[test]
fn other_encodings_are_refused_with_what_to_do() {
    let utf16: Vec<u8> = "email,name\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&utf16, 3), Err(FileError::Utf16));
    let marked: Vec<u8> = [0xfe, 0xff].into_iter().chain("email\n".encode_utf16().flat_map(u16::to_be_bytes)).collect();
    assert_eq!(read(&marked, 100), Err(FileError::Utf16));
    assert_eq!(read(b"email,name\na@acme.example,Zo\xeb\n", 5), Err(FileError::NotUtf8 { row: 2 }));
    assert_eq!(read(b"email,name\na@acme.example,Zo\0e\n", 5), Err(FileError::NotText { row: 2 }));
}

#[test]
fn a_quotation_mark_that_is_not_closed_does_not_take_the_memory() {
    let mut text = "email,name\na@acme.example,\"Ada\n".to_owned();
    text.push_str(&"b@acme.example,Bob\n".repeat(10_000));
    assert_eq!(read(text.as_bytes(), 1000), Err(FileError::RowTooLong { row: 2 }));
    assert_eq!(read("a,".repeat(300).as_bytes(), 50), Err(FileError::TooManyColumns));
    assert_eq!(read(&vec![b'a'; 200_000], 1000), Err(FileError::RowTooLong { row: 1 }));
}
