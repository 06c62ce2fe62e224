//! Responses whose signatures are good and whose structure is not: refused before anything in them is read. The
//! attack catalogue over HTTP is elsewhere; here each rule of the pre-screen meets the response that breaks it alone.

use idp_fixtures::{
    saml::{NameId, ResponseBuilder, Value},
    sign::{
        DataEncryption, DigestAlgorithm, ENVELOPED, EXCLUSIVE_C14N, Encryption, KeyInfo, KeyKind, KeyTransport,
        Reference, SignatureAlgorithm, SignedInfo, Signing, insert_signature, shared, signature_element,
    },
};
use usher::login::saml::{Expectation, SamlError};

use super::{accepted, decryption_keys, expected, response, rsa, sp_key, trusted, verify};

fn code(xml: &str) -> &'static str {
    let (certificates, ours) = (trusted(&[&rsa()]), decryption_keys());
    match verify(xml, &expected(&certificates, &ours)) {
        Ok(verified) => panic!("accepted {} in {xml}", verified.subject),
        Err(error) => error.code(),
    }
}

fn good(xml: &str) {
    let (certificates, ours) = (trusted(&[&rsa()]), decryption_keys());
    accepted(xml, &rsa(), &expected(&certificates, &ours));
}

fn eve() -> ResponseBuilder {
    response(&rsa()).signed(None, None).with(|b| b.name_id = Some(NameId::email("eve@acme.example")))
}

/// A response whose assertion is signed by a reference and recipe of choice.
fn by_recipe(change: impl FnOnce(&mut SignedInfo)) -> String {
    let builder = response(&rsa());
    let signing = Signing::with(rsa());
    let assertion = builder.assertion_xml();
    let reference = Reference::to(&assertion, &builder.assertion_id, DigestAlgorithm::Sha256).unwrap();
    let mut signed_info = SignedInfo::new(SignatureAlgorithm::RsaSha256, vec![reference]);
    change(&mut signed_info);
    let signature = signature_element(&signed_info, &signing).unwrap();
    builder.response_around(&insert_signature(&assertion, &builder.assertion_id, &signature).unwrap())
}

#[test]
fn a_second_assertion_is_refused_wherever_it_stands() {
    let base = response(&rsa());
    let signed = base.sign_assertion(&base.assertion_xml()).unwrap();
    good(&base.response_around(&signed));
    let evil = eve().assertion_xml();
    let in_extensions = format!("<samlp:Extensions>{evil}</samlp:Extensions>");
    let in_object = signed.replace("</ds:Signature>", &format!("<ds:Object>{evil}</ds:Object></ds:Signature>"));
    let in_key_info = signed.replace("</ds:KeyInfo>", &format!("{evil}</ds:KeyInfo>"));
    let around = evil.replace("</saml:Assertion>", &format!("{signed}</saml:Assertion>"));
    let in_advice = evil.replace("</saml:Issuer>", &format!("</saml:Issuer><saml:Advice>{signed}</saml:Advice>"));
    for content in [
        format!("{evil}{signed}"),
        format!("{signed}{evil}"),
        format!("{in_extensions}{signed}"),
        in_object,
        in_key_info,
        around,
        in_advice,
    ] {
        assert_eq!(code(&base.response_around(&content)), "login.saml.structure", "{content}");
    }
}

#[test]
fn the_signed_response_cannot_be_moved_into_another() {
    let base = response(&rsa()).signed(Some(Signing::with(rsa())), None);
    let signed = base.build().unwrap().xml;
    good(&signed);
    let evil = eve();
    for content in [
        format!("<samlp:Extensions>{signed}</samlp:Extensions>{}", evil.assertion_xml()),
        format!("{}{signed}", evil.assertion_xml()),
        format!(
            "<samlp:Status><samlp:StatusDetail>{signed}</samlp:StatusDetail></samlp:Status>{}",
            evil.assertion_xml()
        ),
    ] {
        let wrapped = evil.response_around(&content);
        assert_eq!(code(&wrapped), "login.saml.structure", "{wrapped}");
    }
}

