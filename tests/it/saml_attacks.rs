//! Every attack of `idp-fixtures`' catalogue on a SAML response: refused for the reason that the attack is about, in bounded time,
//! while the twin that differs in the attacked point alone is accepted.

use std::time::{Duration, Instant};

use idp_fixtures::{
    attacks::{Rule, Scene, Sent, saml_attacks},
    clock::now,
    sign::{KeyKind, shared},
};
use usher::login::{
    saml::{SamlError, VerifiedAssertion, decode_form_value, verify_response},
    trail::Trail,
};

use crate::saml_verify::{ACS, IDP, REQUEST, SP, decryption_keys, expected, rsa, sp_key, trusted};

/// A refusal may cost this much, on a machine that is busy with other tests and without optimisation.
const BOUND: Duration = Duration::from_secs(3);

fn scene() -> Scene {
    let foreign = shared(KeyKind::Rsa2048, "idp.other.example").unwrap();
    Scene::new((IDP, SP, ACS), REQUEST, (&rsa(), &foreign), now()).encrypting_for(sp_key().certificate().clone())
}

/// The codes by which the gateway may call the breach of a rule.
pub fn codes(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::Binding => &["login.saml.binding"],
        Rule::Base64 => &["login.saml.base64"],
        Rule::Document => &["login.saml.document"],
        Rule::Structure => &["login.saml.structure"],
        Rule::Signature => &["login.saml.signature"],
        Rule::SignatureAlgorithm => &["login.saml.signature_algorithm"],
        Rule::KeyKind => &["login.saml.key_kind"],
        Rule::Unsigned => &["login.saml.unsigned"],
        Rule::Decryption => &["login.saml.decryption"],
        Rule::EncryptionAlgorithm => &["login.saml.encryption_algorithm"],
        Rule::CbcUnsigned => &["login.saml.cbc_unsigned"],
        Rule::Version => &["login.saml.version"],
        Rule::Status => &["login.saml.status"],
        Rule::NoAssertion => &["login.saml.no_assertion"],
        Rule::Issuer => &["login.saml.issuer"],
        Rule::Destination => &["login.saml.destination"],
        Rule::Recipient => &["login.saml.recipient"],
        Rule::InResponseTo => &["login.saml.in_response_to"],
        Rule::Audience => &["login.saml.audience"],
        Rule::Expired => &["login.saml.expired"],
        Rule::NotYetValid => &["login.saml.not_yet_valid"],
        Rule::Time => &["login.saml.time"],
        Rule::Conditions => &["login.saml.conditions"],
        Rule::SubjectConfirmation => &["login.saml.subject_confirmation"],
        Rule::AuthnStatement => &["login.saml.authn_statement"],
        Rule::NameId => &["login.saml.name_id"],
        Rule::TransientSubject => &["login.saml.transient_subject"],
        Rule::Attributes => &["login.saml.attributes"],
    }
}

/// What the gateway makes of the form field's value.
fn received(sent: &Sent) -> Result<VerifiedAssertion, SamlError> {
    let (certificates, keys) = (trusted(&[&rsa()]), decryption_keys());
    let xml = decode_form_value(&sent.form_value())?;
    verify_response(&xml, &expected(&certificates, &keys), &mut Trail::new())
}

#[test]
fn saml_attacks_are_all_refused_for_their_own_reason_in_bounded_time() {
    let scene = scene();
    let mut wrong = Vec::new();
    for attack in saml_attacks() {
        let sent = attack.attack(&scene).unwrap();
        let start = Instant::now();
        let outcome = received(&sent);
        let took = start.elapsed();
        match outcome {
            Ok(verified) => wrong.push(format!("{}: ACCEPTED as {}", attack.name, verified.subject)),
            Err(error) if !codes(attack.breaks).contains(&error.code()) => {
                wrong.push(format!(
                    "{}: expected {:?}, refused as {}: {error}",
                    attack.name,
                    attack.breaks,
                    error.code()
                ));
            }
            Err(_) if took > BOUND => wrong.push(format!("{}: took {took:?}", attack.name)),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn saml_attacks_have_twins_that_are_all_accepted() {
    let scene = scene();
    let mut wrong = Vec::new();
    for attack in saml_attacks() {
        let twin = Sent::from(attack.twin(&scene).unwrap());
        if let Err(error) = received(&twin) {
            wrong.push(format!("the twin of {}: {}: {error}", attack.name, error.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
