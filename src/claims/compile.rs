//! From what was typed to what a sign-in may rely on: every mistake is told at once, with its place and what to do.

use serde::Serialize;
use utoipa::ToSchema;

use super::compiled::{
    CompiledAccess, CompiledField, CompiledMapping, CompiledProfile, CompiledRequirement, CompiledSelector, Grants,
};
use super::condition::{Comparison, Compiled, Condition, Test, whole_value_pattern};
use super::expr::Expr;
use super::limits::{
    MAX_ALTERNATIVES, MAX_ATTRIBUTES, MAX_CONDITION_DEPTH, MAX_CONDITIONS, MAX_EXPRESSIONS, MAX_LIST, MAX_NAME_BYTES,
    MAX_PATTERNS, MAX_RULES, MAX_TEXT_BYTES,
};
use super::mapping::{AccessRule, Fallback, Field, Mapping, MatchBy};
use super::selector::Selector;
use super::text::comparable;

/// A mistake in a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, thiserror::Error)]
#[error("{path}: {message}")]
pub struct MappingError {
    /// JSON pointer into the mapping.
    pub path: String,
    /// Stable code, as in `mapping.expression_invalid`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl MappingError {
    pub(super) fn shape(path: &str, message: &str) -> Self {
        Self { path: path.to_owned(), code: "mapping.shape", message: message.to_owned() }
    }
}

impl Mapping {
    /// Checks everything that can be checked without claims, and compiles patterns and expressions.
    pub fn compile(&self) -> Result<CompiledMapping, Vec<MappingError>> {
        let mut compiler = Compiler::default();
        let rules = self.require.len() + self.access.len();
        if rules > MAX_RULES {
            compiler.refuse(
                "",
                "mapping.too_many_rules",
                format!("a mapping has at most {MAX_RULES} rules, and this one has {rules}"),
            );
            return Err(compiler.errors);
        }
        let client = self.client.as_ref().and_then(|selector| compiler.selector("/client", selector));
        let profile = compiler.profile(self);
        let require = self.require.iter().enumerate().filter_map(|(index, rule)| {
            let path = format!("/require/{index}");
            compiler.text(&format!("{path}/else"), &rule.otherwise, "say what a person who is refused should do");
            let that = compiler.condition(&format!("{path}/that"), &rule.that, 0)?;
            Some(CompiledRequirement { that, otherwise: rule.otherwise.as_str().into() })
        });
        let require = require.collect();
        let access = self
            .access
            .iter()
            .enumerate()
            .filter_map(|(n, rule)| compiler.access(&format!("/access/{n}"), rule))
            .collect();
        let fallback = self.fallback.as_ref().map(|Fallback { sublicenses, role }| {
            (compiler.slugs("/fallback/sublicenses", sublicenses), role.unwrap_or_default())
        });
        if compiler.errors.is_empty() {
            Ok(CompiledMapping { client, profile, require, access, fallback, sync: self.sync })
        } else {
            Err(compiler.errors)
        }
    }
}

/// Collects mistakes, and counts what a mapping has only so much of.
#[derive(Default)]
struct Compiler {
    errors: Vec<MappingError>,
    conditions: usize,
    expressions: usize,
    patterns: usize,
}

impl Compiler {
    fn refuse(&mut self, path: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(MappingError { path: path.to_owned(), code, message: message.into() });
    }

