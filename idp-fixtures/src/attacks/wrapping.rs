//! Signature wrapping: a genuine signed element is kept somewhere, so that the signature verifies, and a forged one
//! stands where the application looks. XSW numbers are those of Somorovsky et al., "On Breaking SAML".

use super::{Attack, Rule, Scene, attack, replaced, with_twin, without_signature};
use anyhow::Result;

/// A genuine signed assertion taken apart, and a forged one.
struct Parts {
    /// Signed, as the IdP made it.
    signed: String,
    signature: String,
    /// The signed one without its signature: what was digested.
    bare: String,
    forged: String,
}

impl Parts {
    fn of(scene: &Scene) -> Result<Self> {
        let genuine = scene.genuine();
        let signed = genuine.sign_assertion(&genuine.assertion_xml())?;
        let (signature, bare) = without_signature(&signed)?;
        Ok(Self { signed, signature, bare, forged: scene.forged().assertion_xml() })
    }

    /// The forged assertion with something right after its Issuer, where a signature stands.
    fn forged_with(&self, inserted: &str) -> Result<String> {
        replaced(&self.forged, "</saml:Issuer>", &format!("</saml:Issuer>{inserted}"))
    }

    /// The genuine signature with something before its end.
    fn signature_with(&self, inserted: &str) -> Result<String> {
        replaced(&self.signature, "</ds:Signature>", &format!("{inserted}</ds:Signature>"))
    }
}

fn object(content: &str) -> String {
    format!("<ds:Object>{content}</ds:Object>")
}

/// A response with these assertions, the Response unsigned.
fn response(scene: &Scene, content: &str) -> String {
    scene.genuine().response_around(content)
}

fn with_extensions(scene: &Scene, extensions: &str, content: &str) -> Result<String> {
    let extensions = format!("<samlp:Extensions>{extensions}</samlp:Extensions><samlp:Status>");
    replaced(&response(scene, content), "<samlp:Status>", &extensions)
}

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = around_a_signed_assertion();
    all.extend(inside_a_signed_assertion());
    all.extend(around_a_signed_response());
    all.extend(outside_the_signed_bytes());
    all
}

fn around_a_signed_assertion() -> Vec<Attack> {
    vec![
        attack("xsw3: forged assertion first", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &[p.forged, p.signed].concat()))
        }),
        attack("xsw3: forged assertion last", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &[p.signed, p.forged].concat()))
        }),
        attack("xsw4: genuine assertion inside the forged one", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &replaced(&p.forged, "</saml:Assertion>", &format!("{}</saml:Assertion>", p.signed))?))
        }),
        attack("xsw4: genuine assertion in the forged one's Advice", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let advice = format!("</saml:Conditions><saml:Advice>{}</saml:Advice>", p.signed);
            Ok(response(s, &replaced(&p.forged, "</saml:Conditions>", &advice)?))
        }),
        attack("xsw5: forged assertion with the genuine signature, genuine one last", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &[p.forged_with(&p.signature)?, p.bare].concat()))
        }),
        attack("xsw5: genuine assertion first, forged one with its signature", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &[p.bare.clone(), p.forged_with(&p.signature)?].concat()))
        }),
        attack("xsw6: genuine assertion inside its signature in the forged one", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &p.forged_with(&p.signature_with(&p.bare)?)?))
        }),
        attack("xsw7: forged assertion in Extensions", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            with_extensions(s, &p.forged, &p.signed)
        }),
        attack("xsw7: genuine assertion in Extensions, forged one in its place", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            with_extensions(s, &p.signed, &p.forged)
        }),
        attack("xsw8: genuine assertion in an Object of the forged one's signature", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &p.forged_with(&p.signature_with(&object(&p.bare))?)?))
        }),
        attack("genuine assertion in StatusDetail, forged one in its place", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let detail = format!("<samlp:StatusDetail>{}</samlp:StatusDetail></samlp:Status>", p.signed);
            replaced(&response(s, &p.forged), "</samlp:Status>", &detail)
        }),
        attack("genuine assertion in KeyInfo, forged one around it", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let signature = replaced(&p.signature, "<ds:KeyInfo>", &format!("<ds:KeyInfo>{}", p.bare))?;
            Ok(response(s, &p.forged_with(&signature)?))
        }),
        attack("forged assertion under the genuine one's ID", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let forged = s.forged().with(|f| f.assertion_id = s.genuine().assertion_id).assertion_xml();
            Ok(response(s, &[forged, p.signed].concat()))
        }),
        attack("genuine signature on a forged assertion under the same ID", 1, Rule::Signature, |s| {
            let p = Parts::of(s)?;
            let forged = s.forged().with(|f| f.assertion_id = s.genuine().assertion_id).assertion_xml();
            Ok(response(s, &replaced(&forged, "</saml:Issuer>", &format!("</saml:Issuer>{}", p.signature))?))
        }),
        attack("a whole genuine response in a forged one", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let genuine = s.genuine().build()?.xml;
            Ok(s.forged().response_around(&[p.forged, genuine].concat()))
        }),
        attack("the genuine signature beside the assertions", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            Ok(response(s, &[p.signature, p.bare, p.forged].concat()))
        }),
    ]
}

