//! Each check of SAML's meaning refuses its own fault: a response that differs from an accepted one in one thing.

use chrono::Duration;
use idp_fixtures::{
    clock::now,
    saml::{Attribute, AuthnStatement, NameId, ResponseBuilder, Status, TRANSIENT_FORMAT, Value},
    sign::{Encryption, Signing},
};
use usher::login::{
    saml::{Expectation, InResponseTo, MAX_SUBJECT_CHARS, SamlError, verify_response},
    trail::Trail,
};

use super::{ACS, REQUEST, SP, accepted, decryption_keys, expected, response, rsa, sp_key, trusted, verify};

type Change = fn(&mut ResponseBuilder);

/// The base is accepted; the change makes it refused by this code and no other.
fn refused(base: &ResponseBuilder, expectation: &Expectation<'_>, change: Change, code: &str) {
    accepted(&base.build().unwrap().xml, &rsa(), expectation);
    let changed = base.clone().with(change).build().unwrap().xml;
    match verify(&changed, expectation) {
        Err(error) => assert_eq!(error.code(), code, "{error}\n{changed}"),
        Ok(_) => panic!("accepted, wanted {code}: {changed}"),
    }
}

/// The same base signed in each way, plain and encrypted.
fn bases() -> Vec<ResponseBuilder> {
    let signing = Some(Signing::with(rsa()));
    let encryption = Encryption::to(sp_key().certificate().clone());
    let base = response(&rsa());
    vec![
        base.clone().signed(None, signing.clone()),
        base.clone().signed(signing.clone(), None),
        base.clone().signed(signing.clone(), signing.clone()),
        base.clone().signed(None, signing.clone()).with(|b| b.encryption = Some(encryption.clone())),
        base.signed(signing.clone(), signing).with(|b| b.encryption = Some(encryption)),
    ]
}

fn refused_however_signed(change: Change, code: &str) {
    let (certificates, ours) = (trusted(&[&rsa()]), decryption_keys());
    for base in bases() {
        refused(&base, &expected(&certificates, &ours), change, code);
    }
}

fn accepted_however_signed(change: Change) {
    let (certificates, ours) = (trusted(&[&rsa()]), decryption_keys());
    for base in bases() {
        accepted(&base.with(change).build().unwrap().xml, &rsa(), &expected(&certificates, &ours));
    }
}

fn confirmation(b: &mut ResponseBuilder) -> &mut idp_fixtures::saml::Confirmation {
    &mut b.confirmations[0]
}

fn conditions(b: &mut ResponseBuilder) -> &mut idp_fixtures::saml::Conditions {
    b.conditions.as_mut().unwrap()
}

fn statement(b: &mut ResponseBuilder) -> &mut AuthnStatement {
    &mut b.authn_statements[0]
}

#[test]
fn only_saml_2_0_is_spoken() {
    refused_however_signed(|b| b.version = "1.1".into(), "login.saml.version");
    refused_however_signed(|b| b.version = "2.0.0".into(), "login.saml.version");
}

#[test]
fn both_issuers_are_the_connections_own() {
    refused_however_signed(|b| b.assertion_issuer = Some("https://idp.other.example".into()), "login.saml.issuer");
    refused_however_signed(|b| b.assertion_issuer = None, "login.saml.issuer");
    refused_however_signed(|b| b.assertion_issuer = Some("".into()), "login.saml.issuer");
    refused_however_signed(|b| b.assertion_issuer = Some("https://idp.acme.example/saml/".into()), "login.saml.issuer");
    refused_however_signed(|b| b.response_issuer = Some("https://idp.other.example".into()), "login.saml.issuer");
    accepted_however_signed(|b| b.assertion_issuer = Some("\n  https://idp.acme.example/saml\n".into()));
}

