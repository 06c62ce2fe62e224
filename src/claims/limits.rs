//! Every bound of this folder in one place: what an IdP may send, what an admin may type, what an expression may spend.

/// Names of claims that one sign-in may carry.
pub const MAX_CLAIM_NAMES: usize = 500;
/// Values that one claim may have; large directories send thousands of groups.
pub const MAX_VALUES_PER_CLAIM: usize = 10_000;
/// Bytes of one claim's name.
pub const MAX_NAME_BYTES: usize = 512;
/// Bytes of one value.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Bytes of all names and values together.
pub const MAX_CLAIMS_BYTES: usize = 1024 * 1024;
/// Nesting of a JSON claim.
pub const MAX_JSON_DEPTH: usize = 16;

/// `require` and `access` rules of one mapping together.
pub const MAX_RULES: usize = 200;
/// Conditions of one mapping, nested ones included.
pub const MAX_CONDITIONS: usize = 1_000;
/// Nesting of `all`, `any` and `not`.
pub const MAX_CONDITION_DEPTH: usize = 8;
/// Expressions of one mapping: with the fuel of each this bounds the time of a sign-in.
pub const MAX_EXPRESSIONS: usize = 64;
/// Alternatives in one selector.
pub const MAX_ALTERNATIVES: usize = 16;
/// Bytes of one expression.
pub const MAX_EXPRESSION_BYTES: usize = 2_000;
/// Bytes of one pattern of `matches`.
pub const MAX_PATTERN_BYTES: usize = 500;
/// Bytes of one compiled pattern, and again of its lazy automaton: room for `\w{1,20}` over all of Unicode.
pub const MAX_PATTERN_COMPILED_BYTES: usize = 1024 * 1024;
/// Patterns of one mapping, so that all of them together stay within some megabytes.
pub const MAX_PATTERNS: usize = 64;
/// Values of one `one_of`, and sublicenses of one rule.
pub const MAX_LIST: usize = 500;
/// Bytes of a text constant: a compared value, a slug, an `else`.
pub const MAX_TEXT_BYTES: usize = 1_000;
/// Entries of `profile.attributes`.
pub const MAX_ATTRIBUTES: usize = 50;

/// Fuel of one expression: about as many instructions, or 64 bytes of data each.
pub const EXPRESSION_FUEL: u64 = 100_000;
/// Depth of calls inside an expression.
pub const EXPRESSION_RECURSION: usize = 100;
/// Bytes that the result of one expression may have.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;
/// Values that the result of one expression may have.
pub const MAX_OUTPUT_VALUES: usize = 10_000;
/// Bytes that all patterns together may look at in one sign-in.
pub const MAX_MATCHED_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of one profile field or attribute value.
pub const MAX_FIELD_BYTES: usize = 1_000;
/// Values of one learner attribute.
pub const MAX_ATTRIBUTE_VALUES: usize = 100;
/// Unknown values that an outcome lists; the rest is counted.
pub const MAX_UNKNOWN_LISTED: usize = 100;
