//! What holds whatever an IdP sends.

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "sales|main|learning|SKU-S|77".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z.]{0,6}", inner, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn any_claims() -> impl Strategy<Value = Value> {
    let name = "email|email_verified|groups|d|name|_claim_names|_claim_sources|hasgroups|.{0,8}";
    prop::collection::btree_map(name, any_json(), 0..8).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_claims_make_the_mapping_panic_and_add_never_removes(sent in any_claims(), carries in any::<bool>()) {
        let mapping = json!({
            "profile": {"email": ["email", {"expr": "subject"}], "first_name": {"expr": "claims.name | first | lower | split(' ') | first"},
                "attributes": {"d": {"expr": "claims.d"}, "everything": {"expr": "claims | list | join(',')"}}},
            "require": [{"that": {"not": {"claim": "groups", "equals": "banned"}}, "else": "No."}],
            "access": [
                {"when": {"any": [{"claim": "groups", "contains": "sales"}, {"claim": "d", "matches": "[0-9]+"}]}, "sublicenses": ["sales"]},
                {"when": {"expr": "claims.groups | length > 2"}, "sublicenses": ["support"]},
                {"from": "d"}, {"from": {"expr": "claims.groups | map('lower')"}, "match": "sku"},
            ],
            "fallback": {"sublicenses": ["main"]},
        });
        let Ok(sent) = Claims::from_json(sent.as_object().unwrap()) else { return Ok(()) };
        let outcome = apply_to(&mapping, &sent, carries);
        prop_assert!(!outcome.removal_allowed);
        prop_assert!(outcome.refusal.is_none() || outcome.grants.is_empty());
        prop_assert!(outcome.refusal.is_some() || carries || !outcome.grants.is_empty());
        let slugs: std::collections::BTreeSet<_> = outcome.grants.iter().map(|grant| &grant.sublicense).collect();
        prop_assert_eq!(slugs.len(), outcome.grants.len());
    }

    #[test]
    fn replace_removes_nothing_when_a_deciding_claim_is_missing(sent in any_claims()) {
        let mapping = json!({"access": [{"from": "groups"}], "fallback": {"sublicenses": ["main"]}, "sync": "replace"});
        let Ok(sent) = Claims::from_json(sent.as_object().unwrap()) else { return Ok(()) };
        prop_assert_eq!(apply_to(&mapping, &sent, false).removal_allowed, sent.get("groups").is_some());
    }

    #[test]
    fn case_and_unicode_form_do_not_change_who_is_let_in(group in "[\\p{L}\\p{N} ._-]{1,16}") {
        use unicode_normalization::UnicodeNormalization;
        prop_assume!(!group.trim().is_empty() && !group.contains('ı'));
        let condition = json!({"claim": "g", "contains": group});
        let decomposed: String = group.nfd().collect();
        for variant in [group.to_uppercase(), group.to_lowercase(), decomposed] {
            prop_assume!(!variant.contains('\u{307}'));
            prop_assert!(holds(condition.clone(), json!({"g": [variant]})), "{:?} {:?}", group, variant);
        }
    }

    #[test]
    fn no_text_makes_the_compiler_of_expressions_panic(source in "[ -~]{0,60}") {
        let mapping = Mapping::parse(&json!({"profile": {"email": {"expr": source}}, "fallback": {"sublicenses": ["main"]}})).unwrap();
        if let Ok(compiled) = mapping.compile() {
            let sent = claims(json!({"a": ["x"]}));
            let connection = ConnectionFacts { id: "con_1", name: "n", protocol: "saml" };
            compiled.apply(&Input { claims: &sent, subject: "s", connection, sublicenses: &[], carries_entitlement: true });
        }
    }
}