#[test]
fn a_signature_covers_its_own_parent_by_the_one_recipe() {
    good(&by_recipe(|_| {}));
    good(&by_recipe(|s| s.canonicalization = format!("{EXCLUSIVE_C14N}WithComments")));
    let structure: [fn(&mut SignedInfo); 9] = [
        |s| s.references[0].uri = None,
        |s| s.references[0].uri = Some(String::new()),
        |s| s.references[0].uri = Some("#other".into()),
        |s| s.references[0].uri = Some("https://evil.example/x".into()),
        |s| s.references[0].uri = Some("#xpointer(/)".into()),
        |s| s.references[0].uri = s.references[0].uri.as_ref().map(|u| format!("#xpointer(id('{}'))", &u[1..])),
        |s| s.references.clear(),
        |s| s.references.push(s.references[0].clone()),
        |s| s.references[0].transforms.clear(),
    ];
    for change in structure {
        assert_eq!(code(&by_recipe(change)), "login.saml.structure");
    }
    for transforms in [
        vec![ENVELOPED],
        vec![EXCLUSIVE_C14N],
        vec![EXCLUSIVE_C14N, ENVELOPED],
        vec![ENVELOPED, EXCLUSIVE_C14N, EXCLUSIVE_C14N],
        vec![ENVELOPED, "http://www.w3.org/TR/1999/REC-xpath-19991116"],
        vec![ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116"],
        vec![ENVELOPED, "http://www.w3.org/2000/09/xmldsig#base64"],
        vec![ENVELOPED, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"],
    ] {
        let refused =
            code(&by_recipe(|s| s.references[0].transforms = transforms.iter().map(|t| (*t).to_owned()).collect()));
        assert!(
            matches!(refused, "login.saml.structure" | "login.saml.signature_algorithm"),
            "{transforms:?} {refused}"
        );
    }
}

#[test]
fn algorithms_off_the_list_are_refused() {
    for (canonicalization, method, content) in [
        ("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", None, ""),
        ("urn:unknown", None, ""),
        (EXCLUSIVE_C14N, Some("urn:unknown"), ""),
        (EXCLUSIVE_C14N, Some(""), ""),
        (EXCLUSIVE_C14N, None, "<ds:HMACOutputLength>8</ds:HMACOutputLength>"),
    ] {
        let refused = code(&by_recipe(|s| {
            s.canonicalization = canonicalization.to_owned();
            s.signature_method = method.map_or(s.signature_method.clone(), str::to_owned);
            s.signature_method_content = content.to_owned();
        }));
        assert!(matches!(refused, "login.saml.structure" | "login.saml.signature_algorithm"), "{refused}");
    }
    let builder = response(&rsa());
    for algorithm in [
        SignatureAlgorithm::RsaMd5,
        SignatureAlgorithm::RsaSha1,
        SignatureAlgorithm::RsaPssSha256,
        SignatureAlgorithm::HmacSha256WithPublicKey,
        SignatureAlgorithm::HmacSha1WithPublicKey,
    ] {
        let xml = builder.clone().signed(None, Some(Signing::with(rsa()).algorithm(algorithm))).build().unwrap().xml;
        assert_eq!(code(&xml), "login.saml.signature_algorithm", "{algorithm:?}");
    }
}

#[test]
fn digest_and_signature_values_are_exactly_base64_of_their_length() {
    let xml = response(&rsa()).build().unwrap().xml;
    let broken = |tag: &str, change: &dyn Fn(&str) -> String| {
        let (before, rest) = xml.split_once(&format!("<ds:{tag}>")).unwrap();
        let (value, after) = rest.split_once(&format!("</ds:{tag}>")).unwrap();
        format!("{before}<ds:{tag}>{}</ds:{tag}>{after}", change(value))
    };
    good(&broken("SignatureValue", &|v| v.chars().map(|c| format!("{c}&#13;\n")).collect()));
    for tag in ["DigestValue", "SignatureValue"] {
        for change in [
            &(|v: &str| format!("<!---->{v}")) as &dyn Fn(&str) -> String,
            &|v| format!("{v}<x/>"),
            &|v| format!("<![CDATA[{v}]]>"),
            &|v| format!("{v}!"),
            &|v| format!("{v}AAAA"),
            &|v| v[4..].to_owned(),
            &|_| String::new(),
        ] {
            let refused = code(&broken(tag, change));
            // A signature as long as no certificate's key is told apart from one that is no signature.
            assert!(
                matches!(refused, "login.saml.structure" | "login.saml.document" | "login.saml.key_kind"),
                "{tag} {refused}"
            );
        }
    }
    let other = broken("DigestValue", &|v| format!("{}{}", if v.starts_with('A') { 'B' } else { 'A' }, &v[1..]));
    assert_eq!(code(&other), "login.saml.signature");
}

#[test]
fn signatures_stand_in_their_places_and_once() {
    let both = response(&rsa()).signed(Some(Signing::with(rsa())), Some(Signing::with(rsa()))).build().unwrap().xml;
    good(&both);
    let start = both.rfind("<ds:Signature ").unwrap();
    let end = both.rfind("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &both[start..end];
    for (at, what) in [
        ("<saml:Subject>", "before Subject"),
        ("<saml:NameID", "in Subject"),
        ("</samlp:Response>", "at the end"),
        ("<samlp:StatusCode", "in Status"),
    ] {
        let doubled = both.replacen(at, &format!("{signature}{at}"), 1);
        assert_eq!(code(&doubled), "login.saml.structure", "{what}");
    }
    let outer =
        &both[both.find("<ds:Signature ").unwrap()..both.find("</ds:Signature>").unwrap() + "</ds:Signature>".len()];
    let exchanged = both.replace(signature, "@").replace(outer, signature).replace('@', outer);
    assert_eq!(code(&exchanged), "login.saml.structure", "each reference names the other's parent");
    assert_eq!(
        code(&both.replace(signature, "")),
        "login.saml.signature",
        "the response covers the assertion's signature"
    );
}

#[test]
fn ids_are_unique_names_of_one_spelling() {
    let base = response(&rsa());
    good(&base.build().unwrap().xml);
    let id = base.assertion_id.clone();
    let assertion = base.assertion_xml();
    for (from, to) in [
        ("<saml:Subject>", format!("<saml:Subject ID=\"{id}\">")),
        ("<saml:Subject>", format!("<saml:Subject Id=\"{id}\">")),
        ("<saml:Subject>", format!("<saml:Subject xml:id=\"{id}\">")),
        ("<saml:Subject>", "<saml:Subject xml:id=\"_other\">".to_owned()),
        ("<saml:Subject>", "<saml:Subject ID=\"not a name\">".to_owned()),
        ("<saml:Subject>", "<saml:Subject ID=\"_a\" Id=\"_b\">".to_owned()),
        ("<saml:Subject>", "<saml:Subject xmlns:w=\"urn:w\" w:ID=\"_a\">".to_owned()),
        ("<saml:Subject>", format!("<saml:Subject ID=\"{}\">", base.response_id)),
    ] {
        let xml = base.build_from(assertion.replacen(from, &to, 1)).unwrap().xml;
        assert_eq!(code(&xml), "login.saml.structure", "{to}");
    }
    good(&base.build_from(assertion.replacen("<saml:Subject>", "<saml:Subject ID=\"_own\">", 1)).unwrap().xml);
}

#[test]
fn texts_are_whole_no_comment_instruction_cdata_or_entity_splits_them() {
    let certificates = trusted(&[&rsa()]);
    let split = [
        "ada@acme.example<!---->.evil.example",
        "ada@acme.example<?x?>.evil.example",
        "<![CDATA[ada@acme.example]]>",
        "ada&nbsp;",
        "ada&#0;",
    ];
    for text in split {
        let base = response(&rsa());
        let in_name = base.clone().with(|b| b.name_id.as_mut().unwrap().value = Value::Xml(text.to_owned()));
        let in_value = base.clone().with(|b| b.attributes[0].values = vec![Value::Xml(text.to_owned())]);
        let in_issuer = base.clone().with(|b| b.assertion_issuer = Some(Value::Xml(text.to_owned())));
        let in_outer_issuer = base.clone().with(|b| b.response_issuer = Some(Value::Xml(text.to_owned())));
        let in_audience =
            base.with(|b| b.conditions.as_mut().unwrap().audiences = vec![vec![Value::Xml(text.to_owned())]]);
        for builder in [in_name, in_value, in_issuer, in_outer_issuer, in_audience] {
            // Some of these the signing library itself refuses to read; then they go unsigned.
            let xml = builder
                .build()
                .map_or_else(|_| builder.clone().signed(None, None).build().unwrap().xml, |built| built.xml);
            let refused = verify(&xml, &expected(&certificates, &[])).unwrap_err();
            assert_eq!(refused.code(), "login.saml.document", "{text}");
        }
    }
}

#[test]
fn malformed_and_foreign_documents_are_refused() {
    let xml = response(&rsa()).build().unwrap().xml;
    good(&xml);
    let latin1 = format!("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>{xml}");
    let bomb = format!("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>{xml}");
    let external = format!("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">{xml}");
    let deep = xml.replace("<saml:Subject>", &format!("<saml:Subject>{}{}", "<x>".repeat(70), "</x>".repeat(70)));
    let wide: String = (0..5_000).map(|n| format!(" a{n}=\"\"")).collect();
    let many_namespaces: String = (0..5_000).map(|n| format!(" xmlns:a{n}=\"urn:u\"")).collect();
    for bad in [
        xml[..xml.len() - 1].to_owned(),
        xml.replace("</samlp:Response>", ""),
        format!("{xml}<x/>"),
        format!("{xml}x"),
        xml.replace("</saml:Subject>", "</saml:subject>"),
        xml.replace("<saml:Subject>", "<saml:Subject x=\"1\" x=\"2\">"),
        xml.replace("<saml:Subject>", "<saml:Subject x=\"1\"y=\"2\">"),
        xml.replace("<saml:Subject>", "<nope:Subject>").replace("</saml:Subject>", "</nope:Subject>"),
        latin1,
        bomb,
        external,
        deep,
        xml.replace("<saml:Subject>", &format!("<saml:Subject{wide}>")),
        xml.replace("<saml:Subject>", &format!("<saml:Subject{many_namespaces}>")),
        format!("{xml}{}", " ".repeat(300_000)),
        "\u{0}".to_owned(),
        String::new(),
    ] {
        assert_eq!(code(&bad), "login.saml.document", "{}", &bad[..bad.len().min(200)]);
    }
    for foreign in [
        "<Response/>".to_owned(),
        xml.replace("samlp:Response", "samlp:LogoutResponse"),
        xml.replace("SAML:2.0:protocol", "SAML:1.1:protocol"),
    ] {
        assert_eq!(code(&foreign), "login.saml.structure");
    }
}

#[test]
fn nothing_unsigned_and_nobody_elses_signature_passes() {
    let stranger = shared(KeyKind::Rsa2048, "stranger").unwrap();
    assert_eq!(code(&eve().build().unwrap().xml), "login.saml.unsigned");
    let certificate = format!(
        "<ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data>",
        rsa().certificate_base64().unwrap()
    );
    for key_info in [KeyInfo::Absent, KeyInfo::Certificate, KeyInfo::Xml(certificate)] {
        let signing = Signing { key_info, ..Signing::with(stranger.clone()) };
        for (on_response, on_assertion) in [
            (None, Some(signing.clone())),
            (Some(signing.clone()), None),
            (Some(signing.clone()), Some(Signing::with(rsa()))),
        ] {
            assert_eq!(code(&eve().signed(on_response, on_assertion).build().unwrap().xml), "login.saml.signature");
        }
    }
    let by_ec = response(&shared(KeyKind::P256, "stranger").unwrap()).build().unwrap().xml;
    assert_eq!(code(&by_ec), "login.saml.key_kind");
    let weak = shared(KeyKind::Rsa1024, "weak").unwrap();
    let (none, weak_only) = (trusted(&[]), trusted(&[&weak]));
    assert_eq!(verify(&response(&weak).build().unwrap().xml, &expected(&weak_only, &[])), Err(SamlError::WeakKey));
    assert_eq!(verify(&response(&rsa()).build().unwrap().xml, &expected(&none, &[])), Err(SamlError::NoCertificate));
}

#[test]
fn an_encrypted_assertion_is_signed_itself() {
    let encryption = || Some(Encryption::to(sp_key().certificate().clone()));
    let signing = || Some(Signing::with(rsa()));
    good(&response(&rsa()).signed(None, signing()).with(|b| b.encryption = encryption()).build().unwrap().xml);
    assert_eq!(code(&eve().with(|b| b.encryption = encryption()).build().unwrap().xml), "login.saml.unsigned");
    assert_eq!(
        code(&eve().signed(signing(), None).with(|b| b.encryption = encryption()).build().unwrap().xml),
        "login.saml.unsigned"
    );
    let base = response(&rsa());
    let signed = base.sign_assertion(&base.assertion_xml()).unwrap();
    let encrypted = eve().with(|b| b.encryption = encryption()).encrypt_assertion(&eve().assertion_xml()).unwrap();
    assert_eq!(code(&base.response_around(&format!("{signed}{encrypted}"))), "login.saml.structure");
    assert_eq!(code(&base.response_around(&format!("{encrypted}{signed}"))), "login.saml.structure");
}

#[test]
fn broken_encryption_gives_one_answer_and_old_algorithms_none() {
    let certificates = trusted(&[&rsa()]);
    let ours = decryption_keys();
    let base = |data, transport| {
        let encryption = Encryption::to(sp_key().certificate().clone()).data(data).key_transport(transport);
        response(&rsa()).with(|b| b.encryption = Some(encryption)).build().unwrap().xml
    };
    let cbc = base(DataEncryption::Aes256Cbc, KeyTransport::OaepMgf1p);
    assert_eq!(code(&cbc), "login.saml.cbc_unsigned");
    let by_flag = Expectation { allow_cbc_unsigned_response: true, ..expected(&certificates, &ours) };
    accepted(&cbc, &rsa(), &by_flag);
    assert_eq!(verify(&cbc, &expected(&certificates, &[])), Err(SamlError::NoDecryptionKey));
    for broken in broken_ciphertexts(&cbc) {
        assert_eq!(verify(&broken, &by_flag), Err(SamlError::Decryption));
    }
    let gcm = base(DataEncryption::Aes128Gcm, KeyTransport::Oaep11Sha256);
    good(&gcm);
    for broken in broken_ciphertexts(&gcm) {
        assert_eq!(code(&broken), "login.saml.decryption");
    }
    assert_eq!(code(&base(DataEncryption::Aes128Gcm, KeyTransport::Rsa15)), "login.saml.encryption_algorithm");
    assert_eq!(code(&base(DataEncryption::TripleDesCbc, KeyTransport::OaepMgf1p)), "login.saml.encryption_algorithm");
}

/// Each cipher value with its start, middle or end altered, shortened, or gone.
fn broken_ciphertexts(xml: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in xml.match_indices("<xenc:CipherValue>") {
        let start = at + "<xenc:CipherValue>".len();
        let end = start + xml[start..].find('<').unwrap();
        let value = &xml[start..end];
        let flipped = |at: usize| {
            format!("{}{}{}", &value[..at], if &value[at..=at] == "A" { "B" } else { "A" }, &value[at + 1..])
        };
        for changed in [
            flipped(1),
            flipped(value.len() / 2),
            flipped(value.len() - 5),
            value[4..].to_owned(),
            value[..32].to_owned(),
            "AAAA".into(),
            String::new(),
            "!".into(),
        ] {
            all.push(format!("{}{changed}{}", &xml[..start], &xml[end..]));
        }
    }
    all
}