    fn profile(&mut self, mapping: &Mapping) -> CompiledProfile {
        let rules = &mapping.profile;
        let email = rules.email.as_ref().and_then(|field| self.field("/profile/email", field));
        if let Some(CompiledField { from, .. }) = &email
            && from.uses_email_domain()
        {
            self.refuse(
                "/profile/email",
                "mapping.email_domain_circular",
                "`email_domain` is the domain of this very field; use claims here",
            );
        }
        if rules.attributes.len() > MAX_ATTRIBUTES {
            self.refuse(
                "/profile/attributes",
                "mapping.too_many_attributes",
                format!("a learner has at most {MAX_ATTRIBUTES} attributes"),
            );
        }
        let mut attributes = Vec::with_capacity(rules.attributes.len());
        for (name, field) in rules.attributes.iter().take(MAX_ATTRIBUTES) {
            let path = format!("/profile/attributes/{}", name.replace('~', "~0").replace('/', "~1"));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                self.refuse(
                    &path,
                    "mapping.attribute_name",
                    "an attribute's name has 1 to 64 letters, digits, `_`, `-` or `.`",
                );
            }
            attributes.extend(self.field(&path, field).map(|field| (name.as_str().into(), field)));
        }
        CompiledProfile {
            email,
            first_name: rules.first_name.as_ref().and_then(|field| self.field("/profile/first_name", field)),
            last_name: rules.last_name.as_ref().and_then(|field| self.field("/profile/last_name", field)),
            locale: rules.locale.as_ref().and_then(|field| self.field("/profile/locale", field)),
            external_id: rules.external_id.as_ref().and_then(|field| self.field("/profile/external_id", field)),
            attributes: attributes.into(),
        }
    }

    fn field(&mut self, path: &str, field: &Field) -> Option<CompiledField> {
        let path = if matches!(field, Field::WithPolicy { .. }) { format!("{path}/from") } else { path.to_owned() };
        let from = self.selector(&path, field.selector())?;
        Some(CompiledField { from, policy: field.policy() })
    }

    fn selector(&mut self, path: &str, selector: &Selector) -> Option<CompiledSelector> {
        match selector {
            Selector::Claim(name) => self.claim_name(path, name).map(CompiledSelector::Claim),
            Selector::Expr(source) => self.expression(&format!("{path}/expr"), source).map(CompiledSelector::Expr),
            Selector::FirstOf(alternatives) if alternatives.is_empty() || alternatives.len() > MAX_ALTERNATIVES => {
                self.refuse(path, "mapping.alternatives", format!("name 1 to {MAX_ALTERNATIVES} alternatives"));
                None
            }
            Selector::FirstOf(alternatives) => {
                let mut compiled = Vec::with_capacity(alternatives.len());
                for (index, alternative) in alternatives.iter().enumerate() {
                    let path = format!("{path}/{index}");
                    if matches!(alternative, Selector::FirstOf(_)) {
                        self.refuse(&path, "mapping.alternatives", "a list of alternatives holds no further list");
                        continue;
                    }
                    compiled.extend(self.selector(&path, alternative));
                }
                Some(CompiledSelector::FirstOf(compiled.into()))
            }
        }
    }

    fn claim_name(&mut self, path: &str, name: &str) -> Option<Box<str>> {
        let wrong = if name.is_empty() {
            "name a claim".to_owned()
        } else if name.len() > MAX_NAME_BYTES {
            format!("a claim's name has at most {MAX_NAME_BYTES} bytes")
        } else if name.trim() != name || name.chars().any(char::is_control) {
            "the claim's name begins or ends with a blank, or holds a control character; names are compared exactly"
                .to_owned()
        } else if name.contains("{{") || name.contains("{%") {
            "this is a claim's name, not a template; write {\"expr\": \"…\"} for an expression, without braces inside"
                .to_owned()
        } else {
            return Some(name.into());
        };
        self.refuse(path, "mapping.claim_name", wrong);
        None
    }

    fn expression(&mut self, path: &str, source: &str) -> Option<Expr> {
        self.expressions += 1;
        if self.expressions > MAX_EXPRESSIONS {
            if self.expressions == MAX_EXPRESSIONS + 1 {
                let message = format!(
                    "a mapping has at most {MAX_EXPRESSIONS} expressions; use conditions on claims for the rest"
                );
                self.refuse(path, "mapping.too_many_expressions", message);
            }
            return None;
        }
        Expr::compile(source).map_err(|message| self.refuse(path, "mapping.expression_invalid", message)).ok()
    }

    fn text(&mut self, path: &str, text: &str, when_blank: &str) {
        if text.trim().is_empty() {
            self.refuse(path, "mapping.text_missing", when_blank);
        } else if text.len() > MAX_TEXT_BYTES {
            self.refuse(path, "mapping.text_too_long", format!("at most {MAX_TEXT_BYTES} bytes are allowed here"));
        }
    }

    fn access(&mut self, path: &str, rule: &AccessRule) -> Option<CompiledAccess> {
        let when = rule.when.as_ref().and_then(|condition| self.condition(&format!("{path}/when"), condition, 0));
        let role = rule.role.unwrap_or_default();
        let Some(from) = &rule.from else {
            if rule.match_by.is_some() || rule.case_sensitive.is_some() {
                self.refuse(path, "mapping.rule_shape", "`match` and `case_sensitive` belong to a rule with `from`");
            }
            if rule.when.is_none() {
                let message =
                    "say when this rule applies with `when`; \"always\" grants to everybody whom the IdP lets in";
                self.refuse(path, "mapping.when_missing", message);
            }
            let grants = Grants::Named(self.slugs(&format!("{path}/sublicenses"), &rule.sublicenses));
            return Some(CompiledAccess { when, grants, role });
        };
        if !rule.sublicenses.is_empty() {
            self.refuse(path, "mapping.rule_shape", "a rule has either `from` or `sublicenses`; make two rules of it");
        }
        if let Some(MatchBy::Named(named)) = &rule.match_by {
            self.text(&format!("{path}/match/ref"), &named.name, "name the ref");
        }
        let selector = self.selector(&format!("{path}/from"), from)?;
        let grants = Grants::From {
            selector,
            match_by: rule.match_by.clone(),
            case_sensitive: rule.case_sensitive.unwrap_or(false),
        };
        Some(CompiledAccess { when, grants, role })
    }

    fn slugs(&mut self, path: &str, slugs: &[String]) -> Box<[Box<str>]> {
        if slugs.is_empty() || slugs.len() > MAX_LIST {
            self.refuse(path, "mapping.sublicenses", format!("name 1 to {MAX_LIST} sublicenses by their slugs"));
        }
        for (index, slug) in slugs.iter().take(MAX_LIST).enumerate() {
            self.text(&format!("{path}/{index}"), slug, "name a sublicense by its slug");
        }
        slugs.iter().map(|slug| slug.as_str().into()).collect()
    }

    fn condition(&mut self, path: &str, condition: &Condition, depth: usize) -> Option<Compiled> {
        let Condition::Test(test) = condition else { return Some(Compiled::Always) };
        self.conditions += 1;
        if depth > MAX_CONDITION_DEPTH {
            self.refuse(
                path,
                "mapping.condition_too_deep",
                format!("conditions are nested at most {MAX_CONDITION_DEPTH} deep"),
            );
            return None;
        }
        if self.conditions > MAX_CONDITIONS {
            if self.conditions == MAX_CONDITIONS + 1 {
                self.refuse(
                    path,
                    "mapping.too_many_conditions",
                    format!("a mapping has at most {MAX_CONDITIONS} conditions"),
                );
            }
            return None;
        }
        match &**test {
            Test { claim: Some(name), all: None, any: None, not: None, expr: None, .. } => {
                self.claim_test(path, name, test)
            }
            test if test.has_comparison() || test.case_sensitive || test.claim.is_some() => {
                self.refuse(
                    path,
                    "mapping.condition_shape",
                    "a comparison needs `claim`, and stands apart from all, any, not and expr",
                );
                None
            }
            Test { all: Some(parts), any: None, not: None, expr: None, .. } => {
                self.parts(&format!("{path}/all"), parts, depth).map(Compiled::All)
            }
            Test { any: Some(parts), all: None, not: None, expr: None, .. } => {
                self.parts(&format!("{path}/any"), parts, depth).map(Compiled::Any)
            }
            Test { not: Some(part), all: None, any: None, expr: None, .. } => {
                self.condition(&format!("{path}/not"), part, depth + 1).map(|part| Compiled::Not(Box::new(part)))
            }
            Test { expr: Some(source), all: None, any: None, not: None, .. } => {
                self.expression(&format!("{path}/expr"), source).map(Compiled::Expr)
            }
            _ => {
                self.refuse(
                    path,
                    "mapping.condition_shape",
                    "a condition has exactly one of claim, all, any, not and expr",
                );
                None
            }
        }
    }

    fn parts(&mut self, path: &str, parts: &[Condition], depth: usize) -> Option<Box<[Compiled]>> {
        if parts.is_empty() {
            self.refuse(
                path,
                "mapping.condition_empty",
                "an empty list would hold for everybody or for nobody; name at least one condition",
            );
            return None;
        }
        let compiled: Vec<_> = parts
            .iter()
            .enumerate()
            .filter_map(|(n, part)| self.condition(&format!("{path}/{n}"), part, depth + 1))
            .collect();
        Some(compiled.into())
    }

    fn claim_test(&mut self, path: &str, name: &str, test: &Test) -> Option<Compiled> {
        let name = self.claim_name(&format!("{path}/claim"), name)?;
        let case_sensitive = test.case_sensitive;
        let constant = |text: &str| comparable(text, case_sensitive).into_boxed_str();
        let comparison = match test {
            Test { equals: Some(text), contains: None, one_of: None, matches: None, present: None, .. } => {
                self.constant(&format!("{path}/equals"), text);
                Comparison::Equals(constant(text))
            }
            Test { contains: Some(text), equals: None, one_of: None, matches: None, present: None, .. } => {
                self.constant(&format!("{path}/contains"), text);
                Comparison::Contains(constant(text))
            }
            Test { one_of: Some(texts), equals: None, contains: None, matches: None, present: None, .. } => {
                if texts.is_empty() || texts.len() > MAX_LIST {
                    self.refuse(
                        &format!("{path}/one_of"),
                        "mapping.list_length",
                        format!("name 1 to {MAX_LIST} values"),
                    );
                }
                for (index, text) in texts.iter().take(MAX_LIST).enumerate() {
                    self.constant(&format!("{path}/one_of/{index}"), text);
                }
                Comparison::OneOf(texts.iter().map(|text| constant(text)).collect())
            }
            Test { matches: Some(source), equals: None, contains: None, one_of: None, present: None, .. } => {
                self.patterns += 1;
                if self.patterns > MAX_PATTERNS {
                    let message =
                        format!("a mapping has at most {MAX_PATTERNS} patterns; compare with one_of where you can");
                    self.refuse(&format!("{path}/matches"), "mapping.too_many_patterns", message);
                    return None;
                }
                match whole_value_pattern(source, case_sensitive) {
                    Ok(pattern) => Comparison::Matches { source: source.as_str().into(), pattern: Box::new(pattern) },
                    Err(message) => {
                        self.refuse(&format!("{path}/matches"), "mapping.pattern_invalid", message);
                        return None;
                    }
                }
            }
            Test { present: Some(wanted), equals: None, contains: None, one_of: None, matches: None, .. } => {
                Comparison::Present(*wanted)
            }
            _ => {
                let message = "compare the claim in exactly one way: equals, contains, one_of, matches or present";
                self.refuse(path, "mapping.condition_shape", message);
                return None;
            }
        };
        Some(Compiled::Claim { name, case_sensitive, comparison })
    }

    fn constant(&mut self, path: &str, text: &str) {
        self.text(path, text, "a blank value compares with nothing; use `present` for claims without a value");
    }
}

impl Test {
    fn has_comparison(&self) -> bool {
        self.equals.is_some()
            || self.contains.is_some()
            || self.one_of.is_some()
            || self.matches.is_some()
            || self.present.is_some()
    }
}
