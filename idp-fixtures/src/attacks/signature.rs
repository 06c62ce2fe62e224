//! Bent signatures: strays in their values, references and transforms beyond the one recipe, algorithms and keys that
//! nobody should trust. Where the bend itself is signed, it is signed by the trusted key, so that only the rule against
//! it can refuse it.

use super::{Attack, Rule, Scene, attack, replaced, with_twin, without_signature};
use crate::{
    saml::ASSERTION_NS,
    sign::{
        DigestAlgorithm, ENVELOPED, KeyInfo, Reference, SignatureAlgorithm, SignedInfo, Signing, canonical, digest_of,
        insert_signature, signature_element,
    },
};
use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use bergshamra::c14n::C14nMode;
use openssl::hash::{MessageDigest, hash};

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = strays();
    all.extend(references());
    all.extend(transforms());
    all.extend(algorithms());
    all.extend(keys());
    all
}

/// The genuine response with a `SignedInfo` bent before the trusted key signs it.
fn bent(scene: &Scene, bend: impl FnOnce(&mut SignedInfo, &str) -> Result<()>) -> Result<String> {
    let one = scene.genuine();
    let assertion = one.assertion_xml();
    let signing = Signing::with(scene.key.clone());
    let reference = Reference::to(&assertion, &one.assertion_id, DigestAlgorithm::Sha256)?;
    let mut signed_info = SignedInfo::new(signing.algorithm, vec![reference]);
    bend(&mut signed_info, &assertion)?;
    let signature = signature_element(&signed_info, &signing)?;
    Ok(one.response_around(&insert_signature(&assertion, &one.assertion_id, &signature)?))
}

fn first(signed_info: &mut SignedInfo) -> Result<&mut Reference> {
    signed_info.references.first_mut().context("a reference")
}

/// The genuine response changed after it was signed.
fn edited(name: &'static str, breaks: Rule, from: &'static str, to: &'static str) -> Attack {
    attack(name, 4, breaks, move |s: &Scene| replaced(&s.genuine().build()?.xml, from, to))
}

