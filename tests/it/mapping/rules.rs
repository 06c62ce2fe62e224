//! Who gets what: conditions, `from`, fallback, requirements.

use super::*;

#[test]
fn the_mapping_of_the_design_does_what_the_design_says() {
    let mapping = json!({
        "profile": {
            "email": "email", "first_name": "given_name", "last_name": "family_name",
            "external_id": {"expr": "claims.employeeNumber | first"},
            "attributes": {"department": "department"}
        },
        "require": [{"that": {"claim": "groups", "contains": "learning"}, "else": "You are not in the learning group. Ask your IT desk."}],
        "client": null,
        "access": [
            {"when": {"claim": "groups", "contains": "sales"}, "sublicenses": ["sales"]},
            {"when": {"expr": "email_domain == 'acme.example'"}, "sublicenses": ["main"], "role": "learner"},
            {"from": "departments", "match": "sku"}
        ],
        "fallback": {"sublicenses": ["main"]},
        "sync": "add"
    });
    let sent = json!({
        "email": " Ann@ACME.example ", "given_name": "Ann", "family_name": "Lee", "employeeNumber": ["E1", "E2"], "department": "R&D",
        "groups": ["Learning", "Sales"], "departments": ["sku-p", "SKU-X"], "email_verified": true,
    });
    let outcome = apply(mapping.clone(), sent);
    assert_eq!(outcome.profile.email.value.as_deref(), Some("Ann@ACME.example"));
    assert_eq!(outcome.email_domain.as_deref(), Some("acme.example"));
    assert_eq!(outcome.email_verified, Some(true));
    assert_eq!(outcome.profile.external_id.value.as_deref(), Some("E1"));
    assert_eq!(outcome.attributes["department"].to_json(), json!("R&D"));
    assert_eq!(grants(&outcome), [("sales", Role::Learner), ("main", Role::Learner), ("support", Role::Learner)]);
    assert_eq!(outcome.unknown_values, ["SKU-X"]);
    assert_eq!(refused(&outcome), None);
    insta::assert_snapshot!(trace(&outcome), @r"
    + /require/0 the claim `groups` contains `learning`
    + /access/0 the claim `groups` contains `sales`
    + /access/1 the expression is true
    + /access/2 of 2 values, 1 are no sku of a sublicense
    - /fallback a rule yielded, so that the fallback is not needed
    ");
    let outsider = apply(mapping, json!({"email": "bob@other.example", "groups": ["facilities"]}));
    assert_eq!(outsider.refusal.as_ref().unwrap().message, "You are not in the learning group. Ask your IT desk.");
    assert_eq!((refused(&outsider), grants(&outsider)), (Some("mapping.required"), vec![]));
    insta::assert_snapshot!(trace(&outsider), @r"
    - /require/0 none of the 1 values of the claim `groups` is `learning`
    - /access/0 none of the 1 values of the claim `groups` is `sales`
    - /access/1 the expression is false
    - /access/2 the claim `departments` was not sent
    + /fallback no rule yielded
    ");
}

#[test]
fn each_comparison_holds_and_fails_where_it_should() {
    let one = json!({"g": "Sales"});
    let two = json!({"g": ["Sales", "Learning Team"]});
    let cases = [
        (json!({"claim": "g", "equals": "sales"}), one.clone(), true),
        (json!({"claim": "g", "equals": "sales"}), two.clone(), false),
        (json!({"claim": "g", "equals": "sales", "case_sensitive": true}), one.clone(), false),
        (json!({"claim": "g", "contains": "SALES"}), two.clone(), true),
        (json!({"claim": "g", "contains": "Sale"}), two.clone(), false),
        (json!({"claim": "g", "contains": "sales", "case_sensitive": true}), two.clone(), false),
        (json!({"claim": "g", "one_of": ["x", "learning team"]}), two.clone(), true),
        (json!({"claim": "g", "one_of": ["x", "team"]}), two.clone(), false),
        (json!({"claim": "g", "matches": "learn.*"}), two.clone(), true),
        (json!({"claim": "g", "matches": "learn"}), two.clone(), false),
        (json!({"claim": "g", "matches": "learn.*", "case_sensitive": true}), two.clone(), false),
        (json!({"claim": "g", "present": true}), two.clone(), true),
        (json!({"claim": "g", "present": true}), json!({"g": ["", " "]}), false),
        (json!({"claim": "g", "present": false}), json!({"g": []}), true),
        (json!({"claim": "g", "present": false}), json!({}), true),
        (json!({"claim": "g", "present": true}), json!({}), false),
        (json!({"all": [{"claim": "g", "contains": "sales"}, {"claim": "h", "present": false}]}), two.clone(), true),
        (json!({"all": [{"claim": "g", "contains": "sales"}, {"claim": "h", "present": true}]}), two.clone(), false),
        (json!({"any": [{"claim": "h", "present": true}, {"claim": "g", "contains": "sales"}]}), two.clone(), true),
        (json!({"any": [{"claim": "h", "present": true}, {"claim": "g", "contains": "x"}]}), two.clone(), false),
        (json!({"not": {"claim": "g", "contains": "x"}}), two.clone(), true),
        (json!({"not": {"claim": "g", "contains": "sales"}}), two.clone(), false),
        (json!({"expr": "'Sales' in claims.g"}), two.clone(), true),
        (json!({"expr": "'sales' in claims.g"}), two, false),
        (json!({"expr": "connection.protocol == 'oidc' and subject == 'subject-1'"}), json!({}), true),
        (json!("always"), json!({}), true),
    ];
    for (condition, sent, expected) in cases {
        assert_eq!(holds(condition.clone(), sent.clone()), expected, "{condition} over {sent}");
    }
}

#[test]
fn values_are_never_split_on_commas_or_trimmed_unasked() {
    assert!(!holds(json!({"claim": "g", "contains": "sales"}), json!({"g": "sales,learning"})));
    assert!(!holds(json!({"claim": "g", "contains": "sales"}), json!({"g": "sales "})));
    assert!(holds(json!({"expr": "'sales' in (claims.g | first | split(','))"}), json!({"g": "sales,learning"})));
}

#[test]
fn composed_and_decomposed_names_are_the_same_group() {
    assert!(holds(json!({"claim": "g", "contains": "\u{c9}cole"}), json!({"g": "E\u{301}COLE"})));
    assert!(holds(json!({"claim": "g", "matches": "\u{e9}c.*"}), json!({"g": "E\u{301}COLE"})));
}

#[test]
fn an_overage_link_makes_a_condition_unknown_so_that_not_does_not_fire() {
    let denied = json!({"not": {"claim": "groups", "contains": "contractors"}});
    let by_expr = json!({"expr": "'contractors' not in claims.groups"});
    for condition in [denied, by_expr] {
        assert!(holds(condition.clone(), json!({"groups": ["staff"]})), "{condition}");
        assert!(!holds(condition.clone(), json!({"groups": ["contractors"]})), "{condition}");
        assert!(!holds(condition.clone(), json!({"_claim_names": {"groups": "src1"}})), "{condition}");
    }
    let any = json!({"any": [{"claim": "groups", "contains": "x"}, {"claim": "dept", "equals": "it"}]});
    assert!(holds(any, json!({"_claim_names": {"groups": "src1"}, "dept": "it"})));
}

#[test]
fn from_grants_what_a_value_names_and_lists_what_it_does_not_know() {
    let by = |rule: Value, sent: Value| apply(json!({"access": [rule]}), sent);
    let sent = json!({"d": ["sales", "sku-p", "77", "nobody", "", "NOBODY"]});
    let any = by(json!({"from": "d"}), sent.clone());
    assert_eq!(grants(&any), [("sales", Role::Learner), ("support", Role::Learner)]);
    assert_eq!((any.unknown_values.as_slice(), any.unknown_value_count), (&["nobody".to_owned()][..], 1));
    assert_eq!(grants(&by(json!({"from": "d", "match": "slug"}), sent.clone())), [("sales", Role::Learner)]);
    assert_eq!(
        grants(&by(json!({"from": "d", "match": "sku", "role": "manager"}), sent.clone())),
        [("support", Role::Manager)]
    );
    assert_eq!(grants(&by(json!({"from": "d", "match": "ref"}), sent.clone())).len(), 2);
    assert_eq!(grants(&by(json!({"from": "d", "match": {"ref": "erp"}}), sent.clone())), [("support", Role::Learner)]);
    assert_eq!(grants(&by(json!({"from": "d", "match": "sku", "case_sensitive": true}), sent.clone())), []);
    assert_eq!(grants(&by(json!({"from": "d", "match": "slug", "when": {"claim": "x", "present": true}}), sent)), []);
    let split = by(json!({"from": {"expr": "claims.d | first | split(';')"}}), json!({"d": "sales;support"}));
    assert_eq!(grants(&split).len(), 2);
}

#[test]
fn the_higher_role_counts_and_each_sublicense_stands_once() {
    let outcome = apply(
        json!({"access": [
            {"when": "always", "sublicenses": ["sales", "main"], "role": "manager"},
            {"when": "always", "sublicenses": ["SALES", "sales"]},
        ]}),
        json!({}),
    );
    assert_eq!(grants(&outcome), [("sales", Role::Manager), ("main", Role::Manager)]);
}

#[test]
fn a_claim_that_names_a_role_grants_none() {
    let outcome = apply(
        json!({"access": [{"from": "groups"}]}),
        json!({"groups": ["owner", "admin", "manager", "sales"], "role": "manager"}),
    );
    assert_eq!(grants(&outcome), [("sales", Role::Learner)]);
}

#[test]
fn who_gets_nothing_is_refused_unless_there_is_a_fallback_or_an_entitlement() {
    let rule = json!({"when": {"claim": "g", "contains": "x"}, "sublicenses": ["sales"]});
    let strict = json!({"access": [rule.clone()]});
    let lenient = json!({"access": [rule], "fallback": {"sublicenses": ["main"]}});
    let nobody = claims(json!({}));
    assert_eq!(refused(&apply_to(&strict, &nobody, false)), Some("mapping.nothing_granted"));
    assert_eq!(refused(&apply_to(&strict, &nobody, true)), None);
    let fallback = apply_to(&lenient, &nobody, false);
    assert_eq!((grants(&fallback), fallback.used_fallback), (vec![("main", Role::Learner)], true));
    let with_code = apply_to(&lenient, &nobody, true);
    assert_eq!((grants(&with_code), with_code.used_fallback, refused(&with_code)), (vec![], false, None));
    assert_eq!(refused(&apply(json!({}), json!({}))), Some("mapping.nothing_granted"));
}

#[test]
fn a_requirement_applies_to_who_brings_a_code_too() {
    let mapping = json!({"require": [{"that": {"claim": "g", "present": true}, "else": "No."}], "fallback": {"sublicenses": ["main"]}});
    assert_eq!(refused(&apply_to(&mapping, &claims(json!({})), true)), Some("mapping.required"));
    assert_eq!(refused(&apply_to(&mapping, &claims(json!({"g": "x"})), true)), None);
}

#[test]
fn a_sublicense_that_the_client_does_not_have_yields_nothing_and_is_told() {
    let outcome = apply(
        json!({"access": [{"when": "always", "sublicenses": ["gone"]}], "fallback": {"sublicenses": ["gone", "main"]}}),
        json!({}),
    );
    assert_eq!(grants(&outcome), [("main", Role::Learner)]);
    assert!(!outcome.rules[0].fired && outcome.rules[0].why.contains("no sublicense `gone`"), "{:?}", outcome.rules);
    let only_gone = apply(json!({"fallback": {"sublicenses": ["gone"]}}), json!({}));
    assert_eq!(refused(&only_gone), Some("mapping.nothing_granted"));
}
