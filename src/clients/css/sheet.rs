//! The whole sheet: rules and `@media`, their properties, and the pairs of colours that belong together.

use cssparser::{
    AtRuleParser, CowRcStr, DeclarationParser, ParseError, ParseErrorKind, Parser, ParserState, QualifiedRuleParser,
    RuleBodyItemParser, RuleBodyParser, SourceLocation, StyleSheetParser,
};

use super::{
    MAX_BYTES, Parsed, Trouble, refuse,
    selector::{self, Selectors},
    text, trouble,
    value::{self, BORDER_STYLES, MAX_BORDER},
};
use crate::http::theme::Color;

const MAX_RULES: usize = 300;
/// More are not told at once.
const MAX_TROUBLES: usize = 10;
/// WCAG 2.2, 1.4.3.
const CONTRAST: f64 = 4.5;

const PROPERTIES: &[&str] = &[
    "color",
    "background",
    "background-color",
    "border",
    "border-top",
    "border-bottom",
    "border-left",
    "border-right",
    "border-color",
    "border-width",
    "border-style",
    "border-radius",
    "box-shadow",
    "padding",
    "padding-top",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "margin-top",
    "margin-bottom",
    "gap",
    "font-family",
    "font-size",
    "font-weight",
    "font-style",
    "line-height",
    "letter-spacing",
    "text-transform",
    "text-align",
];

/// Reads custom CSS and writes the sheet that pages may wear, or says everything that is not allowed.
pub fn compile(source: &str) -> Result<String, Vec<Trouble>> {
    if source.len() > MAX_BYTES {
        let what = format!("custom CSS has at most {MAX_BYTES} bytes");
        return Err(vec![Trouble { line: 1, column: 1, what }]);
    }
    let mut input = Parser::new(source);
    let mut reader = Reader { troubles: Vec::new(), rules: 0, is_nested: false };
    let css = read_rules(&mut input, &mut reader);
    reader.troubles.truncate(MAX_TROUBLES);
    if reader.troubles.is_empty() { Ok(css) } else { Err(reader.troubles) }
}

fn read_rules(input: &mut Parser<'_>, reader: &mut Reader) -> String {
    let mut css = String::new();
    let mut found = Vec::new();
    for rule in StyleSheetParser::new(input, reader) {
        match rule {
            Ok(rule) => css.push_str(&rule),
            Err((error, text, at)) => found.push(told(error, text, at)),
        }
    }
    reader.troubles.extend(found);
    css
}

/// An error in words. What the library found has no place of its own: it is where the piece begins.
fn told(error: ParseError<Trouble>, text: &str, at: SourceLocation) -> Trouble {
    match error.kind {
        ParseErrorKind::Custom(own) => own,
        ParseErrorKind::Basic(_) => {
            let piece: String = text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
            trouble(at, format!("`{}` cannot be read here", piece.trim()))
        }
    }
}

struct Reader {
    troubles: Vec<Trouble>,
    rules: usize,
    /// Inside `@media`.
    is_nested: bool,
}

impl<'i> QualifiedRuleParser<'i> for Reader {
    type Prelude = (Selectors, SourceLocation);
    type QualifiedRule = String;
    type Error = Trouble;

    fn parse_prelude(&mut self, input: &mut Parser<'i>) -> Parsed<Self::Prelude> {
        input.skip_whitespace();
        let at = input.current_source_location();
        self.rules += 1;
        if self.rules > MAX_RULES {
            return refuse(at, format!("custom CSS has at most {MAX_RULES} rules"));
        }
        Ok((selector::list(input)?, at))
    }

    fn parse_block(
        &mut self,
        (selectors, at): Self::Prelude,
        _: &ParserState,
        input: &mut Parser<'i>,
    ) -> Parsed<String> {
        let mut block = Block::default();
        let mut found = Vec::new();
        for declaration in RuleBodyParser::new(input, &mut block) {
            if let Err((error, text, at)) = declaration {
                found.push(told(error, text, at));
            }
        }
        let is_clean = found.is_empty();
        self.troubles.extend(found);
        // What was refused would only be told again as a colour without its fellow.
        if is_clean { block.write(&selectors, at) } else { Ok(String::new()) }
    }
}

impl<'i> AtRuleParser<'i> for Reader {
    type Prelude = String;
    type AtRule = String;
    type Error = Trouble;

    fn parse_prelude(&mut self, name: CowRcStr<'i>, input: &mut Parser<'i>) -> Parsed<String> {
        let at = input.current_source_location();
        if !name.eq_ignore_ascii_case("media") || self.is_nested {
            return refuse(at, format!("@{name} is not allowed; only @media with min-width and max-width, once deep"));
        }
        let mut query = Vec::new();
        loop {
            input.expect_parenthesis_block()?;
            query.push(input.parse_nested_block(|input| {
                let side = value::keyword(input, &["min-width", "max-width"])?;
                input.expect_colon()?;
                let width = value::length(input, value::Bounds { least: 0.0, most: 4000.0 })?;
                Ok(format!("({side}:{width})"))
            })?);
            if input.is_exhausted() {
                return Ok(format!("@media {}", query.join(" and ")));
            }
            input.expect_ident_matching("and")?;
        }
    }

    fn parse_block(&mut self, query: String, _: &ParserState, input: &mut Parser<'i>) -> Parsed<String> {
        let mut inner = Reader { troubles: Vec::new(), rules: self.rules, is_nested: true };
        let css = read_rules(input, &mut inner);
        self.rules = inner.rules;
        self.troubles.append(&mut inner.troubles);
        Ok(format!("{query}{{{css}}}\n"))
    }
}

