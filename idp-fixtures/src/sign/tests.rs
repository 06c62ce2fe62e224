//! What this crate signs and encrypts, independent engines verify and decrypt: bergshamra and the xmlsec1 tool.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::saml::ResponseBuilder;
use bergshamra::{DsigContext, EncContext, KeysManager, keys::loader};
use std::process::Command;

const IDP: &str = "https://idp.acme.example/metadata";
const SP: &str = "https://usher.example/saml/con_1/metadata";
const ACS: &str = "https://usher.example/saml/con_1/acs";

fn builder(key: &KeyPair) -> ResponseBuilder {
    ResponseBuilder::new(IDP, SP, ACS, "_request", key, crate::clock::now())
}

fn bergshamra_accepts(xml: &str, key: &KeyPair) -> bool {
    let mut keys = KeysManager::new();
    keys.add_key(loader::load_x509_cert_pem(key.certificate_pem().unwrap().as_bytes()).unwrap());
    let context = DsigContext::new(keys);
    bergshamra::verify_all(&context, xml).is_ok_and(|all| !all.is_empty() && all.iter().all(|one| one.is_valid()))
}

fn xmlsec1_accepts(xml: &str, id_element: &str, key: &KeyPair) -> bool {
    let folder = std::env::temp_dir().join(crate::xml::random_id());
    std::fs::create_dir(&folder).unwrap();
    let (document, certificate) = (folder.join("document.xml"), folder.join("certificate.pem"));
    std::fs::write(&document, xml).unwrap();
    std::fs::write(&certificate, key.certificate_pem().unwrap()).unwrap();
    let out = Command::new("xmlsec1")
        .args(["--verify", "--id-attr:ID", id_element, "--pubkey-cert-pem"])
        .args([&certificate, &document])
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    out.status.success()
}

#[test]
fn every_accepted_algorithm_verifies_in_bergshamra_and_in_xmlsec1() {
    for algorithm in ALGORITHMS {
        let kind = match algorithm {
            SignatureAlgorithm::EcdsaSha256 => KeyKind::P256,
            SignatureAlgorithm::EcdsaSha384 => KeyKind::P384,
            SignatureAlgorithm::EcdsaSha512 => KeyKind::P521,
            _ => KeyKind::Rsa2048,
        };
        let key = shared(kind, "signer").unwrap();
        let signing = Signing::with(key.clone()).algorithm(algorithm);
        let xml = builder(&key).signed(None, Some(signing.clone())).build().unwrap().xml;
        assert!(bergshamra_accepts(&xml, &key), "bergshamra, {algorithm:?}");
        let name = "urn:oasis:names:tc:SAML:2.0:assertion:Assertion";
        assert!(xmlsec1_accepts(&xml, name, &key), "xmlsec1, {algorithm:?}");
        let bent = xml.replace("Lovelace", "Byron");
        assert!(!bergshamra_accepts(&bent, &key), "bergshamra took a bent text, {algorithm:?}");
        assert!(!xmlsec1_accepts(&bent, name, &key), "xmlsec1 took a bent text, {algorithm:?}");
    }
}

#[test]
fn response_and_assertion_can_both_be_signed() {
    let key = shared(KeyKind::Rsa2048, "signer").unwrap();
    let signing = Signing::with(key.clone());
    let xml = builder(&key).signed(Some(signing.clone()), Some(signing)).build().unwrap().xml;
    assert_eq!(xml.matches("<ds:Signature ").count(), 2);
    assert!(bergshamra_accepts(&xml, &key));
    assert!(!bergshamra_accepts(&xml, &shared(KeyKind::Rsa2048, "somebody else").unwrap()));
}

#[test]
fn every_encryption_is_opened_by_bergshamra_to_an_assertion_that_verifies() {
    let key = shared(KeyKind::Rsa2048, "signer").unwrap();
    let recipient = shared(KeyKind::Rsa2048, "recipient").unwrap();
    let ciphers = [
        DataEncryption::Aes128Cbc,
        DataEncryption::Aes256Cbc,
        DataEncryption::Aes128Gcm,
        DataEncryption::Aes192Gcm,
        DataEncryption::Aes256Gcm,
    ];
    // The mixed form (SHA-256 digest, SHA-1 mask) is not in the AWS-LC provider of bergshamra.
    let transports = [KeyTransport::OaepMgf1p, KeyTransport::Oaep11Sha256];
    for data in ciphers {
        for transport in transports {
            let encryption = Encryption::to(recipient.certificate().clone()).data(data).key_transport(transport);
            let one = builder(&key);
            let assertion = one.sign_assertion(&one.assertion_xml()).unwrap();
            let encrypted = encrypt_element(&assertion, &encryption).unwrap();
            assert!(!encrypted.contains("Lovelace"));
            let mut keys = KeysManager::new();
            let pem = recipient.private_key_pem().unwrap();
            keys.add_key(loader::load_rsa_private_pem(pem.as_bytes()).unwrap());
            let opened = bergshamra::decrypt(&EncContext::new(keys), &encrypted)
                .unwrap_or_else(|error| panic!("{data:?} {transport:?}: {error}"));
            assert!(opened.contains("Lovelace"), "{data:?} {transport:?}");
            assert!(bergshamra_accepts(&opened, &key));
        }
    }
}
