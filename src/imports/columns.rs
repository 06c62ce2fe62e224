//! What the first row of a file names: columns in any order, in any case, with the names that people give them.

use super::{model::FileFacts, parse::FileError};

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    Email,
    FirstName,
    LastName,
    ExternalId,
    Locale,
    Client,
    Sublicenses,
    Role,
    SendInvite,
    Action,
    Attribute(String),
    /// Reported, and not read.
    Unknown,
}

const MAX_LISTED: usize = 50;
const MAX_NAME: usize = 64;

/// Every column that the template has, and a row that shows how to fill it in.
pub const TEMPLATE: &[(&str, &str)] = &[
    ("email", "ada@acme.example"),
    ("first_name", "Ada"),
    ("last_name", "Lovelace"),
    ("external_id", "E-1815"),
    ("language", "en"),
    ("client", ""),
    ("sublicenses", "main|sales"),
    ("role", "learner"),
    ("send_invite", "yes"),
    ("action", "add"),
    ("attributes.department", "Research"),
];

impl Column {
    /// The name that problems and reports use.
    pub fn name(&self) -> String {
        match self {
            Self::Email => "email".into(),
            Self::FirstName => "first_name".into(),
            Self::LastName => "last_name".into(),
            Self::ExternalId => "external_id".into(),
            Self::Locale => "language".into(),
            Self::Client => "client".into(),
            Self::Sublicenses => "sublicenses".into(),
            Self::Role => "role".into(),
            Self::SendInvite => "send_invite".into(),
            Self::Action => "action".into(),
            Self::Attribute(name) => format!("attributes.{name}"),
            Self::Unknown => "unknown".into(),
        }
    }

    fn of(header: &str) -> Self {
        let header = super::cells::clean(header);
        let lower = header.to_lowercase();
        if let Some(name) = lower.strip_prefix("attributes.").or_else(|| lower.strip_prefix("attribute.")) {
            // The name keeps its own case; lower case may have another length, so that it is cut at the dot.
            let name = header.split_once('.').map_or(name, |(_, name)| name).trim();
            let holds = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
            return if holds { Self::Attribute(name.to_owned()) } else { Self::Unknown };
        }
        let letters: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
        match letters.as_str() {
            "email" | "emailaddress" | "mail" => Self::Email,
            "firstname" | "givenname" => Self::FirstName,
            "lastname" | "surname" | "familyname" => Self::LastName,
            "externalid" | "externalcustomerid" => Self::ExternalId,
            "locale" | "language" | "lang" => Self::Locale,
            "client" => Self::Client,
            "sublicense" | "sublicenses" | "license" | "licenses" => Self::Sublicenses,
            "role" => Self::Role,
            "sendinvite" | "invite" => Self::SendInvite,
            "action" | "mode" => Self::Action,
            _ => Self::Unknown,
        }
    }
}

/// Reads the first row.
pub fn read(cells: &[String], delimiter: Option<char>) -> Result<(Vec<Column>, FileFacts), FileError> {
    let columns: Vec<Column> = cells.iter().map(|cell| Column::of(cell)).collect();
    let known: Vec<&Column> = columns.iter().filter(|column| **column != Column::Unknown).collect();
    for (index, column) in known.iter().enumerate() {
        if known.iter().take(index).any(|other| other == column) {
            return Err(FileError::ColumnTwice(column.name()));
        }
    }
    if !columns.contains(&Column::Email) && !columns.contains(&Column::ExternalId) {
        return Err(FileError::NoKeyColumn);
    }
    let unknown = cells
        .iter()
        .zip(&columns)
        .filter(|(cell, column)| **column == Column::Unknown && !cell.trim().is_empty())
        .map(|(cell, _)| super::cells::clean(cell).chars().take(100).collect())
        .take(MAX_LISTED);
    let facts = FileFacts {
        columns: known.iter().map(|column| column.name()).collect(),
        unknown_columns: unknown.collect(),
        delimiter: delimiter.map(String::from).unwrap_or_default(),
    };
    Ok((columns, facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(headers: &[&str]) -> Result<(Vec<Column>, FileFacts), FileError> {
        read(&headers.iter().map(|header| (*header).to_owned()).collect::<Vec<_>>(), Some(';'))
    }

    #[test]
    fn columns_are_found_in_any_order_case_and_spelling() {
        let (columns, facts) =
            named(&["Last Name", "firstName", " E-MAIL ", "Attributes.Cost Centre", "shoe size", "LANGUAGE"]).unwrap();
        assert_eq!(
            columns,
            [
                Column::LastName,
                Column::FirstName,
                Column::Email,
                Column::Attribute("Cost Centre".into()),
                Column::Unknown,
                Column::Locale
            ]
        );
        assert_eq!(facts.unknown_columns, ["shoe size"]);
        assert_eq!(facts.delimiter, ";");
    }

    #[test]
    fn a_file_without_a_key_or_with_a_column_twice_is_refused() {
        assert_eq!(named(&["first_name"]).unwrap_err(), FileError::NoKeyColumn);
        assert_eq!(named(&["email", "Mail"]).unwrap_err(), FileError::ColumnTwice("email".into()));
        assert!(named(&["external_id", "x", "y"]).is_ok());
    }

    #[test]
    fn the_template_is_read_whole() {
        let names: Vec<&str> = TEMPLATE.iter().map(|(name, _)| *name).collect();
        let (columns, facts) = named(&names).unwrap();
        assert_eq!(columns.len(), names.len());
        assert_eq!(facts.columns, names);
    }
}