/// The enveloped transform takes the whole signature out of the digest, so anyone may write into a genuine one.
fn inside_a_signed_assertion() -> Vec<Attack> {
    vec![
        attack("forged assertion in an Object of the genuine signature", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let written = p.signature_with(&object(&p.forged))?;
            Ok(response(s, &replaced(&p.signed, &p.signature, &written)?))
        }),
        attack("forged assertion in KeyInfo of the genuine signature", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let key_info = format!("<ds:KeyInfo>{}", p.forged);
            Ok(response(s, &replaced(&p.signed, "<ds:KeyInfo>", &key_info)?))
        }),
        attack("forged NameID in an Object of the genuine signature", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let written = p.signature_with(&object(&s.forged().subject_xml()))?;
            Ok(response(s, &replaced(&p.signed, &p.signature, &written)?))
        }),
        attack("a second signature in the genuine assertion", 1, Rule::Structure, |s| {
            let p = Parts::of(s)?;
            let twice = [p.signature.as_str(), p.signature.as_str()].concat();
            Ok(response(s, &replaced(&p.signed, &p.signature, &twice)?))
        }),
    ]
}

fn around_a_signed_response() -> Vec<Attack> {
    let twin = |s: &Scene| Ok(s.genuine_response().build()?.xml);
    let shape = |name: &'static str, breaks: Rule, recipe: fn(&Scene, &str, &str, &str) -> Result<String>| {
        with_twin(
            name,
            1,
            breaks,
            move |s: &Scene| {
                let genuine = s.genuine_response().build()?.xml;
                let (signature, bare) = without_signature(&genuine)?;
                recipe(s, &genuine, &signature, &bare)
            },
            twin,
        )
    };
    vec![
        shape(
            "xsw1: genuine response inside its signature in a forged one",
            Rule::Structure,
            |s, _, signature, bare| {
                let holding = replaced(signature, "</ds:Signature>", &format!("{bare}</ds:Signature>"))?;
                forged_response_with(s, &holding)
            },
        ),
        shape("xsw1: genuine response in an Object of its signature", Rule::Structure, |s, _, signature, bare| {
            let holding = replaced(signature, "</ds:Signature>", &format!("{}</ds:Signature>", object(bare)))?;
            forged_response_with(s, &holding)
        }),
        shape(
            "xsw2: genuine response before its signature in a forged one",
            Rule::Structure,
            |s, _, signature, bare| forged_response_with(s, &[bare, signature].concat()),
        ),
        shape("xsw2: genuine response in Extensions of a forged one", Rule::Structure, |s, genuine, _, _| {
            let extensions = format!("<samlp:Extensions>{genuine}</samlp:Extensions><samlp:Status>");
            replaced(&s.forged().build()?.xml, "<samlp:Status>", &extensions)
        }),
        shape("forged assertion added to a signed response", Rule::Structure, |s, genuine, _, _| {
            let added = format!("{}</samlp:Response>", s.forged().assertion_xml());
            replaced(genuine, "</samlp:Response>", &added)
        }),
        shape("forged response under the genuine one's ID and signature", Rule::Signature, |s, _, signature, _| {
            let forged = s.forged().with(|f| f.response_id = s.genuine().response_id).build()?.xml;
            replaced(&forged, "</saml:Issuer>", &format!("</saml:Issuer>{signature}"))
        }),
        shape("genuine response's signature on a forged one of another ID", Rule::Structure, |s, _, signature, _| {
            forged_response_with(s, signature)
        }),
        shape("forged response in an Object of the genuine signature", Rule::Structure, |s, genuine, _, _| {
            let forged = object(&s.forged().build()?.xml);
            replaced(genuine, "</ds:Signature>", &format!("{forged}</ds:Signature>"))
        }),
    ]
}

fn forged_response_with(scene: &Scene, inserted: &str) -> Result<String> {
    let forged = scene.forged().build()?.xml;
    replaced(&forged, "</saml:Issuer>", &format!("</saml:Issuer>{inserted}"))
}

/// Unsigned data placed where a reader of the raw document would find it (class 3).
fn outside_the_signed_bytes() -> Vec<Attack> {
    let added = |name: &'static str, after: &'static str, what: fn(&Scene) -> String| {
        attack(name, 3, Rule::Structure, move |s: &Scene| {
            let xml = s.genuine().build()?.xml;
            replaced(&xml, after, &format!("{after}{}", what(s)))
        })
    };
    vec![
        added("a Subject beside the assertion", "</saml:Assertion>", |s| s.forged().subject_xml()),
        added("an AttributeStatement beside the assertion", "</saml:Assertion>", |_| {
            "<saml:AttributeStatement><saml:Attribute Name=\"groups\"><saml:AttributeValue>admins\
             </saml:AttributeValue></saml:Attribute></saml:AttributeStatement>"
                .to_owned()
        }),
        added("a NameID right below the Response", "</samlp:Status>", |s| {
            format!("<saml:NameID>{}</saml:NameID>", s.victim)
        }),
        attack("an attribute added inside the signed assertion", 3, Rule::Signature, |s| {
            let xml = s.genuine().build()?.xml;
            let more = "<saml:AttributeValue>admins</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>";
            replaced(&xml, "</saml:Attribute></saml:AttributeStatement>", more)
        }),
        attack("the NameID changed after signing", 3, Rule::Signature, |s| {
            replaced(&s.genuine().build()?.xml, &s.attacker, &s.victim)
        }),
        attack("the signature cut out", 3, Rule::Unsigned, |s| Ok(without_signature(&s.genuine().build()?.xml)?.1)),
        attack("no signature from the start", 3, Rule::Unsigned, |s| Ok(s.forged().build()?.xml)),
    ]
}
