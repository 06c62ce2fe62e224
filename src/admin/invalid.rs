//! What is wrong with the fields of a resource that somebody wrote: found by the pure rules, told by the API as problems
//! and by the command line as lines.

use std::fmt;

use crate::http::Problem;

/// One or more fields that do not hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invalid(Vec<InvalidField>);

/// One field that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Stable, for programs.
    pub code: &'static str,
    /// A JSON pointer into what was written.
    pub pointer: String,
    pub detail: String,
}

impl Invalid {
    /// One field.
    pub fn field(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.push(code, pointer, detail);
        invalid
    }

    /// Notes another field.
    pub fn push(&mut self, code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(InvalidField { code, pointer: pointer.into(), detail: detail.into() });
    }

    /// Notes what somebody else found.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Nothing was wrong, or all that was.
    pub fn finish(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    pub fn fields(&self) -> &[InvalidField] {
        &self.0
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(out, "{separator}{}: {}", field.pointer, field.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let mut fields = invalid.0.into_iter();
        let Some(first) = fields.next() else { return Self::field("api.invalid", "", "the request does not hold") };
        let problem = Self::field(first.code, first.pointer, first.detail);
        fields.fold(problem, |problem, field| problem.with_field(field.pointer, field.detail))
    }
}