/// The declarations of one rule.
#[derive(Default)]
struct Block {
    declarations: Vec<(&'static str, String)>,
    text: Option<Color>,
    behind: Option<Vec<Color>>,
}

impl Block {
    fn write(self, selectors: &Selectors, at: SourceLocation) -> Parsed<String> {
        let mut css = format!("{}{{", selectors.text);
        for (name, value) in &self.declarations {
            css.push_str(&format!("{name}:{value};"));
        }
        match (self.text, self.behind) {
            (None, None) => {}
            (Some(text), Some(behind)) => {
                check_contrast(text, &behind, at)?;
                let first = behind.first().copied().unwrap_or(text);
                css.push_str(&within(text, first, selectors.has_accent));
            }
            _ => {
                return refuse(at, "set color and background together: only so is it known that text stays readable");
            }
        }
        css.push_str("}\n");
        Ok(css)
    }
}

/// Text over a gradient is over every colour between its stops: each stop has to stand apart, all on the same side.
fn check_contrast(text: Color, behind: &[Color], at: SourceLocation) -> Parsed<()> {
    let worst = behind.iter().map(|color| text.contrast(*color)).fold(f64::INFINITY, f64::min);
    if worst < CONTRAST {
        let what = format!("#{text} on this background has a contrast of {worst:.1}; text needs {CONTRAST}");
        return refuse(at, what);
    }
    let lighter = behind.iter().filter(|color| color.luminance() > text.luminance()).count();
    if lighter != 0 && lighter != behind.len() {
        return refuse(at, format!("somewhere in this gradient #{text} cannot be read: its colours lie on both sides"));
    }
    Ok(())
}

/// Tokens of the stylesheet that colour what is written or drawn, and those that colour what lies behind it. Each of its
/// colours is here, or stands with a fellow of its own.
pub(super) const OVER: &[&str] =
    &["ink", "muted", "accent-text", "accent-edge", "line-strong", "warn", "bad", "good", "on-hero"];
pub(super) const UNDER: &[&str] =
    &["surface", "canvas", "accent-soft", "warn-soft", "good-soft", "hero-from", "hero-to"];

/// The design tokens for everything inside: what was written over one colour now stands over another.
fn within(text: Color, behind: Color, has_accent: bool) -> String {
    let mut css = String::new();
    let mut set = |names: &[&str], color: Color| {
        for name in names {
            css.push_str(&format!("--{name}:#{color};"));
        }
    };
    set(OVER, text);
    set(UNDER, behind);
    if has_accent {
        set(&["on-accent"], text);
        set(&["accent", "accent-hover"], behind);
    }
    css
}

impl<'i> DeclarationParser<'i> for Block {
    type Declaration = ();
    type Error = Trouble;

    fn parse_value(&mut self, name: CowRcStr<'i>, input: &mut Parser<'i>, start: &ParserState) -> Parsed<()> {
        let at = start.source_location();
        let Some(property) = PROPERTIES.iter().find(|known| name.eq_ignore_ascii_case(known)).copied() else {
            return refuse(at, format!("{name} is not allowed; allowed are {}", PROPERTIES.join(", ")));
        };
        let written = self.read(property, input)?;
        let end = input.current_source_location();
        if !input.is_exhausted() {
            return refuse(end, format!("{property} has more here than it takes; !important is not allowed"));
        }
        let property = if property == "background-color" { "background" } else { property };
        if self.declarations.iter().any(|(known, _)| *known == property) {
            return refuse(at, format!("{property} is set twice in one rule"));
        }
        self.declarations.push((property, written));
        Ok(())
    }
}

impl Block {
    fn read(&mut self, property: &str, input: &mut Parser<'_>) -> Parsed<String> {
        const SPACE: f32 = 80.0;
        let length = |input: &mut Parser<'_>, most| value::length(input, value::Bounds { least: 0.0, most });
        let word = |input: &mut Parser<'_>, words| value::keyword(input, words).map(str::to_owned);
        match property {
            "color" => {
                let color = value::opaque(input)?;
                self.text = Some(color);
                Ok(format!("#{color}"))
            }
            "background" | "background-color" => {
                let (text, colors) = value::background(input)?;
                self.behind = Some(colors);
                Ok(text)
            }
            "border" | "border-top" | "border-bottom" | "border-left" | "border-right" => value::border(input),
            "border-color" => value::paints(input),
            "border-width" => value::lengths(input, MAX_BORDER),
            "border-style" => word(input, BORDER_STYLES),
            "border-radius" => value::lengths(input, 999.0),
            "box-shadow" => value::shadow(input),
            "padding" => value::lengths(input, SPACE),
            "padding-top" | "padding-bottom" | "padding-left" | "padding-right" => length(input, SPACE),
            "margin-top" | "margin-bottom" | "gap" => length(input, SPACE),
            "font-family" => text::families(input),
            "font-size" => text::size(input),
            "font-weight" => text::weight(input),
            "font-style" => word(input, &["normal", "italic"]),
            "line-height" => value::plain_number(input, 1.1, 2.0),
            "letter-spacing" => text::spacing(input),
            "text-transform" => word(input, &["none", "uppercase", "lowercase", "capitalize"]),
            "text-align" => word(input, &["start", "center", "end", "left", "right"]),
            _ => refuse(input.current_source_location(), "this property takes no value"),
        }
    }
}

impl AtRuleParser<'_> for Block {
    type Prelude = ();
    type AtRule = ();
    type Error = Trouble;
}

impl QualifiedRuleParser<'_> for Block {
    type Prelude = ();
    type QualifiedRule = ();
    type Error = Trouble;
}

impl RuleBodyItemParser<'_, (), Trouble> for Block {
    fn parse_declarations(&self) -> bool {
        true
    }

    fn parse_qualified(&self) -> bool {
        false
    }
}
