//! A sign-in that began at one client by somebody who belongs to another one of the same connection: where theirs begins.

use askama::Template;

use crate::{
    http::{assets, page::Brand, text},
    login::reason::Door,
};

/// Says so, with a button for each client that is theirs.
#[derive(Template)]
#[template(path = "elsewhere.html", config = "src/http/askama.toml")]
pub struct ElsewherePage<'a> {
    pub brand: Brand<'a>,
    pub advice: &'a text::Advice,
    pub doors: &'a [Door],
    pub reference: &'a str,
}