fn strays() -> Vec<Attack> {
    let digest_of_the_forged = |s: &Scene| -> Result<String> {
        let forged = s.genuine().assertion_xml().replace(&s.attacker, &s.victim);
        Ok(BASE64_STANDARD.encode(digest_of(&forged, &s.genuine().assertion_id, DigestAlgorithm::Sha256)?))
    };
    let mut all = vec![
        edited("a comment in DigestValue", Rule::Document, "<ds:DigestValue>", "<ds:DigestValue><!---->"),
        edited("a comment in SignatureValue", Rule::Document, "<ds:SignatureValue>", "<ds:SignatureValue><!---->"),
        edited("a comment in SignedInfo", Rule::Document, "<ds:SignatureMethod", "<!----><ds:SignatureMethod"),
        edited("a stray character in DigestValue", Rule::Structure, "<ds:DigestValue>", "<ds:DigestValue>!"),
        edited("a stray character in SignatureValue", Rule::Structure, "<ds:SignatureValue>", "<ds:SignatureValue>!"),
        edited("an element in DigestValue", Rule::Structure, "<ds:DigestValue>", "<ds:DigestValue><ds:X/>"),
        edited("an element in SignatureValue", Rule::Structure, "<ds:SignatureValue>", "<ds:SignatureValue><ds:X/>"),
        edited(
            "a second SignatureValue",
            Rule::Structure,
            "<ds:KeyInfo>",
            "<ds:SignatureValue>AA==</ds:SignatureValue><ds:KeyInfo>",
        ),
        edited("text in SignedInfo", Rule::Structure, "<ds:SignatureMethod", "stray<ds:SignatureMethod"),
        edited("an element more in SignedInfo", Rule::Structure, "</ds:SignedInfo>", "<ds:Object/></ds:SignedInfo>"),
        edited(
            "no KeyInfo but an unknown element",
            Rule::Structure,
            "<ds:KeyInfo>",
            "<evil:X xmlns:evil=\"urn:evil\"/><ds:KeyInfo>",
        ),
        attack("DigestValue beginning with the forged digest in a comment", 4, Rule::Document, move |s: &Scene| {
            // CVE-2025-29775: the first child node was read, the canonical text was verified.
            let forged = s.genuine().build()?.xml.replace(&s.attacker, &s.victim);
            let comment = format!("<ds:DigestValue><!--{}-->", digest_of_the_forged(s)?);
            replaced(&forged, "<ds:DigestValue>", &comment)
        }),
        attack("a forged DigestValue smuggled into StatusDetail", 4, Rule::Signature, move |s: &Scene| {
            // CVE-2024-45409: the digest was looked for anywhere in the document.
            let forged = s.genuine().build()?.xml.replace(&s.attacker, &s.victim);
            let detail = format!(
                "<samlp:StatusDetail><ds:DigestValue xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{}\
                 </ds:DigestValue></samlp:StatusDetail></samlp:Status>",
                digest_of_the_forged(s)?
            );
            replaced(&forged, "</samlp:Status>", &detail)
        }),
        attack("a forged DigestValue before the real one", 4, Rule::Structure, move |s: &Scene| {
            let forged = s.genuine().build()?.xml.replace(&s.attacker, &s.victim);
            let both = format!("<ds:DigestValue>{}</ds:DigestValue><ds:DigestValue>", digest_of_the_forged(s)?);
            replaced(&forged, "<ds:DigestValue>", &both)
        }),
        attack("a forged SignedInfo before the real one", 4, Rule::Structure, move |s: &Scene| {
            // CVE-2025-29774: one SignedInfo was verified and another one read.
            let forged = s.genuine().build()?.xml.replace(&s.attacker, &s.victim);
            let (start, end) = (forged.find("<ds:SignedInfo"), forged.find("</ds:SignedInfo>"));
            let (start, end) = (start.context("SignedInfo")?, end.context("SignedInfo")? + "</ds:SignedInfo>".len());
            let real = forged.get(start..end).context("SignedInfo")?.to_owned();
            let (head, rest) = real.split_once("<ds:DigestValue>").context("DigestValue")?;
            let (_, tail) = rest.split_once("</ds:DigestValue>").context("DigestValue")?;
            let other = format!("{head}<ds:DigestValue>{}</ds:DigestValue>{tail}", digest_of_the_forged(s)?);
            replaced(&forged, &real, &[other, real.clone()].concat())
        }),
        attack("the digest of nothing", 4, Rule::Signature, |s| {
            // CVE-2025-66568: a canonicalization that failed was taken for an empty text.
            bent(s, |info, _| {
                first(info)?.digest_value = hash(MessageDigest::sha256(), b"")?.to_vec();
                Ok(())
            })
        }),
    ];
    for (element, name) in [("DigestValue", "an empty DigestValue"), ("SignatureValue", "an empty SignatureValue")] {
        all.push(attack(name, 4, Rule::Structure, move |s: &Scene| {
            let xml = s.genuine().build()?.xml;
            let (before, rest) = xml.split_once(&format!("<ds:{element}>")).context("the element")?;
            let (_, after) = rest.split_once(&format!("</ds:{element}>")).context("the element")?;
            Ok(format!("{before}<ds:{element}></ds:{element}>{after}"))
        }));
    }
    all.push(attack("another response's SignatureValue", 4, Rule::Signature, |s| {
        let (xml, other) = (s.genuine().build()?.xml, s.genuine().with(|g| g.attributes.clear()).build()?.xml);
        let value = |xml: &str| -> Option<String> {
            let (_, rest) = xml.split_once("<ds:SignatureValue>")?;
            rest.split_once("</ds:SignatureValue>").map(|(value, _)| value.to_owned())
        };
        replaced(&xml, &value(&xml).context("a value")?, &value(&other).context("a value")?)
    }));
    all
}

