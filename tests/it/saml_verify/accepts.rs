//! What `verify_response` accepts: the matrix of signers, algorithms, ciphers and shapes that identity providers
//! really use. Responses are made by `idp-fixtures`; whatever is accepted must be accepted by bergshamra too.

use bergshamra::{DsigContext, KeysManager, keys::loader::load_pem_auto};
use chrono::{DateTime, Duration, Utc};
use idp_fixtures::{
    clock::now,
    saml::{Attribute, NameId, PERSISTENT_FORMAT, TRANSIENT_FORMAT, Value},
    sign::{
        ALGORITHMS, DataEncryption, DigestAlgorithm, ENVELOPED, EXCLUSIVE_C14N, Encryption, KeyInfo, KeyKind, KeyPair,
        KeyTransport, SignatureAlgorithm, Signing, insert_signature, shared,
    },
};
use usher::login::{
    saml::{DecryptionKey, Expectation, SamlError, VerifiedAssertion, decode_form_value, verify_response},
    trail::Trail,
};

use super::{IDP, accepted, bergshamra_accepts, decryption_keys, expected, response, rsa, sp_key, trusted, verify};

fn ada(verified: &VerifiedAssertion) {
    assert_eq!(verified.subject, "ada@acme.example");
    assert_eq!(verified.issuer, IDP);
    let groups = verified.attributes.iter().find(|a| a.name == "groups").unwrap();
    assert_eq!(groups.values, ["learning", "sales"]);
    assert_eq!(verified.attributes.len(), 4);
}

/// Signed Response, signed Assertion, both.
fn placements(signing: &Signing) -> [(Option<Signing>, Option<Signing>); 3] {
    let one = Some(signing.clone());
    [(one.clone(), None), (None, one.clone()), (one.clone(), one)]
}

#[test]
fn every_key_and_algorithm_is_accepted_on_response_assertion_and_both() {
    for kind in [KeyKind::Rsa2048, KeyKind::Rsa4096, KeyKind::P256, KeyKind::P384, KeyKind::P521] {
        let key = shared(kind, "matrix").unwrap();
        let certificates = trusted(&[&key]);
        for algorithm in ALGORITHMS.into_iter().filter(|a| format!("{a:?}").starts_with("Ecdsa") == key.is_elliptic()) {
            for (on_response, on_assertion) in placements(&Signing::with(key.clone()).algorithm(algorithm)) {
                let xml = response(&key).signed(on_response, on_assertion).build().unwrap().xml;
                ada(&accepted(&xml, &key, &expected(&certificates, &[])));
            }
        }
    }
}

#[test]
fn digest_and_signature_may_use_different_lengths_of_sha2() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let mut signing = Signing::with(key.clone());
    signing.digest = DigestAlgorithm::Sha512;
    let xml = response(&key).signed(None, Some(signing)).build().unwrap().xml;
    ada(&accepted(&xml, &key, &expected(&certificates, &[])));
}

#[test]
fn every_cipher_opens_with_the_response_signed_or_not() {
    let (key, certificates, ours) = (rsa(), trusted(&[&rsa()]), decryption_keys());
    let aes = [
        DataEncryption::Aes128Cbc,
        DataEncryption::Aes192Cbc,
        DataEncryption::Aes256Cbc,
        DataEncryption::Aes128Gcm,
        DataEncryption::Aes192Gcm,
        DataEncryption::Aes256Gcm,
    ];
    for data in aes {
        for transport in [KeyTransport::OaepMgf1p, KeyTransport::OaepMgf1pSha256, KeyTransport::Oaep11Sha256] {
            for (beside, outer_signed) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut encryption = Encryption::to(sp_key().certificate().clone()).data(data).key_transport(transport);
                encryption.key_beside_data = beside;
                let signing = Signing::with(key.clone());
                let built = response(&key)
                    .signed(outer_signed.then(|| signing.clone()), Some(signing))
                    .with(|b| b.encryption = Some(encryption))
                    .build()
                    .unwrap();
                assert!(!built.xml.contains("ada@"));
                let expectation = Expectation { allow_cbc_unsigned_response: true, ..expected(&certificates, &ours) };
                ada(&accepted(&built.xml, &key, &expectation));
            }
        }
    }
}

