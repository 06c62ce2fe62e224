//! Custom CSS of a client: read by the standard's grammar, held against lists of what is allowed, and written anew. No
//! byte of what was typed reaches a page; only what these files know how to write does.
//!
//! | what | where |
//! |---|---|
//! | rules, `@media`, and which declarations go together | `sheet.rs` |
//! | which parts of a page may be named | `selector.rs` |
//! | properties and their values | `value.rs`, `text.rs` |
//!
//! Invariants: every selector begins in `.branded`, the body of a client's own pages, and names only parts that decorate;
//! nothing can be loaded, hidden, moved over something else or drawn outside its box; whoever sets a colour sets what
//! lies behind it, with a contrast of 4.5 at least, and everything within takes both.

mod selector;
mod sheet;
#[cfg(test)]
mod tests;
mod text;
mod value;

use cssparser::{ParseError, SourceLocation};

pub use sheet::compile;

/// The longest text that is read.
pub const MAX_BYTES: usize = 20_000;

/// One thing that is not allowed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub line: u32,
    pub column: u32,
    pub what: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// What a piece of the grammar reads as.
type Parsed<T> = Result<T, ParseError<Trouble>>;

fn trouble(at: SourceLocation, what: impl Into<String>) -> Trouble {
    Trouble { line: at.line + 1, column: at.column, what: what.into() }
}

fn refuse<T>(at: SourceLocation, what: impl Into<String>) -> Parsed<T> {
    Err(ParseError::custom(trouble(at, what)))
}
