//! Class 12: assertions that the trusted key has signed well, and that say something which must not be accepted.

use super::{Attack, Rule, Scene, attack, with_twin};
use crate::saml::{AUTHN_FAILED, NameId, RESPONDER, ResponseBuilder, Status, TRANSIENT_FORMAT, Value};
use anyhow::Result;
use chrono::{DateTime, Duration, Utc};

type Bend = fn(&mut ResponseBuilder, &Scene);

/// Signed assertion, bent before signing.
fn said(name: &'static str, breaks: Rule, bend: Bend) -> Attack {
    attack(name, 12, breaks, move |s: &Scene| Ok(s.genuine().with(|g| bend(g, s)).build()?.xml))
}

/// Signed Response and assertion, bent before signing.
fn answered(name: &'static str, breaks: Rule, bend: Bend) -> Attack {
    with_twin(
        name,
        12,
        breaks,
        move |s: &Scene| Ok(s.genuine_both().with(|g| bend(g, s)).build()?.xml),
        |s: &Scene| Ok(s.genuine_both().build()?.xml),
    )
}

fn confirmation(g: &mut ResponseBuilder, change: impl Fn(&mut crate::saml::Confirmation)) {
    g.confirmations.iter_mut().for_each(change);
}

fn conditions(g: &mut ResponseBuilder, change: impl Fn(&mut crate::saml::Conditions)) {
    g.conditions.iter_mut().for_each(change);
}

/// Longer ago, or further ahead, than any clock skew that a connection may allow.
fn past(s: &Scene) -> DateTime<Utc> {
    s.now - Duration::minutes(10)
}

fn future(s: &Scene) -> DateTime<Utc> {
    s.now + Duration::minutes(10)
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = times();
    all.extend(addressees());
    all.extend(requests_and_status());
    all.extend(confirmations());
    all.extend(subjects());
    all
}

fn times() -> Vec<Attack> {
    vec![
        said("conditions over", Rule::Expired, |g, s| conditions(g, |c| c.not_on_or_after = Some(past(s)))),
        said("conditions not begun", Rule::NotYetValid, |g, s| conditions(g, |c| c.not_before = Some(future(s)))),
        said("conditions without an end", Rule::Time, |g, _| conditions(g, |c| c.not_on_or_after = None)),
        said("no conditions", Rule::Conditions, |g, _| g.conditions = None),
        said("confirmation over", Rule::Expired, |g, s| confirmation(g, |c| c.not_on_or_after = Some(past(s)))),
        said("confirmation not begun", Rule::NotYetValid, |g, s| confirmation(g, |c| c.not_before = Some(future(s)))),
        said("confirmation without an end", Rule::Time, |g, _| confirmation(g, |c| c.not_on_or_after = None)),
        said("issued in the future", Rule::NotYetValid, |g, s| g.issue_instant = future(s)),
        said("issued a day ago", Rule::Expired, |g, s| g.issue_instant = s.now - Duration::days(1)),
        said("signed in in the future", Rule::NotYetValid, |g, s| {
            g.authn_statements.iter_mut().for_each(|statement| statement.instant = future(s));
        }),
        said("the session at the identity provider over", Rule::Expired, |g, s| {
            g.authn_statements.iter_mut().for_each(|statement| statement.session_not_on_or_after = Some(past(s)));
        }),
        attack("an end that is no time", 12, Rule::Time, |s| {
            let one = s.genuine();
            let end = format!("NotOnOrAfter=\"{}\"", crate::clock::xs_date_time(s.now + Duration::minutes(5)));
            let bent = super::replaced(&one.assertion_xml(), &end, "NotOnOrAfter=\"tomorrow\"")?;
            Ok(one.build_from(bent)?.xml)
        }),
        attack("an end in the year 99999", 12, Rule::Time, |s| {
            let one = s.genuine();
            let end = format!("NotOnOrAfter=\"{}\"", crate::clock::xs_date_time(s.now + Duration::minutes(5)));
            let bent = super::replaced(&one.assertion_xml(), &end, "NotOnOrAfter=\"99999-01-01T00:00:00Z\"")?;
            Ok(one.build_from(bent)?.xml)
        }),
    ]
}

fn other_port(url: &str) -> String {
    url::Url::parse(url)
        .ok()
        .and_then(|mut parsed| parsed.set_port(Some(4)).ok().map(|()| parsed.to_string()))
        .unwrap_or_else(|| format!("{url}:4"))
}

