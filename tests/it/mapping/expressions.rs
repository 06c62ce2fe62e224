//! Expressions: what they can do, and what they cannot do to us.

use super::*;

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
