//! Values: colours, lengths within bounds, gradients, borders and shadows. Each is read whole and written in one
//! spelling.

use cssparser::{Parser, SourceLocation, Token, color};

use super::{Parsed, refuse};
use crate::http::theme::Color;

/// A colour, and how much of it is there, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    pub color: Color,
    pub alpha: u8,
}

impl Paint {
    fn write(self) -> String {
        match self.alpha {
            100 => format!("#{}", self.color),
            alpha => format!("rgb({} / {alpha}%)", self.color.channels().map(|channel| channel.to_string()).join(" ")),
        }
    }
}

/// In which units a length is given, and how long it may be.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub least: f32,
    /// In pixels; one rem is 16 of them.
    pub most: f32,
}

const fn up_to(most: f32) -> Bounds {
    Bounds { least: 0.0, most }
}

fn number(value: f32) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// One length in px or rem.
pub fn length(input: &mut Parser<'_>, bounds: Bounds) -> Parsed<String> {
    let at = input.current_source_location();
    let (value, unit, pixels) = match input.next()?.clone() {
        Token::Number { value: 0.0, .. } => (0.0, "", 0.0),
        Token::Dimension { value, unit, .. } if unit.eq_ignore_ascii_case("px") => (value, "px", value),
        Token::Dimension { value, unit, .. } if unit.eq_ignore_ascii_case("rem") => (value, "rem", value * 16.0),
        _ => return refuse(at, "a length is written in px or rem"),
    };
    // Not a number is not within any bounds.
    if !(bounds.least..=bounds.most).contains(&pixels) {
        let (least, most) = (number(bounds.least), number(bounds.most));
        return refuse(at, format!("this length lies between {least}px and {most}px (one rem is 16px)"));
    }
    Ok(format!("{}{unit}", number(value)))
}

/// One to four lengths, as for a padding.
pub fn lengths(input: &mut Parser<'_>, most: f32) -> Parsed<String> {
    let mut all = vec![length(input, up_to(most))?];
    while !input.is_exhausted() && all.len() < 4 {
        all.push(length(input, up_to(most))?);
    }
    Ok(all.join(" "))
}

/// A plain number.
pub fn plain_number(input: &mut Parser<'_>, least: f32, most: f32) -> Parsed<String> {
    let at = input.current_source_location();
    match input.next()?.clone() {
        Token::Number { value, .. } if (least..=most).contains(&value) => Ok(number(value)),
        _ => refuse(at, format!("write a number between {} and {}", number(least), number(most))),
    }
}

/// A colour through which nothing shines.
pub fn opaque(input: &mut Parser<'_>) -> Parsed<Color> {
    input.skip_whitespace();
    let at = input.current_source_location();
    let paint = paint(input)?;
    if paint.alpha != 100 {
        return refuse(at, "this colour has to be opaque: what lies behind it is not known");
    }
    Ok(paint.color)
}

