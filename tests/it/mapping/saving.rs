//! What is said when a mapping is saved, and what an outcome keeps.

use super::*;

#[test]
fn a_mapping_tells_all_its_mistakes_at_once_with_their_places() {
    let deep = (0..12).fold(json!({"claim": "g", "present": true}), |inner, _| json!({"not": inner}));
    let errors = mistakes(json!({
        "profile": {"email": {"from": {"expr": "lower(claims.email)"}, "update": "first"}, "first_name": " name", "last_name": "{{ claims.sn }}",
            "locale": [], "external_id": {"expr": "x".repeat(3_000)}, "attributes": {"a/b": "x"}},
        "require": [{"that": {"claim": "g"}, "else": " "}],
        "client": "org",
        "access": [
            {"sublicenses": ["main"]},
            {"when": {"claim": "g", "contains": "a", "equals": "b"}, "sublicenses": ["main"]},
            {"when": {"all": []}, "sublicenses": ["main"]},
            {"when": {"claim": "g", "matches": "("}, "sublicenses": []},
            {"from": "d", "sublicenses": ["main"]},
            {"when": "always", "sublicenses": ["main"], "match": "sku"},
            {"when": deep, "sublicenses": ["main"]},
            {"when": {"equals": "x"}, "sublicenses": ["main"]},
            {"when": {"expr": "email_domain | lowr"}, "sublicenses": ["main"]},
            {"when": {"claim": "g", "contains": ""}, "sublicenses": ["main"]},
        ],
        "fallback": {"sublicenses": []},
    }));
    let told: Vec<_> = errors.iter().map(|error| format!("{} {}", error.path, error.code)).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    /profile/email/from/expr mapping.expression_invalid
    /profile/attributes/a~1b mapping.attribute_name
    /profile/first_name mapping.claim_name
    /profile/last_name mapping.claim_name
    /profile/locale mapping.alternatives
    /profile/external_id/expr mapping.expression_invalid
    /require/0/else mapping.text_missing
    /require/0/that mapping.condition_shape
    /access/0 mapping.when_missing
    /access/1/when mapping.condition_shape
    /access/2/when/all mapping.condition_empty
    /access/3/when/matches mapping.pattern_invalid
    /access/3/sublicenses mapping.sublicenses
    /access/4 mapping.rule_shape
    /access/5 mapping.rule_shape
    /access/6/when/not/not/not/not/not/not/not/not/not mapping.condition_too_deep
    /access/7/when mapping.condition_shape
    /access/8/when/expr mapping.expression_invalid
    /access/9/when/contains mapping.text_missing
    /fallback/sublicenses mapping.sublicenses
    ");
    assert!(errors.iter().all(|error| !error.message.is_empty()));
}

#[test]
fn numbers_of_rules_conditions_and_expressions_are_bounded() {
    let rule = json!({"when": "always", "sublicenses": ["main"]});
    assert!(Mapping::parse(&json!({"access": vec![rule.clone(); limits::MAX_RULES]})).unwrap().compile().is_ok());
    assert_eq!(mistakes(json!({"access": vec![rule; limits::MAX_RULES + 1]}))[0].code, "mapping.too_many_rules");
    let wide = json!({"any": vec![json!({"claim": "g", "present": true}); limits::MAX_CONDITIONS]});
    assert_eq!(
        mistakes(json!({"access": [{"when": wide, "sublicenses": ["main"]}]}))[0].code,
        "mapping.too_many_conditions"
    );
    let expr = json!({"when": {"expr": "true"}, "sublicenses": ["main"]});
    assert_eq!(
        mistakes(json!({"access": vec![expr; limits::MAX_EXPRESSIONS + 1]}))[0].code,
        "mapping.too_many_expressions"
    );
    assert_eq!(
        mistakes(json!({"profile": {"email": {"expr": "subject ~ email_domain"}}}))[0].code,
        "mapping.email_domain_circular"
    );
    let nested = format!("{}1{}", "(".repeat(900), ")".repeat(900));
    assert_eq!(mistakes(json!({"profile": {"email": {"expr": nested}}}))[0].code, "mapping.expression_invalid");
}

#[test]
fn a_saved_mapping_names_its_sublicenses() {
    let json = json!({"access": [{"when": "always", "sublicenses": ["a", "b"]}, {"from": "d"}], "fallback": {"sublicenses": ["c"]}});
    let compiled = Mapping::parse(&json).unwrap().compile().unwrap();
    let named: Vec<_> = compiled.named_sublicenses().into_iter().map(|(path, slug)| format!("{path} {slug}")).collect();
    assert_eq!(named, ["/access/0/sublicenses/0 a", "/access/0/sublicenses/1 b", "/fallback/sublicenses/0 c"]);
}

#[test]
fn neither_the_stored_nor_the_printed_outcome_holds_a_claim_value() {
    let mapping = json!({
        "profile": {"email": "email", "first_name": {"expr": "claims.name | first"}, "attributes": {"dept": "dept"}},
        "require": [{"that": {"claim": "dept", "present": true}, "else": "No."}],
        "access": [{"from": "dept"}, {"when": {"claim": "dept", "matches": "q.*"}, "sublicenses": ["sales"]}], "fallback": {"sublicenses": ["main"]},
    });
    let outcome = apply(mapping, json!({"email": "zyx1@x.example", "name": "zyx2", "dept": ["zyx3", "zyx4"]}));
    assert_eq!(outcome.attributes["dept"].to_json(), json!(["zyx3", "zyx4"]));
    for shown in
        [serde_json::to_string(&outcome.redacted()).unwrap(), format!("{outcome:?}"), format!("{:?}", outcome.profile)]
    {
        assert!(!shown.contains("zyx"), "{shown}");
    }
    assert!(serde_json::to_string(&outcome).unwrap().contains("zyx4"));
}

#[test]
fn the_schema_of_a_mapping_names_every_part_once() {
    use utoipa::ToSchema;
    let mut schemas = Vec::new();
    Mapping::schemas(&mut schemas);
    Outcome::schemas(&mut schemas);
    let names: std::collections::BTreeSet<_> = schemas.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "AccessRule",
        "Condition",
        "ConditionTest",
        "Fallback",
        "Field",
        "Requirement",
        "Selector",
        "RuleTrace",
        "WantedGrant",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
}

#[test]
fn a_compiled_mapping_goes_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let mapping = json!({"profile": {"email": {"expr": "subject"}}, "fallback": {"sublicenses": ["main"]}});
    shared(&Mapping::parse(&mapping).unwrap().compile().unwrap());
}
