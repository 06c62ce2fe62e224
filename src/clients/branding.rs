//! How a client looks: colours, pictures and texts, and the text colour that stays readable on each of its colours.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    brand_files::{css_invalid, is_branding_path},
    branding_api::ColorWarning,
    css,
    rules::{Surroundings, is_email, is_plain_text, web_url},
};
use crate::{
    admin::{Invalid, present},
    http::theme::{self, Place, Shade, Theme},
};

const MAX_LINE: usize = 200;
const MAX_TEXT: usize = 2000;

/// A colour as `#rrggbb`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^#[0-9a-f]{6}$")]
pub struct Color(String);

impl Color {
    /// Reads `#rgb` or `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let long = match digits.len() {
            6 => digits.to_owned(),
            3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => return None,
        };
        Some(Self(format!("#{}", long.to_ascii_lowercase())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Black or white, whichever is the more readable on this colour; one of the two always reaches 4.5 to 1.
    pub fn text_color(&self) -> &'static str {
        let (black, white) = (self.contrast(0.0), self.contrast(1.0));
        if black >= white { "#000000" } else { "#ffffff" }
    }

    /// The contrast with white: below 4.5 the colour does not serve for text or links on a white page.
    pub fn contrast_with_white(&self) -> f64 {
        self.contrast(1.0)
    }

    // WCAG 2.2, definition of contrast ratio.
    fn contrast(&self, other: f64) -> f64 {
        let own = self.luminance();
        (own.max(other) + 0.05) / (own.min(other) + 0.05)
    }

    // WCAG 2.2, definition of relative luminance.
    fn luminance(&self) -> f64 {
        let channel = |start: usize| {
            let value = self.0.get(start..start + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let value = f64::from(value.unwrap_or(0)) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected a colour such as #1a2b3c"))
    }
}

/// The look of one client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Branding {
    pub logo_url: Option<String>,
    pub accent_color: Option<Color>,
    pub secondary_color: Option<Color>,
    pub background_url: Option<String>,
    pub support_email: Option<String>,
    pub welcome_text: Option<String>,
    pub footer: Option<String>,
    pub email_from_name: Option<String>,
    /// As an admin wrote it. Pages wear what was made of it, at `stylesheet_url`.
    pub custom_css: Option<String>,
    /// Where the sanitised custom CSS is served; made by the gateway.
    pub stylesheet_url: Option<String>,
}

impl Branding {
    /// The colours as pages use them; what is left open is neutral.
    pub fn theme(&self) -> Theme {
        let neutral = Theme::default();
        let color = |own: &Option<Color>| own.as_ref().and_then(|color| color.as_str().parse().ok());
        let accent = color(&self.accent_color);
        Theme {
            accent: accent.unwrap_or(neutral.accent),
            // One colour alone makes a plain surface of itself rather than a gradient with a stranger's.
            secondary: color(&self.secondary_color).or(accent).unwrap_or(neutral.secondary),
        }
    }

    /// What an admin should know of the colours.
    pub(super) fn warnings(&self) -> Vec<ColorWarning> {
        let warning = |shade: Shade| {
            let Shade { given, used, .. } = shade;
            let detail = match shade.place {
                Place::Fill => format!("neither white nor dark text reads well on #{given}; buttons use #{used}"),
                Place::Text => {
                    let contrast = given.contrast(theme::Color::new(255, 255, 255));
                    format!("#{given} on white has a contrast of {contrast:.1}, and text needs 4.5; links use #{used}")
                }
            };
            ColorWarning { field: "accent_color", detail }
        };
        self.theme().shades().into_iter().map(warning).collect()
    }
}

/// What is to change of a look. A field that is left out stays; null clears it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrandingChange {
    /// https, at most 2,000 characters; or a path below `/static`; or where a picture that was uploaded is served.
    #[serde(default, deserialize_with = "present")]
    pub logo_url: Option<Option<String>>,
    /// `#rrggbb`; the text on it is black or white, whichever is readable.
    #[serde(default, deserialize_with = "present")]
    pub accent_color: Option<Option<Color>>,
    #[serde(default, deserialize_with = "present")]
    pub secondary_color: Option<Option<Color>>,
    #[serde(default, deserialize_with = "present")]
    pub background_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub support_email: Option<Option<String>>,
    /// Plain text, at most 2,000 characters.
    #[serde(default, deserialize_with = "present")]
    pub welcome_text: Option<Option<String>>,
    /// Plain text, at most 2,000 characters.
    #[serde(default, deserialize_with = "present")]
    pub footer: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub email_from_name: Option<Option<String>>,
    /// At most 20,000 bytes. Decoration only: what could load, hide, move or cover is refused, and told with its line.
    #[serde(default, deserialize_with = "present")]
    pub custom_css: Option<Option<String>>,
}

