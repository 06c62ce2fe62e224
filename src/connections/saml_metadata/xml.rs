//! The strict, streaming look at foreign XML that happens before any tree is built from it.
//! Refuses whatever two parsers could read differently and whatever costs more than its size; changes and repairs nothing.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use thiserror::Error;

const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NS: &str = "http://www.w3.org/2000/xmlns/";

/// How much a document may ask of us.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes: usize,
    pub depth: usize,
    /// Attributes and namespace declarations of one tag together: parsers are quadratic in them (RUSTSEC-2026-0194).
    pub attributes_per_tag: usize,
    pub elements: usize,
    /// Namespace declarations in scope at one place: exclusive c14n walks them for every element.
    pub namespaces_in_scope: usize,
    /// Comments split text nodes, which is how names get truncated (CVE-2017-11427); metadata may still carry them.
    pub comments_allowed: bool,
}

/// Why a document is refused before anybody asks what it says.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum XmlFault {
    #[error("the document is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the document is not valid UTF-8, or declares another encoding")]
    Encoding,
    #[error("the document has a DOCTYPE")]
    Doctype,
    #[error("the document has a processing instruction")]
    ProcessingInstruction,
    #[error("the document has a comment")]
    Comment,
    #[error("the document has a CDATA section")]
    Cdata,
    #[error("elements are nested deeper than {0}")]
    TooDeep(usize),
    #[error("an element has more than {0} attributes")]
    TooManyAttributes(usize),
    #[error("the document has more than {0} elements")]
    TooManyElements(usize),
    #[error("more than {0} namespace declarations are in scope")]
    TooManyNamespaces(usize),
    #[error("the document uses an entity or character reference that XML 1.0 does not define")]
    Reference,
    #[error("the document is not namespace-well-formed: {0}")]
    Namespace(&'static str),
    #[error("the document is not well-formed: {0}")]
    Malformed(&'static str),
}

/// One attribute that is not a namespace declaration; its value as written, references not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    pub namespace: &'a str,
    pub local: &'a str,
    pub raw: &'a str,
}

impl RawAttribute<'_> {
    /// The value with its references resolved.
    pub fn value(&self) -> Cow<'_, str> {
        // Every reference was checked when the tag was scanned.
        quick_xml::escape::unescape(self.raw).unwrap_or(Cow::Borrowed(""))
    }
}

/// A start tag with its names resolved.
#[derive(Debug)]
pub struct StartTag<'a> {
    pub namespace: &'a str,
    pub local: &'a str,
    pub attributes: &'a [RawAttribute<'a>],
}

impl<'a> StartTag<'a> {
    /// The attribute of that name in no namespace.
    pub fn attribute(&self, local: &str) -> Option<&RawAttribute<'a>> {
        self.attributes.iter().find(|a| a.namespace.is_empty() && a.local == local)
    }
}

