//! Reads what tests need of a page: its forms, and its text as a person sees it. Not a parser of HTML at large.

/// A form as a browser would submit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// As written; empty where the form posts to its own page.
    pub action: String,
    /// `GET` or `POST`.
    pub method: String,
    pub id: String,
    pub fields: Vec<(String, String)>,
    /// Named buttons, of which a browser sends the one pressed.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Sets a field, adding it where the page has none of that name.
    #[must_use]
    pub fn fill(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        match self.fields.iter_mut().find(|(found, _)| found == name) {
            Some(field) => field.1 = value,
            None => self.fields.push((name.to_owned(), value)),
        }
        self
    }

    /// Takes a field away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self
    }

    /// Presses the named button: its name and value go along.
    #[must_use]
    pub fn press(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A field's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The forms of a page, in order.
pub fn forms(html: &str) -> Vec<Form> {
    let mut found: Vec<Form> = Vec::new();
    let mut open = false;
    let mut rest = html;
    while let Some((tag, after)) = next_tag(rest) {
        rest = after;
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "form" => {
                open = true;
                let method = attribute(tag, "method").unwrap_or_default().to_ascii_uppercase();
                found.push(Form {
                    action: attribute(tag, "action").unwrap_or_default(),
                    method: if method == "POST" { method } else { "GET".into() },
                    id: attribute(tag, "id").unwrap_or_default(),
                    fields: Vec::new(),
                    buttons: Vec::new(),
                });
            }
            "" if tag.to_ascii_lowercase().starts_with("/form") => open = false,
            "input" | "button" | "select" | "textarea" if open && attribute(tag, "disabled").is_none() => {
                let (Some(form), Some(field)) = (found.last_mut(), attribute(tag, "name")) else { continue };
                let kind = attribute(tag, "type").unwrap_or_default().to_ascii_lowercase();
                let value = attribute(tag, "value").unwrap_or_default();
                match (name.as_str(), kind.as_str()) {
                    ("button", _) | ("input", "submit" | "button" | "image") => form.buttons.push((field, value)),
                    ("input", "checkbox" | "radio") if attribute(tag, "checked").is_none() => {}
                    ("select", _) => {
                        let body = until(rest, "</select").unwrap_or(rest);
                        form.fields.push((field, selected(body)));
                    }
                    ("textarea", _) => {
                        let body = until(rest, "</textarea").unwrap_or_default();
                        form.fields.push((field, unescape(body)));
                    }
                    _ => form.fields.push((field, value)),
                }
            }
            _ => {}
        }
    }
    found
}

fn selected(options: &str) -> String {
    let mut rest = options;
    let mut first = None;
    while let Some((tag, after)) = next_tag(rest) {
        rest = after;
        if tag.to_ascii_lowercase().starts_with("option") {
            let value = attribute(tag, "value").unwrap_or_default();
            if attribute(tag, "selected").is_some() {
                return value;
            }
            first.get_or_insert(value);
        }
    }
    first.unwrap_or_default()
}

fn until<'t>(text: &'t str, end: &str) -> Option<&'t str> {
    text.to_ascii_lowercase().find(end).map(|at| &text[..at])
}

/// The inside of the next tag, and what follows it. Comments, scripts and styles are passed over.
fn next_tag(html: &str) -> Option<(&str, &str)> {
    let mut rest = html;
    loop {
        let at = rest.find('<')?;
        rest = &rest[at + 1..];
        if rest.starts_with("!--") {
            rest = rest.split_once("-->")?.1;
            continue;
        }
        let mut quote = None;
        let end = rest.find(|c| match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                false
            }
            (Some(open), c) if open == c => {
                quote = None;
                false
            }
            (None, '>') => true,
            _ => false,
        })?;
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        for raw in ["script", "style"] {
            if tag.to_ascii_lowercase().starts_with(raw) {
                let close = format!("</{raw}");
                let skip = after.to_ascii_lowercase().find(&close)?;
                return Some((tag, &after[skip..]));
            }
        }
        return Some((tag, after));
    }
}

/// An attribute of a tag, unescaped; empty where it has no value.
pub fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let mut rest = tag.trim_start_matches(|c: char| !c.is_whitespace());
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end.max(1));
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('=') {
            None => ("", after),
            Some(after) => {
                let after = after.trim_start();
                match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    _ => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
                }
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(unescape(value));
        }
        rest = after;
    }
}

/// The text of a page as a person reads it: tags gone, white space folded.
pub fn text(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    loop {
        let at = rest.find('<').unwrap_or(rest.len());
        out.push_str(&rest[..at]);
        out.push(' ');
        let Some((_, after)) = next_tag(rest) else { break };
        rest = after;
    }
    unescape(&out).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Resolves the character references that templates write.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find(';').filter(|end| *end <= 10) else {
            out.push('&');
            rest = &rest[1..];
            continue;
        };
        let decoded = match &rest[1..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some(' '),
            name => name
                .strip_prefix("#x")
                .or_else(|| name.strip_prefix("#X"))
                .map(|hex| u32::from_str_radix(hex, 16))
                .or_else(|| name.strip_prefix('#').map(str::parse))
                .and_then(Result::ok)
                .and_then(char::from_u32),
        };
        match decoded {
            Some(character) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[test]
fn a_form_is_read_as_a_browser_would_send_it() {
    let page = r#"<script>"<form>"</script><form method=post action='/a?x=1&amp;y=2'><input name="t" value="a &quot;b&#39;">
        <input type=checkbox name=c value=1><select name="s"><option value="1"><option value="2" selected></select>
        <button name="go" value="now">Go</button></form><input name="outside">"#;
    let found = forms(page);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].method.as_str(), found[0].action.as_str()), ("POST", "/a?x=1&y=2"));
    assert_eq!(found[0].fields, [("t".into(), "a \"b'".into()), ("s".into(), "2".into())]);
    assert_eq!(found[0].buttons, [("go".into(), "now".into())]);
}
