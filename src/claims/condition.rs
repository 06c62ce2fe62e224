//! Conditions: `when` and `that`, as typed, as compiled, and as judged over one person's claims.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::expr::{Expr, Failure};
use super::limits::{MAX_PATTERN_BYTES, MAX_PATTERN_COMPILED_BYTES};
use super::reading::{Read, Reading, Reads};
use super::text::{comparable, nfc};

/// A condition: the word `"always"`, or a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    Test(Box<Test>),
}

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        let always = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["always"]));
        OneOfBuilder::new().item(always).item(Ref::from_schema_name(Test::name())).into()
    }
}

impl ToSchema for Condition {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Test::name().into_owned(), Test::schema()));
    }
}

/// One kind of test: a claim with one comparison, `all`, `any`, `not`, or `expr`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ConditionTest)]
pub struct Test {
    /// The claim that is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The claim has one value, and it is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// One of the claim's values is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// One of the claim's values is in this list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<String>>,
    /// One of the claim's values matches this pattern as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// The claim has a value that is not blank (true), or has none (false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// Compare with regard to case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub case_sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub all: Option<Vec<Condition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub any: Option<Vec<Condition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub not: Option<Condition>,
    /// A MiniJinja expression that yields true or something empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always => serializer.serialize_str("always"),
            Self::Test(test) => test.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConditionVisitor)
    }
}

struct ConditionVisitor;

impl<'de> Visitor<'de> for ConditionVisitor {
    type Value = Condition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a condition: \"always\" or an object with claim, all, any, not or expr")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Condition, E> {
        match word {
            "always" => Ok(Condition::Always),
            _ => Err(E::custom("the only condition that is a word is \"always\"")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Condition, A::Error> {
        let test = Test::deserialize(MapAccessDeserializer::new(members)).map_err(A::Error::custom)?;
        Ok(Condition::Test(Box::new(test)))
    }
}

/// A condition that a sign-in may rely on.
#[derive(Debug)]
pub(super) enum Compiled {
    Always,
    Claim { name: Box<str>, case_sensitive: bool, comparison: Comparison },
    All(Box<[Compiled]>),
    Any(Box<[Compiled]>),
    Not(Box<Compiled>),
    Expr(Expr),
}

/// What is asked of one claim; texts are in the form in which they are compared.
#[derive(Debug)]
pub(super) enum Comparison {
    Equals(Box<str>),
    Contains(Box<str>),
    OneOf(Box<[Box<str>]>),
    Matches { source: Box<str>, pattern: Box<Regex> },
    Present(bool),
}

/// Compiles a pattern that must match a whole value. The engine is linear in the value; size limits bound the rest.
pub(super) fn whole_value_pattern(source: &str, case_sensitive: bool) -> Result<Regex, String> {
    if source.len() > MAX_PATTERN_BYTES {
        return Err(format!("a pattern has at most {MAX_PATTERN_BYTES} bytes"));
    }
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .case_insensitive(!case_sensitive)
            .size_limit(MAX_PATTERN_COMPILED_BYTES)
            .dfa_size_limit(MAX_PATTERN_COMPILED_BYTES)
            .nest_limit(50)
            .build()
            .map_err(|error| format!("not a pattern that can be used: {error}"))
    };
    let source = nfc(source);
    // Alone first: `a)|(?:b` would be a pattern inside the anchors, and not a whole one.
    build(&source)?;
    build(&format!(r"\A(?:{source})\z"))
}

/// What became of a condition. `Unknown` is neither: the IdP sent a link in place of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Fails,
    Unknown,
}