fn references() -> Vec<Attack> {
    let to = |name: &'static str, uri: fn(&str) -> Option<String>| {
        attack(name, 7, Rule::Structure, move |s: &Scene| {
            let id = s.genuine().assertion_id;
            bent(s, |info, _| {
                first(info)?.uri = uri(&id);
                Ok(())
            })
        })
    };
    vec![
        to("an empty Reference URI", |_| Some(String::new())),
        to("no Reference URI", |_| None),
        to("a Reference to another host", |_| Some("http://evil.example/assertion.xml".to_owned())),
        to("a Reference to a file", |_| Some("file:///etc/passwd".to_owned())),
        to("a Reference by xpointer to the root", |_| Some("#xpointer(/)".to_owned())),
        to("a Reference by xpointer to the ID", |id| Some(format!("#xpointer(id('{id}'))"))),
        to("a Reference to an ID that is not there", |_| Some("#_nowhere".to_owned())),
        to("a Reference with a blank in it", |id| Some(format!("#{id} "))),
        attack("two References to the same element", 7, Rule::Structure, |s| {
            bent(s, |info, _| {
                let again = first(info)?.clone();
                info.references.push(again);
                Ok(())
            })
        }),
        attack("no Reference at all", 7, Rule::Structure, |s| {
            bent(s, |info, _| {
                info.references.clear();
                Ok(())
            })
        }),
        attack("a second Reference to something outside", 7, Rule::Structure, |s| {
            bent(s, |info, _| {
                let mut outside = first(info)?.clone();
                outside.uri = Some("http://evil.example/".to_owned());
                info.references.push(outside);
                Ok(())
            })
        }),
        attack("the Response's signature over the assertion only", 7, Rule::Structure, |s| {
            let one = s.genuine().signed(None, None);
            let response = one.build()?.xml;
            let signing = Signing::with(s.key.clone());
            let reference = Reference::to(&response, &one.assertion_id, DigestAlgorithm::Sha256)?;
            let signature = signature_element(&SignedInfo::new(signing.algorithm, vec![reference]), &signing)?;
            insert_signature(&response, &one.response_id, &signature)
        }),
        attack("the assertion's signature over the Response", 7, Rule::Structure, |s| {
            let one = s.genuine().signed(None, None);
            let response = one.build()?.xml;
            let signing = Signing::with(s.key.clone());
            let reference = Reference::to(&response, &one.response_id, DigestAlgorithm::Sha256)?;
            let signature = signature_element(&SignedInfo::new(signing.algorithm, vec![reference]), &signing)?;
            insert_signature(&response, &one.assertion_id, &signature)
        }),
        with_twin(
            "two elements with the same ID",
            7,
            Rule::Structure,
            |s| {
                let id = s.genuine().assertion_id;
                let stray = format!("<samlp:StatusDetail><x ID=\"{id}\"/></samlp:StatusDetail></samlp:Status>");
                replaced(&s.genuine().build()?.xml, "</samlp:Status>", &stray)
            },
            |s| {
                let stray = "<samlp:StatusDetail><x ID=\"_another\"/></samlp:StatusDetail></samlp:Status>";
                replaced(&s.genuine().build()?.xml, "</samlp:Status>", stray)
            },
        ),
        attack("Response and assertion with the same ID", 7, Rule::Structure, |s| {
            let one = s.genuine();
            Ok(one.clone().with(|g| g.response_id = one.assertion_id).build()?.xml)
        }),
    ]
}

