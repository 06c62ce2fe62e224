//! The smallest parts of XML: names, attributes, references, the declaration. Nothing more lenient than XML 1.0 has it.

use super::XmlFault;

/// Reads `Attribute ::= S Name Eq AttValue` to the end of the tag and nothing more lenient (XML 1.0, 3.1).
pub(super) fn scan_attributes<'a>(
    mut rest: &'a str,
    mut each: impl FnMut(&'a str, &'a str) -> Result<(), XmlFault>,
) -> Result<(), XmlFault> {
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

pub(super) fn resolve_reference(name: &str) -> Result<char, XmlFault> {
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
    let allowed =
        |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    code.and_then(char::from_u32).filter(allowed).ok_or(XmlFault::Reference)
}

/// `<?xml version="1.0" encoding="UTF-8"?>` and nothing that would make another parser read other characters.
pub(super) fn check_declaration(content: &str) -> Result<(), XmlFault> {
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
pub(super) fn split_name(name: &str) -> Result<(&str, &str), XmlFault> {
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

pub(super) fn as_text(bytes: &[u8]) -> Result<&str, XmlFault> {
    std::str::from_utf8(bytes).map_err(|_| XmlFault::Encoding)
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space_char)
}

pub(super) fn is_space_char(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

pub(super) fn is_space(b: u8) -> bool {
    is_space_char(char::from(b))
}
