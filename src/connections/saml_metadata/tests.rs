//! Metadata as vendors publish it, and as nobody should.

use super::*;
use chrono::{DateTime, Duration, Utc};
use idp_fixtures::{
    clock::now,
    saml::metadata::{IdpMetadata as Published, entities_descriptor},
    sign::{KeyKind, KeyPair, shared},
};

const ENTITY: &str = "https://idp.acme.example/saml";
const SSO: &str = "https://idp.acme.example/sso";

fn key() -> KeyPair {
    shared(KeyKind::Rsa2048, "idp.acme.example").unwrap()
}

fn published() -> Published {
    Published::new(ENTITY, SSO, &key())
}

fn read(xml: &str) -> Result<IdpMetadata, MetadataError> {
    parse(xml.as_bytes(), now(), None, false)
}

fn read_published(change: impl FnOnce(&mut Published)) -> Result<IdpMetadata, MetadataError> {
    let mut metadata = published();
    change(&mut metadata);
    read(&metadata.to_xml().unwrap())
}

#[test]
fn a_stored_certificate_says_what_reading_it_again_would_say() {
    let fresh = |kind| {
        TrustedCertificate::from_text(&shared(kind, "idp.acme.example").unwrap().certificate_base64().unwrap()).unwrap()
    };
    for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
        let read = fresh(kind);
        let told = |one: &TrustedCertificate| {
            let dates = (one.not_before(), one.not_after());
            (one.der().to_vec(), one.fingerprint_sha256().to_owned(), dates, one.subject().to_owned(), one.key_kind())
        };
        let stored = serde_json::to_value(&read).unwrap();
        let bare = serde_json::Value::String(read.to_base64());
        for form in [stored, bare] {
            let again: TrustedCertificate = serde_json::from_value(form).unwrap();
            assert_eq!(told(&again), told(&read));
        }
    }
}

#[test]
fn a_complete_description_is_read_and_survives_storage() {
    let until = DateTime::<Utc>::from_timestamp(now().timestamp() + 90 * 86_400, 0).unwrap();
    let metadata = read_published(|m| {
        m.want_signed_requests = true;
        m.valid_until = Some(until);
        m.cache_duration = Some("P1DT2H".to_owned());
        m.slo_redirect_url = Some("https://idp.acme.example/slo".to_owned());
    })
    .unwrap();
    assert_eq!(metadata.entity_id, ENTITY);
    assert_eq!(metadata.sso_location(Binding::Redirect), Some(SSO));
    assert_eq!(metadata.slo[0].location, "https://idp.acme.example/slo");
    assert_eq!(metadata.valid_until, Some(until));
    assert_eq!(metadata.cache_duration_s, Some(26 * 3_600));
    assert!(metadata.wants_signed_requests);
    assert_eq!(metadata.certificates[0].to_base64(), key().certificate_base64().unwrap());
    assert_eq!(metadata.warnings, []);
    let stored = serde_json::to_string(&metadata).unwrap();
    assert_eq!(serde_json::from_str::<IdpMetadata>(&stored).unwrap(), metadata);
}

#[test]
fn several_certificates_are_kept_once_each_and_their_age_is_told() {
    let old = KeyPair::expired(KeyKind::Rsa2048, "old").unwrap();
    let ending =
        KeyPair::generate_valid(KeyKind::P256, "ending", now() - Duration::days(1), now() + Duration::days(7)).unwrap();
    let weak = shared(KeyKind::Rsa1024, "weak").unwrap();
    let metadata = read_published(|m| m.signing = vec![old, ending, weak, key(), key()]).unwrap();
    assert_eq!(metadata.certificates.len(), 4);
    assert!(matches!(
        metadata.warnings.as_slice(),
        [
            MetadataWarning::CertificateExpired { subject, .. },
            MetadataWarning::CertificateExpiresSoon { .. },
            MetadataWarning::CertificateUnusable { .. }
        ] if subject == "old"
    ));
}

