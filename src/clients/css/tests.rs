//! What custom CSS may say, and every way out of its bounds that is known.

use super::*;

#[track_caller]
fn refused(source: &str) -> Trouble {
    match compile(source) {
        Ok(css) => panic!("{source} became {css}"),
        Err(troubles) => troubles.into_iter().next().expect("a trouble"),
    }
}

#[test]
fn what_decorates_is_written_anew_inside_its_scope() {
    let css = compile(
        "/* ours */ .hero, .panel > .lead:hover { border-radius: 1.5rem; PADDING: 8px 1rem }\n@media (min-width: 40rem) { h1 { font-family: georgia, serif; letter-spacing: -.02em } }",
    );
    assert_eq!(
        css.expect("it is allowed"),
        ".branded .hero,.branded .panel>.lead:hover{border-radius:1.5rem;padding:8px 1rem;}\n@media (min-width:40rem){.branded h1{font-family:\"Georgia\",serif;letter-spacing:-0.020em;}\n}\n"
    );
}

#[test]
fn a_colour_brings_what_lies_behind_it_and_everything_within_takes_both() {
    let css = compile(".footer { color: white; background-color: #102030 }").expect("readable");
    assert!(
        css.starts_with(".branded .footer{color:#ffffff;background:#102030;--ink:#ffffff;--muted:#ffffff;"),
        "{css}"
    );
    assert!(css.contains("--surface:#102030;") && !css.contains("--on-accent"), "{css}");
    let css = compile(".button { color: #000; background: rgb(255 210 0) }").expect("readable");
    assert!(css.contains("--on-accent:#000000;--accent:#ffd200;--accent-hover:#ffd200;"), "{css}");
    let css = compile(".page { background: linear-gradient(135deg, #fff, #ffe 40%); color: #111 }").expect("readable");
    assert!(css.starts_with(".branded{background:linear-gradient(135deg,#ffffff,#ffffee 40%);color:#111111;"), "{css}");
}

#[test]
fn every_colour_of_the_stylesheet_follows_a_pair_or_is_half_of_its_own() {
    // A button's two, and hairlines, which carry no meaning.
    let own = ["accent", "accent-hover", "on-accent", "line", "shadow"];
    let file = include_str!("../../http/static/usher.css");
    let tokens = file.split(":root {").nth(1).and_then(|rest| rest.split('}').next()).expect("it begins with tokens");
    let colors = tokens.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
    let colors: Vec<&str> =
        colors.filter(|(_, value)| value.contains('#') || value.contains("rgb(")).map(|(name, _)| name).collect();
    assert!(colors.len() > 15, "{colors:?}");
    for name in &colors {
        let is_known = [sheet::OVER, sheet::UNDER, &own].iter().any(|list| list.contains(name));
        assert!(is_known, "--{name}: say in sheet.rs whether it lies over or under");
    }
    // And no rule brings a colour that is no token, but for shadows.
    let rules = file.split_once(":root {").and_then(|(_, rest)| rest.split_once('}')).expect("rules").1;
    let stray = rules.lines().find(|line| line.contains(": #") || (line.contains("rgb(") && !line.contains("shadow")));
    assert_eq!(stray, None, "a colour of its own would not follow a pair");
}

#[test]
fn text_that_could_not_be_read_is_refused() {
    assert!(refused(".hero{color:#fff}").what.contains("together"));
    assert!(refused(".hero{background:#fff}").what.contains("together"));
    assert!(refused(".hero{color:#777;background:#888}").what.contains("contrast of"));
    assert!(refused(".hero{color:#fff;background:linear-gradient(#000, #fff)}").what.contains("contrast of"));
    assert!(refused(".hero{color:#757575;background:linear-gradient(#fff, #000)}").what.contains("both sides"));
    assert!(refused(".hero{color:#fff;background:rgb(0 0 0 / 10%)}").what.contains("opaque"));
    assert!(refused(".hero{color:#ffffff10;background:#000}").what.contains("opaque"));
    assert!(refused(".hero{color:#fff;background:#000;background:#fff}").what.contains("twice"));
    assert!(refused(".hero{color:#fff;background:#000;background-color:#fff}").what.contains("twice"));
}

