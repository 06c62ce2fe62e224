//! Logout messages and the verifier alone: what it accepts, however a product writes it, and every attack of the
//! catalogue.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use idp_fixtures::{
    attacks::{LogoutScene, LogoutSent, Rule, logout_attacks},
    clock::now,
    saml::{LogoutBuilder, NameId, PARTIAL_LOGOUT, QueryStyle, RESPONDER, SUCCESS, Status},
    sign::{ALGORITHMS, DataEncryption, Encryption, KeyKind, KeyPair, SignatureAlgorithm, Signing, shared},
};
use usher::login::{
    saml::{
        SamlError, TrustedCertificate,
        logout::{LogoutExpectation, LogoutRequest, Reach, Received, verify_request, verify_response},
    },
    trail::Trail,
};

use crate::{
    saml_attacks::codes,
    saml_verify::{IDP, decryption_keys, rsa, sp_key, trusted},
};

const SLO: &str = "https://usher.example/saml/con_1/slo";
/// A refusal may cost this much, on a machine that is busy with other tests and without optimisation.
const BOUND: Duration = Duration::from_secs(3);

fn expectation(certificates: &[TrustedCertificate]) -> LogoutExpectation<'_> {
    LogoutExpectation {
        idp_entity_id: IDP,
        certificates,
        allow_sha1: false,
        slo_url: SLO,
        decryption_keys: &[],
        clock_skew: TimeDelta::seconds(60),
        now: now(),
    }
}

fn received(sent: &LogoutSent) -> Result<Received, SamlError> {
    match sent {
        LogoutSent::Query(query) => Received::from_query(query),
        LogoutSent::Form(fields) => Received::from_form(fields),
    }
}

fn by_query(message: &LogoutBuilder) -> LogoutSent {
    LogoutSent::Query(message.query().unwrap())
}

