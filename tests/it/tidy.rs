//! The rules of the house that a compiler does not know: who may use what, what every file must have, and documents
//! that say what is so. Each test names the file and the rule that it breaks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The longest file there may be.
const MOST_LINES: usize = 400;

/// Each folder or file of `src` knows only those in the lines above it; those in one line do not know each other, but
/// for the kernel's.
const ORDER: &[&[&str]] = &[
    &["app", "cache", "clock", "config", "crypto", "db", "entropy", "fault", "ids", "outbound", "telemetry", "work"],
    &["http"],
    &["audit", "claims"],
    &["admin"],
    &["clients"],
    &["mail"],
    &["connections"],
    &["learners"],
    &["access"],
    &["sessions"],
    &["accounts"],
    &["content"],
    &["roster"],
    &["codes", "invites"],
    &["imports"],
    &["login"],
    &["keys"],
    &["jobs"],
    &["openapi"],
    &["router"],
    &["server", "worker"],
    &["apply"],
    &["dev"],
    &["main", "lib"],
];

/// The composition root holds one long-lived part of each domain; nothing else of the kernel may look right.
const COMPOSITION: &[&str] = &["app"];

/// What only some files may name.
struct Ban {
    what: &'static [&'static str],
    only_in: &'static [&'static str],
    because: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        what: &["samael::", "quick_xml::", "roxmltree::", "libxml::"],
        only_in: &["login/saml/", "connections/saml_metadata"],
        because: "XML is untrusted input: one place reads it",
    },
    Ban {
        what: &["openidconnect::"],
        only_in: &["login/oidc", "connections/discovery", "connections/jwks"],
        because: "the protocol library stays behind our own checks",
    },
    Ban { what: &["lettre::"], only_in: &["mail/"], because: "one place speaks to mail servers" },
    // `dev` has a module of this name, which starts one.
    Ban {
        what: &["redis::"],
        only_in: &["cache/", "dev/mod.rs"],
        because: "every key gets its prefix and hash tag there",
    },
    Ban { what: &["sqlx::query"], only_in: &["/store"], because: "every statement of a domain is found in one file" },
    Ban {
        what: &["axum::"],
        only_in: &[
            "http/",
            "router.rs",
            "server/",
            "openapi/",
            "/api",
            "_api",
            "/pages",
            "admin/scope.rs",
            "admin/body.rs",
            "admin/access.rs",
            "admin/idempotency.rs",
            "sessions/scope.rs",
            "clients/hosts.rs",
            "clients/site.rs",
        ],
        because: "rules know nothing of HTTP",
    },
    Ban { what: &["Utc::now("], only_in: &["clock.rs"], because: "time is read in one place and passed down" },
    Ban { what: &["SystemRandom::new("], only_in: &["entropy.rs"], because: "chance comes from one place" },
    Ban {
        what: &["reqwest::Client::", "Client::builder("],
        only_in: &["outbound"],
        because: "one client judges addresses",
    },
    Ban { what: &["anyhow::"], only_in: &["main.rs", "apply/", "dev/"], because: "domains have errors with a type" },
    Ban { what: &["unsafe "], only_in: &["dev/child.rs"], because: "only a child's death needs it" },
];

pub fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with("node_modules") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code of a file without its comments and without its own tests.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn name_in_src(path: &Path) -> String {
    path.strip_prefix("src").unwrap().to_string_lossy().into_owned()
}

/// Whether it is a file of tests that stands beside the code.
fn is_test(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with("tests.rs") || name.contains("/tests/")
}

#[track_caller]
pub fn nothing_wrong(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|group| group.contains(&module))
}

