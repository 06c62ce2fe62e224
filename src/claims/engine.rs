//! The expression engine: MiniJinja, cut down to what a mapping needs, bounded by fuel and recursion.
//!
//! There are no statements, so nothing can be included or imported, and no loop but that of a filter, which fuel pays for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, State, UndefinedBehavior, Value, filters};

use super::limits::{EXPRESSION_FUEL, EXPRESSION_RECURSION};

/// What an expression may name besides its own literals.
pub(super) const VARIABLES: [&str; 5] = ["claims", "subject", "connection", "email_domain", "range"];

/// The filters that stay. The rest formats, escapes or inspects, which a mapping has no use for.
pub(super) const FILTERS: [&str; 31] = [
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
    "title",
    "trim",
    "unique",
    "upper",
];
#[rustfmt::skip]
const REMOVED_FILTERS: [&str; 20] = [
    "attr", "batch", "chain", "dictsort", "e", "escape", "format", "groupby", "indent", "pprint", "rejectattr", "safe",
    "selectattr", "slice", "sum", "tojson", "urlencode", "wordwrap", "xmlattr", "zip",
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

/// Compiles an expression.
pub(super) fn instructions(source: &str) -> Result<Expression<'static, 'static>, Error> {
    ENGINE.compile_expression_owned(source.to_owned())
}

/// The names of the filters in an expression that is known to parse: `|` has no other meaning outside of text.
pub(super) fn filters_of(source: &str) -> BTreeSet<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_that_is_offered_exists_and_every_removed_one_does_not() {
        let kind = |name: &str| {
            let expression = instructions(&format!("'1' | {name}")).unwrap();
            expression.eval(()).err().map(|error| error.kind())
        };
        for name in FILTERS {
            assert_ne!(kind(name), Some(ErrorKind::UnknownFilter), "{name}");
        }
        for name in REMOVED_FILTERS {
            assert_eq!(kind(name), Some(ErrorKind::UnknownFilter), "{name}");
        }
    }

    #[test]
    fn filters_are_found_outside_of_text_only() {
        let found: Vec<_> = filters_of(r#"a | lower ~ 'b | c' ~ "d \" | e" |upper"#).into_iter().collect();
        assert_eq!(found, ["lower", "upper"]);
    }
}