/// What looks at the elements while they pass.
pub trait Visitor {
    type Fault: From<XmlFault>;
    fn start(&mut self, tag: &StartTag<'_>) -> Result<(), Self::Fault>;
    fn text(&mut self, text: &str) -> Result<(), Self::Fault>;
    fn end(&mut self) -> Result<(), Self::Fault>;
}

/// A visitor for documents of which only the limits and the form matter.
pub struct FormOnly;

impl Visitor for FormOnly {
    type Fault = XmlFault;
    fn start(&mut self, _tag: &StartTag<'_>) -> Result<(), XmlFault> {
        Ok(())
    }
    fn text(&mut self, _text: &str) -> Result<(), XmlFault> {
        Ok(())
    }
    fn end(&mut self) -> Result<(), XmlFault> {
        Ok(())
    }
}

/// A namespace declaration: prefix (empty for the default) and URI.
pub type Binding = (String, String);

/// The text of a document: valid UTF-8, of bearable size, without its byte order mark, and of XML characters alone.
pub fn text_of<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, XmlFault> {
    if bytes.len() > limits.bytes {
        return Err(XmlFault::TooLarge(limits.bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlFault::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if has_forbidden_character(text.as_bytes()) { Err(XmlFault::Malformed("a control character")) } else { Ok(text) }
}

/// XML 1.0, 2.2: control characters, U+FFFE and U+FFFF (`EF BF BE` and `EF BF BF`), looked for in bytes because every response pays for it.
fn has_forbidden_character(text: &[u8]) -> bool {
    if text.iter().any(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return true;
    }
    text.contains(&0xef) && text.windows(3).any(|w| matches!(w, [0xef, 0xbf, 0xbe | 0xbf]))
}

/// Walks one document to its end. `inherited` are namespaces in scope around it (for a decrypted fragment);
/// the result names those of them that the document relies on.
pub fn walk<V: Visitor>(text: &str, limits: &Limits, inherited: &[Binding], visitor: &mut V) -> Result<Vec<Binding>, V::Fault> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    let mut scope = Scope::new(inherited);
    let (mut elements, mut root_closed) = (0usize, false);
    loop {
        let at_start = reader.buffer_position() == 0;
        let event = reader.read_event().map_err(|_| XmlFault::Malformed("broken markup"))?;
        match event {
            Event::Start(tag) => {
                if root_closed {
                    return Err(XmlFault::Malformed("more than one root element").into());
                }
                elements += 1;
                if elements > limits.elements {
                    return Err(XmlFault::TooManyElements(limits.elements).into());
                }
                open(&tag, limits, &mut scope, visitor)?;
            }
            Event::End(_) => {
                scope.leave();
                root_closed = scope.depth() == 0;
                visitor.end()?;
            }
            Event::Text(piece) => {
                let piece = as_text(&piece)?;
                if scope.depth() == 0 {
                    if !piece.bytes().all(is_space) {
                        return Err(XmlFault::Malformed("text outside the root element").into());
                    }
                } else if piece.contains("]]>") {
                    return Err(XmlFault::Malformed("']]>' in text").into());
                } else {
                    visitor.text(piece)?;
                }
            }
            Event::GeneralRef(reference) => {
                if scope.depth() == 0 {
                    return Err(XmlFault::Malformed("a reference outside the root element").into());
                }
                let resolved = resolve_reference(as_text(&reference)?)?;
                visitor.text(resolved.encode_utf8(&mut [0; 4]))?;
            }
            Event::Decl(declaration) if at_start => check_declaration(as_text(&declaration)?)?,
            Event::Decl(_) | Event::PI(_) => return Err(XmlFault::ProcessingInstruction.into()),
            Event::DocType(_) => return Err(XmlFault::Doctype.into()),
            Event::CData(_) => return Err(XmlFault::Cdata.into()),
            Event::Comment(_) if limits.comments_allowed => {}
            Event::Comment(_) => return Err(XmlFault::Comment.into()),
            Event::Empty(_) => return Err(XmlFault::Malformed("an empty tag that was not expanded").into()),
            Event::Eof if root_closed => return Ok(scope.used),
            Event::Eof => return Err(XmlFault::Malformed("the document ends too early").into()),
        }
    }
}

fn open<V: Visitor>(tag: &BytesStart<'_>, limits: &Limits, scope: &mut Scope, visitor: &mut V) -> Result<(), V::Fault> {
    let name = tag.name();
    let name = as_text(name.as_ref())?;
    let (prefix, local) = split_name(name)?;
    let mut written: Vec<(&str, &str, &str)> = Vec::with_capacity(8);
    let mut count = 0usize;
    scope.enter(limits.depth)?;
    scan_attributes(as_text(tag.attributes_raw())?, |name, raw| {
        count += 1;
        if count > limits.attributes_per_tag {
            return Err(XmlFault::TooManyAttributes(limits.attributes_per_tag));
        }
        match split_name(name)? {
            ("", "xmlns") => scope.declare("", raw, limits.namespaces_in_scope),
            ("xmlns", prefix) => scope.declare(prefix, raw, limits.namespaces_in_scope),
            (prefix, local) => {
                written.push((prefix, local, raw));
                Ok(())
            }
        }
    })?;
    scope.mark_used(prefix);
    for (prefix, ..) in written.iter().filter(|(prefix, ..)| !prefix.is_empty()) {
        scope.mark_used(prefix);
    }
    let mut attributes = Vec::with_capacity(written.len());
    for (prefix, local, raw) in written {
        // An attribute without a prefix is in no namespace, whatever the default is.
        let namespace = if prefix.is_empty() { "" } else { scope.resolve(prefix)? };
        let attribute = RawAttribute { namespace, local, raw };
        if attributes.iter().any(|a: &RawAttribute<'_>| a.local == local && a.namespace == namespace) {
            return Err(XmlFault::Malformed("an attribute is given twice").into());
        }
        attributes.push(attribute);
    }
    let namespace = scope.resolve(prefix)?;
    visitor.start(&StartTag { namespace, local, attributes: &attributes })
}

/// The namespaces in scope, innermost last.
struct Scope {
    bindings: Vec<Binding>,
    marks: Vec<usize>,
    inherited: usize,
    used: Vec<Binding>,
}

impl Scope {
    fn new(inherited: &[Binding]) -> Scope {
        Scope { bindings: inherited.to_vec(), marks: Vec::with_capacity(16), inherited: inherited.len(), used: Vec::new() }
    }

    fn depth(&self) -> usize {
        self.marks.len()
    }

    fn enter(&mut self, limit: usize) -> Result<(), XmlFault> {
        if self.marks.len() >= limit {
            return Err(XmlFault::TooDeep(limit));
        }
        self.marks.push(self.bindings.len());
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.bindings.truncate(mark);
        }
    }

    fn declare(&mut self, prefix: &str, uri: &str, limit: usize) -> Result<(), XmlFault> {
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

    fn mark_used(&mut self, prefix: &str) {
        let Some(binding) = self.position(prefix).filter(|at| *at < self.inherited).and_then(|at| self.bindings.get(at)) else {
            return;
        };
        if !self.used.contains(binding) {
            self.used.push(binding.clone());
        }
    }

    fn resolve(&self, prefix: &str) -> Result<&str, XmlFault> {
        match self.position(prefix).and_then(|at| self.bindings.get(at)) {
            Some((_, uri)) => Ok(uri),
            None if prefix.is_empty() => Ok(""),
            None if prefix == "xml" => Ok(XML_NS),
            None => Err(XmlFault::Namespace("a prefix is used and not declared")),
        }
    }
}

/// Reads `Attribute ::= S Name Eq AttValue` to the end of the tag and nothing more lenient (XML 1.0, 3.1).
fn scan_attributes<'a>(mut rest: &'a str, mut each: impl FnMut(&'a str, &'a str) -> Result<(), XmlFault>) -> Result<(), XmlFault> {
    const BROKEN: XmlFault = XmlFault::Malformed("a broken attribute");
    loop {
        let trimmed = trim_start(rest);
        if trimmed.is_empty() {
            return Ok(());
        }
        if trimmed.len() == rest.len() {
            return Err(BROKEN);
        }
        let (name, after) = trimmed.split_once('=').ok_or(BROKEN)?;
        let name = name.trim_end_matches(is_space_char);
        let after = trim_start(after);
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(BROKEN)?;
        let (value, after) = after.get(1..).and_then(|v| v.split_once(quote)).ok_or(BROKEN)?;
        if value.contains('<') {
            return Err(BROKEN);
        }
        check_references(value)?;
        each(name, value)?;
        rest = after;
    }
}

fn check_references(value: &str) -> Result<(), XmlFault> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('&') {
        let (reference, after) = after.split_once(';').ok_or(XmlFault::Reference)?;
        resolve_reference(reference)?;
        rest = after;
    }
    Ok(())
}

fn resolve_reference(name: &str) -> Result<char, XmlFault> {
    let digits = match name {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "apos" => return Ok('\''),
        "quot" => return Ok('"'),
        _ => name.strip_prefix('#').filter(|d| d.len() <= 8).ok_or(XmlFault::Reference)?,
    };
    let code = match digits.strip_prefix('x') {
        Some(hex) if !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        None if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    code.and_then(char::from_u32).filter(allowed).ok_or(XmlFault::Reference)
}

/// `<?xml version="1.0" encoding="UTF-8"?>` and nothing that would make another parser read other characters.
fn check_declaration(content: &str) -> Result<(), XmlFault> {
    let mut seen = 0usize;
    scan_attributes(content.strip_prefix("xml").unwrap_or(content), |name, value| {
        seen += 1;
        match (seen, name) {
            (1, "version") if value == "1.0" => Ok(()),
            (2, "encoding") if value.eq_ignore_ascii_case("utf-8") => Ok(()),
            (2, "encoding") => Err(XmlFault::Encoding),
            (2 | 3, "standalone") if matches!(value, "yes" | "no") => Ok(()),
            _ => Err(XmlFault::Malformed("a broken XML declaration")),
        }
    })?;
    if seen == 0 { Err(XmlFault::Malformed("a broken XML declaration")) } else { Ok(()) }
}

/// Prefix and local part. Names are ASCII: no SAML name is otherwise, and look-alike names serve nobody.
fn split_name(name: &str) -> Result<(&str, &str), XmlFault> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) if is_ncname(prefix) => (prefix, local),
        Some(_) => return Err(XmlFault::Malformed("a name that XML does not allow")),
        None => ("", name),
    };
    if is_ncname(local) { Ok((prefix, local)) } else { Err(XmlFault::Malformed("a name that XML does not allow")) }
}