#[test]
fn the_key_before_and_the_key_after_a_rollover_both_open() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let other = shared(KeyKind::Rsa2048, "the next key").unwrap();
    let next = DecryptionKey::from_pem(&other.private_key_pem().unwrap()).unwrap();
    let both = [next, decryption_keys().remove(0)];
    for recipient in [sp_key(), other] {
        let built = response(&key)
            .with(|b| b.encryption = Some(Encryption::to(recipient.certificate().clone())))
            .build()
            .unwrap();
        ada(&accepted(&built.xml, &key, &expected(&certificates, &both)));
    }
}

#[test]
fn old_and_new_certificates_of_any_kind_work_side_by_side_in_any_order() {
    let keys = [
        rsa(),
        shared(KeyKind::Rsa2048, "rollover").unwrap(),
        shared(KeyKind::Rsa4096, "rollover").unwrap(),
        shared(KeyKind::P256, "rollover").unwrap(),
        shared(KeyKind::P384, "rollover").unwrap(),
        shared(KeyKind::Ed25519, "rollover").unwrap(),
    ];
    let forward = trusted(&keys.iter().collect::<Vec<_>>());
    let backward = trusted(&keys.iter().rev().collect::<Vec<_>>());
    for key in &keys[..5] {
        let xml = response(key).build().unwrap().xml;
        for certificates in [&forward, &backward] {
            ada(&accepted(&xml, key, &expected(certificates, &[])));
        }
    }
}

#[test]
fn response_and_assertion_may_be_signed_by_two_keys_of_one_rollover() {
    let (old, new) = (rsa(), shared(KeyKind::Rsa2048, "rollover").unwrap());
    let certificates = trusted(&[&old, &new]);
    let xml =
        response(&old).signed(Some(Signing::with(new.clone())), Some(Signing::with(old.clone()))).build().unwrap().xml;
    ada(&verify(&xml, &expected(&certificates, &[])).unwrap());
    assert!(bergshamra_accepts(&xml, &[&old, &new]));
    assert_eq!(verify(&xml, &expected(&certificates[..1], &[])), Err(SamlError::Signature));
}

#[test]
fn an_expired_certificate_still_verifies_and_the_trail_tells() {
    let key = KeyPair::expired(KeyKind::Rsa2048, "expired").unwrap();
    let certificates = trusted(&[&key]);
    let mut trail = Trail::new();
    let xml = response(&key).build().unwrap().xml;
    assert!(verify_response(xml.as_bytes(), &expected(&certificates, &[]), &mut trail).is_ok());
    let signature = trail.checks().iter().find(|c| c.name == "saml.signature").unwrap();
    assert!(signature.detail.as_ref().unwrap().contains("expired on"), "{signature:?}");
}

#[test]
fn sha1_passes_only_by_the_operators_flag() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let mut digest_only = Signing::with(key.clone());
    digest_only.digest = DigestAlgorithm::Sha1;
    for signing in [Signing::with(key.clone()).algorithm(SignatureAlgorithm::RsaSha1), digest_only] {
        for (on_response, on_assertion) in placements(&signing) {
            let xml = response(&key).signed(on_response, on_assertion).build().unwrap().xml;
            assert_eq!(
                verify(&xml, &expected(&certificates, &[])).unwrap_err().code(),
                "login.saml.signature_algorithm"
            );
            let flagged = Expectation { allow_sha1: true, ..expected(&certificates, &[]) };
            ada(&verify(&xml, &flagged).unwrap());
        }
    }
}

#[test]
fn prefixes_and_default_namespaces_make_no_difference() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let plain = |xml: &str| {
        let xml = xml.replace("saml:", "").replace("xmlns:saml=", "xmlns=");
        xml.replace("samlp:Response", "Response").replace("xmlns:samlp=", "xmlns:unused=")
    };
    let odd_prefix = |xml: &str| xml.replace("saml:", "a2.0-_:").replace("xmlns:saml=", "xmlns:a2.0-_=");
    let rewrites: [&dyn Fn(&str) -> String; 3] =
        [&plain, &odd_prefix, &|xml| format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{xml}\n")];
    for rewrite in rewrites {
        let builder = response(&key);
        let assertion = builder.sign_assertion(
            &rewrite(&builder.assertion_xml())
                .replace('\u{feff}', "")
                .replace("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n", ""),
        );
        let assertion = assertion.unwrap();
        let whole = builder.response_around(assertion.trim());
        let whole = if rewrite("x").starts_with('\u{feff}') { rewrite(&whole) } else { whole };
        ada(&verify(&whole, &expected(&certificates, &[])).unwrap());
        assert!(bergshamra_accepts(whole.trim_start_matches('\u{feff}'), &[&key]));
    }
}