fn other_scheme(url: &str) -> String {
    match url.strip_prefix("https://") {
        Some(rest) => format!("http://{rest}"),
        None => url.replacen("http://", "https://", 1),
    }
}

fn addressees() -> Vec<Attack> {
    let audience = |name: &'static str, audiences: fn(&Scene) -> Vec<Vec<Value>>| {
        attack(name, 12, Rule::Audience, move |s: &Scene| {
            let audiences = audiences(s);
            Ok(s.genuine().with(|g| conditions(g, |c| c.audiences.clone_from(&audiences))).build()?.xml)
        })
    };
    let mut all = vec![
        audience("the audience of another service provider", |_| vec![vec!["https://other.example/sp".into()]]),
        audience("no audience", |_| Vec::new()),
        audience("an empty audience restriction", |_| vec![Vec::new()]),
        audience("one of two audience restrictions failing", |s| {
            vec![vec![s.sp.as_str().into()], vec!["https://other.example/sp".into()]]
        }),
        audience("an audience that begins like ours", |s| vec![vec![format!("{}.evil.example", s.sp).into()]]),
        audience("an audience in capitals", |s| vec![vec![s.sp.to_uppercase().into()]]),
        said("an issuer of another name", Rule::Issuer, |g, _| {
            g.assertion_issuer = Some("https://evil.example".into())
        }),
        said("no issuer in the assertion", Rule::Issuer, |g, _| g.assertion_issuer = None),
        said("an outer issuer of another name, unsigned", Rule::Issuer, |g, _| {
            g.response_issuer = Some("https://evil.example".into());
        }),
        answered("an outer issuer of another name, signed", Rule::Issuer, |g, _| {
            g.response_issuer = Some("https://evil.example".into());
        }),
        said("SAML 1.1", Rule::Version, |g, _| g.version = "1.1".to_owned()),
        said("a condition nobody knows", Rule::Conditions, |g, _| {
            conditions(g, |c| c.extra = "<evil:Only xmlns:evil=\"urn:evil\"/>".to_owned());
        }),
        said("no Recipient", Rule::Recipient, |g, _| confirmation(g, |c| c.recipient = None)),
        answered("no Destination in a signed response", Rule::Destination, |g, _| g.destination = None),
    ];
    type Bent = (&'static str, fn(&str) -> String);
    let wrong: [Bent; 5] = [
        ("of another connection", |url| format!("{url}-other")),
        ("on another port", other_port),
        ("of another scheme", other_scheme),
        ("with a slash more", |url| format!("{url}/")),
        ("with a query", |url| format!("{url}?")),
    ];
    for (how, bend) in wrong {
        all.push(attack(format!("a Recipient {how}"), 12, Rule::Recipient, move |s: &Scene| {
            let url = bend(&s.acs_url);
            Ok(s.genuine().with(|g| confirmation(g, |c| c.recipient = Some(url.clone()))).build()?.xml)
        }));
        all.push(with_twin(
            format!("a Destination {how}"),
            12,
            Rule::Destination,
            move |s: &Scene| Ok(s.genuine_both().with(|g| g.destination = Some(bend(&s.acs_url))).build()?.xml),
            |s: &Scene| Ok(s.genuine_both().build()?.xml),
        ));
        all.push(attack(format!("an unsigned Destination {how}"), 12, Rule::Destination, move |s: &Scene| {
            Ok(s.genuine().with(|g| g.destination = Some(bend(&s.acs_url))).build()?.xml)
        }));
    }
    all
}

