//! The stylesheet that a client's two colours make. A pure function of the colours, so its address names nothing else,
//! every replica answers it, and it is cached for good. Whatever the colours, text stays readable (WCAG 2.2, 1.4.3).

use std::{fmt, fmt::Write as _, str::FromStr};

/// What was given is not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written #rrggbb")]
pub struct InvalidColor;

/// An opaque sRGB colour. Shown without its `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

const WHITE: Color = Color::new(255, 255, 255);
const BLACK: Color = Color::new(0, 0, 0);
/// The colour of plain text; `--ink` in the stylesheet.
const INK: Color = Color::new(0x14, 0x17, 0x24);
/// What lies behind cards; `--canvas` in the stylesheet.
const CANVAS: Color = Color::new(0xf5, 0xf6, 0xf8);

/// What text needs (WCAG 2.2, 1.4.3), and what the edge of a control needs (1.4.11).
const TEXT: f64 = 4.5;
const EDGE: f64 = 3.0;
/// Text over a gradient and its faint pattern keeps some distance from the limit.
const TEXT_ON_HERO: f64 = 5.2;

impl Color {
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Its red, green and blue.
    pub const fn channels(self) -> [u8; 3] {
        [self.red, self.green, self.blue]
    }

    /// Relative luminance as WCAG defines it.
    pub fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }

    /// The contrast ratio of two colours, 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(two) / one.min(two)
    }

    /// `share` percent of `other` stirred into this one.
    fn mix(self, other: Self, share: u16) -> Self {
        let blend = |one: u8, two: u8| {
            let sum = u16::from(one) * (100 - share.min(100)) + u16::from(two) * share.min(100);
            u8::try_from((sum + 50) / 100).unwrap_or(u8::MAX)
        };
        Self::new(blend(self.red, other.red), blend(self.green, other.green), blend(self.blue, other.blue))
    }

    /// The nearest mix with `pole` that stands out from each of `others` by at least `ratio`.
    fn until(self, pole: Self, others: &[Self], ratio: f64) -> Self {
        let fits = |color: &Self| others.iter().all(|other| color.contrast(*other) >= ratio);
        (0..=100).map(|share| self.mix(pole, share)).find(fits).unwrap_or(pole)
    }
}

impl FromStr for Color {
    type Err = InvalidColor;

    fn from_str(text: &str) -> Result<Self, InvalidColor> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidColor);
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).map_err(|_| InvalidColor)?.to_be_bytes();
        Ok(Self::new(red, green, blue))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// The two colours of a brand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub accent: Color,
    pub secondary: Color,
}

impl Default for Theme {
    fn default() -> Self {
        Self { accent: Color::new(0x33, 0x41, 0x5c), secondary: Color::new(0x5b, 0x7d, 0xa6) }
    }
}

impl fmt::Display for Theme {
    /// The file name of its stylesheet, without the ending.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.accent, self.secondary)
    }
}

impl FromStr for Theme {
    type Err = InvalidColor;

    /// Reads the one spelling that [`fmt::Display`] writes, so that a theme has one address.
    fn from_str(text: &str) -> Result<Self, InvalidColor> {
        let (accent, secondary) = text.split_once('-').ok_or(InvalidColor)?;
        let theme = Self { accent: accent.parse()?, secondary: secondary.parse()? };
        if theme.to_string() == text { Ok(theme) } else { Err(InvalidColor) }
    }
}

/// Where a colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind the text of a button.
    Fill,
    /// As text on white and on the light shades of pages.
    Text,
}

/// A colour that was given, and the nearest one with enough contrast, which is used in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shade {
    pub place: Place,
    pub given: Color,
    pub used: Color,
}

/// Text over a colour and that colour, moved as little as the text needs.
fn fill(color: Color) -> (Color, Color) {
    if color.contrast(WHITE) >= TEXT { (WHITE, color) } else { (INK, color.until(WHITE, &[INK], TEXT)) }
}

