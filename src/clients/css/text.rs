//! Values that shape text: families that are on people's machines already, sizes that stay legible.

use cssparser::{Parser, Token};

use super::{Parsed, refuse, value};

/// Nothing is loaded, and a family of pictures would make words unreadable: hence a list.
const FAMILIES: &[&str] = &[
    "Arial",
    "Avenir",
    "Avenir Next",
    "Baskerville",
    "Calibri",
    "Cambria",
    "Candara",
    "Charter",
    "Futura",
    "Garamond",
    "Georgia",
    "Gill Sans",
    "Helvetica",
    "Helvetica Neue",
    "Inter",
    "Optima",
    "Palatino",
    "Palatino Linotype",
    "Roboto",
    "Rockwell",
    "Segoe UI",
    "Tahoma",
    "Times New Roman",
    "Trebuchet MS",
    "Verdana",
];
const GENERIC: &[&str] = &["serif", "sans-serif", "monospace", "system-ui", "ui-rounded", "ui-sans-serif", "ui-serif"];

/// A list of families.
pub fn families(input: &mut Parser<'_>) -> Parsed<String> {
    let all = input.parse_comma_separated(|input| {
        input.skip_whitespace();
        let at = input.current_source_location();
        let mut name = input.expect_ident_or_string()?.to_string();
        while let Ok(word) = input.try_parse(|input| input.expect_ident_cloned()) {
            name.push(' ');
            name.push_str(&word);
        }
        if let Some(known) = GENERIC.iter().find(|known| name.eq_ignore_ascii_case(known)) {
            return Ok((*known).to_owned());
        }
        match FAMILIES.iter().find(|known| name.eq_ignore_ascii_case(known)) {
            Some(known) => Ok(format!("\"{known}\"")),
            None => {
                refuse(at, format!("this family is not on the list: {}, {}", GENERIC.join(", "), FAMILIES.join(", ")))
            }
        }
    })?;
    Ok(all.join(","))
}

/// A size that can be read and that fits.
pub fn size(input: &mut Parser<'_>) -> Parsed<String> {
    value::length(input, value::Bounds { least: 14.0, most: 56.0 })
}

/// `normal`, `bold`, or 300 to 900.
pub fn weight(input: &mut Parser<'_>) -> Parsed<String> {
    if let Ok(word) = input.try_parse(|input| value::keyword(input, &["normal", "bold"])) {
        return Ok(word.to_owned());
    }
    value::plain_number(input, 300.0, 900.0)
}

/// `normal`, or a little closer or wider than that.
pub fn spacing(input: &mut Parser<'_>) -> Parsed<String> {
    let at = input.current_source_location();
    match input.next()?.clone() {
        Token::Ident(word) if word.eq_ignore_ascii_case("normal") => Ok("normal".to_owned()),
        Token::Number { value: 0.0, .. } => Ok("0".to_owned()),
        Token::Dimension { value, unit, .. } if unit.eq_ignore_ascii_case("em") && (-0.05..=0.2).contains(&value) => {
            Ok(format!("{value:.3}em"))
        }
        _ => refuse(at, "letter-spacing lies between -0.05em and 0.2em"),
    }
}