/// Whether this is an ASCII `NCName`, which is also what an `ID` must be.
pub fn is_ncname(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
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
        && host.is_none_or(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')))
        && rest.bytes().all(plain)
        && rest.matches('#').count() <= 1
}

fn as_text(bytes: &[u8]) -> Result<&str, XmlFault> {
    std::str::from_utf8(bytes).map_err(|_| XmlFault::Encoding)
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space_char)
}

fn is_space_char(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_space(b: u8) -> bool {
    is_space_char(char::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 10_000, depth: 4, attributes_per_tag: 3, elements: 9, namespaces_in_scope: 5, comments_allowed: false };

    fn form(text: &str) -> Result<Vec<Binding>, XmlFault> {
        walk(text_of(text.as_bytes(), &LIMITS)?, &LIMITS, &[], &mut FormOnly)
    }

    #[test]
    fn well_formed_documents_pass() {
        for text in [
            "<a/>",
            "\u{feff}<?xml version=\"1.0\" encoding='utf-8' standalone='no' ?>\n<a x = 'y' ><b>&amp;&#x41;</b >\r\n</a>\n ",
            "<p:a xmlns:p='urn:p' p:x='1' x='2'><p:b/></p:a>",
            "<a x='&lt;&#65;'>é</a>",
        ] {
            assert_eq!(form(text), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn whatever_parsers_read_differently_is_refused() {
        for text in [
            "", " ", "a", "<a>", "<a></b>", "<a/><b/>", "<a/>x", "x<a/>", "<a/>&amp;", "<a></a", "<a", "<a/><!--", "<a x='1' x='2'/>",
            "<a x='1'y='2'/>", "<a x=1/>", "<a x/>", "<a x='<'/>", "<a x='&b;'/>", "<a>&b;</a>", "<a>&</a>", "<a>&#0;</a>", "<a>&#xFFFE;</a>",
            "<a>&#x110000;</a>", "<a>]]></a>", "<a>\u{1}</a>", "<a>\u{ffff}</a>", "<a>\0</a>", "<p:a/>", "<a p:x='1'/>", "<a xmlns:p=''/>", "<a xmlns:xml='urn:x'/>",
            "<a xmlns='http://www.w3.org/2000/xmlns/'/>", "<a xmlns:xmlns='urn:x'/>", "<a xmlns='u:' xmlns='v:'/>", "<a xmlns='relative'/>", "<a xmlns='urn:a b'/>", "<a xmlns='http://h:p/'/>", "<a xmlns='urn:%zz'/>", "<a xmlns='urn&#58;x'/>",
            "<a xmlns:p='u:' xmlns:q='u:' p:x='' q:x=''/>", "<a:b:c xmlns:a='u:'/>", "<1a/>", "<é/>", "< a/>", "<a/ >", "<a / >",
            " <?xml version='1.0'?><a/>", "<?xml version='1.1'?><a/>", "<?xml?><a/>", "<?xml version='1.0' encoding='latin1'?><a/>",
            "<a><?xml version='1.0'?></a>", "<?b c?><a/>", "<a><!-- c --></a>", "<a><![CDATA[x]]></a>", "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a></a x='1'>",
        ] {
            assert!(form(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_hold_to_the_number() {
        assert!(form("<a><a><a><a/></a></a></a>").is_ok());
        assert_eq!(form("<a><a><a><a><a/></a></a></a></a>"), Err(XmlFault::TooDeep(4)));
        assert!(form("<a x='' y='' z=''/>").is_ok());
        assert_eq!(form("<a x='' y='' z='' w=''/>"), Err(XmlFault::TooManyAttributes(3)));
        assert_eq!(form("<a xmlns:x='u:' xmlns:y='u:' xmlns:z='u:' w=''/>"), Err(XmlFault::TooManyAttributes(3)));
        assert_eq!(form(&format!("<a>{}</a>", "<b/>".repeat(9))), Err(XmlFault::TooManyElements(9)));
        assert_eq!(form(&"<a/>".repeat(3_000)), Err(XmlFault::TooLarge(10_000)));
        let two = "<a xmlns:x='u:' xmlns:y='u:'><a xmlns:x='u:' xmlns:y='u:'>";
        assert_eq!(form(&format!("{two}<a xmlns:x='u:' xmlns:y='u:'/></a></a>")), Err(XmlFault::TooManyNamespaces(5)));
    }

    #[test]
    fn inherited_namespaces_are_named_when_the_fragment_relies_on_them() {
        let around = [("p".to_owned(), "urn:p".to_owned()), ("q".to_owned(), "urn:q".to_owned())];
        let used = walk("<p:a xmlns:q='urn:own'><q:b/></p:a>", &LIMITS, &around, &mut FormOnly);
        assert_eq!(used, Ok(vec![("p".to_owned(), "urn:p".to_owned())]));
    }
}