fn transforms() -> Vec<Attack> {
    let chain = |name: &'static str, transforms: &'static [&'static str], mode: C14nMode| {
        // A step in the wrong place is refused for its algorithm, a missing one for the structure.
        let right = transforms.first().is_none_or(|first| *first == ENVELOPED) && transforms.len() < 2;
        let breaks = if right { Rule::Structure } else { Rule::SignatureAlgorithm };
        attack(name, 7, breaks, move |s: &Scene| {
            let id = s.genuine().assertion_id;
            bent(s, |info, assertion| {
                let digest = hash(MessageDigest::sha256(), &canonical(assertion, &id, mode)?)?.to_vec();
                let reference = first(info)?;
                reference.transforms = transforms.iter().map(|&transform| transform.to_owned()).collect();
                reference.digest_value = digest;
                Ok(())
            })
        })
    };
    const EXCLUSIVE: &str = crate::sign::EXCLUSIVE_C14N;
    const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
    const XPATH: &str = "http://www.w3.org/TR/1999/REC-xpath-19991116";
    const XSLT: &str = "http://www.w3.org/TR/1999/REC-xslt-19991116";
    const BASE64: &str = "http://www.w3.org/2000/09/xmldsig#base64";
    vec![
        chain("no transforms", &[], C14nMode::Inclusive),
        chain("exclusive canonicalization only", &[EXCLUSIVE], C14nMode::Exclusive),
        chain("enveloped transform only", &[ENVELOPED], C14nMode::Inclusive),
        chain("inclusive canonicalization", &[ENVELOPED, INCLUSIVE], C14nMode::Inclusive),
        chain("enveloped transform twice", &[ENVELOPED, ENVELOPED, EXCLUSIVE], C14nMode::Exclusive),
        chain("canonicalization before the enveloped transform", &[EXCLUSIVE, ENVELOPED], C14nMode::Exclusive),
        chain("an XPath transform", &[ENVELOPED, XPATH], C14nMode::Exclusive),
        chain("an XPath transform more", &[ENVELOPED, XPATH, EXCLUSIVE], C14nMode::Exclusive),
        chain("an XSLT transform more", &[ENVELOPED, XSLT, EXCLUSIVE], C14nMode::Exclusive),
        chain("a base64 transform", &[ENVELOPED, BASE64], C14nMode::Exclusive),
        attack("SignedInfo canonicalized inclusively", 7, Rule::SignatureAlgorithm, |s| {
            bent(s, |info, _| {
                info.canonicalization = INCLUSIVE.to_owned();
                Ok(())
            })
        }),
        attack("SignedInfo canonicalized by an unknown method", 7, Rule::SignatureAlgorithm, |s| {
            bent(s, |info, _| {
                info.canonicalization = "urn:evil:no-canonicalization".to_owned();
                Ok(())
            })
        }),
    ]
}

fn algorithms() -> Vec<Attack> {
    let by = |name: &'static str, algorithm: SignatureAlgorithm| {
        attack(name, 8, Rule::SignatureAlgorithm, move |s: &Scene| {
            let signing = Signing::with(s.key.clone()).algorithm(algorithm);
            Ok(s.genuine().signed(None, Some(signing)).build()?.xml)
        })
    };
    let digest = |name: &'static str, digest: DigestAlgorithm| {
        attack(name, 8, Rule::SignatureAlgorithm, move |s: &Scene| {
            let mut signing = Signing::with(s.key.clone());
            signing.digest = digest;
            Ok(s.genuine().signed(None, Some(signing)).build()?.xml)
        })
    };
    vec![
        by("RSA with SHA-1", SignatureAlgorithm::RsaSha1),
        by("RSA with MD5", SignatureAlgorithm::RsaMd5),
        by("HMAC-SHA-256 keyed with the public key", SignatureAlgorithm::HmacSha256WithPublicKey),
        by("HMAC-SHA-1 keyed with the public key", SignatureAlgorithm::HmacSha1WithPublicKey),
        digest("a SHA-1 digest under a SHA-256 signature", DigestAlgorithm::Sha1),
        digest("an MD5 digest under a SHA-256 signature", DigestAlgorithm::Md5),
        attack("HMAC cut to eight bits", 8, Rule::SignatureAlgorithm, |s| {
            let one = s.genuine();
            let assertion = one.assertion_xml();
            let signing = Signing::with(s.key.clone()).algorithm(SignatureAlgorithm::HmacSha256WithPublicKey);
            let reference = Reference::to(&assertion, &one.assertion_id, DigestAlgorithm::Sha256)?;
            let mut signed_info = SignedInfo::new(signing.algorithm, vec![reference]);
            signed_info.signature_method_content = "<ds:HMACOutputLength>8</ds:HMACOutputLength>".to_owned();
            let signature = signature_element(&signed_info, &signing)?;
            Ok(one.response_around(&insert_signature(&assertion, &one.assertion_id, &signature)?))
        }),
        attack("an unknown signature algorithm", 8, Rule::SignatureAlgorithm, |s| {
            bent(s, |info, _| {
                info.signature_method = "urn:evil:always-valid".to_owned();
                Ok(())
            })
        }),
        attack("no signature algorithm", 8, Rule::SignatureAlgorithm, |s| {
            let xml = s.genuine().build()?.xml;
            let named = format!(" Algorithm=\"{}\"", SignatureAlgorithm::RsaSha256.uri());
            replaced(&xml, &named, "")
        }),
        attack("a signature that claims another key's kind", 8, Rule::KeyKind, |s| {
            bent(s, |info, _| {
                info.signature_method = SignatureAlgorithm::EcdsaSha256.uri().to_owned();
                Ok(())
            })
        }),
    ]
}

