//! Expressions: MiniJinja, cut down to what a mapping needs, bounded by fuel, recursion and output, without any I/O.
//!
//! There are no statements, so nothing can be included or imported, and no loop but that of a filter, which fuel pays for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, State, UndefinedBehavior, Value, context, filters};

use super::limits::{EXPRESSION_FUEL, EXPRESSION_RECURSION, MAX_EXPRESSION_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUT_VALUES};
use super::reading::{Reading, Reads};
use super::value::Claims;

/// What an expression may name besides its own literals.
const VARIABLES: [&str; 5] = ["claims", "subject", "connection", "email_domain", "range"];

/// The filters that stay. The rest formats, escapes or inspects, which a mapping has no use for.
const FILTERS: [&str; 29] = [
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "replace",
    "reverse",
    "round",
    "select",
    "sort",
    "split",
    "string",
    "trim",
    "upper",
];
const MORE_FILTERS: [&str; 2] = ["title", "unique"];
const REMOVED_FILTERS: [&str; 20] = [
    "attr",
    "batch",
    "chain",
    "dictsort",
    "e",
    "escape",
    "format",
    "groupby",
    "indent",
    "pprint",
    "rejectattr",
    "safe",
    "selectattr",
    "slice",
    "sum",
    "tojson",
    "urlencode",
    "wordwrap",
    "xmlattr",
    "zip",
];
const REMOVED_FUNCTIONS: [&str; 3] = ["debug", "dict", "namespace"];
/// One environment for all mappings: a constant in effect, made at first use.
static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_fuel(Some(EXPRESSION_FUEL));
    engine.set_recursion_limit(EXPRESSION_RECURSION);
    // A claim that is missing is missing all the way down: `claims.a.b | first` yields nothing rather than an error.
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    for name in REMOVED_FILTERS {
        engine.remove_filter(name);
    }
    for name in REMOVED_FUNCTIONS {
        engine.remove_global(name);
    }
    engine.remove_test("filter");
    engine.remove_test("test");
    guard(&mut engine, "capitalize", true, Value::from_function(filters::capitalize));
    guard(&mut engine, "float", true, Value::from_function(filters::float));
    guard(&mut engine, "int", true, Value::from_function(filters::int));
    guard(&mut engine, "lines", true, Value::from_function(filters::lines));
    guard(&mut engine, "lower", true, Value::from_function(filters::lower));
    guard(&mut engine, "replace", true, Value::from_function(filters::replace));
    guard(&mut engine, "split", true, Value::from_function(filters::split));
    guard(&mut engine, "title", true, Value::from_function(filters::title));
    guard(&mut engine, "trim", true, Value::from_function(filters::trim));
    guard(&mut engine, "upper", true, Value::from_function(filters::upper));
    guard(&mut engine, "join", false, Value::from_function(filters::join));
    engine
}

/// Puts a check of the input before a built-in filter: what is missing passes through, and a list where one text is taken
/// is refused. By itself the engine turns a missing claim into a blank, and a list into its spelling in brackets.
fn guard(engine: &mut Environment<'static>, name: &'static str, one_text: bool, built_in: Value) {
    engine.add_filter(name, move |state: &mut State, value: Value, rest: Rest<Value>| {
        if value.is_undefined() || value.is_none() {
            return Ok(Value::UNDEFINED);
        }
        if one_text && !matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool) {
            let message = format!(
                "`{name}` takes one value, and this is a list; write `… | first | {name}` or `… | map('{name}')`"
            );
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        let mut arguments = vec![value];
        arguments.extend(rest.0);
        built_in.call(state, &arguments)
    });
}

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

/// A compiled expression.
pub(super) struct Expr(Expression<'static, 'static>);

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expr")
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
        let compiled = ENGINE.compile_expression_owned(source.to_owned()).map_err(|error| describe(&error))?;
        let unknown =
            compiled.undeclared_variables(false).into_iter().filter(|name| !VARIABLES.contains(&name.as_str()));
        if let Some(name) = unknown.min() {
            return Err(format!(
                "there is no `{name}` here; an expression has claims, subject, connection and email_domain"
            ));
        }
        if let Some(name) = filters_of(source).into_iter().find(|name| !is_filter(name)) {
            return Err(format!(
                "there is no filter `{name}`; there are {}, {}",
                FILTERS.join(", "),
                MORE_FILTERS.join(", ")
            ));
        }
        let expr = Self(compiled);
        expr.try_out()?;
        Ok(expr)
    }

    /// Whether the expression looks at this variable.
    pub(super) fn uses(&self, variable: &str) -> bool {
        self.0.undeclared_variables(false).contains(variable)
    }

    /// Runs once over no claims, to find what does not exist at all; other errors may well be the lack of claims.
    fn try_out(&self) -> Result<(), String> {
        let nobody = Claims::new();
        let reading = Reading::new(&nobody, "", super::ConnectionFacts { id: "", name: "", protocol: "" });
        let Err(error) = self.0.eval(scope(&reading, &Arc::default())) else { return Ok(()) };
        match error.kind() {
            ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::UnknownFilter => Err(describe(&error)),
            ErrorKind::OutOfFuel => {
                Err("the expression does more work than one sign-in may, whatever the claims".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn eval(&self, reading: &Reading<'_>, reads: &mut Reads) -> Result<Value, Failure> {
        let noted = Arc::<Mutex<Reads>>::default();
        let result = self.0.eval(scope(reading, &noted));
        reads.merge(noted.lock().unwrap_or_else(PoisonError::into_inner).clone());
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

fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name) || MORE_FILTERS.contains(&name)
}

/// The names of the filters in an expression that is known to parse: `|` has no other meaning outside of text.
fn filters_of(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut letters = source.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                while let Some(inside) = letters.next() {
                    match inside {
                        '\\' => _ = letters.next(),
                        end if end == letter => break,
                        _ => {}
                    }
                }
            }
            '|' => {
                while letters.next_if(|c| c.is_whitespace()).is_some() {}
                let mut name = String::new();
                while let Some(part) = letters.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(part);
                }
                names.insert(name);
            }
            _ => {}
        }
    }
    names
}