#[test]
fn a_signed_response_must_name_its_issuer_and_an_unsigned_one_may_leave_it_out() {
    let certificates = trusted(&[&rsa()]);
    let [by_assertion, by_response, ..] = &bases()[..] else { panic!() };
    refused(by_response, &expected(&certificates, &[]), |b| b.response_issuer = None, "login.saml.issuer");
    let without = by_assertion.clone().with(|b| b.response_issuer = None);
    accepted(&without.build().unwrap().xml, &rsa(), &expected(&certificates, &[]));
}

#[test]
fn any_status_but_success_is_refused_and_named() {
    let failed = |code: &str, sub: Option<&str>| Status {
        code: code.into(),
        sub_code: sub.map(str::to_owned),
        message: Some("No\u{7f} user".into()),
    };
    refused_however_signed(|b| b.status = None, "login.saml.status");
    refused_however_signed(
        |b| b.status.as_mut().unwrap().code = "urn:oasis:names:tc:SAML:2.0:status:Responder".into(),
        "login.saml.status",
    );
    refused_however_signed(|b| b.status.as_mut().unwrap().code = String::new(), "login.saml.status");
    let certificates = trusted(&[&rsa()]);
    let status =
        failed("urn:oasis:names:tc:SAML:2.0:status:Responder", Some("urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"));
    let xml = response(&rsa()).with(|b| b.status = Some(status)).response_around("");
    let error = verify(&xml, &expected(&certificates, &[])).unwrap_err();
    assert_eq!(error, SamlError::Status { status: "Responder/AuthnFailed".into(), message: " (No user)".into() });
    let nothing = response(&rsa()).response_around("");
    assert_eq!(verify(&nothing, &expected(&certificates, &[])), Err(SamlError::NoAssertion));
}

#[test]
fn destination_is_this_address_and_may_be_absent_only_when_it_is_unsigned() {
    let elsewhere: [Change; 5] = [
        |b| b.destination = Some("https://usher.example/saml/con_2/acs".into()),
        |b| b.destination = Some("http://usher.example/saml/con_1/acs".into()),
        |b| b.destination = Some("https://usher.example:8443/saml/con_1/acs".into()),
        |b| b.destination = Some("https://usher.example/saml/con_1/acs/".into()),
        |b| b.destination = Some(String::new()),
    ];
    for change in elsewhere {
        refused_however_signed(change, "login.saml.destination");
    }
    let (certificates, ours) = (trusted(&[&rsa()]), decryption_keys());
    for base in bases() {
        if base.sign_response.is_some() {
            refused(&base, &expected(&certificates, &ours), |b| b.destination = None, "login.saml.destination");
        } else {
            accepted(
                &base.with(|b| b.destination = None).build().unwrap().xml,
                &rsa(),
                &expected(&certificates, &ours),
            );
        }
    }
}

#[test]
fn recipient_is_exactly_this_address() {
    refused_however_signed(
        |b| confirmation(b).recipient = Some("https://usher.example/saml/con_2/acs".into()),
        "login.saml.recipient",
    );
    refused_however_signed(
        |b| confirmation(b).recipient = Some("https://usher.example/saml/con_1/ACS".into()),
        "login.saml.recipient",
    );
    refused_however_signed(
        |b| confirmation(b).recipient = Some("http://usher.example/saml/con_1/acs".into()),
        "login.saml.recipient",
    );
    refused_however_signed(|b| confirmation(b).recipient = None, "login.saml.recipient");
}

#[test]
fn a_solicited_response_answers_exactly_our_request() {
    refused_however_signed(|b| b.in_response_to = Some("_other".into()), "login.saml.in_response_to");
    refused_however_signed(|b| b.in_response_to = None, "login.saml.in_response_to");
    refused_however_signed(|b| confirmation(b).in_response_to = Some("_other".into()), "login.saml.in_response_to");
    refused_however_signed(|b| confirmation(b).in_response_to = None, "login.saml.in_response_to");
}

