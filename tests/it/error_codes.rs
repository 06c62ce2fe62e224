//! The page of error codes names every code in the source, and only those.

use std::{collections::BTreeSet, fs, path::Path};

use regex::Regex;

use crate::support::App;

/// Areas of which every dotted word in the source is an error code.
const AREAS: &str = "api|page|body|form|idempotency|evaluate|branding|codes|invites|imports|mapping|login|outbound|smtp|\
                     connection\\.discovery|saml\\.metadata";

/// Dotted words of these areas that are none: what went well, a template, the beginning of some.
const NO_ERRORS: &[&str] = &["invites.invited", "invites.renewed", "login.html", "login.link."];

/// How codes of other areas, which are those of events as well, come into being.
const MADE: &[&str] = &[
    r#"(?:Problem|Self)::new\(\s*[^;"]*?,\s*"([a-z_.]+)""#,
    r#"::field\(\s*"([a-z_.]+)""#,
    r#"\bpush\(\s*"([a-z_]+\.[a-z_.]+)""#,
    r#"conflict\(\s*"([a-z_.]+)""#,
    r#"FieldError::new\(\s*"([a-z_.]+)""#,
    r#"code: "([a-z_.]+)""#,
];

fn sources(folder: &Path, texts: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("config") {
            sources(&path, texts);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            texts.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

fn in_source(source: &str) -> BTreeSet<String> {
    let of_areas = format!(r#""((?:{AREAS})\.[a-z0-9_.]+)""#);
    let patterns = MADE.iter().copied().chain([of_areas.as_str()]);
    let found: BTreeSet<String> = patterns
        .flat_map(|pattern| {
            let pattern = Regex::new(pattern).unwrap();
            pattern.captures_iter(source).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    found.into_iter().filter(|code| !NO_ERRORS.contains(&code.as_str())).collect()
}

fn explained() -> Vec<String> {
    let words = fs::read_to_string("src/openapi/errors.txt").unwrap();
    let lines = words.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (code, text) = line.split_once(" = ").unwrap_or_else(|| panic!("no `code = words`: {line}"));
            assert!(text.ends_with('.') && text.len() > 10, "a sentence that says what to do: {line}");
            code.to_owned()
        })
        .collect()
}

#[test]
fn every_error_code_of_the_source_is_explained_and_no_other() {
    let mut source = String::new();
    sources(Path::new("src"), &mut source);
    let found = in_source(&source);
    assert!(found.len() > 200, "codes are recognised");
    let explained = explained();
    let once: BTreeSet<String> = explained.iter().cloned().collect();
    assert_eq!(once.len(), explained.len(), "each is explained once");
    let missing: Vec<&String> = found.difference(&once).collect();
    assert!(
        missing.is_empty(),
        "explain these in src/openapi/errors.txt, as `code = what happened. What next.`: {missing:#?}"
    );
    let is_in = |code: &str| source.contains(&format!("\"{code}\"")) || source.contains(&format!("'{code}'"));
    let stale: Vec<&String> = once.iter().filter(|code| !is_in(code)).collect();
    assert!(stale.is_empty(), "no code of the source any more: {stale:#?}");
}

#[tokio::test]
async fn the_page_shows_each_code_where_a_link_can_lead() {
    let app = App::start().await;
    let page = app.browser().open(app.url("/api/docs/errors")).await.expect(200);
    for code in explained() {
        assert!(page.html.contains(&format!("<dt id=\"{code}\"><code>{code}</code></dt><dd>")), "{code}");
    }
    let docs = app.browser().open(app.url("/api/docs")).await.expect(200);
    assert!(docs.html.contains("href=\"/api/docs/errors\""));
}
