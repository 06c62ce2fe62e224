//! "Continue as X to Y": an unsolicited sign-in is taken only after this.

use askama::Template;

use crate::http::{
    assets,
    page::{Brand, Field},
    text,
};

/// The question, and a form that says yes.
#[derive(Template)]
#[template(path = "confirm.html", config = "src/http/askama.toml")]
pub struct ConfirmPage<'a> {
    pub brand: Brand<'a>,
    /// The name of the person, or their address where there is no name.
    pub person: &'a str,
    pub email: Option<&'a str>,
    pub action: &'a str,
    pub fields: &'a [Field<'a>],
}

impl ConfirmPage<'_> {
    fn initial(&self) -> String {
        self.person.chars().next().map(|first| first.to_uppercase().collect()).unwrap_or_default()
    }
}
