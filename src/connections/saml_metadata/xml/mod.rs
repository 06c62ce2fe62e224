//! The strict, streaming look at foreign XML that happens before any tree is built from it. Refuses whatever two
//! parsers could read differently and whatever costs more than its size; changes and repairs nothing.

mod lexical;
mod scope;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use thiserror::Error;

pub use lexical::is_ncname;
use lexical::{as_text, check_declaration, is_space, resolve_reference, scan_attributes, split_name};
use scope::Scope;

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

/// XML 1.0, 2.2: control characters, U+FFFE and U+FFFF (`EF BF BE` and `EF BF BF`), looked for in bytes because every
/// response pays for it.
fn has_forbidden_character(text: &[u8]) -> bool {
    if text.iter().any(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return true;
    }
    text.contains(&0xef) && text.windows(3).any(|w| matches!(w, [0xef, 0xbf, 0xbe | 0xbf]))
}

/// Walks one document to its end. `inherited` are namespaces in scope around it (for a decrypted fragment);
/// the result names those of them that the document relies on.
pub fn walk<V: Visitor>(
    text: &str,
    limits: &Limits,
    inherited: &[Binding],
    visitor: &mut V,
) -> Result<Vec<Binding>, V::Fault> {
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
