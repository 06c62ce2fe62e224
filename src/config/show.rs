//! The effective configuration as an operator may see it: every key, where its value came from, and no secret.

use std::{fmt::Write, path::Path};

use figment::{
    Figment,
    value::{Dict, Value},
};
use url::Url;

use super::{ConfigError, raw};

const REDACTED: &str = "(redacted)";

/// Lists every key in TOML, with its source beside it. Reads the same layers as [`super::load`].
pub fn show(file: Option<&Path>) -> Result<String, ConfigError> {
    let layers = raw::layers(file)?;
    let unreadable = |error: figment::Error| ConfigError::Unreadable(error.to_string());
    // What is not read as configuration is not shown as such.
    layers.extract::<raw::Raw>().map_err(unreadable)?;
    let sections: Dict = layers.extract().map_err(unreadable)?;
    let mut text = String::new();
    for (section, value) in &sections {
        let Value::Dict(_, keys) = value else { continue };
        let _written = writeln!(text, "[{section}]");
        for (key, value) in keys {
            let shown = redact(section, key, value);
            let source = source(&layers, &format!("{section}.{key}"));
            let _written = writeln!(text, "{:<60} # {source}", format!("{key} = {shown}"));
        }
        text.push('\n');
    }
    Ok(text)
}

fn source(layers: &Figment, key: &str) -> String {
    let Some(metadata) = layers.find_metadata(key) else { return "default".into() };
    match &metadata.source {
        Some(figment::Source::File(path)) => format!("file {}", path.display()),
        _ if metadata.name.contains("environment") => "environment".into(),
        _ => "default".into(),
    }
}

fn redact(section: &str, key: &str, value: &Value) -> String {
    match (section, value) {
        ("secrets", Value::Array(_, entries)) => format!("{REDACTED} of {} keys", entries.len()),
        ("secrets", _) => REDACTED.into(),
        (_, Value::String(..)) if key.ends_with("password") => REDACTED.into(),
        (_, Value::String(_, text)) if key.ends_with("url") => format!("{:?}", without_password(text)),
        (_, Value::String(_, text)) => format!("{text:?}"),
        (_, other) => serde_json::to_string(other).unwrap_or_else(|_| REDACTED.into()),
    }
}

/// A server's URL without what lets one in. What does not read as a URL is not shown at all.
fn without_password(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    // Several hosts, which no URL has.
    if let Some((scheme, rest)) = text.split_once("://")
        && let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()))
        && authority.contains(',')
    {
        let hosts = authority.rfind('@').map_or(authority, |at| authority.split_at(at + 1).1);
        let hidden = if hosts.len() < authority.len() { format!("{REDACTED}@") } else { String::new() };
        return format!("{scheme}://{hidden}{hosts}{path}");
    }
    let Ok(mut url) = Url::parse(text) else { return REDACTED.into() };
    if url.password().is_some() && url.set_password(Some(REDACTED)).is_err() {
        return REDACTED.into();
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if pairs.iter().any(|(name, _)| name.contains("pass")) {
        url.set_query(None);
    }
    url.into()
}
