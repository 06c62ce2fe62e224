//! Encryption is no authentication: anybody can encrypt for a public certificate.

use super::{Attack, Rule, Scene, replaced, with_twin};
use crate::{
    saml::ResponseBuilder,
    sign::{DataEncryption, Encryption, KeyTransport, Signing, encrypt_element},
};
use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};

/// The genuine response with its signed assertion encrypted by AES-GCM.
fn genuine(scene: &Scene) -> Result<ResponseBuilder> {
    let encryption = scene.encryption()?;
    Ok(scene.genuine().with(|response| response.encryption = Some(encryption)))
}

fn attack(
    name: &'static str,
    breaks: Rule,
    recipe: impl Fn(&Scene) -> Result<String> + Send + Sync + 'static,
) -> Attack {
    with_twin(name, 2, breaks, recipe, |scene| Ok(genuine(scene)?.build()?.xml))
}

fn encrypted(scene: &Scene, plain: &str) -> Result<String> {
    let data = encrypt_element(plain, &scene.encryption()?)?;
    Ok(format!("<saml:EncryptedAssertion>{data}</saml:EncryptedAssertion>"))
}

fn by(scene: &Scene, change: impl FnOnce(Encryption) -> Encryption) -> Result<String> {
    let encryption = change(scene.encryption()?);
    Ok(scene.genuine().with(|response| response.encryption = Some(encryption)).build()?.xml)
}

/// The last cipher value (the content, not the key) changed byte by byte.
fn with_ciphertext(scene: &Scene, change: impl FnOnce(&mut Vec<u8>)) -> Result<String> {
    let xml = genuine(scene)?.build()?.xml;
    let (before, rest) = xml.rsplit_once("<xenc:CipherValue>").unwrap_or_default();
    let (value, after) = rest.split_once("</xenc:CipherValue>").unwrap_or_default();
    let mut bytes = BASE64_STANDARD.decode(value)?;
    change(&mut bytes);
    Ok(format!("{before}<xenc:CipherValue>{}</xenc:CipherValue>{after}", BASE64_STANDARD.encode(bytes)))
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = unsigned();
    all.extend(oracles());
    all
}

fn unsigned() -> Vec<Attack> {
    vec![
        attack("encrypted and signed by nobody", Rule::Unsigned, |s| {
            let encryption = s.encryption()?;
            Ok(s.forged().with(|f| f.encryption = Some(encryption)).build()?.xml)
        }),
        attack("encrypted unsigned assertion beside a signed one", Rule::Structure, |s| {
            let signed = s.genuine().sign_assertion(&s.genuine().assertion_xml())?;
            let forged = encrypted(s, &s.forged().assertion_xml())?;
            Ok(s.genuine().response_around(&[signed, forged].concat()))
        }),
        attack("encrypted unsigned assertion before a signed one", Rule::Structure, |s| {
            let signed = s.genuine().sign_assertion(&s.genuine().assertion_xml())?;
            let forged = encrypted(s, &s.forged().assertion_xml())?;
            Ok(s.genuine().response_around(&[forged, signed].concat()))
        }),
        attack("two encrypted assertions", Rule::Structure, |s| {
            let one = s.genuine();
            let genuine = encrypted(s, &one.sign_assertion(&one.assertion_xml())?)?;
            let forged = encrypted(s, &s.forged().assertion_xml())?;
            Ok(one.response_around(&[genuine, forged].concat()))
        }),
        attack("encrypted and signed by a foreign key", Rule::Signature, |s| {
            let (encryption, foreign) = (s.encryption()?, Signing::with(s.foreign.clone()));
            let forged = s.forged().signed(None, Some(foreign));
            Ok(forged.with(|f| f.encryption = Some(encryption)).build()?.xml)
        }),
        attack("two assertions inside one encryption", Rule::Document, |s| {
            let one = s.genuine();
            let signed = one.sign_assertion(&one.assertion_xml())?;
            let both = [signed, s.forged().assertion_xml()].concat();
            Ok(one.response_around(&encrypted(s, &both)?))
        }),
        attack("a forged assertion wrapped around the signed one inside the encryption", Rule::Structure, |s| {
            let one = s.genuine();
            let signed = one.sign_assertion(&one.assertion_xml())?;
            let around =
                replaced(&s.forged().assertion_xml(), "</saml:Assertion>", &format!("{signed}</saml:Assertion>"))?;
            Ok(one.response_around(&encrypted(s, &around)?))
        }),
        attack("a whole Response inside the encryption", Rule::Structure, |s| {
            let inner = s.genuine().build()?.xml;
            Ok(s.genuine().response_around(&encrypted(s, &inner)?))
        }),
        attack("an encrypted assertion inside an encrypted assertion", Rule::Structure, |s| {
            let one = s.genuine();
            let inner = encrypted(s, &one.sign_assertion(&one.assertion_xml())?)?;
            let inner = replaced(
                &inner,
                "<saml:EncryptedAssertion>",
                "<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">",
            )?;
            Ok(one.response_around(&encrypted(s, &inner)?))
        }),
    ]
}

fn oracles() -> Vec<Attack> {
    vec![
        attack("AES-CBC with nothing signed around it", Rule::CbcUnsigned, |s| {
            by(s, |encryption| encryption.data(DataEncryption::Aes256Cbc))
        }),
        attack("triple DES", Rule::EncryptionAlgorithm, |s| by(s, |e| e.data(DataEncryption::TripleDesCbc))),
        attack("content key by RSA PKCS #1 v1.5", Rule::EncryptionAlgorithm, |s| {
            by(s, |encryption| encryption.key_transport(KeyTransport::Rsa15))
        }),
        attack("encrypted for somebody else", Rule::Decryption, |s| {
            by(s, |encryption| Encryption { recipient: s.foreign.certificate().clone(), ..encryption })
        }),
        attack("one bit of the ciphertext turned over", Rule::Decryption, |s| {
            with_ciphertext(s, |bytes| bytes.iter_mut().skip(40).take(1).for_each(|byte| *byte ^= 1))
        }),
        attack("one bit of the tag turned over", Rule::Decryption, |s| {
            with_ciphertext(s, |bytes| bytes.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1))
        }),
        attack("ciphertext cut short", Rule::Decryption, |s| with_ciphertext(s, |bytes| bytes.truncate(11))),
        attack("ciphertext without content", Rule::Decryption, |s| with_ciphertext(s, Vec::clear)),
        attack("ciphertext from another address", Rule::Decryption, |s| {
            let xml = genuine(s)?.build()?.xml;
            let (before, _) = xml.rsplit_once("<xenc:CipherValue>").unwrap_or_default();
            Ok(format!(
                "{before}<xenc:CipherReference URI=\"http://169.254.169.254/latest\"/></xenc:CipherData>\
                 </xenc:EncryptedData></saml:EncryptedAssertion></samlp:Response>"
            ))
        }),
    ]
}
