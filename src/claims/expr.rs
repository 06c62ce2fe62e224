//! Expressions of a mapping: compiled when it is saved, evaluated over one person's claims, their results bounded.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::value::{Enumerator, Object, ValueKind};
use minijinja::{Error, ErrorKind, Expression, Value, context};

use super::apply::ConnectionFacts;
use super::engine::{FILTERS, VARIABLES, filters_of, instructions};
use super::limits::{MAX_EXPRESSION_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUT_VALUES};
use super::reading::{Reading, Reads};
use super::value::Claims;

/// Why an expression (or the matching of a pattern) gave no result.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Failure {
    /// In words, without any claim value.
    pub reason: &'static str,
    /// What the engine said, which may quote values: for a dry run only.
    pub detail: Option<String>,
}

impl Failure {
    fn new(reason: &'static str) -> Self {
        Self { reason, detail: None }
    }

    pub(super) fn too_much_matching() -> Self {
        Self::new(
            "the patterns of this mapping look at more text than one sign-in may; use `contains` or `one_of` for long lists",
        )
    }

    fn of(error: &Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::OutOfFuel => {
                "the expression did more work than one sign-in may; make it shorter or look at fewer values"
            }
            ErrorKind::UndefinedError => {
                "the expression needs a value that was not sent; add `| default('')` where it may be missing"
            }
            ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod => "the expression uses something that does not exist here",
            _ => "the expression failed on these claims; the dry run shows its message",
        };
        Self { reason, detail: Some(describe(error)) }
    }
}

fn describe(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

/// Stands for a claim whose name an expression put together.
const COMPUTED_NAME: &str = "(a computed name)";

/// An expression that is known to compile.
///
/// Its instructions (about 10 KB) are made when it is first evaluated: of the many mappings that a replica holds, few
/// reach their expressions, since a preset's is the last alternative.
pub(super) struct Expr {
    source: Box<str>,
    /// Whether it looks at the domain of the mapped e-mail.
    pub uses_email_domain: bool,
    instructions: OnceLock<Expression<'static, 'static>>,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

impl Expr {
    /// Compiles, and refuses what would only fail at somebody's sign-in: unknown variables, filters, tests, functions.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        if source.trim().is_empty() {
            return Err("an expression is missing here".to_owned());
        }
        if source.len() > MAX_EXPRESSION_BYTES {
            return Err(format!("an expression has at most {MAX_EXPRESSION_BYTES} bytes"));
        }
        let compiled = instructions(source).map_err(|error| describe(&error))?;
        let variables = compiled.undeclared_variables(false);
        if let Some(name) = variables.iter().filter(|name| !VARIABLES.contains(&name.as_str())).min() {
            return Err(format!(
                "there is no `{name}` here; an expression has claims, subject, connection and email_domain"
            ));
        }
        if let Some(name) = filters_of(source).into_iter().find(|name| !FILTERS.contains(&name.as_str())) {
            return Err(format!("there is no filter `{name}`; there are {}", FILTERS.join(", ")));
        }
        try_out(&compiled)?;
        let uses_email_domain = variables.contains("email_domain");
        Ok(Self { source: source.into(), uses_email_domain, instructions: OnceLock::new() })
    }

    fn eval(&self, reading: &Reading<'_>, reads: &mut Reads) -> Result<Value, Failure> {
        let expression = match self.instructions.get() {
            Some(expression) => expression,
            None => {
                let made = instructions(&self.source).map_err(|error| Failure::of(&error))?;
                self.instructions.get_or_init(|| made)
            }
        };
        let noted = Arc::<Mutex<Reads>>::default();
        let result = expression.eval(scope(reading, &noted));
        let mut looked_for = noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A name that the expression put together may be made of values: it is missing, and its name stays here.
        looked_for.missing = looked_for.missing.into_iter().map(|name| self.literal_or_masked(name)).collect();
        reads.merge(looked_for);
        result.map_err(|error| Failure::of(&error))
    }

    /// Evaluates a condition. Only true holds; what is empty does not; anything else is refused, since the text "false"
    /// would count as true.
    pub(super) fn holds(&self, reading: &Reading<'_>, reads: &mut Reads) -> Result<bool, Failure> {
        let value = self.eval(reading, reads)?;
        match value.kind() {
            ValueKind::Bool => Ok(value.is_true()),
            _ if !value.is_true() => Ok(false),
            _ => Err(Failure::new(
                "the condition must yield true or false; compare the value, as in `… == 'true'` or `… | length > 0`",
            )),
        }
    }

    fn literal_or_masked(&self, name: String) -> String {
        let is_literal = name.split('.').all(|part| self.source.contains(part));
        if is_literal { name } else { COMPUTED_NAME.to_owned() }
    }

    /// Evaluates a selector: the values it yields, or nothing when what it looks for is missing.
    pub(super) fn values(&self, reading: &Reading<'_>, reads: &mut Reads) -> Result<Option<Vec<String>>, Failure> {
        let mut own = Reads::default();
        let value = self.eval(reading, &mut own)?;
        let mut output = Output::default();
        let is_list = output.take(&value, 0)?;
        let nothing = output.values.is_empty() && (!is_list || !own.is_complete());
        // A claim that could not be read says nothing about the value, whatever the expression made of its absence.
        let unknown = !own.overage.is_empty();
        reads.merge(own);
        Ok((!nothing && !unknown).then_some(output.values))
    }
}

