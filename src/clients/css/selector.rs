//! Selectors: names of parts that decorate, one below another. What tells a learner who they are, what went wrong, or
//! what they are about to send has no name here.

use cssparser::{Parser, SourceLocation, Token};

use super::{Parsed, refuse};

/// What every selector begins with.
const SCOPE: &str = ".branded";
/// The body itself.
const PAGE: &str = "page";

const PARTS: &[&str] = &[
    "bar",
    "brand-name",
    "button",
    "button-plain",
    "button-small",
    "card",
    "empty",
    "footer",
    "hero",
    "hero-band",
    "hero-text",
    "hero-words",
    "home",
    "item",
    "items",
    "lead",
    "monogram",
    "panel",
    "panel-head",
    "panel-main",
    "pass",
    "passes",
    "tag",
    "ways",
    "wrap",
];
const HEADINGS: &[&str] = &["h1", "h2", "h3"];
const STATES: &[&str] = &["active", "first-child", "focus", "focus-visible", "focus-within", "hover", "last-child"];

const MAX_DEPTH: usize = 4;
const MAX_SELECTORS: usize = 12;

/// What of a page a selector ends at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that holds other things.
    Area,
    /// A surface with the accent colour, such as a button.
    Accent,
}

/// A list of selectors, each already within the scope.
#[derive(Debug, PartialEq, Eq)]
pub struct Selectors {
    pub text: String,
    pub has_accent: bool,
}

/// Reads the list before a block.
pub fn list(input: &mut Parser<'_>) -> Parsed<Selectors> {
    let start = input.current_source_location();
    let found = input.parse_comma_separated(one)?;
    if found.len() > MAX_SELECTORS {
        return refuse(start, format!("at most {MAX_SELECTORS} selectors stand before one block"));
    }
    let has_accent = found.iter().any(|(_, kind)| *kind == Kind::Accent);
    Ok(Selectors { text: found.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(","), has_accent })
}

fn one(input: &mut Parser<'_>) -> Parsed<(String, Kind)> {
    input.skip_whitespace();
    let start = input.current_source_location();
    let mut text = SCOPE.to_owned();
    let mut depth = 0;
    let mut kind = Kind::Area;
    let mut needs_part = true;
    let mut separator = " ";
    loop {
        let at = input.current_source_location();
        let Ok(token) = input.next_including_whitespace() else { break };
        match token.clone() {
            Token::WhiteSpace(_) => {
                if separator.is_empty() {
                    separator = " ";
                }
            }
            Token::Delim('>') if depth > 0 && separator != ">" => {
                separator = ">";
                needs_part = true;
            }
            Token::Delim('.') => {
                let at = input.current_source_location();
                let name = input.expect_ident_cloned()?;
                kind = part(&mut text, separator, &name, depth, at)?;
                depth += usize::from(!separator.is_empty());
                (separator, needs_part) = ("", false);
            }
            Token::Ident(name) if !separator.is_empty() && HEADINGS.contains(&name.to_ascii_lowercase().as_str()) => {
                text.push_str(separator);
                text.push_str(&name.to_ascii_lowercase());
                kind = Kind::Area;
                depth += 1;
                (separator, needs_part) = ("", false);
            }
            Token::Colon if depth > 0 && separator.is_empty() => {
                let at = input.current_source_location();
                let known = input.expect_ident_cloned().ok().filter(|name| STATES.contains(&name.as_ref()));
                let Some(state) = known else {
                    return refuse(at, format!("after a colon stands one of {}", STATES.join(", ")));
                };
                text.push(':');
                text.push_str(&state);
            }
            _ => {
                let what = format!(
                    "a selector is made of parts of the page (.page, .{}), {}, blanks and >",
                    PARTS.join(", ."),
                    HEADINGS.join(", ")
                );
                return refuse(at, what);
            }
        }
    }
    if needs_part || separator == ">" {
        return refuse(start, "a selector ends with a part of the page, such as .hero");
    }
    if depth > MAX_DEPTH {
        return refuse(start, format!("a selector names at most {MAX_DEPTH} parts, one below another"));
    }
    Ok((text, kind))
}

fn part(text: &mut String, separator: &str, name: &str, depth: usize, at: SourceLocation) -> Parsed<Kind> {
    if name == PAGE {
        // The scope is the page.
        return if depth == 0 { Ok(Kind::Area) } else { refuse(at, ".page is the whole page and stands first") };
    }
    if !PARTS.contains(&name) {
        return refuse(at, format!("there is no part .{name} to style; there are .page, .{}", PARTS.join(", .")));
    }
    text.push_str(separator);
    text.push('.');
    text.push_str(name);
    Ok(match name {
        "button" | "monogram" | "tag" => Kind::Accent,
        _ => Kind::Area,
    })
}