/// The modules of this crate that a file uses: `crate::name` and `crate::{name, …}`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word =
            |text: &str| -> String { text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect() };
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut start = true;
            for (index, letter) in list.char_indices() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    letter if start && depth == 0 && letter.is_ascii_alphabetic() => {
                        used.insert(word(&list[index..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            used.insert(word(rest));
        }
    }
    used
}

#[test]
fn imports_go_one_way() {
    let mut problems = Vec::new();
    for path in files_below("src", "rs") {
        let name = name_in_src(&path);
        let module = name.split(['/', '.']).next().unwrap().to_owned();
        let Some(own) = rank(&module) else {
            problems.push(format!("{name}: `{module}` has no place in ORDER of tests/it/tidy.rs; give it one"));
            continue;
        };
        if COMPOSITION.contains(&module.as_str()) || module == "lib" {
            continue;
        }
        for used in used_modules(&code(&path)) {
            let Some(other) = rank(&used) else { continue };
            let is_kernel = own == 0;
            if other > own || (other == own && used != module && !is_kernel) {
                problems.push(format!("{name}: uses `{used}`, which does not stand left of `{module}`"));
            }
        }
    }
    nothing_wrong(problems);
}

#[test]
fn each_library_stays_in_its_place() {
    let mut problems = Vec::new();
    for path in files_below("src", "rs").into_iter().filter(|path| !is_test(path)) {
        let (name, code) = (name_in_src(&path), code(&path));
        for ban in BANS {
            let allowed = ban.only_in.iter().any(|place| format!("/{name}").contains(place));
            if let Some(what) = ban.what.iter().find(|what| !allowed && mentions(&code, what)) {
                problems.push(format!(
                    "{name}: `{what}` may stand only in {}: {}",
                    ban.only_in.join(", "),
                    ban.because
                ));
            }
        }
    }
    nothing_wrong(problems);
}

/// Whether the code names it, and not as the end of a longer name or of one of our own paths.
fn mentions(code: &str, what: &str) -> bool {
    code.match_indices(what).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':')
    })
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut problems = Vec::new();
    for folder in ["src", "idp-fixtures/src", "tests/it"] {
        for path in files_below(folder, "rs") {
            if !read(&path).starts_with("//! ") {
                problems.push(format!("{}: begins without `//!`", path.display()));
            }
        }
    }
    nothing_wrong(problems);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let mut problems = Vec::new();
    for folder in ["src", "idp-fixtures/src", "tests/it"] {
        for path in files_below(folder, "rs") {
            let lines = read(&path).lines().count();
            if lines > MOST_LINES {
                problems.push(format!("{}: {lines} lines, {MOST_LINES} at most", path.display()));
            }
        }
    }
    nothing_wrong(problems);
}

#[test]
fn a_module_is_declared_once_and_in_the_order_of_its_imports() {
    let lib = read(Path::new("src/lib.rs"));
    let declared: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'))).collect();
    let ranks: Vec<usize> = declared.iter().map(|module| rank(module).unwrap()).collect();
    let mut sorted = ranks.clone();
    sorted.sort_unstable();
    assert_eq!(
        ranks, sorted,
        "src/lib.rs lists the modules in the order in which they may use each other: {declared:?}"
    );
}

#[test]
fn every_file_of_tests_is_run() {
    let declared = read(Path::new("tests/it/main.rs"));
    let problems = fs::read_dir("tests/it")
        .unwrap()
        .flatten()
        .map(|entry| entry.path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "main" && !declared.lines().any(|line| line == format!("mod {name};")))
        .map(|name| format!("tests/it/{name} is not declared in tests/it/main.rs: its tests do not run"))
        .collect();
    nothing_wrong(problems);
}

#[test]
fn the_documentation_of_the_migrations_names_every_file() {
    let documented = read(Path::new("migrations/README.md"));
    let problems = files_below("migrations", "sql")
        .iter()
        .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|file| !documented.contains(&format!("| `{file}` |")))
        .map(|file| format!("migrations/README.md does not name {file}"))
        .collect();
    nothing_wrong(problems);
}

#[test]
fn the_code_map_of_the_readme_names_every_folder_and_only_those() {
    let readme = read(Path::new("README.md"));
    let map = readme.split("## Code map").nth(1).expect("README.md has a section `Code map`");
    let map = map.split("\n## ").next().unwrap();
    let listed: BTreeSet<String> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `src/"))
        .flat_map(|line| line.split('|').next().unwrap().split('`').map(str::to_owned).collect::<Vec<_>>())
        .map(|name| name.trim_start_matches("src/").trim_end_matches('/').to_owned())
        .filter(|name| !name.trim().is_empty() && name.trim() != ",")
        .collect();
    let there: BTreeSet<String> =
        fs::read_dir("src").unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(listed, there, "the code map lists src/ as it is");
}

#[test]
fn the_documentation_of_the_configuration_names_every_key_and_only_those() {
    let documented: BTreeSet<String> = read(Path::new("config/README.md"))
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    // Keys as the program reads them: section structs of config/raw.rs.
    let raw = read(Path::new("src/config/raw.rs"));
    let mut structs: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut current = String::new();
    for line in raw.lines() {
        if line == "}" {
            current.clear();
        } else if let Some(name) = line.strip_prefix("pub struct ") {
            current = name.split_whitespace().next().unwrap().to_owned();
        } else if !current.is_empty()
            && let Some((field, kind)) = line.trim().strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
        {
            let field = (field.to_owned(), kind.trim_end_matches(',').to_owned());
            structs.entry(current.clone()).or_default().push(field);
        }
    }
    let keys: BTreeSet<String> = structs["Raw"]
        .iter()
        .flat_map(|(section, kind)| structs[kind].iter().map(move |(key, _)| format!("{section}.{key}")))
        .collect();
    assert!(keys.len() > 20, "the keys were found: {keys:?}");
    assert_eq!(documented, keys, "config/README.md explains each key once");
}
