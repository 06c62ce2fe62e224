//! The mapping engine from outside: each sentence of its contract, the attacks on it, and properties over arbitrary claims.

use proptest::prelude::*;
use serde_json::{Value, json};
use usher::claims::{
    Claims, ConnectionFacts, Input, Mapping, MappingError, Outcome, Role, RuleKind, SublicenseFacts, limits,
};

mod expressions;
mod profile;
mod properties;
mod rules;
mod saving;

fn client() -> Vec<SublicenseFacts> {
    let one = |slug: &str, sku: Option<&str>, refs: &[(&str, &str)]| SublicenseFacts {
        slug: slug.to_owned(),
        sku: sku.map(str::to_owned),
        refs: refs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    vec![
        one("main", None, &[]),
        one("sales", Some("SKU-S"), &[("crm", "77")]),
        one("support", Some("SKU-P"), &[("crm", "78"), ("erp", "77")]),
    ]
}

fn claims(json: Value) -> Claims {
    Claims::from_json(json.as_object().unwrap()).unwrap()
}

fn apply_to(mapping: &Value, claims: &Claims, carries_entitlement: bool) -> Outcome {
    let connection = ConnectionFacts { id: "con_1", name: "Acme Okta", protocol: "oidc" };
    let input = Input { claims, subject: "subject-1", connection, sublicenses: &client(), carries_entitlement };
    Mapping::parse(mapping).unwrap().compile().unwrap().apply(&input)
}

fn apply(mapping: Value, sent: Value) -> Outcome {
    apply_to(&mapping, &claims(sent), false)
}

fn grants(outcome: &Outcome) -> Vec<(&str, Role)> {
    outcome.grants.iter().map(|grant| (grant.sublicense.as_str(), grant.role)).collect()
}

fn refused(outcome: &Outcome) -> Option<&'static str> {
    outcome.refusal.as_ref().map(|refusal| refusal.code)
}

fn mistakes(mapping: Value) -> Vec<MappingError> {
    Mapping::parse(&mapping).and_then(|mapping| mapping.compile()).unwrap_err()
}

/// Whether a condition lets somebody with these claims in.
fn holds(condition: Value, sent: Value) -> bool {
    !apply(json!({"access": [{"when": condition, "sublicenses": ["main"]}]}), sent).grants.is_empty()
}

fn eval(expr: &str, sent: Value) -> Outcome {
    apply(json!({"profile": {"external_id": {"expr": expr}}, "fallback": {"sublicenses": ["main"]}}), sent)
}

fn value(expr: &str, sent: Value) -> Option<String> {
    let outcome = eval(expr, sent);
    assert_eq!(outcome.refusal, None, "{expr}: {:?}", outcome.rules.first().and_then(|rule| rule.detail.clone()));
    outcome.profile.external_id.value
}

fn trace(outcome: &Outcome) -> String {
    let lines =
        outcome.rules.iter().map(|rule| format!("{} {} {}", if rule.fired { '+' } else { '-' }, rule.path, rule.why));
    lines.collect::<Vec<_>>().join("\n")
}