impl BrandingChange {
    pub(super) fn check(&self, surroundings: Surroundings<'_>, invalid: &mut Invalid) {
        for (name, url) in [("logo_url", &self.logo_url), ("background_url", &self.background_url)] {
            if let Some(Some(url)) = url
                && !is_own_file(url)
                && !is_branding_path(url)
                && web_url(url, surroundings).is_none()
            {
                invalid.push(
                    "api.invalid",
                    format!("/branding/{name}"),
                    "write a whole https URL, or a path below /static, or upload a picture",
                );
            }
        }
        if let Some(Some(email)) = &self.support_email
            && !is_email(email)
        {
            invalid.push("api.invalid", "/branding/support_email", "write an e-mail address");
        }
        if let Some(Some(source)) = &self.custom_css
            && let Err(troubles) = css::compile(source)
        {
            invalid.append(css_invalid(&troubles));
        }
        let texts = [
            ("welcome_text", &self.welcome_text, MAX_TEXT),
            ("footer", &self.footer, MAX_TEXT),
            ("email_from_name", &self.email_from_name, MAX_LINE),
        ];
        for (name, text, most) in texts {
            if let Some(Some(text)) = text
                && !is_plain_text(text, most, most > MAX_LINE)
            {
                let detail = format!("write plain text of 1 to {most} characters, without control characters");
                invalid.push("api.invalid", format!("/branding/{name}"), detail);
            }
        }
    }

    pub(super) fn apply(self, branding: &mut Branding) {
        fn set<T>(field: &mut Option<T>, change: Option<Option<T>>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        set(&mut branding.logo_url, self.logo_url);
        set(&mut branding.accent_color, self.accent_color);
        set(&mut branding.secondary_color, self.secondary_color);
        set(&mut branding.background_url, self.background_url);
        set(&mut branding.support_email, self.support_email);
        set(&mut branding.welcome_text, self.welcome_text);
        set(&mut branding.footer, self.footer);
        set(&mut branding.email_from_name, self.email_from_name);
        set(&mut branding.custom_css, self.custom_css);
    }
}

/// Whether it is the path of a file that the gateway itself serves.
fn is_own_file(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain);
    path.len() <= MAX_LINE && path.strip_prefix("/static/").is_some_and(|rest| rest.split('/').all(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_below_static_are_files_of_our_own() {
        assert!(is_own_file("/static/demo/acme.svg"));
        for path in ["", "/static", "/static/", "/static/../x", "/static//x", "//static/x", "/static/a?b", "/static/.x"]
        {
            assert!(!is_own_file(path), "{path}");
        }
    }

    fn color(text: &str) -> Color {
        Color::parse(text).expect(text)
    }

    #[test]
    fn the_text_on_any_colour_is_readable() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let color = color(&format!("#{red:02x}{green:02x}{blue:02x}"));
                    let on = if color.text_color() == "#000000" { 0.0 } else { 1.0 };
                    assert!(color.contrast(on) >= 4.5, "{color:?}");
                }
            }
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((color("#fff").contrast(0.0) - 21.0).abs() < 0.001);
        assert!((color("#777777").contrast_with_white() - 4.478).abs() < 0.001);
        assert_eq!(color("#FFCC00").text_color(), "#000000");
        assert_eq!(color("#0033aa").text_color(), "#ffffff");
    }

    #[test]
    fn only_hexadecimal_colours_are_read() {
        assert_eq!(color("#AbC").as_str(), "#aabbcc");
        for text in ["", "#", "#12", "#12345", "#1234567", "red", "#ggg", "#12 45a", "123456", "#é12"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }
}
