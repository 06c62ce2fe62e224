//! `verify_response` on responses made by `idp-fixtures`: what it accepts, what each check and each rule refuses, and that
//! no mutation of a response says anything else. Here is what these tests share.

mod accepts;
mod checks;
mod mutations;
mod structure;

use bergshamra::{DsigContext, KeysManager, keys::loader::load_x509_cert_pem, verify_all};
use chrono::Duration;
use idp_fixtures::{
    clock::now,
    saml::ResponseBuilder,
    sign::{KeyKind, KeyPair, shared},
};
use usher::login::{
    saml::{
        DecryptionKey, Expectation, InResponseTo, SamlError, TrustedCertificate, VerifiedAssertion, verify_response,
    },
    trail::Trail,
};

pub const IDP: &str = "https://idp.acme.example/saml";
pub const SP: &str = "https://usher.example/saml/con_1/metadata";
pub const ACS: &str = "https://usher.example/saml/con_1/acs";
pub const REQUEST: &str = "_0123456789abcdef0123456789abcdef01234567";

pub fn rsa() -> KeyPair {
    shared(KeyKind::Rsa2048, "idp.acme.example").unwrap()
}

pub fn sp_key() -> KeyPair {
    shared(KeyKind::Rsa2048, "usher.example").unwrap()
}

pub fn trusted(keys: &[&KeyPair]) -> Vec<TrustedCertificate> {
    keys.iter().map(|key| TrustedCertificate::from_text(&key.certificate_base64().unwrap()).unwrap()).collect()
}

pub fn decryption_keys() -> Vec<DecryptionKey> {
    vec![DecryptionKey::from_pem(&sp_key().private_key_pem().unwrap()).unwrap()]
}

pub fn expected<'a>(certificates: &'a [TrustedCertificate], decryption_keys: &'a [DecryptionKey]) -> Expectation<'a> {
    Expectation {
        idp_entity_id: IDP,
        certificates,
        allow_sha1: false,
        allow_cbc_unsigned_response: false,
        sp_entity_id: SP,
        acs_url: ACS,
        in_response_to: InResponseTo::Request(REQUEST),
        requested_authn_context: &[],
        authn_not_before: None,
        subject_attribute: None,
        decryption_keys,
        clock_skew: Duration::seconds(60),
        now: now(),
    }
}

pub fn response(key: &KeyPair) -> ResponseBuilder {
    ResponseBuilder::new(IDP, SP, ACS, REQUEST, key, now())
}

pub fn verify(xml: &str, expectation: &Expectation<'_>) -> Result<VerifiedAssertion, SamlError> {
    verify_response(xml.as_bytes(), expectation, &mut Trail::new())
}

/// Verified by both engines, or the test fails.
pub fn accepted(xml: &str, key: &KeyPair, expectation: &Expectation<'_>) -> VerifiedAssertion {
    let mut trail = Trail::new();
    let verified = verify_response(xml.as_bytes(), expectation, &mut trail);
    let verified = verified.unwrap_or_else(|error| panic!("{error}\n{trail:#?}\n{xml}"));
    assert!(trail.checks().iter().all(|check| check.passed), "{trail:#?}");
    if xml.contains("SignatureValue") {
        assert!(bergshamra_accepts(xml, &[key]), "bergshamra refuses {xml}");
    }
    verified
}

pub fn bergshamra_accepts(xml: &str, keys: &[&KeyPair]) -> bool {
    let mut manager = KeysManager::new();
    for key in keys {
        manager.add_key(load_x509_cert_pem(key.certificate_pem().unwrap().as_bytes()).unwrap());
    }
    let context = DsigContext::new(manager);
    let results = verify_all(&context, xml);
    results.is_ok_and(|all| {
        !all.is_empty() && all.iter().all(|result| result.is_valid() && result.all_reference_digests_verified())
    })
}
