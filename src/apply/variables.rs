//! `${NAME}` in the texts of a declarative file: secrets and addresses stay out of the file.

use anyhow::{Context, bail};
use serde_json::Value;

/// Puts variables in place, in every text of `value`. `$${` writes `${` itself.
pub(super) fn substitute(value: &mut Value, lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    match value {
        Value::String(text) => *text = expand(text, lookup)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute(item, lookup))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|field| substitute(field, lookup))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else { bail!("`{text}` opens ${{ and does not close it") };
        out.push_str(&lookup(name).with_context(|| format!("the environment variable {name} is not set"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_put_in_place_and_a_missing_one_is_named() {
        let lookup = |name: &str| (name == "SECRET").then(|| "s3".to_owned());
        assert_eq!(expand("a${SECRET}b$${SECRET}", &lookup).expect("expands"), "as3b${SECRET}");
        assert!(expand("${OTHER}", &lookup).expect_err("not set").to_string().contains("OTHER"));
        assert!(expand("${SECRET", &lookup).is_err());
    }
}
