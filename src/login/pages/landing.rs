//! The way in: a client's landing page and the e-mail-first login page.

use askama::Template;

use crate::http::{
    assets,
    page::{Brand, Field},
    text,
};

/// One way to sign in.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    pub name: &'a str,
    pub href: String,
}

/// `GET /{client}`
#[derive(Template)]
#[template(path = "landing.html", config = "src/http/askama.toml")]
pub struct LandingPage<'a> {
    pub brand: Brand<'a>,
    pub ways: &'a [Way<'a>],
    /// Where the e-mail-first page is.
    pub by_email: &'a str,
}

/// What is wrong with the address that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    Invalid,
    Unknown,
}

impl Trouble {
    fn is_invalid(self) -> bool {
        self == Self::Invalid
    }

    fn is_unknown(self) -> bool {
        self == Self::Unknown
    }
}

/// `GET,POST /{client}/login`
#[derive(Template)]
#[template(path = "login.html", config = "src/http/askama.toml")]
pub struct LoginPage<'a> {
    pub brand: Brand<'a>,
    /// What was typed, to be corrected.
    pub email: &'a str,
    pub trouble: Trouble,
    pub return_to: Option<&'a str>,
    pub all_ways: &'a str,
}

/// After a local logout.
#[derive(Template)]
#[template(path = "signed_out.html", config = "src/http/askama.toml")]
pub struct SignedOutPage<'a> {
    pub brand: Brand<'a>,
}

/// "Continue as X to Y": an unsolicited sign-in is taken only after this.
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
