//! Namespaces: which prefix means what, at each place of a document.

use super::{Binding, XmlFault};

const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NS: &str = "http://www.w3.org/2000/xmlns/";

/// The namespaces in scope, innermost last.
pub(super) struct Scope {
    bindings: Vec<Binding>,
    marks: Vec<usize>,
    inherited: usize,
    pub used: Vec<Binding>,
}

impl Scope {
    pub fn new(inherited: &[Binding]) -> Scope {
        Scope {
            bindings: inherited.to_vec(),
            marks: Vec::with_capacity(16),
            inherited: inherited.len(),
            used: Vec::new(),
        }
    }

    pub fn depth(&self) -> usize {
        self.marks.len()
    }

    pub fn enter(&mut self, limit: usize) -> Result<(), XmlFault> {
        if self.marks.len() >= limit {
            return Err(XmlFault::TooDeep(limit));
        }
        self.marks.push(self.bindings.len());
        Ok(())
    }

    pub fn leave(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.bindings.truncate(mark);
        }
    }

    pub fn declare(&mut self, prefix: &str, uri: &str, limit: usize) -> Result<(), XmlFault> {
        let start = self.marks.last().copied().unwrap_or(0);
        if self.bindings.len() >= limit {
            return Err(XmlFault::TooManyNamespaces(limit));
        }
        if uri.contains('&') {
            return Err(XmlFault::Namespace("a reference in a namespace name"));
        }
        if !uri.is_empty() && !is_absolute(uri) {
            // Canonicalization has to fail on these (Canonical XML 1.0, 1.3).
            return Err(XmlFault::Namespace("a relative namespace name"));
        }
        if prefix == "xmlns" || uri == XMLNS_NS || (prefix == "xml") != (uri == XML_NS) {
            return Err(XmlFault::Namespace("a reserved prefix or name is declared"));
        }
        if uri.is_empty() && !prefix.is_empty() {
            return Err(XmlFault::Namespace("a prefix is undeclared"));
        }
        if self.bindings.iter().skip(start).any(|(known, _)| known == prefix) {
            return Err(XmlFault::Malformed("a namespace is declared twice on one tag"));
        }
        self.bindings.push((prefix.to_owned(), uri.to_owned()));
        Ok(())
    }

    fn position(&self, prefix: &str) -> Option<usize> {
        self.bindings.iter().rposition(|(known, _)| known == prefix)
    }

    pub fn mark_used(&mut self, prefix: &str) {
        let Some(binding) =
            self.position(prefix).filter(|at| *at < self.inherited).and_then(|at| self.bindings.get(at))
        else {
            return;
        };
        if !self.used.contains(binding) {
            self.used.push(binding.clone());
        }
    }

    pub fn resolve(&self, prefix: &str) -> Result<&str, XmlFault> {
        match self.position(prefix).and_then(|at| self.bindings.get(at)) {
            Some((_, uri)) => Ok(uri),
            None if prefix.is_empty() => Ok(""),
            None if prefix == "xml" => Ok(XML_NS),
            None => Err(XmlFault::Namespace("a prefix is used and not declared")),
        }
    }
}

/// Whether a namespace name is an absolute URI of the plain kind that all parsers read alike.
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let host = rest.strip_prefix("//").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$()*+,;=".contains(&b);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && host.is_none_or(|host| {
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        })
        && rest.bytes().all(plain)
        && rest.matches('#').count() <= 1
}
