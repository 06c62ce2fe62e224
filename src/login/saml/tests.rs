//! What we send, read by the fixture identity provider: it must understand, verify, and never be fooled by what we
//! were given.

use chrono::{DateTime, Utc};
use idp_fixtures::{
    saml::request::{AuthnRequest as Received, RequestSignature, SpMetadata as ReadMetadata},
    sign::{KeyKind, KeyPair, shared},
};

use super::*;

const HOSTILE: &str = "\"'><saml:Issuer>evil</saml:Issuer><!-- & ]]> \u{e9}";

fn key_pair() -> KeyPair {
    shared(KeyKind::Rsa2048, "usher.example").unwrap()
}

fn signing_key() -> SigningKey {
    SigningKey::from_pem(&key_pair().private_key_pem().unwrap()).unwrap()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

fn request<'a>(contexts: &'a [String]) -> AuthnRequest<'a> {
    AuthnRequest {
        id: "_0123456789abcdef0123456789abcdef01234567",
        issue_instant: at(),
        destination: "https://idp.acme.example/sso?idpid=C01&x=y",
        acs_url: "https://usher.example/saml/con_1/acs",
        sp_entity_id: "https://usher.example/saml/con_1/metadata",
        force_authn: true,
        name_id_format: Some(idp_fixtures::saml::PERSISTENT_FORMAT),
        requested_authn_context: contexts,
    }
}

fn assert_understood(received: &Received, contexts: &[String]) {
    assert_eq!(received.id, "_0123456789abcdef0123456789abcdef01234567");
    assert_eq!(received.issuer, "https://usher.example/saml/con_1/metadata");
    assert_eq!(received.acs_url.as_deref(), Some("https://usher.example/saml/con_1/acs"));
    assert_eq!(received.destination.as_deref(), Some("https://idp.acme.example/sso?idpid=C01&x=y"));
    assert_eq!(received.name_id_format.as_deref(), Some(idp_fixtures::saml::PERSISTENT_FORMAT));
    assert_eq!(received.requested_contexts, contexts);
    assert!(received.force_authn);
    assert!(received.xml.contains("IssueInstant=\"2026-11-18T"), "{}", received.xml);
}

#[test]
fn an_id_is_a_name_of_160_random_bits() {
    let mut random = [0u8; 20];
    random[0] = 0xab;
    random[19] = 0x01;
    assert_eq!(request_id(&random), "_ab00000000000000000000000000000000000001");
}

#[test]
fn a_redirect_is_understood_and_its_signature_covers_the_raw_octets() {
    let contexts = ["urn:mfa".to_owned(), "urn:password".to_owned()];
    let relay_state = "a b+c&d=e/é";
    let url = request(&contexts).redirect_url(Some(relay_state), Some(&signing_key())).unwrap();
    let query = url.strip_prefix("https://idp.acme.example/sso?idpid=C01&x=y&").unwrap();
    let received = Received::from_query(query).unwrap();
    assert_understood(&received, &contexts);
    assert_eq!(received.relay_state.as_deref(), Some(relay_state));
    received.verify_signature(&[key_pair().certificate().clone()]).unwrap();
    let other = Received::from_query(&query.replace("RelayState=a", "RelayState=b")).unwrap();
    assert!(other.verify_signature(&[key_pair().certificate().clone()]).is_err());
}

#[test]
fn an_unsigned_redirect_says_nothing_of_signatures() {
    let url =
        AuthnRequest { destination: "https://idp.acme.example/sso", ..request(&[]) }.redirect_url(None, None).unwrap();
    assert!(url.starts_with("https://idp.acme.example/sso?SAMLRequest=") && !url.contains('&'), "{url}");
    let received = Received::from_query(url.split_once('?').unwrap().1).unwrap();
    assert_eq!(received.signature, RequestSignature::Absent);
}

#[test]
fn a_posted_request_is_understood_and_its_signature_verifies() {
    let contexts = ["urn:mfa".to_owned()];
    let signed = Received::from_form(&request(&contexts).post_value(Some(&signing_key())).unwrap(), None).unwrap();
    assert_understood(&signed, &contexts);
    signed.verify_signature(&[key_pair().certificate().clone()]).unwrap();
    let plain = Received::from_form(&request(&contexts).post_value(None).unwrap(), None).unwrap();
    assert_understood(&plain, &contexts);
    assert_eq!(plain.signature, RequestSignature::Absent);
}

#[test]
fn markup_in_what_we_were_given_stays_text() {
    let contexts = [HOSTILE.to_owned()];
    let hostile = AuthnRequest {
        destination: HOSTILE,
        acs_url: HOSTILE,
        sp_entity_id: HOSTILE,
        name_id_format: Some(HOSTILE),
        ..request(&contexts)
    };
    for key in [None, Some(signing_key())] {
        let received = Received::from_form(&hostile.post_value(key.as_ref()).unwrap(), None).unwrap();
        assert_eq!(
            [&received.issuer, received.acs_url.as_ref().unwrap(), received.destination.as_ref().unwrap()],
            [HOSTILE; 3]
        );
        assert_eq!(received.requested_contexts, contexts);
        assert_eq!(received.name_id_format.as_deref(), Some(HOSTILE));
    }
    let published = sp_metadata(&SpMetadata {
        entity_id: HOSTILE,
        acs_url: HOSTILE,
        slo_url: HOSTILE,
        signing_certificates: &[],
        encryption_certificates: &[],
        signs_requests: false,
        name_id_format: Some(HOSTILE),
    });
    let read = ReadMetadata::parse(&published.unwrap()).unwrap();
    assert_eq!((read.entity_id.as_str(), read.acs_urls), (HOSTILE, vec![HOSTILE.to_owned()]));
}

#[test]
fn our_metadata_names_every_key_and_address() {
    let next = shared(KeyKind::Rsa2048, "the next key").unwrap();
    let pems = [key_pair().certificate_pem().unwrap(), next.certificate_pem().unwrap()];
    let xml = sp_metadata(&SpMetadata {
        entity_id: "https://usher.example/saml/con_1/metadata",
        acs_url: "https://usher.example/saml/con_1/acs",
        slo_url: "https://usher.example/saml/con_1/slo",
        signing_certificates: &pems,
        encryption_certificates: &pems[..1],
        signs_requests: true,
        name_id_format: None,
    })
    .unwrap();
    let read = ReadMetadata::parse(&xml).unwrap();
    assert_eq!(read.entity_id, "https://usher.example/saml/con_1/metadata");
    assert_eq!(read.acs_urls, ["https://usher.example/saml/con_1/acs"]);
    assert_eq!((read.signing.len(), read.encryption.len()), (2, 1));
    assert!(
        xml.contains("AuthnRequestsSigned=\"true\"")
            && xml.contains("WantAssertionsSigned=\"true\"")
            && !xml.contains("validUntil")
    );
    assert_eq!(xml.matches("SingleLogoutService").count(), 2);
}
