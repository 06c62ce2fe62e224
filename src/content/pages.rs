//! The learner's home: their sublicenses and exactly the content that is theirs.

use askama::Template;

use crate::http::{assets, page::Brand, text};

/// When access to a sublicense ends, in the client's time zone.
#[derive(Debug, Clone)]
pub struct Ends {
    /// RFC 3339.
    pub machine: String,
    pub shown: String,
    pub soon: bool,
}

/// A sublicense of the learner.
#[derive(Debug, Clone)]
pub struct Pass {
    pub name: String,
    pub is_manager: bool,
    pub ends: Option<Ends>,
}

/// A content item as shown.
#[derive(Debug, Clone)]
pub struct Item {
    pub title: String,
    pub description: String,
    pub url: String,
    /// Through which of the learner's sublicenses; none where it is everybody's.
    pub sublicenses: Vec<String>,
}

/// `GET /{client}/dashboard`
#[derive(Template)]
#[template(path = "dashboard.html", config = "src/http/askama.toml")]
pub struct DashboardPage<'a> {
    pub brand: Brand<'a>,
    pub person: &'a str,
    pub first_name: &'a str,
    pub email: Option<&'a str>,
    pub sublicenses: &'a [Pass],
    pub content: &'a [Item],
}