#[test]
fn an_unsolicited_response_claims_no_request() {
    let certificates = trusted(&[&rsa()]);
    let unsolicited = Expectation { in_response_to: InResponseTo::Unsolicited, ..expected(&certificates, &[]) };
    let base = response(&rsa()).unsolicited();
    refused(&base, &unsolicited, |b| b.in_response_to = Some(REQUEST.into()), "login.saml.unexpected_in_response_to");
    refused(
        &base,
        &unsolicited,
        |b| confirmation(b).in_response_to = Some(REQUEST.into()),
        "login.saml.unexpected_in_response_to",
    );
    let solicited = expected(&certificates, &[]);
    assert_eq!(verify(&base.build().unwrap().xml, &solicited), Err(SamlError::InResponseTo));
}

#[test]
fn every_audience_restriction_names_us_and_there_is_one() {
    refused_however_signed(
        |b| conditions(b).audiences = vec![vec!["https://other.example".into()]],
        "login.saml.audience",
    );
    refused_however_signed(|b| conditions(b).audiences.clear(), "login.saml.audience");
    refused_however_signed(|b| conditions(b).audiences = vec![vec![]], "login.saml.audience");
    refused_however_signed(
        |b| conditions(b).audiences.push(vec!["https://other.example".into()]),
        "login.saml.audience",
    );
    accepted_however_signed(|b| conditions(b).audiences[0].insert(0, "https://other.example".into()));
    accepted_however_signed(|b| conditions(b).audiences.push(vec![SP.into()]));
}

#[test]
fn conditions_are_there_known_and_in_time() {
    refused_however_signed(|b| b.conditions = None, "login.saml.conditions");
    refused_however_signed(
        |b| conditions(b).extra = "<saml:Condition xsi:type=\"xs:string\"/>".into(),
        "login.saml.conditions",
    );
    refused_however_signed(|b| conditions(b).extra = "<OneTimeUse xmlns=\"urn:x\"/>".into(), "login.saml.conditions");
    refused_however_signed(
        |b| conditions(b).not_on_or_after = Some(now() - Duration::seconds(61)),
        "login.saml.expired",
    );
    refused_however_signed(|b| conditions(b).not_on_or_after = None, "login.saml.time");
    refused_however_signed(
        |b| conditions(b).not_before = Some(now() + Duration::seconds(90)),
        "login.saml.not_yet_valid",
    );
    accepted_however_signed(|b| conditions(b).not_on_or_after = Some(now() - Duration::seconds(30)));
    accepted_however_signed(|b| conditions(b).not_before = Some(now() + Duration::seconds(30)));
    accepted_however_signed(|b| conditions(b).not_before = None);
    accepted_however_signed(|b| conditions(b).one_time_use = true);
    accepted_however_signed(|b| conditions(b).extra = "<saml:ProxyRestriction Count=\"0\"/>".into());
}

#[test]
fn the_subject_is_confirmed_by_bearer_once_and_in_time() {
    refused_however_signed(|b| b.confirmations.clear(), "login.saml.subject_confirmation");
    refused_however_signed(
        |b| confirmation(b).method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key".into(),
        "login.saml.subject_confirmation",
    );
    refused_however_signed(|b| confirmation(b).with_data = false, "login.saml.subject_confirmation");
    refused_however_signed(|b| b.confirmations.push(b.confirmations[0].clone()), "login.saml.subject_confirmation");
    refused_however_signed(
        |b| {
            let mut other = confirmation(b).clone();
            other.method = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches".into();
            b.confirmations.insert(0, other);
        },
        "login.saml.subject_confirmation",
    );
    refused_however_signed(
        |b| confirmation(b).not_on_or_after = Some(now() - Duration::seconds(61)),
        "login.saml.expired",
    );
    refused_however_signed(|b| confirmation(b).not_on_or_after = None, "login.saml.time");
    refused_however_signed(
        |b| confirmation(b).not_before = Some(now() + Duration::seconds(90)),
        "login.saml.not_yet_valid",
    );
    accepted_however_signed(|b| confirmation(b).not_on_or_after = Some(now() - Duration::seconds(30)));
    accepted_however_signed(|b| confirmation(b).not_before = Some(now() - Duration::seconds(90)));
    accepted_however_signed(|b| confirmation(b).address = Some("192.0.2.1".into()));
}