#[test]
fn no_way_out_is_open() {
    for source in [
        "@import url(https://evil.example/x.css);",
        "@import 'x.css';",
        "@font-face { font-family: x; src: url(x) }",
        "@keyframes x { from { color: red } }",
        "@media (min-width: 1px) { @media (min-width: 1px) { .hero { gap: 1px } } }",
        "@media print { .hero { gap: 1px } }",
        "@supports (gap: 1px) { .hero { gap: 1px } }",
        "@layer x { .hero { gap: 1px } }",
        ".hero { background: url(https://evil.example/x.png); color: #000 }",
        ".hero { background: u\\72l(x); color: #000 }",
        ".hero { background: image-set('x' 1x); color: #000 }",
        ".hero { background: #fff url(x); color: #000 }",
        ".hero { position: fixed }",
        ".hero { display: none }",
        ".hero { visibility: hidden }",
        ".hero { opacity: 0 }",
        ".hero { transform: scale(0) }",
        ".hero { content: 'x' }",
        ".hero { behavior: url(x.htc) }",
        ".hero { -moz-binding: url(x) }",
        ".hero { width: expression(alert(1)) }",
        ".hero { padding: expression(alert(1)) }",
        ".hero { padding: calc(1px * 1e9) }",
        ".hero { padding: -1px }",
        ".hero { padding: 9999px }",
        ".hero { padding: 1e40px }",
        ".hero { margin-top: -4rem }",
        ".hero { padding: 100vw }",
        ".hero { font-size: 0 }",
        ".hero { font-size: 1px }",
        ".hero { line-height: 0 }",
        ".hero { font-family: Wingdings }",
        ".hero { letter-spacing: -1em }",
        ".hero { box-shadow: 0 0 0 100vmax #000 }",
        ".hero { box-shadow: 0 0 0 2000px #000 }",
        ".hero { box-shadow: 0 40px 0 8px #fff }",
        ".hero { color: var(--x); background: #000 }",
        ".hero { --surface: #000 }",
        ".hero { gap: 1px !important }",
        "* { gap: 1px }",
        "body { gap: 1px }",
        "html .hero { gap: 1px }",
        ":root { gap: 1px }",
        "#main { gap: 1px }",
        "[href] { gap: 1px }",
        "input[value^=a] { gap: 1px }",
        ".hero + .reference { gap: 1px }",
        ".hero ~ .panel { gap: 1px }",
        ".reference { gap: 1px }",
        ".who { gap: 1px }",
        ".message { gap: 1px }",
        ".field-error { gap: 1px }",
        ".skip { gap: 1px }",
        ".hero::before { gap: 1px }",
        ".hero:has(input) { gap: 1px }",
        ".hero:not(.panel) { gap: 1px }",
        ".hero > { gap: 1px }",
        "> .hero { gap: 1px }",
        ".hero .page { gap: 1px }",
        ".hero, { gap: 1px }",
        ".hero { .panel { gap: 1px } }",
        ".hero.h1 { gap: 1px }",
        "</style><script>alert(1)</script>",
        ".hero { gap: 1px } } .who { gap: 1px }",
    ] {
        refused(source);
    }
}

#[test]
fn a_refusal_says_where_and_what() {
    let found = refused(".hero {\n  padding: 1rem;\n  position: fixed;\n}");
    assert_eq!((found.line, found.column), (3, 3));
    assert!(found.what.starts_with("position is not allowed; allowed are color, "), "{found}");
    let several = compile(".hero{position:fixed;display:none}\n.who{gap:1px}").expect_err("three things");
    assert_eq!(several.iter().map(|found| found.line).collect::<Vec<_>>(), [1, 1, 2]);
}

#[test]
fn nothing_is_a_sheet_and_too_much_is_none() {
    assert_eq!(compile(" /* nothing */ "), Ok(String::new()));
    assert!(refused(&" ".repeat(MAX_BYTES + 1)).what.contains("20000 bytes"));
    assert!(refused(&".hero{gap:1px}\n".repeat(301)).what.contains("300 rules"));
    assert!(compile(&"(".repeat(10_000)).is_err());
    assert!(compile(&format!(".hero{{padding:{}", "[".repeat(10_000))).is_err());
}

mod properties {
    use proptest::prelude::*;

    use super::super::compile;

    proptest! {
        /// Whatever is typed: what comes out stays in the scope, loads nothing and breaks out of nothing.
        #[test]
        fn what_comes_out_holds_only_what_is_allowed(source in "(\\.hero|\\.who|@media|url\\(|h1|\\{|\\}|:|;|color|background|#000|#fff|padding|1px|[ -~]){0,40}") {
            if let Ok(css) = compile(&source) {
                for line in css.lines().filter(|line| !line.is_empty() && *line != "}") {
                    prop_assert!(line.starts_with(".branded") || line.starts_with("@media "), "{line}");
                }
                prop_assert!(!css.contains("url(") && !css.contains('<') && !css.contains('\\'), "{css}");
            }
        }
    }
}