impl Theme {
    /// The design tokens as a stylesheet.
    pub fn stylesheet(&self) -> String {
        let mut css = String::with_capacity(512);
        css.push_str(":root{");
        for (name, color) in self.tokens() {
            // Writing into a String cannot fail.
            let _ = write!(css, "--{name}:#{color};");
        }
        css.push_str("}\n");
        css
    }

    /// Where a colour of the brand has too little contrast to be used as it is.
    pub fn shades(&self) -> Vec<Shade> {
        let token =
            |wanted: &str| self.tokens().into_iter().find_map(|(name, color)| (name == wanted).then_some(color));
        let places = [(Place::Fill, "accent", self.accent), (Place::Text, "accent-text", self.accent)];
        let shade = |(place, name, given): (Place, &str, Color)| {
            let used = token(name).filter(|used| *used != given)?;
            Some(Shade { place, given, used })
        };
        places.into_iter().filter_map(shade).collect()
    }

    /// The design tokens by their names.
    pub fn tokens(&self) -> [(&'static str, Color); 9] {
        let (on_accent, accent) = fill(self.accent);
        let away = if on_accent == WHITE { BLACK } else { WHITE };
        let soft = accent.mix(WHITE, 90);
        let (dark, other) = if self.accent.luminance() <= self.secondary.luminance() {
            (self.accent, self.secondary)
        } else {
            (self.secondary, self.accent)
        };
        let on_hero = if dark.contrast(WHITE) >= TEXT { WHITE } else { INK };
        let pole = if on_hero == WHITE { BLACK } else { WHITE };
        [
            ("accent", accent),
            ("accent-hover", accent.mix(away, 14)),
            ("on-accent", on_accent),
            ("accent-edge", accent.until(BLACK, &[WHITE, CANVAS], EDGE)),
            ("accent-text", accent.until(BLACK, &[WHITE, CANVAS, soft], TEXT)),
            ("accent-soft", soft),
            ("hero-from", dark.until(pole, &[on_hero], TEXT_ON_HERO)),
            ("hero-to", dark.mix(other, 45).until(pole, &[on_hero], TEXT_ON_HERO)),
            ("on-hero", on_hero),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(theme: Theme, name: &str) -> Color {
        theme.tokens().into_iter().find(|(found, _)| *found == name).expect("a token").1
    }

    proptest! {
        #[test]
        fn text_is_readable_whatever_the_colours(accent: [u8; 3], secondary: [u8; 3]) {
            let color = |[red, green, blue]: [u8; 3]| Color::new(red, green, blue);
            let theme = Theme { accent: color(accent), secondary: color(secondary) };
            let ratio = |one, two| token(theme, one).contrast(token(theme, two));
            prop_assert!(ratio("on-accent", "accent") >= TEXT);
            prop_assert!(ratio("on-accent", "accent-hover") >= TEXT);
            prop_assert!(ratio("accent-text", "accent-soft") >= TEXT);
            prop_assert!(token(theme, "accent-text").contrast(CANVAS) >= TEXT);
            prop_assert!(token(theme, "accent-edge").contrast(WHITE) >= EDGE);
            prop_assert!(ratio("on-hero", "hero-from") >= TEXT_ON_HERO);
            prop_assert!(ratio("on-hero", "hero-to") >= TEXT_ON_HERO);
        }

        #[test]
        fn a_theme_reads_back_from_its_address(accent: [u8; 3], secondary: [u8; 3]) {
            let color = |[red, green, blue]: [u8; 3]| Color::new(red, green, blue);
            let theme = Theme { accent: color(accent), secondary: color(secondary) };
            prop_assert_eq!(theme.to_string().parse::<Theme>(), Ok(theme));
        }
    }

    #[test]
    fn only_colours_are_colours() {
        assert_eq!("#1F6feb".parse(), Ok(Color::new(0x1f, 0x6f, 0xeb)));
        for text in ["", "#fff", "red", "#12345g", "#1234567", "url(x)", "#+12345", "#é12345"] {
            assert_eq!(text.parse::<Color>(), Err(InvalidColor), "{text}");
        }
        assert_eq!("1F6FEB-000000".parse::<Theme>(), Err(InvalidColor));
    }
}
