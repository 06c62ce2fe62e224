//! What SAML means by the verified bytes: every check of the Web SSO profile, each on the trail, and absence never
//! passing. All are made even when one has failed, so that an admin sees the whole picture; the first failure
//! decides.

use chrono::{DateTime, Duration, Utc};
use roxmltree::Node;

use super::{
    attributes,
    error::{SamlError, shown},
    model::{Envelope, Expectation, InResponseTo, NS_ASSERTION, VerifiedAssertion, child, children, text_of},
    subject,
    times::{optional, required},
};
use crate::login::trail::Trail;

pub(super) const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
pub(super) const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// A response travels for seconds; an hour leaves room for people and clocks.
const MAX_AGE: Duration = Duration::hours(1);

/// Whether the identity provider says that it worked (SAML core 3.2.2.2).
pub(super) fn status(envelope: &Envelope) -> Result<(), SamlError> {
    if envelope.status.first().map(String::as_str) == Some(SUCCESS) {
        return Ok(());
    }
    let short = |code: &String| shown(code.rsplit(':').next().unwrap_or_default());
    let status = if envelope.status.is_empty() {
        "no status".to_owned()
    } else {
        envelope.status.iter().map(short).collect::<Vec<_>>().join("/")
    };
    let message = shown(envelope.status_message.trim());
    Err(SamlError::Status { status, message: if message.is_empty() { message } else { format!(" ({message})") } })
}

/// Runs every check of meaning and gives the assertion only when all of them passed.
pub(super) fn meaning(
    envelope: &Envelope,
    assertion: Node<'_, '_>,
    expectation: &Expectation<'_>,
    trail: &mut Trail,
) -> Result<VerifiedAssertion, SamlError> {
    let mut round = Round { trail, first: None };
    round.check("saml.status", status(envelope));
    round.check("saml.version", versions(envelope, assertion));
    round.check("saml.issuer", issuers(envelope, assertion, expectation));
    round.check("saml.destination", destination(envelope, expectation));
    round.check("saml.in_response_to", answered(envelope.in_response_to.as_deref(), expectation));
    let issue_instant = round.check("saml.issue_instant", issue_instants(envelope, assertion, expectation));
    let confirmed_until = round.check("saml.subject_confirmation", subject_confirmation(assertion, expectation));
    let valid_until = round.check("saml.conditions", conditions(assertion, expectation));
    round.check("saml.audience", audience(assertion, expectation));
    let statement = round.check("saml.authn_statement", authn_statement(assertion, expectation));
    round.check("saml.authn_context", authn_context(statement.as_ref(), expectation));
    let attributes = round.check("saml.attributes", attributes::read(assertion));
    let subject = round.check("saml.name_id", subject::read(assertion, attributes.as_deref(), expectation));
    if let Some(error) = round.first {
        return Err(error);
    }
    let (
        Some(issue_instant),
        Some(confirmed_until),
        Some(valid_until),
        Some(statement),
        Some(attributes),
        Some(subject),
    ) = (issue_instant, confirmed_until, valid_until, statement, attributes, subject)
    else {
        return Err(SamlError::Structure("a check gave neither a result nor a reason"));
    };
    Ok(VerifiedAssertion {
        assertion_id: assertion.attribute("ID").unwrap_or_default().to_owned(),
        issuer: expectation.idp_entity_id.to_owned(),
        subject: subject.value,
        name_id: subject.name_id,
        attributes,
        issue_instant,
        authn_instant: statement.instant,
        session_index: statement.session_index,
        session_not_on_or_after: statement.session_not_on_or_after,
        authn_context_class_ref: statement.class_ref,
        valid_until: confirmed_until.min(valid_until) + expectation.clock_skew,
    })
}

struct Round<'t> {
    trail: &'t mut Trail,
    first: Option<SamlError>,
}

impl Round<'_> {
    fn check<T>(&mut self, name: &'static str, result: Result<T, SamlError>) -> Option<T> {
        self.trail.outcome(name, result).map_err(|error| self.first.get_or_insert(error).clone()).ok()
    }
}

/// Version 2.0 on both (SAML core 2.3.3, 3.2.2).
fn versions(envelope: &Envelope, assertion: Node<'_, '_>) -> Result<(), SamlError> {
    for version in [envelope.version.as_deref(), assertion.attribute("Version")] {
        if version != Some("2.0") {
            return Err(SamlError::Version { found: shown(version.unwrap_or("none")) });
        }
    }
    Ok(())
}