#[test]
fn an_entity_is_chosen_from_many_only_by_name() {
    let other = Published::new("https://other.example", SSO, &key());
    let many = entities_descriptor(&[published(), other]).unwrap();
    assert_eq!(read(&many), Err(MetadataError::SeveralEntities(2)));
    let chosen = parse(many.as_bytes(), now(), Some(ENTITY), false).unwrap();
    assert_eq!(chosen.entity_id, ENTITY);
    assert_eq!(
        parse(many.as_bytes(), now(), Some("https://third.example"), false),
        Err(MetadataError::EntityNotFound("https://third.example".into()))
    );
    assert_eq!(read(&entities_descriptor(&[published()]).unwrap()).unwrap().entity_id, ENTITY);
}

#[test]
fn each_fault_is_refused_by_its_own_name() {
    let good = published().to_xml().unwrap();
    assert!(read(&good).is_ok());
    assert_eq!(read_published(|m| m.signing.clear()), Err(MetadataError::NoCertificate));
    assert_eq!(
        read_published(|m| m.signing = vec![shared(KeyKind::Rsa1024, "weak").unwrap()]),
        Err(MetadataError::NoCertificate)
    );
    assert!(matches!(
        read_published(|m| m.valid_until = Some(now() - Duration::days(1))),
        Err(MetadataError::Expired(_))
    ));
    assert_eq!(read_published(|m| m.cache_duration = Some("a day".into())), Err(MetadataError::Time("cacheDuration")));
    assert_eq!(read(&good.replace("IDPSSODescriptor", "SPSSODescriptor")), Err(MetadataError::NotAnIdp));
    assert_eq!(read(&good.replace("SAML:2.0:protocol", "SAML:1.1:protocol")), Err(MetadataError::NotAnIdp));
    assert_eq!(read(&good.replace(&format!("entityID=\"{ENTITY}\""), "entityID=\"\"")), Err(MetadataError::EntityId));
    assert_eq!(read("<html/>"), Err(MetadataError::NotMetadata));
    assert_eq!(read(&format!("<!DOCTYPE x>{good}")), Err(MetadataError::Document(xml::XmlFault::Doctype)));
    assert_eq!(
        read(&format!("{good}{}", " ".repeat(MAX_BYTES))),
        Err(MetadataError::Document(xml::XmlFault::TooLarge(MAX_BYTES)))
    );
    assert_eq!(
        read(&good.replace("HTTP-Redirect", "SOAP").replace("HTTP-POST", "SOAP")),
        Err(MetadataError::NoSignInAddress)
    );
}

#[test]
fn addresses_are_https_or_by_leave_loopback() {
    for location in [
        "http://idp.example/sso",
        "javascript:alert(1)",
        "//idp.example",
        "https://user@idp.example/",
        "https://idp.example/#x",
        "",
    ] {
        let refused = read_published(|m| m.sso_redirect_url = Some(location.to_owned()));
        assert!(matches!(refused, Err(MetadataError::Address(_))), "{location} {refused:?}");
    }
    let mut metadata = published();
    metadata.sso_redirect_url = Some("http://127.0.0.1:7000/sso".to_owned());
    metadata.sso_post_url = None;
    let xml = metadata.to_xml().unwrap();
    assert!(matches!(read(&xml), Err(MetadataError::Address(_))));
    assert!(parse(xml.as_bytes(), now(), None, true).is_ok());
    let elsewhere = xml.replace("127.0.0.1", "10.0.0.1");
    assert!(matches!(parse(elsewhere.as_bytes(), now(), None, true), Err(MetadataError::Address(_))));
}

#[test]
fn durations_are_those_of_xml_schema() {
    let read = parse::duration_seconds;
    assert_eq!(
        [read("PT1H"), read("P7D"), read("P1Y2M3DT4H5M6.7S"), read("PT0S")],
        [Some(3_600), Some(604_800), Some(36_993_906), Some(0)]
    );
    for bad in ["", "P", "PT", "1D", "P1", "PD", "P-1D", "P1DT", "PT1D", "P1M1Y", "P99999999999D"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}
