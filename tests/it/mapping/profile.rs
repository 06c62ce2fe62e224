//! What becomes of the profile, and what a later sign-in removes.

use super::*;

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
