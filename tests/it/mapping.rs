//! The mapping engine from outside: each sentence of its contract, the attacks on it, and properties over arbitrary claims.

use proptest::prelude::*;
use serde_json::{Value, json};
use usher::claims::{
    Claims, ConnectionFacts, Input, Mapping, MappingError, Outcome, Role, RuleKind, SublicenseFacts, limits,
};

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

fn trace(outcome: &Outcome) -> String {
    let lines =
        outcome.rules.iter().map(|rule| format!("{} {} {}", if rule.fired { '+' } else { '-' }, rule.path, rule.why));
    lines.collect::<Vec<_>>().join("\n")
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

#[test]
fn a_missing_claim_leaves_a_field_alone_and_an_empty_one_clears_it() {
    let mapping = |from: Value| json!({"profile": {"first_name": from}, "fallback": {"sublicenses": ["main"]}});
    let field = |from: Value, sent: Value| apply(mapping(from), sent).profile.first_name;
    let missing = field(json!("name"), json!({"Name": "Ann"}));
    assert!(missing.missing && missing.why.unwrap().contains("the IdP sent `Name`"));
    for empty in [json!({"name": []}), json!({"name": ""}), json!({"name": "  "})] {
        let field = field(json!("name"), empty);
        assert!(!field.missing && field.value.is_none());
    }
    assert!(field(json!("name"), json!({"name": null})).missing);
    let nested = field(json!("name"), json!({"name": {"given": "Ann"}}));
    assert!(nested.why.unwrap().contains("holds further claims"));
}

#[test]
fn the_first_alternative_with_a_value_wins() {
    let email = |sent: Value| {
        let mapping = json!({"profile": {"email": ["mail", "email", {"expr": "subject ~ '@acme.example'"}]}, "fallback": {"sublicenses": ["main"]}});
        apply(mapping, sent)
    };
    assert_eq!(
        email(json!({"mail": "a@x.example", "email": "b@x.example"})).profile.email.value.as_deref(),
        Some("a@x.example")
    );
    let second = email(json!({"mail": [], "email": "b@x.example"}));
    assert_eq!(second.profile.email.value.as_deref(), Some("b@x.example"));
    assert!(second.missing_claims.is_empty());
    assert_eq!(email(json!({})).profile.email.value.as_deref(), Some("subject-1@acme.example"));
}

#[test]
fn when_every_alternative_is_missing_the_slip_is_told() {
    let mapping = json!({"profile": {"email": ["mail", "email"]}, "fallback": {"sublicenses": ["main"]}});
    let email = apply(mapping, json!({"Mail": "a@x.example"})).profile.email;
    let why =
        "none of the claims `email`, `mail` was sent; the IdP sent `Mail`, and names are compared with regard to case";
    assert_eq!((email.missing, email.why.as_deref()), (true, Some(why)));
}

#[test]
fn an_update_policy_goes_through_to_the_outcome() {
    let profile = json!({"email": {"from": "email", "update": "first"}, "locale": {"from": ["lang", "locale"], "update": "locked"}, "first_name": "n"});
    let outcome =
        apply(json!({"profile": profile, "fallback": {"sublicenses": ["main"]}}), json!({"email": "a@x.example"}));
    let policies =
        [&outcome.profile.email, &outcome.profile.locale, &outcome.profile.first_name].map(|field| json!(field.policy));
    assert_eq!(policies, [json!("first"), json!("locked"), json!("always")]);
}

#[test]
fn what_cannot_be_stored_is_not_taken() {
    for unfit in ["nul\0inside".to_owned(), "line\nbreak".to_owned(), "x".repeat(limits::MAX_FIELD_BYTES + 1)] {
        let outcome =
            apply(json!({"profile": {"first_name": "n"}, "fallback": {"sublicenses": ["main"]}}), json!({"n": unfit}));
        assert!(outcome.profile.first_name.missing && outcome.profile.first_name.value.is_none());
    }
    let fit = apply(
        json!({"profile": {"first_name": "n"}, "fallback": {"sublicenses": ["main"]}}),
        json!({"n": " Zoe\u{308} "}),
    );
    assert_eq!(fit.profile.first_name.value.as_deref(), Some("Zo\u{eb}"));
}

#[test]
fn an_address_counts_as_verified_only_when_the_idp_says_so_of_this_very_address() {
    let verified = |from: &str, sent: Value| {
        apply(json!({"profile": {"email": from}, "fallback": {"sublicenses": ["main"]}}), sent).email_verified
    };
    for (said, expected) in [
        (json!(true), Some(true)),
        (json!("True"), Some(true)),
        (json!(false), Some(false)),
        (json!("false"), Some(false)),
        (json!("maybe"), None),
        (json!(null), None),
    ] {
        assert_eq!(verified("email", json!({"email": "a@x.example", "email_verified": said})), expected, "{said}");
    }
    assert_eq!(verified("upn", json!({"email": "a@x.example", "upn": "boss@x.example", "email_verified": true})), None);
    assert_eq!(
        verified("upn", json!({"email": "a@x.example", "upn": "boss@x.example", "email_verified": false})),
        Some(false)
    );
    assert_eq!(verified("email", json!({"email": "a@x.example", "email_verified": [true, false]})), Some(false));
    assert_eq!(verified("email", json!({"email": ["a@x.example", "boss@x.example"], "email_verified": true})), None);
}

#[test]
fn removal_needs_replace_and_every_claim_that_decides() {
    let mapping = |sync: &str| {
        json!({"profile": {"first_name": "n"}, "access": [
            {"when": {"claim": "groups", "contains": "sales"}, "sublicenses": ["sales"]}, {"from": {"expr": "claims.dept"}, "match": "slug"},
        ], "fallback": {"sublicenses": ["main"]}, "sync": sync})
    };
    let allowed = |sync: &str, sent: Value| apply(mapping(sync), sent).removal_allowed;
    assert!(allowed("replace", json!({"groups": [], "dept": []})));
    assert!(!allowed("add", json!({"groups": [], "dept": []})));
    assert!(!allowed("first_login", json!({"groups": [], "dept": []})));
    assert!(!allowed("replace", json!({"groups": []})));
    assert!(!allowed("replace", json!({"dept": []})));
    let overage = apply(mapping("replace"), json!({"_claim_names": {"groups": "s"}, "dept": []}));
    assert!(!overage.removal_allowed && overage.removal_why.contains("`groups`"), "{}", overage.removal_why);
    assert_eq!(
        (overage.overage_claims.as_slice(), overage.missing_claims.as_slice()),
        (&["groups".to_owned()][..], &["n".to_owned()][..])
    );
}

#[test]
fn who_no_longer_meets_a_requirement_loses_access_only_when_its_claim_was_sent() {
    let mapping = json!({
        "require": [{"that": {"claim": "groups", "contains": "learning"}, "else": "No."}],
        "access": [{"from": "dept"}], "sync": "replace",
    });
    let left = apply(mapping.clone(), json!({"groups": ["other"]}));
    assert_eq!((refused(&left), left.removal_allowed), (Some("mapping.required"), true));
    let unknown = apply(mapping, json!({}));
    assert_eq!((refused(&unknown), unknown.removal_allowed), (Some("mapping.required"), false));
}

#[test]
fn an_expression_that_fails_refuses_the_sign_in_and_fires_nothing() {
    let mapping = json!({
        "access": [{"when": {"expr": "(claims.level | first | int) > 3"}, "sublicenses": ["sales"]}, {"when": "always", "sublicenses": ["main"]}],
        "sync": "replace",
    });
    assert_eq!(grants(&apply(mapping.clone(), json!({"level": "7"}))).len(), 2);
    let failed = apply(mapping, json!({"level": "very secret"}));
    assert_eq!(
        (refused(&failed), grants(&failed), failed.removal_allowed),
        (Some("mapping.expression"), vec![], false)
    );
    assert!(!failed.rules[0].fired && failed.rules[1].fired);
    let stored = serde_json::to_string(&failed.redacted()).unwrap();
    assert!(!stored.contains("secret"), "{stored}");
}

#[test]
fn a_condition_that_yields_a_text_is_refused_rather_than_taken_for_true() {
    let when = |expr: &str| json!({"access": [{"when": {"expr": expr}, "sublicenses": ["main"]}]});
    let sent = json!({"active": "false", "g": ["x"], "none": []});
    assert_eq!(refused(&apply(when("claims.active | first"), sent.clone())), Some("mapping.expression"));
    assert_eq!(refused(&apply(when("claims.active | first == 'true'"), sent.clone())), Some("mapping.nothing_granted"));
    assert_eq!(
        refused(&apply(when("claims.absent and 'x' in claims.absent"), sent.clone())),
        Some("mapping.nothing_granted")
    );
    assert_eq!(refused(&apply(when("claims.none and true"), sent.clone())), Some("mapping.nothing_granted"));
    assert_eq!(refused(&apply(when("claims.g and 'x' in claims.g"), sent)), None);
}

#[test]
fn expressions_do_what_admins_ask_of_them() {
    let sent = || {
        json!({"company": "Acme", "location": "Berlin", "code": "DE", "mail": "Ann@Acme.Example", "dn": "CN=Ann,OU=Sales,DC=acme",
            "realm_access": {"roles": ["a", "b"]}, "https://acme.example/dept": "R&D", "level": 7, "groups": ["B", "a"]})
    };
    let text = |expr: &str| value(expr, sent());
    assert_eq!(
        text("(claims.company | first | lower) ~ '-' ~ (claims.location | first | lower)").as_deref(),
        Some("acme-berlin")
    );
    assert_eq!(text("{'DE': 'germany', 'FR': 'france'}[claims.code | first]").as_deref(), Some("germany"));
    assert_eq!(text("{'DE': 'germany'}[claims.company | first] | default('elsewhere')").as_deref(), Some("elsewhere"));
    assert_eq!(text("(claims.mail | first | split('@'))[0] | upper").as_deref(), Some("ANN"));
    assert_eq!(text("(claims.dn | first | split(',OU='))[1] | split(',') | first").as_deref(), Some("Sales"));
    assert_eq!(text("claims.realm_access.roles | last").as_deref(), Some("b"));
    assert_eq!(text("claims['realm_access.roles'] | join('+')").as_deref(), Some("a+b"));
    assert_eq!(text("claims['https://acme.example/dept'] | first").as_deref(), Some("R&D"));
    assert_eq!(text("claims.nickname | first | default(claims.company | first)").as_deref(), Some("Acme"));
    assert_eq!(text("'senior' if (claims.level | first | int) >= 5 else 'junior'").as_deref(), Some("senior"));
    assert_eq!(text("claims.groups | map('lower') | sort | first").as_deref(), Some("a"));
    assert_eq!(text("claims.location | first | replace('Ber', 'Dub') | trim").as_deref(), Some("Dublin"));
    assert_eq!(text("connection.name").as_deref(), Some("Acme Okta"));
    assert_eq!(text("claims.company | first | replace('A', '<&>')").as_deref(), Some("<&>cme"));
}

#[test]
fn what_is_missing_stays_missing_through_every_filter() {
    for expr in [
        "claims.x",
        "claims.x | first",
        "claims.x | last",
        "claims.x | first | lower",
        "claims.x | first | upper",
        "claims.x | first | trim",
        "claims.x | first | split(';')",
        "claims.x | first | split(';') | first",
        "claims.x | first | replace('a', 'b')",
        "claims.x | join(',')",
        "claims.x | map('lower') | list",
        "claims.x.y.z | first",
        "claims.x | first | title",
        "claims.x | first | default('')",
        "none",
        "''",
    ] {
        let field = eval(expr, json!({}));
        assert_eq!((refused(&field), field.profile.external_id.missing), (None, true), "{expr}");
    }
}

#[test]
fn a_list_where_one_text_is_meant_is_an_error_that_says_so() {
    let outcome = eval("claims.mail | lower", json!({"mail": "A@x.example"}));
    assert_eq!(refused(&outcome), Some("mapping.expression"));
    assert!(outcome.rules[0].detail.as_ref().unwrap().contains("| first | lower"), "{:?}", outcome.rules[0].detail);
    assert_eq!(outcome.rules[0].kind, RuleKind::Profile);
}

#[test]
fn an_expression_can_neither_run_for_ever_nor_fill_the_memory() {
    let long = "x".repeat(60_000);
    for expr in [
        "range(100000) | list | length",
        "range(1000000000) | length",
        "'x' * 1000000000",
        "(('x' * 40000) * 40000) | length",
        "[0] * 1000000000",
        "'x' * 3000000",
        "(subject * 10000) * 10000",
        "claims.long | first * 1000000",
        "range(99999) | map('string') | join('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')",
        "range(50000) | sort(reverse=true) | first",
        "(claims.long | first | replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy')) | length",
        "claims.long | first | replace('', claims.long | first)",
        "claims.long | first ~ claims.long | first ~ 'x'",
        "9 ** 9 ** 9 ** 9",
    ] {
        let mapping =
            Mapping::parse(&json!({"profile": {"external_id": {"expr": expr}}, "fallback": {"sublicenses": ["main"]}}))
                .unwrap();
        // What is a drain whatever the claims is refused when it is saved; the rest at the sign-in.
        let Ok(compiled) = mapping.compile() else { continue };
        let sent = claims(json!({"long": long}));
        let connection = ConnectionFacts { id: "con_1", name: "n", protocol: "oidc" };
        let input =
            Input { claims: &sent, subject: "s", connection, sublicenses: &client(), carries_entitlement: false };
        assert_eq!(refused(&compiled.apply(&input)), Some("mapping.expression"), "{expr}");
    }
    assert_eq!(value("'ab' * 3", json!({})).as_deref(), Some("ababab"));
    assert_eq!(value("range(5) | list | length", json!({})).as_deref(), Some("5"));
}

#[test]
fn five_thousand_groups_pass_through_rules_and_expressions() {
    let groups: Vec<_> = (0..5_000).map(|n| format!("CN=Group {n},OU=Directory,DC=acme,DC=example")).collect();
    let last = groups[4_999].clone();
    let mapping = json!({"access": [
        {"when": {"claim": "groups", "contains": last.to_uppercase()}, "sublicenses": ["main"]},
        {"when": {"claim": "groups", "matches": "cn=group 4999,.*"}, "sublicenses": ["sales"]},
        {"when": {"expr": format!("'{last}' in claims.groups")}, "sublicenses": ["support"]},
    ]});
    let outcome = apply(mapping, json!({"groups": groups}));
    assert_eq!(grants(&outcome).len(), 3, "{}", trace(&outcome));
    let unknown = apply(
        json!({"access": [{"from": "groups"}], "fallback": {"sublicenses": ["main"]}}),
        json!({"groups": groups}),
    );
    assert_eq!((unknown.unknown_value_count, unknown.unknown_values.len()), (5_000, limits::MAX_UNKNOWN_LISTED));
}

#[test]
fn patterns_of_one_sign_in_share_an_allowance() {
    let rule = json!({"when": {"claim": "big", "matches": "(.*a)+b"}, "sublicenses": ["main"]});
    let big: Vec<_> = (0..15).map(|_| "a".repeat(60_000)).collect();
    let few = apply(json!({"access": vec![rule.clone(); 10]}), json!({"big": big}));
    assert_eq!(refused(&few), Some("mapping.nothing_granted"));
    let many = apply(json!({"access": vec![rule; 60]}), json!({"big": big}));
    assert_eq!(refused(&many), Some("mapping.expression"));
}

#[test]
fn a_mapping_cannot_reach_files_network_or_the_engine() {
    for expr in [
        "include('x')",
        "import('x')",
        "open('/etc/passwd')",
        "debug()",
        "namespace()",
        "lipsum()",
        "env",
        "self",
        "caller()",
        "super()",
        "claims.__class__.__mro__()",
        "subject.__init__()",
        "subject.format('x')",
        "claims.items()",
        "subject | pprint",
        "subject | safe",
        "subject | attr('x')",
        "subject | format(1)",
        "claims | tojson",
        "subject is filter",
        "{% include 'x' %}",
        "{{ subject }}",
        "claims.a | map('pprint')",
    ] {
        let outcome =
            Mapping::parse(&json!({"profile": {"email": {"expr": expr}}})).and_then(|mapping| mapping.compile());
        let Err(errors) = outcome else {
            let sent = json!({"a": ["x"]});
            assert_eq!(refused(&eval(expr, sent)), Some("mapping.expression"), "{expr}");
            continue;
        };
        assert_eq!(
            (errors[0].code, errors[0].path.as_str()),
            ("mapping.expression_invalid", "/profile/email/expr"),
            "{expr}"
        );
    }
}

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
    /client mapping.client_selector_unsupported
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