fn keys() -> Vec<Attack> {
    let foreign = |name: &'static str, key_info: fn(&Scene) -> Result<KeyInfo>| {
        attack(name, 8, Rule::Signature, move |s: &Scene| {
            let mut signing = Signing::with(s.foreign.clone());
            signing.key_info = key_info(s)?;
            Ok(s.genuine().signed(None, Some(signing)).build()?.xml)
        })
    };
    vec![
        foreign("a foreign key with its certificate in KeyInfo", |_| Ok(KeyInfo::Certificate)),
        foreign("a foreign key without KeyInfo", |_| Ok(KeyInfo::Absent)),
        foreign("a foreign key with the trusted certificate in KeyInfo", |s| {
            let trusted = s.key.certificate_base64()?;
            Ok(KeyInfo::Xml(format!("<ds:X509Data><ds:X509Certificate>{trusted}</ds:X509Certificate></ds:X509Data>")))
        }),
        foreign("a foreign key with both certificates in KeyInfo", |s| {
            let (trusted, own) = (s.key.certificate_base64()?, s.foreign.certificate_base64()?);
            Ok(KeyInfo::Xml(format!(
                "<ds:X509Data><ds:X509Certificate>{own}</ds:X509Certificate>\
                 <ds:X509Certificate>{trusted}</ds:X509Certificate></ds:X509Data>"
            )))
        }),
        foreign("a foreign key as KeyValue", |s| {
            let rsa = s.foreign.private_key().rsa()?;
            let text = |number: &openssl::bn::BigNumRef| BASE64_STANDARD.encode(number.to_vec());
            Ok(KeyInfo::Xml(format!(
                "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{}</ds:Modulus><ds:Exponent>{}</ds:Exponent>\
                 </ds:RSAKeyValue></ds:KeyValue>",
                text(rsa.n()),
                text(rsa.e())
            )))
        }),
        foreign("a foreign key by name of the trusted one", |_| {
            Ok(KeyInfo::Xml("<ds:KeyName>idp.acme.example</ds:KeyName>".to_owned()))
        }),
        attack("a key to be fetched from elsewhere", 8, Rule::Structure, |s| {
            let mut signing = Signing::with(s.foreign.clone());
            let fetched = "<ds:RetrievalMethod URI=\"http://169.254.169.254/key\"/>";
            signing.key_info = KeyInfo::Xml(fetched.to_owned());
            Ok(s.genuine().signed(None, Some(signing)).build()?.xml)
        }),
        attack("a response of another identity provider under its own name", 8, Rule::Signature, |s| {
            // Another customer's IdP signs well, with its own key and its own issuer.
            let signing = Signing::with(s.foreign.clone());
            let other = s.genuine().with(|g| {
                g.response_issuer = Some("https://idp.other.example/saml".into());
                g.assertion_issuer = Some("https://idp.other.example/saml".into());
            });
            Ok(other.signed(None, Some(signing)).build()?.xml)
        }),
        attack("a genuine signature over an assertion in another namespace", 8, Rule::Structure, |s| {
            let (signature, bare) = without_signature(&s.genuine().build()?.xml)?;
            let other = bare.replace(ASSERTION_NS, "urn:evil:assertion");
            replaced(&other, "<saml:Subject>", &format!("{signature}<saml:Subject>"))
        }),
    ]
}