fn requests_and_status() -> Vec<Attack> {
    let refused = |code: &str, sub_code: Option<&str>| {
        Some(Status {
            code: code.to_owned(),
            sub_code: sub_code.map(str::to_owned),
            message: Some("<script>alert(1)</script>".to_owned()),
        })
    };
    vec![
        said("InResponseTo of another request", Rule::InResponseTo, |g, _| {
            confirmation(g, |c| c.in_response_to = Some("_another".to_owned()));
        }),
        said("no InResponseTo in the confirmation", Rule::InResponseTo, |g, _| {
            confirmation(g, |c| c.in_response_to = None);
        }),
        answered("no InResponseTo in a signed response", Rule::InResponseTo, |g, _| g.in_response_to = None),
        said("an outer InResponseTo of another request, unsigned", Rule::InResponseTo, |g, _| {
            g.in_response_to = Some("_another".to_owned());
        }),
        answered("an outer InResponseTo of another request, signed", Rule::InResponseTo, |g, _| {
            g.in_response_to = Some("_another".to_owned());
        }),
        said("an unsolicited response to a solicited sign-in", Rule::InResponseTo, |g, _| {
            *g = g.clone().unsolicited();
        }),
        with_twin(
            "a status of failure around a good assertion",
            12,
            Rule::Status,
            move |s: &Scene| Ok(s.genuine().with(|g| g.status = refused(RESPONDER, Some(AUTHN_FAILED))).build()?.xml),
            |s: &Scene| Ok(s.genuine().build()?.xml),
        ),
        with_twin(
            "a signed status of failure around a good assertion",
            12,
            Rule::Status,
            move |s: &Scene| Ok(s.genuine_both().with(|g| g.status = refused(RESPONDER, None)).build()?.xml),
            |s: &Scene| Ok(s.genuine_both().build()?.xml),
        ),
        said("success only as the second status code", Rule::Status, |g, _| {
            g.status = Some(Status {
                code: RESPONDER.to_owned(),
                sub_code: Some(crate::saml::SUCCESS.to_owned()),
                message: None,
            });
        }),
        said("no status", Rule::Status, |g, _| g.status = None),
        with_twin(
            "success without an assertion",
            12,
            Rule::NoAssertion,
            |s: &Scene| Ok(s.genuine().response_around("")),
            |s: &Scene| Ok(s.genuine().build()?.xml),
        ),
    ]
}

fn confirmations() -> Vec<Attack> {
    vec![
        said("a confirmation by holder of key", Rule::SubjectConfirmation, |g, _| {
            confirmation(g, |c| c.method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key".to_owned());
        }),
        said("a confirmation by sender vouches", Rule::SubjectConfirmation, |g, _| {
            confirmation(g, |c| c.method = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches".to_owned());
        }),
        said("a confirmation without data", Rule::SubjectConfirmation, |g, _| confirmation(g, |c| c.with_data = false)),
        said("no confirmation", Rule::SubjectConfirmation, |g, _| g.confirmations.clear()),
        said("a second confirmation for another address", Rule::SubjectConfirmation, |g, _| {
            let mut second = g.confirmations.clone();
            second.iter_mut().for_each(|c| c.recipient = Some("https://other.example/acs".to_owned()));
            g.confirmations.extend(second);
        }),
        said("no authentication statement", Rule::AuthnStatement, |g, _| g.authn_statements.clear()),
        said("two authentication statements", Rule::AuthnStatement, |g, _| {
            let second = g.authn_statements.clone();
            g.authn_statements.extend(second);
        }),
    ]
}

fn subjects() -> Vec<Attack> {
    let named = |name: &'static str, breaks: Rule, value: fn() -> String| {
        attack(name, 12, breaks, move |s: &Scene| {
            Ok(s.genuine().with(|g| g.name_id = Some(NameId::email(&value()))).build()?.xml)
        })
    };
    let doubled = |s: &Scene| -> Result<String> {
        let one = s.genuine();
        let second = format!("</saml:NameID><saml:NameID>{}</saml:NameID>", s.victim);
        Ok(one.build_from(super::replaced(&one.assertion_xml(), "</saml:NameID>", &second)?)?.xml)
    };
    vec![
        named("an empty NameID", Rule::NameId, String::new),
        named("a NameID of blanks", Rule::NameId, || " \n\t ".to_owned()),
        named("a NameID of 300 characters", Rule::NameId, || format!("{}@acme.example", "a".repeat(287))),
        named("a NameID with a line break in it", Rule::NameId, || "ada\n@acme.example".to_owned()),
        said("a transient NameID", Rule::TransientSubject, |g, _| {
            g.name_id = Some(NameId::of(TRANSIENT_FORMAT, "_8a1c7d"));
        }),
        said("no NameID", Rule::NameId, |g, _| g.name_id = None),
        attack("two NameIDs", 12, Rule::NameId, doubled),
        attack("a NUL in the NameID", 12, Rule::Document, |s| {
            // No canonicalizer reads this, so it is put in after signing.
            super::replaced(&s.genuine().build()?.xml, &s.attacker, &format!("{}&#0;.evil.example", s.victim))
        }),
        said("an attribute without a name", Rule::Attributes, |g, _| {
            g.attributes.iter_mut().take(1).for_each(|attribute| attribute.name.clear());
        }),
    ]
}