/// The result of a selector while it is taken apart, within its bounds.
#[derive(Default)]
struct Output {
    values: Vec<String>,
    bytes: usize,
}

impl Output {
    /// Adds the value, and tells whether it was a list. What is undefined, none or blank adds nothing.
    fn take(&mut self, value: &Value, depth: usize) -> Result<bool, Failure> {
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => Ok(false),
            ValueKind::String | ValueKind::Number | ValueKind::Bool => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.bytes += text.len();
                if self.bytes > MAX_OUTPUT_BYTES || self.values.len() == MAX_OUTPUT_VALUES {
                    return Err(Failure::new("the result of the expression is larger than a value may be"));
                }
                if !text.trim().is_empty() {
                    self.values.push(text);
                }
                Ok(false)
            }
            ValueKind::Seq | ValueKind::Iterable if depth < 4 => {
                let items = value.try_iter().map_err(|error| Failure::of(&error))?;
                for (count, item) in items.enumerate() {
                    if count == MAX_OUTPUT_VALUES {
                        return Err(Failure::new("the result of the expression has more values than it may have"));
                    }
                    self.take(&item, depth + 1)?;
                }
                Ok(true)
            }
            _ => Err(Failure::new("the expression must yield a text, a number, true or false, or a list of those")),
        }
    }
}

/// Runs once over no claims, to find what does not exist at all; other errors may well be the lack of claims.
fn try_out(compiled: &Expression<'_, '_>) -> Result<(), String> {
    let nobody = Claims::new();
    let reading = Reading::new(&nobody, "", ConnectionFacts { id: "", name: "", protocol: "" });
    let Err(error) = compiled.eval(scope(&reading, &Arc::default())) else { return Ok(()) };
    match error.kind() {
        ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod | ErrorKind::UnknownFilter => {
            Err(describe(&error))
        }
        ErrorKind::OutOfFuel => {
            Err("the expression does more work than one sign-in may, whatever the claims".to_owned())
        }
        _ => Ok(()),
    }
}

fn scope(reading: &Reading<'_>, noted: &Arc<Mutex<Reads>>) -> Value {
    let claims = ClaimsView { claims: reading.shared_claims(), below: String::new(), noted: Arc::clone(noted) };
    let connection = &reading.connection;
    context! {
        claims => Value::from_object(claims),
        subject => reading.subject,
        connection => context! { id => connection.id, name => connection.name, protocol => connection.protocol },
        email_domain => reading.email_domain().map_or(Value::UNDEFINED, Value::from),
    }
}

/// `claims` inside an expression: a map from names to lists that notes what was looked for and not found.
struct ClaimsView {
    claims: Arc<Claims>,
    /// Empty, or the dotted name down to here with its last dot: `claims.realm_access.roles` works as well as
    /// `claims["realm_access.roles"]`.
    below: String,
    noted: Arc<Mutex<Reads>>,
}

impl fmt::Debug for ClaimsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }
}

impl ClaimsView {
    fn note(&self, note: impl FnOnce(&mut Reads)) {
        note(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Object for ClaimsView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = format!("{}{}", self.below, key.as_str()?);
        if let Some(values) = self.claims.get(&name) {
            return Some(values.iter().map(Value::from).collect());
        }
        if self.claims.is_overage(&name) {
            self.note(|reads| _ = reads.overage.insert(name));
            return None;
        }
        if self.claims.has_below(&name) {
            let below = format!("{name}.");
            return Some(Value::from_object(Self {
                claims: Arc::clone(&self.claims),
                below,
                noted: Arc::clone(&self.noted),
            }));
        }
        self.note(|reads| _ = reads.missing.insert(name));
        None
    }

    /// Whoever looks at all claims looks at those that are not here too.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.note(|reads| reads.overage.extend(self.claims.overage().iter().cloned()));
        let names: Vec<_> =
            self.claims.names().filter_map(|name| name.strip_prefix(&self.below)).map(Value::from).collect();
        Enumerator::Values(names)
    }
}