impl Verdict {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    fn not(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// A verdict and its reason in words, without any claim value.
pub(super) struct Judged {
    pub verdict: Verdict,
    pub why: String,
}

impl Compiled {
    /// Judges over one person's claims. Every part is judged, so that `reads` and the reason are whole.
    pub(super) fn judge(&self, reading: &Reading<'_>, reads: &mut Reads) -> Result<Judged, Failure> {
        match self {
            Self::Always => Ok(Judged { verdict: Verdict::Holds, why: "the rule always applies".to_owned() }),
            Self::Claim { name, case_sensitive, comparison } => {
                judge_claim(name, *case_sensitive, comparison, reading, reads)
            }
            Self::All(parts) => judge_parts(parts, Verdict::Fails, reading, reads),
            Self::Any(parts) => judge_parts(parts, Verdict::Holds, reading, reads),
            Self::Not(part) => {
                let inner = part.judge(reading, reads)?;
                Ok(Judged { verdict: inner.verdict.not(), why: format!("not: {}", inner.why) })
            }
            Self::Expr(expr) => {
                let mut own = Reads::default();
                let holds = expr.holds(reading, &mut own)?;
                let missing = own.reason(reading.claims).map(|reason| format!(" ({reason})"));
                let why = format!("the expression is {holds}{}", missing.unwrap_or_default());
                let verdict = if own.overage.is_empty() { Verdict::of(holds) } else { Verdict::Unknown };
                reads.merge(own);
                Ok(Judged { verdict, why })
            }
        }
    }
}

/// Three-valued `all` (decided by a part that fails) and `any` (decided by a part that holds).
fn judge_parts(
    parts: &[Compiled],
    decisive: Verdict,
    reading: &Reading<'_>,
    reads: &mut Reads,
) -> Result<Judged, Failure> {
    let mut judged = Vec::with_capacity(parts.len());
    for part in parts {
        judged.push(part.judge(reading, reads)?);
    }
    let verdict = if judged.iter().any(|part| part.verdict == decisive) {
        decisive
    } else if judged.iter().any(|part| part.verdict == Verdict::Unknown) {
        Verdict::Unknown
    } else {
        decisive.not()
    };
    let reasons: Vec<_> = judged.into_iter().filter(|part| part.verdict == verdict).map(|part| part.why).collect();
    Ok(Judged { verdict, why: reasons.join("; ") })
}

fn judge_claim(
    name: &str,
    case_sensitive: bool,
    comparison: &Comparison,
    reading: &Reading<'_>,
    reads: &mut Reads,
) -> Result<Judged, Failure> {
    let mut own = Reads::default();
    let found = reading.read(name, &mut own);
    let Read::Values(values) = found else {
        let verdict = match found {
            Read::Overage => Verdict::Unknown,
            _ => Verdict::of(matches!(comparison, Comparison::Present(false))),
        };
        let why = own.reason(reading.claims).unwrap_or_default();
        reads.merge(own);
        return Ok(Judged { verdict, why });
    };
    let has = |wanted: &str| reading.has_value(name, case_sensitive, wanted);
    let holds = match comparison {
        Comparison::Equals(wanted) => matches!(values, [only] if comparable(only, case_sensitive) == **wanted),
        Comparison::Contains(wanted) => has(wanted),
        Comparison::OneOf(wanted) => wanted.iter().any(|one| has(one)),
        Comparison::Matches { pattern, .. } => reading.any_match(pattern, values)?,
        Comparison::Present(wanted) => values.iter().any(|value| !value.trim().is_empty()) == *wanted,
    };
    let why = match (comparison, holds) {
        (Comparison::Present(wanted), holds) => {
            let has_value = *wanted == holds;
            format!("the claim `{name}` {}", if has_value { "has a value" } else { "was sent without a value" })
        }
        (Comparison::Equals(wanted), true) => format!("the claim `{name}` is `{wanted}`"),
        (Comparison::Equals(wanted), false) if values.len() > 1 => {
            format!(
                "the claim `{name}` has {} values; `equals` wants `{wanted}` as its only one, `contains` as one of them",
                values.len()
            )
        }
        (Comparison::Equals(wanted), false) => format!("the claim `{name}` is not `{wanted}`"),
        (Comparison::Contains(wanted), true) => format!("the claim `{name}` contains `{wanted}`"),
        (Comparison::Contains(wanted), false) => {
            format!("none of the {} values of the claim `{name}` is `{wanted}`", values.len())
        }
        (Comparison::OneOf(_), true) => format!("the claim `{name}` has a value from the list"),
        (Comparison::OneOf(wanted), false) => {
            format!(
                "none of the {} values of the claim `{name}` is one of the {} in the list",
                values.len(),
                wanted.len()
            )
        }
        (Comparison::Matches { source, .. }, true) => format!("the claim `{name}` matches `{source}`"),
        (Comparison::Matches { source, .. }, false) => {
            format!("none of the {} values of the claim `{name}` matches `{source}` as a whole", values.len())
        }
    };
    Ok(Judged { verdict: Verdict::of(holds), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_values_only() {
        let pattern = whole_value_pattern("learn|teach", false).unwrap();
        assert!(pattern.is_match("Learn") && pattern.is_match("TEACH"));
        assert!(!pattern.is_match("learning") && !pattern.is_match("unlearn") && !pattern.is_match("learn\nx"));
        assert!(!whole_value_pattern("learn", true).unwrap().is_match("Learn"));
    }

    #[test]
    fn a_pattern_cannot_climb_out_of_its_anchors() {
        assert!(whole_value_pattern("a)|(?:b", false).is_err());
        assert!(whole_value_pattern("(a)|(?:b)", false).is_ok());
    }

    #[test]
    fn a_pattern_that_grows_too_large_is_refused() {
        assert!(whole_value_pattern(r"(\w{100}){100}", false).is_err());
        assert!(whole_value_pattern(r"\w{1,20}", false).is_ok());
        assert!(whole_value_pattern(&"a".repeat(MAX_PATTERN_BYTES + 1), false).is_err());
    }

    #[test]
    fn a_condition_is_read_and_a_slip_is_told() {
        let read = |json: &str| serde_json::from_str::<Condition>(json).map_err(|error| error.to_string());
        assert_eq!(read(r#""always""#).unwrap(), Condition::Always);
        assert!(read(r#""allways""#).unwrap_err().contains("always"));
        assert!(read(r#"{"claim":"g","contain":"x"}"#).unwrap_err().contains("unknown field `contain`"));
        assert!(read(r#"{"not":{"any":[{"claim":"g","present":true},"always"]}}"#).is_ok());
    }
}