/// Shibboleth and Okta name the prefixes of `xsi:type` values, so that those namespaces are digested where they are declared.
#[test]
fn prefix_lists_of_exclusive_canonicalization_are_followed() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let builder = response(&key);
    let list = format!("<ec:InclusiveNamespaces xmlns:ec=\"{EXCLUSIVE_C14N}\" PrefixList=\"xs #default\"/>");
    let template = format!(
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE_C14N}\">{list}</ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{}\"/><ds:Reference URI=\"#{}\"><ds:Transforms>\
         <ds:Transform Algorithm=\"{ENVELOPED}\"/><ds:Transform Algorithm=\"{EXCLUSIVE_C14N}\">{list}</ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{}\"/><ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>\
         <ds:SignatureValue></ds:SignatureValue></ds:Signature>",
        SignatureAlgorithm::RsaSha256.uri(),
        builder.assertion_id,
        DigestAlgorithm::Sha256.uri(),
    );
    let mut manager = KeysManager::new();
    manager.add_key(load_pem_auto(key.private_key_pem().unwrap().as_bytes(), None).unwrap());
    let assertion = builder.assertion_xml().replace(" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"", "");
    let unsigned = insert_signature(&assertion, &builder.assertion_id, &template).unwrap();
    // The namespace is declared outside the assertion: without the list it would not be part of what is signed.
    let around = builder.response_around(&unsigned).replacen(
        "<samlp:Response ",
        "<samlp:Response xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" ",
        1,
    );
    let xml = bergshamra::sign(&DsigContext::new(manager), &around).unwrap();
    ada(&accepted(&xml, &key, &expected(&certificates, &[])));
    let other = xml.replacen("http://www.w3.org/2001/XMLSchema\"", "http://www.w3.org/2001/Other\"", 1);
    assert_eq!(verify(&other, &expected(&certificates, &[])), Err(SamlError::Signature));
}

#[test]
fn a_form_value_is_base64_of_bearable_size_and_lines() {
    let xml = response(&rsa()).build().unwrap();
    assert_eq!(decode_form_value(&xml.base64).unwrap(), xml.xml.as_bytes());
    let folded: String =
        xml.base64.as_bytes().chunks(76).map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap())).collect();
    assert_eq!(decode_form_value(&folded).unwrap(), xml.xml.as_bytes());
    for bad in ["*", "PGE+!", "PGE", "PGE-"] {
        assert_eq!(decode_form_value(bad), Err(SamlError::Base64), "{bad}");
    }
    assert_eq!(decode_form_value(&"A".repeat(10_000_000)).unwrap_err().code(), "login.saml.document");
}

#[test]
fn an_encrypted_assertion_may_rely_on_namespaces_declared_outside_it() {
    let (key, certificates, ours) = (rsa(), trusted(&[&rsa()]), decryption_keys());
    let builder = response(&key).with(|b| b.encryption = Some(Encryption::to(sp_key().certificate().clone())));
    let signed = builder.sign_assertion(&builder.assertion_xml()).unwrap();
    let bare = signed.replacen(" xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"", "", 1);
    assert!(bare.starts_with("<saml:Assertion xmlns:xs="));
    let xml = builder.response_around(&builder.encrypt_assertion(&bare).unwrap());
    ada(&verify(&xml, &expected(&certificates, &ours)).unwrap());
}

#[test]
fn key_info_of_any_content_changes_nothing() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let stranger = shared(KeyKind::Rsa2048, "stranger").unwrap();
    let foreign = format!(
        "<ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data>",
        stranger.certificate_base64().unwrap()
    );
    for key_info in [
        KeyInfo::Absent,
        KeyInfo::Certificate,
        KeyInfo::Xml("<ds:KeyName>any</ds:KeyName>".to_owned()),
        KeyInfo::Xml(foreign),
    ] {
        let signing = Signing { key_info, ..Signing::with(key.clone()) };
        let xml = response(&key).signed(None, Some(signing)).build().unwrap().xml;
        ada(&accepted(&xml, &key, &expected(&certificates, &[])));
    }
}