#[test]
fn the_skew_is_the_connections() {
    let certificates = trusted(&[&rsa()]);
    let xml = response(&rsa())
        .with(|b| confirmation(b).not_on_or_after = Some(now() - Duration::seconds(30)))
        .build()
        .unwrap()
        .xml;
    let strict = Expectation { clock_skew: Duration::zero(), ..expected(&certificates, &[]) };
    assert_eq!(verify(&xml, &strict).unwrap_err().code(), "login.saml.expired");
    let lenient = Expectation {
        clock_skew: Duration::seconds(300),
        now: now() + Duration::seconds(200),
        ..expected(&certificates, &[])
    };
    accepted(&xml, &rsa(), &lenient);
}

#[test]
fn a_response_is_issued_neither_in_the_future_nor_long_ago() {
    refused_however_signed(|b| b.issue_instant = now() + Duration::seconds(90), "login.saml.not_yet_valid");
    refused_however_signed(|b| b.issue_instant = now() - Duration::hours(2), "login.saml.expired");
    accepted_however_signed(|b| b.issue_instant = now() - Duration::minutes(30));
}

#[test]
fn the_sign_in_is_stated_once_not_in_the_future_and_its_session_runs() {
    refused_however_signed(|b| b.authn_statements.clear(), "login.saml.authn_statement");
    refused_however_signed(|b| b.authn_statements.push(b.authn_statements[0].clone()), "login.saml.authn_statement");
    refused_however_signed(|b| statement(b).instant = now() + Duration::seconds(90), "login.saml.not_yet_valid");
    refused_however_signed(
        |b| statement(b).session_not_on_or_after = Some(now() - Duration::seconds(61)),
        "login.saml.expired",
    );
    accepted_however_signed(|b| statement(b).session_not_on_or_after = Some(now() + Duration::hours(8)));
    accepted_however_signed(|b| statement(b).instant = now() - Duration::hours(20));
    accepted_however_signed(|b| statement(b).session_index = None);
}

#[test]
fn a_fresh_sign_in_is_fresh() {
    let certificates = trusted(&[&rsa()]);
    let forced = Expectation { authn_not_before: Some(now()), ..expected(&certificates, &[]) };
    refused(
        &response(&rsa()),
        &forced,
        |b| statement(b).instant = now() - Duration::minutes(5),
        "login.saml.not_fresh",
    );
}

#[test]
fn the_authentication_context_is_among_those_asked_for() {
    let certificates = trusted(&[&rsa()]);
    let asked = ["urn:mfa".to_owned(), idp_fixtures::saml::PASSWORD_PROTECTED.to_owned()];
    let expectation = Expectation { requested_authn_context: &asked, ..expected(&certificates, &[]) };
    refused(
        &response(&rsa()),
        &expectation,
        |b| statement(b).class = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password".into(),
        "login.saml.authn_context",
    );
    refused(&response(&rsa()), &expectation, |b| statement(b).class = String::new(), "login.saml.authn_context");
}

