//! What we send, read by the fixture identity provider: understood, verified, and never fooled by what we were given.

use chrono::{DateTime, Utc};
use idp_fixtures::{
    saml::{PARTIAL_LOGOUT, PERSISTENT_FORMAT, REQUESTER, ReceivedLogout, SUCCESS},
    sign::{KeyKind, KeyPair, shared},
};

use super::*;
use crate::login::saml::{NameId, SigningKey};

const HOSTILE: &str = "\"'><saml:Issuer>evil</saml:Issuer><!-- & ]]> \u{e9}";
const RELAY: &str = "a b+c&d=e/é";

fn key_pair() -> KeyPair {
    shared(KeyKind::Rsa2048, "usher.example").unwrap()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

fn named(text: &str) -> NameId {
    NameId {
        value: text.to_owned(),
        format: Some(PERSISTENT_FORMAT.to_owned()),
        name_qualifier: Some(text.to_owned()),
        sp_name_qualifier: None,
    }
}

fn message<'a>(destination: &'a str, says: Says<'a>) -> LogoutMessage<'a> {
    LogoutMessage { id: "_1", issue_instant: at(), destination, sp_entity_id: "https://usher.example/sp", says }
}

/// What arrives by both bindings, each with a signature that verifies.
fn sent(message: LogoutMessage<'_>) -> [ReceivedLogout; 2] {
    let (pair, certificates) = (key_pair(), [key_pair().certificate().clone()]);
    let key = SigningKey::from_pem(&pair.private_key_pem().unwrap()).unwrap();
    let url = message.redirect_url(Some(RELAY), &key).unwrap();
    let query = url.rsplit_once(['?', '&']).map(|_| url.split_once("SAMLRe").unwrap().1).unwrap();
    let redirected = ReceivedLogout::from_query(&format!("SAMLRe{query}")).unwrap();
    let posted = ReceivedLogout::from_form(&sign_posted(&message.template(), &key).unwrap(), Some(RELAY)).unwrap();
    for one in [&redirected, &posted] {
        one.signature.verify(&one.xml, &certificates).unwrap();
        assert_eq!(one.relay_state.as_deref(), Some(RELAY));
    }
    assert!(!redirected.xml.contains("Signature"), "a Redirect is signed outside");
    [redirected, posted]
}

#[test]
fn a_request_repeats_the_name_id_as_it_was_given_and_is_signed_by_both_bindings() {
    let name_id = named("ada-7f3a");
    let says = Says::Request { name_id: &name_id, session_index: Some("_s1") };
    for received in sent(message("https://idp.acme.example/slo?x=y", says)) {
        assert!(received.is_request);
        assert_eq!((received.id.as_str(), received.issuer.as_str()), ("_1", "https://usher.example/sp"));
        assert_eq!(received.destination.as_deref(), Some("https://idp.acme.example/slo?x=y"));
        let named = (name_id.value.clone(), name_id.format.clone(), name_id.name_qualifier.clone(), None);
        assert_eq!(received.name_id, Some(named));
        assert_eq!(received.session_indexes, ["_s1"]);
        assert!(
            received.xml.contains("IssueInstant=\"2026-11-18T") && received.xml.contains("NotOnOrAfter=\"2026-11-18T")
        );
    }
}

#[test]
fn an_answer_names_what_it_answers_and_says_what_became_of_it() {
    let unknown = "urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal";
    for (status, codes) in [
        (LogoutStatus::Success, vec![SUCCESS]),
        (LogoutStatus::UnknownPrincipal, vec![REQUESTER, unknown]),
        (LogoutStatus::Failed, vec![idp_fixtures::saml::RESPONDER, PARTIAL_LOGOUT]),
    ] {
        for received in sent(message("https://idp.acme.example/slo", Says::Response { in_response_to: "_r1", status }))
        {
            assert!(!received.is_request);
            assert_eq!(received.in_response_to.as_deref(), Some("_r1"));
            assert_eq!(received.status, codes);
        }
    }
}

#[test]
fn markup_in_what_we_were_given_stays_text() {
    let name_id = named(HOSTILE);
    let hostile = |says| LogoutMessage { sp_entity_id: HOSTILE, ..message(HOSTILE, says) };
    for received in sent(hostile(Says::Request { name_id: &name_id, session_index: Some(HOSTILE) })) {
        assert_eq!(received.name_id.unwrap().0, HOSTILE);
        assert_eq!(received.session_indexes, [HOSTILE]);
        assert_eq!([received.issuer.as_str(), received.destination.as_deref().unwrap()], [HOSTILE; 2]);
    }
    for received in sent(hostile(Says::Response { in_response_to: HOSTILE, status: LogoutStatus::Success })) {
        assert_eq!(received.in_response_to.as_deref(), Some(HOSTILE));
        assert_eq!(received.status, [SUCCESS]);
    }
}