/// Both issuers are the connection's identity provider (SAML profiles 4.1.4.2). The Response's own must be there when
/// it is signed.
fn issuers(envelope: &Envelope, assertion: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<(), SamlError> {
    let node = child(assertion, NS_ASSERTION, "Issuer");
    let inner = (node.map(text_of), node.and_then(|n| n.attribute("Format")).map(str::to_owned));
    let outer = (envelope.issuer.clone(), envelope.issuer_format.clone());
    let outer_may_be_absent = !envelope.is_signed;
    for ((issuer, format), may_be_absent) in [(inner, false), (outer, outer_may_be_absent)] {
        let right_format = format.is_none_or(|f| f == ENTITY);
        match issuer {
            Some(issuer) if issuer == expectation.idp_entity_id && right_format => {}
            None if may_be_absent => {}
            found => {
                return Err(SamlError::Issuer {
                    expected: expectation.idp_entity_id.to_owned(),
                    found: shown(&found.unwrap_or_default()),
                });
            }
        }
    }
    Ok(())
}

/// A signed Response must name this address; an unsigned one may leave it out, and may not name another (SAML
/// bindings 3.5.5.2).
fn destination(envelope: &Envelope, expectation: &Expectation<'_>) -> Result<(), SamlError> {
    match envelope.destination.as_deref() {
        Some(found) if found == expectation.acs_url => Ok(()),
        None if !envelope.is_signed => Ok(()),
        found => Err(SamlError::Destination {
            expected: expectation.acs_url.to_owned(),
            found: shown(found.unwrap_or("none")),
        }),
    }
}

/// Exactly our request, or none at all for an unsolicited response (SAML profiles 4.1.4.2, 4.1.5).
fn answered(found: Option<&str>, expectation: &Expectation<'_>) -> Result<(), SamlError> {
    match (expectation.in_response_to, found) {
        (InResponseTo::Request(id), Some(found)) if !id.is_empty() && found == id => Ok(()),
        (InResponseTo::Unsolicited, None) => Ok(()),
        (InResponseTo::Request(_), _) => Err(SamlError::InResponseTo),
        (InResponseTo::Unsolicited, Some(_)) => Err(SamlError::UnexpectedInResponseTo),
    }
}

fn issue_instants(
    envelope: &Envelope,
    assertion: Node<'_, '_>,
    expectation: &Expectation<'_>,
) -> Result<DateTime<Utc>, SamlError> {
    let judged = |what, value| {
        let at = required(value, "IssueInstant")?;
        expectation.moment().not_future(what, at)?;
        if at < expectation.now - MAX_AGE - expectation.clock_skew {
            return Err(expectation.moment().expired(what, at));
        }
        Ok(at)
    };
    judged("the response was issued at", envelope.issue_instant.as_deref())?;
    judged("the assertion was issued at", assertion.attribute("IssueInstant"))
}

/// Exactly one confirmation, by bearer, for this address, this request and this moment (SAML profiles 4.1.4.2,
/// 4.1.4.3).
fn subject_confirmation(assertion: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<DateTime<Utc>, SamlError> {
    let subject =
        child(assertion, NS_ASSERTION, "Subject").ok_or(SamlError::SubjectConfirmation("there is no Subject"))?;
    let mut all = children(subject, NS_ASSERTION, "SubjectConfirmation");
    let (Some(confirmation), None) = (all.next(), all.next()) else {
        return Err(SamlError::SubjectConfirmation("there must be exactly one"));
    };
    if confirmation.attribute("Method") != Some(BEARER) {
        return Err(SamlError::SubjectConfirmation("its method is not bearer"));
    }
    let mut inside = confirmation.children().filter(Node::is_element);
    let (Some(data), None) = (inside.next(), inside.next()) else {
        return Err(SamlError::SubjectConfirmation("it must hold its data and nothing else"));
    };
    if !data.has_tag_name((NS_ASSERTION, "SubjectConfirmationData")) {
        return Err(SamlError::SubjectConfirmation("it has no data"));
    }
    match data.attribute("Recipient") {
        Some(found) if found == expectation.acs_url => {}
        found => {
            return Err(SamlError::Recipient {
                expected: expectation.acs_url.to_owned(),
                found: shown(found.unwrap_or("none")),
            });
        }
    }
    answered(data.attribute("InResponseTo"), expectation)?;
    window("the subject confirmation is valid from", "the subject confirmation ended at", data, expectation)
}

/// Conditions are there, in time, and all understood (SAML core 2.5.1).
fn conditions(assertion: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<DateTime<Utc>, SamlError> {
    let conditions = child(assertion, NS_ASSERTION, "Conditions").ok_or(SamlError::Conditions("there are none"))?;
    for condition in conditions.children().filter(Node::is_element) {
        // OneTimeUse asks for what is done with every assertion; ProxyRestriction binds those who issue on.
        let understood =
            matches!(condition.tag_name().name(), "AudienceRestriction" | "OneTimeUse" | "ProxyRestriction");
        if !understood || condition.tag_name().namespace() != Some(NS_ASSERTION) {
            return Err(SamlError::Conditions("one of them is not known"));
        }
    }
    window("the assertion is valid from", "the assertion ended at", conditions, expectation)
}

/// At least one restriction, and each of them names us: several are all to be met (SAML core 2.5.1.4).
fn audience(assertion: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<(), SamlError> {
    let wrong = |found: Vec<String>| {
        let found = if found.is_empty() { "nobody in particular".to_owned() } else { shown(&found.join(", ")) };
        SamlError::Audience { expected: expectation.sp_entity_id.to_owned(), found }
    };
    let conditions = child(assertion, NS_ASSERTION, "Conditions").ok_or_else(|| wrong(Vec::new()))?;
    let mut restrictions = 0;
    for restriction in children(conditions, NS_ASSERTION, "AudienceRestriction") {
        restrictions += 1;
        let audiences: Vec<String> = children(restriction, NS_ASSERTION, "Audience").map(text_of).collect();
        if !audiences.iter().any(|audience| audience == expectation.sp_entity_id) {
            return Err(wrong(audiences));
        }
    }
    if restrictions == 0 { Err(wrong(Vec::new())) } else { Ok(()) }
}

struct Statement {
    instant: DateTime<Utc>,
    session_index: Option<String>,
    session_not_on_or_after: Option<DateTime<Utc>>,
    class_ref: Option<String>,
}

/// Exactly one authentication statement, not from the future, its session still running (SAML core 2.7.2).
fn authn_statement(assertion: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<Statement, SamlError> {
    let mut all = children(assertion, NS_ASSERTION, "AuthnStatement");
    let (Some(statement), None) = (all.next(), all.next()) else {
        return Err(SamlError::AuthnStatement("there must be exactly one"));
    };
    let instant = required(statement.attribute("AuthnInstant"), "AuthnInstant")?;
    expectation.moment().not_future("the person signed in at", instant)?;
    let session_not_on_or_after = optional(statement.attribute("SessionNotOnOrAfter"), "SessionNotOnOrAfter")?;
    if let Some(end) = session_not_on_or_after {
        expectation.moment().not_over("the session at the identity provider ended at", end)?;
    }
    // ForceAuthn is a request; only the instant shows that it was honoured.
    if expectation.authn_not_before.is_some_and(|start| instant < start - expectation.clock_skew) {
        return Err(SamlError::NotFresh);
    }
    let class_ref = child(statement, NS_ASSERTION, "AuthnContext")
        .and_then(|c| child(c, NS_ASSERTION, "AuthnContextClassRef"))
        .map(text_of);
    Ok(Statement {
        instant,
        session_index: statement.attribute("SessionIndex").map(str::to_owned),
        session_not_on_or_after,
        class_ref,
    })
}

fn authn_context(statement: Option<&Statement>, expectation: &Expectation<'_>) -> Result<(), SamlError> {
    let found = statement.and_then(|s| s.class_ref.as_deref());
    let asked = expectation.requested_authn_context;
    if asked.is_empty() || found.is_some_and(|class| asked.iter().any(|a| a == class)) {
        return Ok(());
    }
    Err(SamlError::AuthnContext { found: shown(found.unwrap_or("none")) })
}

/// NotBefore, if given, has come; NotOnOrAfter is given and has not.
fn window(
    from: &'static str,
    to: &'static str,
    node: Node<'_, '_>,
    expectation: &Expectation<'_>,
) -> Result<DateTime<Utc>, SamlError> {
    if let Some(start) = optional(node.attribute("NotBefore"), "NotBefore")? {
        expectation.moment().not_future(from, start)?;
    }
    let end = required(node.attribute("NotOnOrAfter"), "NotOnOrAfter")?;
    expectation.moment().not_over(to, end)?;
    Ok(end)
}