/// Any colour: `#rgb`, a name, or `rgb()`.
pub fn paint(input: &mut Parser<'_>) -> Parsed<Paint> {
    input.skip_whitespace();
    let at = input.current_source_location();
    let wrong = "a colour is written #1a2b3c, by its name, or as rgb(26 43 60)";
    let of = |(red, green, blue, alpha): (u8, u8, u8, f32)| Paint {
        color: Color::new(red, green, blue),
        alpha: hundredths(alpha),
    };
    match input.next()?.clone() {
        Token::Hash(digits) | Token::IDHash(digits) => match color::parse_hash_color(digits.as_bytes()) {
            Ok(parts) => Ok(of(parts)),
            Err(()) => refuse(at, wrong),
        },
        Token::Ident(name) => match color::parse_named_color(&name) {
            Ok((red, green, blue)) => Ok(of((red, green, blue, 1.0))),
            Err(()) => refuse(at, wrong),
        },
        Token::Function(name) if name.eq_ignore_ascii_case("rgb") || name.eq_ignore_ascii_case("rgba") => {
            input.parse_nested_block(|input| rgb(input, at)).map(of)
        }
        _ => refuse(at, wrong),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn hundredths(alpha: f32) -> u8 {
    (alpha.clamp(0.0, 1.0) * 100.0).round() as u8
}

fn rgb(input: &mut Parser<'_>, at: SourceLocation) -> Parsed<(u8, u8, u8, f32)> {
    let mut channels = [0_u8; 3];
    for (index, channel) in channels.iter_mut().enumerate() {
        if index > 0 {
            let _ = input.try_parse(|input| input.expect_comma());
        }
        let value = input.expect_integer()?;
        let Ok(value) = u8::try_from(value) else { return refuse(at, "a channel of rgb() is 0 to 255") };
        *channel = value;
    }
    let mut alpha = 1.0;
    if !input.is_exhausted() {
        if input.try_parse(|input| input.expect_delim('/')).is_err() {
            input.expect_comma()?;
        }
        alpha = match input.next()?.clone() {
            Token::Number { value, .. } => value,
            Token::Percentage { unit_value, .. } => unit_value,
            _ => return refuse(at, "the last part of rgb() says how opaque it is: 0 to 1, or 0% to 100%"),
        };
    }
    let [red, green, blue] = channels;
    Ok((red, green, blue, alpha))
}

/// What lies behind text: a colour or a gradient, and the colours in it.
pub fn background(input: &mut Parser<'_>) -> Parsed<(String, Vec<Color>)> {
    input.skip_whitespace();
    let at = input.current_source_location();
    let is_gradient = input.try_parse(|input| input.expect_function_matching("linear-gradient")).is_ok();
    if is_gradient {
        return input.parse_nested_block(gradient);
    }
    match input.try_parse(|input| input.expect_function().cloned().map_err(cssparser::ParseError::<()>::from)) {
        Ok(name) if !name.eq_ignore_ascii_case("rgb") && !name.eq_ignore_ascii_case("rgba") => refuse(
            at,
            format!(
                "{name}() is not allowed: a background is a colour or linear-gradient(); a picture is set as background_url"
            ),
        ),
        Ok(_) => {
            let (red, green, blue, alpha) = input.parse_nested_block(|input| rgb(input, at))?;
            if hundredths(alpha) != 100 {
                return refuse(at, "this colour has to be opaque: what lies behind it is not known");
            }
            let color = Color::new(red, green, blue);
            Ok((format!("#{color}"), vec![color]))
        }
        Err(_) => {
            let color = opaque(input)?;
            Ok((format!("#{color}"), vec![color]))
        }
    }
}

fn gradient(input: &mut Parser<'_>) -> Parsed<(String, Vec<Color>)> {
    let mut parts = Vec::new();
    let at = input.current_source_location();
    if let Ok(direction) = input.try_parse(direction) {
        input.expect_comma()?;
        parts.push(direction);
    }
    let stops = input.parse_comma_separated(|input| {
        let color = opaque(input)?;
        let mut text = format!("#{color}");
        if !input.is_exhausted() {
            let at = input.current_source_location();
            let place = input.expect_percentage()?;
            if !(0.0..=1.0).contains(&place) {
                return refuse(at, "a place in a gradient is 0% to 100%");
            }
            text.push_str(&format!(" {}%", number(place * 100.0)));
        }
        Ok((text, color))
    })?;
    if !(2..=6).contains(&stops.len()) {
        return refuse(at, "a gradient has 2 to 6 colours");
    }
    let colors = stops.iter().map(|(_, color)| *color).collect();
    parts.extend(stops.into_iter().map(|(text, _)| text));
    Ok((format!("linear-gradient({})", parts.join(",")), colors))
}

fn direction(input: &mut Parser<'_>) -> Parsed<String> {
    let at = input.current_source_location();
    match input.next()?.clone() {
        Token::Dimension { value, unit, .. } if unit.eq_ignore_ascii_case("deg") && value.abs() <= 360.0 => {
            Ok(format!("{}deg", number(value)))
        }
        Token::Ident(word) if word.eq_ignore_ascii_case("to") => {
            let mut text = "to".to_owned();
            while let Ok(side) = input.try_parse(|input| keyword(input, &["top", "bottom", "left", "right"])) {
                text.push(' ');
                text.push_str(side);
            }
            Ok(text)
        }
        _ => refuse(at, "a direction is written as 135deg or to right"),
    }
}

/// One word of a list, in the list's spelling.
pub fn keyword(input: &mut Parser<'_>, words: &[&'static str]) -> Parsed<&'static str> {
    let at = input.current_source_location();
    let found = match input.next()?.clone() {
        Token::Ident(word) => words.iter().find(|known| word.eq_ignore_ascii_case(known)).copied(),
        _ => None,
    };
    found.map_or_else(|| refuse(at, format!("write one of {}", words.join(", "))), Ok)
}

pub const BORDER_STYLES: &[&str] = &["none", "solid", "dashed", "dotted", "double"];
pub const MAX_BORDER: f32 = 12.0;

/// Width, style and colour of a border, in any order.
pub fn border(input: &mut Parser<'_>) -> Parsed<String> {
    let mut parts = Vec::new();
    while !input.is_exhausted() && parts.len() < 3 {
        let part = input
            .try_parse(|input| length(input, up_to(MAX_BORDER)))
            .or_else(|_| input.try_parse(|input| keyword(input, BORDER_STYLES).map(str::to_owned)))
            .or_else(|_| paint(input).map(Paint::write))?;
        parts.push(part);
    }
    Ok(parts.join(" "))
}

/// The colours of one to four edges.
pub fn paints(input: &mut Parser<'_>) -> Parsed<String> {
    let mut all = vec![paint(input)?.write()];
    while !input.is_exhausted() && all.len() < 4 {
        all.push(paint(input)?.write());
    }
    Ok(all.join(" "))
}

/// `none`, or up to three shadows that stay near their box.
pub fn shadow(input: &mut Parser<'_>) -> Parsed<String> {
    if input.try_parse(|input| keyword(input, &["none"])).is_ok() {
        return Ok("none".to_owned());
    }
    let at = input.current_source_location();
    let all = input.parse_comma_separated(|input| {
        let mut parts = Vec::new();
        if input.try_parse(|input| keyword(input, &["inset"])).is_ok() {
            parts.push("inset".to_owned());
        }
        // What a shadow could lay over its neighbours stays below the height of a line of text.
        let near = Bounds { least: -12.0, most: 12.0 };
        parts.push(length(input, near)?);
        parts.push(length(input, near)?);
        for bounds in [up_to(40.0), Bounds { least: -12.0, most: 0.0 }] {
            match input.try_parse(|input| is_length_next(input)) {
                Ok(true) => parts.push(length(input, bounds)?),
                _ => break,
            }
        }
        parts.push(paint(input)?.write());
        Ok(parts.join(" "))
    })?;
    if all.len() > 3 {
        return refuse(at, "at most three shadows");
    }
    Ok(all.join(","))
}

/// Looks without taking.
fn is_length_next(input: &mut Parser<'_>) -> Parsed<bool> {
    let state = input.state();
    let is_length = matches!(input.next(), Ok(Token::Dimension { .. } | Token::Number { .. }));
    input.reset(&state);
    Ok(is_length)
}