fn by_form(message: &LogoutBuilder) -> LogoutSent {
    let fields = message.fields().unwrap();
    LogoutSent::Form(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The request as the gateway would read it, with its own decryption key and this identity provider's certificates.
fn verified(sent: &LogoutSent, keys: &[&KeyPair], allow_sha1: bool) -> Result<LogoutRequest, SamlError> {
    let (certificates, ours) = (trusted(keys), decryption_keys());
    let expectation = LogoutExpectation { decryption_keys: &ours, allow_sha1, ..expectation(&certificates) };
    verify_request(&received(sent)?, &expectation, &mut Trail::new())
}

fn request(key: &KeyPair) -> LogoutBuilder {
    LogoutBuilder::request(IDP, SLO, NameId::email("ada@acme.example"), key, now())
}

fn scene() -> LogoutScene {
    let foreign = shared(KeyKind::Rsa2048, "idp.other.example").unwrap();
    let about = (NameId::email("ada@acme.example"), "_s1");
    LogoutScene::new((IDP, SLO), (&rsa(), &foreign), sp_key().certificate().clone(), about, now())
}

/// How the gateway may call the breach of a rule in a logout message.
fn names(rule: Rule) -> Vec<String> {
    codes(rule).iter().map(|code| code.replacen("login.", "logout.", 1)).collect()
}

#[test]
fn saml_logout_attacks_are_all_refused_for_their_own_reason_in_bounded_time() {
    let scene = scene();
    let mut wrong = Vec::new();
    for attack in logout_attacks() {
        let sent = attack.attack(&scene).unwrap();
        let start = Instant::now();
        let outcome = verified(&sent, &[&rsa()], false);
        let took = start.elapsed();
        match outcome {
            Ok(_) => wrong.push(format!("{}: ACCEPTED", attack.name)),
            Err(error) if !names(attack.breaks).contains(&error.logout_code()) => {
                wrong.push(format!("{}: expected {:?}, refused by {error}", attack.name, attack.breaks));
            }
            Err(_) if took > BOUND => wrong.push(format!("{}: took {took:?}", attack.name)),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn saml_logout_attacks_have_twins_that_are_all_accepted() {
    let scene = scene();
    for attack in logout_attacks() {
        let twin = attack.twin(&scene).unwrap();
        assert_ne!(twin, attack.attack(&scene).unwrap(), "{} is its own twin", attack.name);
        let read = verified(&twin, &[&rsa()], false).unwrap_or_else(|error| panic!("twin of {}: {error}", attack.name));
        assert_eq!(
            (read.name_id.value.as_str(), read.session_indexes.as_slice()),
            ("ada@acme.example", &["_s1".to_owned()][..])
        );
    }
}

#[test]
fn saml_logout_by_redirect_is_verified_however_a_product_encodes_its_query() {
    for (lower_case, blank_as_plus, signature_first) in
        [(false, false, false), (true, false, false), (true, true, false), (false, true, true), (true, false, true)]
    {
        let message = request(&rsa()).with(|one| {
            one.relay_state = Some("a b/c+d=é".to_owned());
            one.style = QueryStyle { lower_case, blank_as_plus, signature_first };
        });
        let sent = by_query(&message);
        verified(&sent, &[&rsa()], false).unwrap();
        assert_eq!(received(&sent).unwrap().relay_state.as_deref(), Some("a b/c+d=é"));
    }
}

#[test]
fn saml_logout_by_redirect_takes_a_plus_in_base64_for_a_plus_and_parameters_in_any_order() {
    // Some senders forget to encode it; what was signed is what was sent.
    let query = (0..200)
        .map(|_| request(&rsa()).with(|one| one.signing = None).query().unwrap())
        .find(|query| query.contains("%2B"))
        .unwrap()
        .replace("%2B", "+");
    let signed = format!("{query}&SigAlg=http://www.w3.org/2001/04/xmldsig-more%23rsa-sha256");
    let value = SignatureAlgorithm::RsaSha256.sign(&rsa(), signed.as_bytes()).unwrap();
    let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value).replace('=', "%3D");
    let mut pairs: Vec<&str> = signed.split('&').collect();
    let signature = format!("Signature={value}");
    pairs.push(&signature);
    pairs.reverse();
    verified(&LogoutSent::Query(format!("shop=7&{}", pairs.join("&"))), &[&rsa()], false).unwrap();
}

#[test]
fn saml_logout_is_verified_by_every_algorithm_of_the_list_and_by_both_bindings() {
    for algorithm in ALGORITHMS {
        for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let key = shared(kind, "logout").unwrap();
            if key.is_elliptic() != algorithm.uri().contains("ecdsa") {
                continue;
            }
            let message = request(&key).with(|one| one.signing = Some(Signing::with(key.clone()).algorithm(algorithm)));
            for sent in [by_query(&message), by_form(&message)] {
                verified(&sent, &[&rsa(), &key], false)
                    .unwrap_or_else(|error| panic!("{algorithm:?} {kind:?}: {error}"));
            }
        }
    }
}

#[test]
fn saml_logout_by_sha_1_is_for_the_connection_that_allows_it() {
    let weakly = |signing: Signing| signing.algorithm(SignatureAlgorithm::RsaSha1);
    let message = request(&rsa()).with(|one| one.signing = one.signing.take().map(weakly));
    for sent in [by_query(&message), by_form(&message)] {
        verified(&sent, &[&rsa()], true).unwrap();
        assert!(matches!(verified(&sent, &[&rsa()], false), Err(SamlError::SignatureAlgorithm(_))));
    }
}

#[test]
fn saml_logout_needs_a_certificate_of_the_connection_that_is_strong_enough() {
    let weak = shared(KeyKind::Rsa1024, "weak").unwrap();
    let message = request(&weak);
    for sent in [by_query(&message), by_form(&message)] {
        assert_eq!(verified(&sent, &[&weak], false), Err(SamlError::WeakKey));
        assert_eq!(verified(&sent, &[], false), Err(SamlError::NoCertificate));
    }
}

#[test]
fn saml_logout_opens_an_encrypted_subject() {
    for data in [DataEncryption::Aes256Gcm, DataEncryption::Aes128Gcm, DataEncryption::Aes256Cbc] {
        let message = request(&rsa())
            .with(|one| one.encryption = Some(Encryption::to(sp_key().certificate().clone()).data(data)));
        for sent in [by_query(&message), by_form(&message)] {
            assert_eq!(verified(&sent, &[&rsa()], false).unwrap().name_id.value, "ada@acme.example");
        }
    }
}

#[test]
fn saml_logout_times_are_judged_with_the_skew_and_remembered_as_long() {
    let at = now();
    let message = |issued: TimeDelta, end: Option<TimeDelta>| {
        request(&rsa()).with(|one| {
            one.issue_instant = at + issued;
            one.not_on_or_after = end.map(|end| at + end);
        })
    };
    let (second, minute) = (TimeDelta::seconds(1), TimeDelta::minutes(1));
    let judged = |issued, end| {
        let certificates = trusted(&[&rsa()]);
        let expectation = LogoutExpectation { now: at, ..expectation(&certificates) };
        verify_request(&received(&by_query(&message(issued, end))).unwrap(), &expectation, &mut Trail::new())
    };
    assert_eq!(judged(TimeDelta::zero(), None).unwrap().valid_until.timestamp(), (at + minute * 11).timestamp());
    assert_eq!(judged(TimeDelta::zero(), Some(minute)).unwrap().valid_until.timestamp(), (at + minute * 2).timestamp());
    assert!(judged(minute - second, None).is_ok() && judged(minute + second, None).is_err());
    assert!(judged(-minute, Some(second - minute)).is_ok() && judged(-minute, Some(-minute - second)).is_err());
    assert!(judged(second - minute * 11, None).is_ok() && judged(-minute * 11 - second, None).is_err());
}

fn answer(code: &str, sub_code: Option<&str>) -> LogoutBuilder {
    let status = Status { code: code.to_owned(), sub_code: sub_code.map(str::to_owned), message: None };
    LogoutBuilder::response(IDP, SLO, "_r1", &rsa(), now()).with(|one| one.status = Some(status))
}

#[test]
fn saml_logout_answers_tell_how_far_it_went() {
    let certificates = trusted(&[&rsa()]);
    for (message, reach) in [
        (answer(SUCCESS, None), Reach::Everywhere),
        (answer(SUCCESS, Some(PARTIAL_LOGOUT)), Reach::Partly),
        (answer(RESPONDER, Some(PARTIAL_LOGOUT)), Reach::Partly),
        (answer(RESPONDER, None), Reach::Refused("Responder".into())),
    ] {
        for sent in [by_query(&message), by_form(&message)] {
            let read =
                verify_response(&received(&sent).unwrap(), &expectation(&certificates), &mut Trail::new()).unwrap();
            assert_eq!((read.in_response_to.as_str(), &read.reach), ("_r1", &reach));
        }
    }
}

#[test]
fn saml_logout_answers_are_checked_as_requests_are() {
    let certificates = trusted(&[&rsa()]);
    let foreign = shared(KeyKind::Rsa2048, "idp.other.example").unwrap();
    let good = || answer(SUCCESS, None);
    let bent: Vec<(LogoutBuilder, &str)> = vec![
        (good().with(|one| one.signing = None), "unsigned"),
        (good().with(|one| one.signing = Some(Signing::with(foreign.clone()))), "signature"),
        (good().with(|one| one.issuer = Some("https://evil.example".into())), "issuer"),
        (good().with(|one| one.destination = None), "destination"),
        (good().with(|one| one.in_response_to = None), "in_response_to"),
        (good().with(|one| one.status = None), "structure"),
        (good().with(|one| one.issue_instant = now() - TimeDelta::hours(1)), "expired"),
        (good().with(|one| one.version = "1.1".into()), "version"),
        (good().with(|one| one.name_id = Some(NameId::email("ada@acme.example"))), "structure"),
        (request(&rsa()), "structure"),
    ];
    for (message, name) in bent {
        for sent in [by_query(&message), by_form(&message)] {
            let read = verify_response(&received(&sent).unwrap(), &expectation(&certificates), &mut Trail::new());
            assert_eq!(read.unwrap_err().logout_code(), format!("logout.saml.{name}"));
        }
    }
}
