//! From the cells of a row to what they say. Pure: what a client or a learner must be asked for comes later.

use unicode_normalization::UnicodeNormalization;

use super::{
    columns::Column,
    model::{Action, RowData},
    problem::{Flaw, Found},
};
use crate::{
    claims::{Role, limits},
    clients::{is_locale, is_plain_text},
    learners::EmailAddress,
};

const MAX_NAME: usize = 200;
const MAX_EXTERNAL_ID: usize = 255;
/// More of a cell that is not good is not kept.
const MAX_SHOWN: usize = 300;
const MAX_SUBLICENSES: usize = 100;

/// A cell in one spelling: NFC, without what cannot be seen at its ends.
pub fn clean(cell: &str) -> String {
    let bare = cell.trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, '\u{feff}' | '\u{200b}'));
    bare.nfc().collect()
}

/// Reads a row; the first flaw comes beside what could be read. A row may be shorter than the header: spreadsheets leave
/// out empty cells at the end.
pub fn read(columns: &[Column], cells: &[String]) -> (RowData, Option<Found>) {
    let mut data = RowData::default();
    let mut found = None;
    for (column, cell) in columns.iter().zip(cells) {
        let text = clean(cell);
        if text.is_empty() || *column == Column::Unknown {
            continue;
        }
        if let Err(flaw) = set(&mut data, column, text) {
            found.get_or_insert(flaw.at(column.name()));
        }
    }
    if cells.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty()) {
        found.get_or_insert(Flaw::TooManyCells.whole());
    }
    if data.email.is_none() && data.external_id.is_none() {
        found.get_or_insert(Flaw::EmailMissing.at(Column::Email.name()));
    }
    (data, found)
}

fn set(data: &mut RowData, column: &Column, text: String) -> Result<(), Flaw> {
    let verdict = |holds: bool, flaw: Flaw| if holds { Ok(()) } else { Err(flaw) };
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    match column {
        Column::Email => {
            let holds = EmailAddress::parse(&text).is_some();
            data.email = Some(shown);
            verdict(holds, Flaw::EmailInvalid)
        }
        Column::FirstName => {
            data.first_name = Some(shown);
            verdict(is_plain_text(&text, MAX_NAME, false), Flaw::NameInvalid)
        }
        Column::LastName => {
            data.last_name = Some(shown);
            verdict(is_plain_text(&text, MAX_NAME, false), Flaw::NameInvalid)
        }
        Column::ExternalId => {
            data.external_id = Some(shown);
            verdict(is_plain_text(&text, MAX_EXTERNAL_ID, false), Flaw::ExternalIdInvalid)
        }
        Column::Locale => {
            let tag = text.replace('_', "-");
            let holds = is_locale(&tag);
            data.language = Some(if holds { tag } else { shown });
            verdict(holds, Flaw::LanguageInvalid)
        }
        Column::Client => {
            data.client = Some(shown);
            Ok(())
        }
        Column::Sublicenses => {
            let names = text.split(['|', ';']).map(clean).filter(|name| !name.is_empty());
            data.sublicenses = names.map(|name| name.chars().take(MAX_SHOWN).collect()).collect();
            data.sublicenses.dedup();
            verdict(data.sublicenses.len() <= MAX_SUBLICENSES, Flaw::NoSuchSublicense)
        }
        Column::Role => {
            data.role = match text.to_lowercase().as_str() {
                "learner" | "student" => Some(Role::Learner),
                "manager" => Some(Role::Manager),
                _ => return Err(Flaw::RoleUnknown),
            };
            Ok(())
        }
        Column::SendInvite => {
            data.send_invite = Some(yes_or_no(&text).ok_or(Flaw::SendInviteUnknown)?);
            Ok(())
        }
        Column::Action => {
            data.action = Some(text.to_lowercase().parse::<Action>().map_err(|_| Flaw::ActionUnknown)?);
            Ok(())
        }
        Column::Attribute(name) => {
            let holds = text.len() <= limits::MAX_FIELD_BYTES && data.attributes.len() < limits::MAX_ATTRIBUTES;
            data.attributes.insert(name.clone(), if holds { text } else { shown });
            verdict(holds, Flaw::AttributeInvalid)
        }
        Column::Unknown => Ok(()),
    }
}

/// What people write for yes and no.
pub fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" => Some(true),
        "no" | "n" | "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[Column], cells: &[&str]) -> (RowData, Option<Found>) {
        read(columns, &cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn cells_are_trimmed_normalised_and_split() {
        let columns = [Column::Email, Column::FirstName, Column::Sublicenses, Column::SendInvite, Column::Locale];
        let (data, found) =
            row(&columns, &[" Ada@ACME.Example\u{a0}", "Zoe\u{308}\u{200b}", "main| sales;;x ", "Yes", "de_CH"]);
        assert_eq!(found, None);
        assert_eq!(data.email.as_deref(), Some("Ada@ACME.Example"));
        assert_eq!(data.first_name.as_deref(), Some("Zoë"));
        assert_eq!(data.sublicenses, ["main", "sales", "x"]);
        assert_eq!((data.send_invite, data.language.as_deref()), (Some(true), Some("de-CH")));
    }

    #[test]
    fn each_flaw_is_told_with_its_column() {
        let long = "x".repeat(1001);
        let cases = [
            (Column::Email, "ada(at)acme", Flaw::EmailInvalid),
            (Column::FirstName, "two\nlines", Flaw::NameInvalid),
            (Column::ExternalId, "a\nb", Flaw::ExternalIdInvalid),
            (Column::Locale, "German", Flaw::LanguageInvalid),
            (Column::Role, "boss", Flaw::RoleUnknown),
            (Column::SendInvite, "perhaps", Flaw::SendInviteUnknown),
            (Column::Action, "delete", Flaw::ActionUnknown),
            (Column::Attribute("a".into()), &long, Flaw::AttributeInvalid),
        ];
        for (column, cell, flaw) in cases {
            let name = column.name();
            let (_, found) = row(&[column, Column::Email], &[cell, "ada@acme.example"]);
            assert_eq!(found, Some(flaw.at(name)), "{cell}");
        }
    }

    #[test]
    fn a_row_may_be_shorter_than_the_header_and_not_longer() {
        let columns = [Column::Email, Column::FirstName];
        assert_eq!(row(&columns, &["ada@acme.example"]).1, None);
        assert_eq!(row(&columns, &["ada@acme.example", "Ada", ""]).1, None);
        assert_eq!(row(&columns, &["ada@acme.example", "Ada", "x"]).1, Some(Flaw::TooManyCells.whole()));
        assert_eq!(row(&columns, &["", "Ada"]).1, Some(Flaw::EmailMissing.at("email")));
    }
}