#[test]
fn values_keep_their_text_whatever_it_holds() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let nested = "<saml:NameID NameQualifier=\"https://idp\">targeted-id</saml:NameID>";
    let odd = ["", "a,b;c", " padded\n", "<&>\"'", "Ünï çödé 🦀", "a\u{a0}b"];
    let attributes = vec![
        Attribute::new("odd", odd),
        Attribute::new("eptid", [Value::Xml(nested.to_owned())]),
        Attribute { friendly_name: Some("givenName".to_owned()), ..Attribute::new("urn:oid:2.5.4.42", ["Ada"]) },
        Attribute::new("Role", ["one"]),
        Attribute::new("Role", ["two"]),
        Attribute::new("escaped", [Value::Xml("&#x41;&amp;&#13;&#10;b".to_owned())]),
        Attribute::new("other markup", [Value::Xml("<x xmlns=\"urn:x\">text</x>".to_owned())]),
    ];
    let builder = response(&key).with(|b| b.attributes = attributes);
    let with_nil = builder.assertion_xml().replace(
        "<saml:AttributeStatement>",
        "<saml:AttributeStatement><saml:Attribute Name=\"nil\"><saml:AttributeValue xsi:nil=\"true\"/></saml:Attribute>",
    );
    let xml = builder.build_from(with_nil).unwrap().xml;
    let verified = accepted(&xml, &key, &expected(&certificates, &[]));
    let values: Vec<(&str, Vec<&str>)> =
        verified.attributes.iter().map(|a| (a.name.as_str(), a.values.iter().map(String::as_str).collect())).collect();
    assert_eq!(
        values,
        [
            ("nil", vec![]),
            ("odd", vec!["", "a,b;c", "padded", "<&>\"'", "Ünï çödé 🦀", "a\u{a0}b"]),
            ("eptid", vec!["targeted-id"]),
            ("urn:oid:2.5.4.42", vec!["Ada"]),
            ("Role", vec!["one"]),
            ("Role", vec!["two"]),
            ("escaped", vec!["A&\r\nb"]),
            ("other markup", vec![]),
        ]
    );
    assert_eq!(verified.attributes[3].friendly_name.as_deref(), Some("givenName"));
}

#[test]
fn an_attribute_can_stand_for_the_subject_when_the_name_id_is_transient_or_absent() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let by_attribute = Expectation {
        subject_attribute: Some("urn:oasis:names:tc:SAML:attribute:subject-id"),
        ..expected(&certificates, &[])
    };
    let base = response(&key).with(|b| {
        b.attributes.push(Attribute::new("urn:oasis:names:tc:SAML:attribute:subject-id", ["ada@acme.example"]))
    });
    for name_id in [Some(NameId::of(TRANSIENT_FORMAT, "_x1")), None, Some(NameId::of(PERSISTENT_FORMAT, "p1"))] {
        let xml = base.clone().with(|b| b.name_id = name_id).build().unwrap().xml;
        assert_eq!(accepted(&xml, &key, &by_attribute).subject, "ada@acme.example");
    }
    let twice = base.with(|b| {
        b.attributes.push(Attribute::new("urn:oasis:names:tc:SAML:attribute:subject-id", ["eve@acme.example"]))
    });
    assert_eq!(verify(&twice.build().unwrap().xml, &by_attribute).unwrap_err().code(), "login.saml.subject_attribute");
    let missing = response(&key).build().unwrap().xml;
    assert_eq!(verify(&missing, &by_attribute).unwrap_err().code(), "login.saml.subject_attribute");
}

#[test]
fn the_assertion_must_be_remembered_until_its_earlier_end_and_the_skew() {
    let (key, certificates) = (rsa(), trusted(&[&rsa()]));
    let at: DateTime<Utc> = now() + Duration::minutes(2);
    let xml = response(&key).with(|b| b.confirmations[0].not_on_or_after = Some(at)).build().unwrap().xml;
    let verified = accepted(&xml, &key, &expected(&certificates, &[]));
    assert_eq!(verified.valid_until.timestamp(), (at + Duration::seconds(60)).timestamp());
    assert!(verified.session_index.is_some());
}