#[test]
fn the_name_id_is_there_once_and_fit_to_be_a_name() {
    fn name(b: &mut ResponseBuilder, value: &str) {
        b.name_id.as_mut().unwrap().value = Value::Text(value.to_owned());
    }
    refused_however_signed(|b| b.name_id = None, "login.saml.name_id");
    refused_however_signed(|b| name(b, ""), "login.saml.name_id");
    refused_however_signed(|b| name(b, "   \n"), "login.saml.name_id");
    refused_however_signed(|b| name(b, &"a".repeat(300)), "login.saml.name_id");
    refused_however_signed(
        |b| b.name_id.as_mut().unwrap().value = Value::Xml("ada&#xA;@acme.example".into()),
        "login.saml.name_id",
    );
    refused_however_signed(
        |b| b.name_id.as_mut().unwrap().value = Value::Xml("<b>ada</b>@acme.example".into()),
        "login.saml.name_id",
    );
    refused_however_signed(|b| b.name_id = Some(NameId::of(TRANSIENT_FORMAT, "_x1")), "login.saml.transient_subject");
    accepted_however_signed(|b| name(b, &"é".repeat(MAX_SUBJECT_CHARS)));
    accepted_however_signed(|b| b.name_id.as_mut().unwrap().format = None);
    let certificates = trusted(&[&rsa()]);
    let base = response(&rsa());
    for (from, to) in [
        ("<saml:NameID", "<saml:NameID>eve@acme.example</saml:NameID><saml:NameID"),
        ("<saml:NameID", "<saml:BaseID/><saml:NameID"),
        ("<saml:SubjectConfirmationData", "<saml:NameID>eve@acme.example</saml:NameID><saml:SubjectConfirmationData"),
    ] {
        let doubled = base.build_from(base.assertion_xml().replacen(from, to, 1)).unwrap().xml;
        let code = verify(&doubled, &expected(&certificates, &[])).unwrap_err().code();
        assert!(matches!(code, "login.saml.name_id" | "login.saml.subject_confirmation"), "{code} {doubled}");
    }
}

#[test]
fn attributes_are_named() {
    refused_however_signed(|b| b.attributes.push(Attribute::new("", ["x"])), "login.saml.attributes");
    refused_however_signed(|b| b.attributes.push(Attribute::new(&"n".repeat(600), ["x"])), "login.saml.attributes");
    refused_however_signed(
        |b| b.attributes = (0..501).map(|n| Attribute::new(&n.to_string(), ["x"])).collect(),
        "login.saml.attributes",
    );
    accepted_however_signed(|b| b.attributes.clear());
}

#[test]
fn times_must_be_times() {
    let certificates = trusted(&[&rsa()]);
    let base = response(&rsa());
    let assertion = base.assertion_xml();
    let start = assertion.find("NotOnOrAfter=\"").unwrap() + "NotOnOrAfter=\"".len();
    let time = &assertion[start..start + assertion[start..].find('"').unwrap()];
    for bad in
        ["", "tomorrow", "2026", "9999-12-31T23:59:59Z", "+262142-01-01T00:00:00Z", "1e9", "2026-13-01T00:00:00Z"]
    {
        let xml = base.build_from(assertion.replace(time, bad)).unwrap().xml;
        assert_eq!(verify(&xml, &expected(&certificates, &[])).unwrap_err().code(), "login.saml.time", "{bad}");
    }
    for good in [time.replace('Z', "+00:00"), time.replace('Z', "456789Z"), time.replace('Z', "")] {
        let xml = base.build_from(assertion.replace(time, &good)).unwrap().xml;
        accepted(&xml, &rsa(), &expected(&certificates, &[]));
    }
}

#[test]
fn the_trail_shows_every_check_even_after_one_has_failed_and_no_claim_value() {
    let certificates = trusted(&[&rsa()]);
    let xml = response(&rsa())
        .with(|b| conditions(b).audiences = vec![vec!["https://other.example".into()]])
        .with(|b| confirmation(b).recipient = Some("https://usher.example/elsewhere".into()))
        .build()
        .unwrap()
        .xml;
    let mut trail = Trail::new();
    let error = verify_response(xml.as_bytes(), &expected(&certificates, &[]), &mut trail).unwrap_err();
    assert_eq!(error.code(), "login.saml.recipient");
    let failed: Vec<&str> = trail.checks().iter().filter(|c| !c.passed).map(|c| c.name.as_ref()).collect();
    assert_eq!(failed, ["saml.subject_confirmation", "saml.audience"]);
    assert!(trail.checks().iter().any(|c| c.name == "saml.name_id" && c.passed));
    let shown = serde_json::to_string(&trail).unwrap();
    assert!(shown.contains("https://other.example") && shown.contains(ACS));
    assert!(!shown.contains("ada@") && !shown.contains("Lovelace") && !shown.contains("learning"), "{shown}");
}
