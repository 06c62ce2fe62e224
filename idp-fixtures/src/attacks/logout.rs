//! Classes 11 and 15: logout messages that must not be believed, by Redirect and by POST. Each is a bend of the genuine
//! message that its twin is.

use super::{Recipe, Rule, replaced};
use crate::{
    clock::xs_date_time,
    saml::{LogoutBuilder, NameId, QueryStyle, Value},
    sign::{Encryption, KeyPair, SignatureAlgorithm, Signing},
    xml::random_id,
};
use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Duration, Utc};
use openssl::x509::X509;

/// Between whom a logout message travels, and about whom.
#[derive(Clone)]
pub struct LogoutScene {
    pub idp: String,
    pub slo_url: String,
    /// The identity provider's key, which the service provider trusts.
    pub key: KeyPair,
    pub foreign: KeyPair,
    /// The service provider's certificate to encrypt for.
    pub recipient: X509,
    pub name_id: NameId,
    pub session_index: String,
    pub now: DateTime<Utc>,
    id: String,
}

impl LogoutScene {
    #[must_use]
    pub fn new(
        (idp, slo_url): (&str, &str),
        (key, foreign): (&KeyPair, &KeyPair),
        recipient: X509,
        (name_id, session_index): (NameId, &str),
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            idp: idp.to_owned(),
            slo_url: slo_url.to_owned(),
            key: key.clone(),
            foreign: foreign.clone(),
            recipient,
            name_id,
            session_index: session_index.to_owned(),
            now,
            id: random_id(),
        }
    }

    /// The genuine request.
    #[must_use]
    pub fn genuine(&self) -> LogoutBuilder {
        LogoutBuilder::request(&self.idp, &self.slo_url, self.name_id.clone(), &self.key, self.now).with(|request| {
            request.id.clone_from(&self.id);
            request.session_indexes = vec![self.session_index.clone()];
            request.relay_state = Some("deep link/é".to_owned());
        })
    }
}

/// A logout message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogoutSent {
    /// The query of a GET, undecoded.
    Query(String),
    /// The fields of a POST.
    Form(Vec<(String, String)>),
}

impl LogoutSent {
    fn form(message: &LogoutBuilder) -> Result<Self> {
        Self::form_of(message, &message.signed_xml()?)
    }

    fn form_of(message: &LogoutBuilder, xml: &str) -> Result<Self> {
        let message = message.clone().with(|one| one.signing = None);
        let mut fields: Vec<_> = message.fields()?.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        fields.iter_mut().take(1).for_each(|field| field.1 = BASE64_STANDARD.encode(xml));
        Ok(Self::Form(fields))
    }
}

/// One attack with its positive twin.
pub struct LogoutAttack {
    pub name: String,
    /// The number of its class in the list of attacks.
    pub class: u8,
    pub breaks: Rule,
    attack: Recipe<LogoutSent, LogoutScene>,
    twin: Recipe<LogoutSent, LogoutScene>,
}

impl LogoutAttack {
    /// The attack's message.
    pub fn attack(&self, scene: &LogoutScene) -> Result<LogoutSent> {
        (self.attack)(scene).with_context(|| format!("the recipe of {} failed", self.name))
    }

    /// The message that differs from it in the attacked point alone, and is to be accepted.
    pub fn twin(&self, scene: &LogoutScene) -> Result<LogoutSent> {
        (self.twin)(scene).with_context(|| format!("the recipe of the twin of {} failed", self.name))
    }
}

/// Every attack on a logout request, with names that are unique.
#[must_use]
pub fn logout_attacks() -> Vec<LogoutAttack> {
    [queries(), forms(), meanings()].into_iter().flatten().collect()
}

fn queried(
    name: impl Into<String>,
    breaks: Rule,
    recipe: impl Fn(&LogoutScene, LogoutBuilder) -> Result<String> + Send + Sync + 'static,
) -> LogoutAttack {
    LogoutAttack {
        name: format!("by Redirect: {}", name.into()),
        class: 11,
        breaks,
        attack: Box::new(move |scene| Ok(LogoutSent::Query(recipe(scene, scene.genuine())?))),
        twin: Box::new(|scene| Ok(LogoutSent::Query(scene.genuine().query()?))),
    }
}

/// The query as it was written, bent afterwards.
fn rewritten(
    name: &'static str,
    breaks: Rule,
    change: impl Fn(&str) -> Result<String> + Send + Sync + 'static,
) -> LogoutAttack {
    queried(name, breaks, move |_, genuine| change(&genuine.query()?))
}

fn part<'q>(query: &'q str, name: &str) -> Result<&'q str> {
    let found = query.split('&').find(|pair| pair.split_once('=').is_some_and(|(found, _)| found == name));
    found.with_context(|| format!("no {name}"))
}

fn without(query: &str, names: &[&str]) -> Result<String> {
    names.iter().try_for_each(|name| part(query, name).map(drop))?;
    let stays = |pair: &&str| !names.iter().any(|name| pair.split_once('=').is_some_and(|(found, _)| found == *name));
    Ok(query.split('&').filter(stays).collect::<Vec<_>>().join("&"))
}

fn queries() -> Vec<LogoutAttack> {
    let mut all = Vec::new();
    for name in ["SAMLRequest", "RelayState", "SigAlg", "Signature"] {
        all.push(queried(format!("{name} twice"), Rule::Binding, move |_, genuine| {
            let query = genuine.query()?;
            Ok(format!("{query}&{}", part(&query, name)?))
        }));
        all.push(queried(format!("{name} again by an encoded name"), Rule::Binding, move |_, genuine| {
            let query = genuine.query()?;
            Ok(format!("{}&{query}", part(&query, name)?.replacen('S', "%53", 1)))
        }));
    }
    all.extend([
        rewritten("no signature at all", Rule::Unsigned, |query| without(query, &["SigAlg", "Signature"])),
        rewritten("no SigAlg", Rule::Binding, |query| without(query, &["SigAlg"])),
        rewritten("no Signature", Rule::Binding, |query| without(query, &["Signature"])),
        rewritten("RelayState taken away", Rule::Signature, |query| without(query, &["RelayState"])),
        rewritten("RelayState changed", Rule::Signature, |query| replaced(query, "deep", "deeq")),
        rewritten("a blank written the other way", Rule::Signature, |query| replaced(query, "%20", "+")),
        rewritten("percent-encoding in the other case", Rule::Signature, |query| replaced(query, "%2F", "%2f")),
        rewritten("a letter encoded that was not", Rule::Signature, |query| replaced(query, "deep", "%64eep")),
        rewritten("sent as an answer", Rule::Structure, |query| replaced(query, "SAMLRequest=", "SAMLResponse=")),
        rewritten("a request and an answer at once", Rule::Binding, |query| {
            Ok(format!("{query}&{}", replaced(part(query, "SAMLRequest")?, "SAMLRequest", "SAMLResponse")?))
        }),
        rewritten("another encoding of the message", Rule::Binding, |query| {
            Ok(format!("{query}&SAMLEncoding=urn:none"))
        }),
        rewritten("a message that is no base64", Rule::Base64, |query| {
            replaced(query, "SAMLRequest=", "SAMLRequest=!")
        }),
        rewritten("a signature that is empty", Rule::Signature, |query| {
            Ok(format!("{}&Signature=", without(query, &["Signature"])?))
        }),
        rewritten("broken percent-encoding", Rule::Binding, |query| replaced(query, "%20", "%2")),
        queried("the signed parameters in another order", Rule::Signature, |scene, genuine| {
            let query = without(&genuine.query()?, &["Signature"])?;
            let (message, rest) = query.split_once('&').context("a query of several parameters")?;
            let other = format!("{rest}&{message}");
            signed(&other, SignatureAlgorithm::RsaSha256, &scene.key)
        }),
        queried("SigAlg left out of what is signed", Rule::Signature, |scene, genuine| {
            let query = without(&genuine.query()?, &["Signature", "SigAlg"])?;
            let algorithm = part(&genuine.query()?, "SigAlg")?.to_owned();
            replaced(
                &signed(&query, SignatureAlgorithm::RsaSha256, &scene.key)?,
                "&Signature=",
                &format!("&{algorithm}&Signature="),
            )
        }),
        queried("a message with the signature of another", Rule::Signature, |_, genuine| {
            let other = genuine.clone().with(|one| one.session_indexes.clear()).query()?;
            Ok(format!("{}&{}", without(&genuine.query()?, &["Signature"])?, part(&other, "Signature")?))
        }),
        queried("a foreign key", Rule::Signature, |scene, genuine| {
            genuine.with(|one| one.signing = Some(Signing::with(scene.foreign.clone()))).query()
        }),
        queried("an algorithm of another kind of key", Rule::KeyKind, |_, genuine| {
            let query = genuine.query()?;
            replaced(&query, "rsa-sha256", "ecdsa-sha256")
        }),
        queried("another digest than was signed", Rule::Signature, |_, genuine| {
            replaced(&genuine.query()?, "rsa-sha256", "rsa-sha512")
        }),
        queried("signed inside as well", Rule::Structure, |_, genuine| genuine.query_of(&genuine.signed_xml()?)),
        queried("signed inside instead", Rule::Structure, |_, genuine| {
            genuine.clone().with(|one| one.signing = None).query_of(&genuine.signed_xml()?)
        }),
        queried("what does not inflate", Rule::Binding, |_, genuine| {
            let query = genuine.query()?;
            replaced(&query, part(&query, "SAMLRequest")?, "SAMLRequest=AAAA")
        }),
        queried("a deflate bomb", Rule::Document, |_, genuine| genuine.query_of(&" ".repeat(20_000_000))),
    ]);
    for algorithm in [
        SignatureAlgorithm::RsaSha1,
        SignatureAlgorithm::RsaMd5,
        SignatureAlgorithm::RsaPssSha256,
        SignatureAlgorithm::HmacSha256WithPublicKey,
        SignatureAlgorithm::HmacSha1WithPublicKey,
    ] {
        all.push(queried(format!("signed by {algorithm:?}"), Rule::SignatureAlgorithm, move |_, genuine| {
            genuine.with(|one| one.signing = one.signing.take().map(|signing| signing.algorithm(algorithm))).query()
        }));
    }
    all
}

/// These octets, signed as they stand.
fn signed(octets: &str, algorithm: SignatureAlgorithm, key: &KeyPair) -> Result<String> {
    let value = BASE64_STANDARD.encode(algorithm.sign(key, octets.as_bytes())?);
    Ok(format!("{octets}&Signature={}", QueryStyle::default().encoded(&value)))
}

fn posted(
    name: &'static str,
    breaks: Rule,
    recipe: impl Fn(&LogoutScene, LogoutBuilder) -> Result<LogoutSent> + Send + Sync + 'static,
) -> LogoutAttack {
    LogoutAttack {
        name: format!("by POST: {name}"),
        class: 15,
        breaks,
        attack: Box::new(move |scene| recipe(scene, scene.genuine())),
        twin: Box::new(|scene| LogoutSent::form(&scene.genuine())),
    }
}

/// The signed document, bent afterwards.
fn altered(
    name: &'static str,
    breaks: Rule,
    change: impl Fn(&LogoutScene, &str) -> Result<String> + Send + Sync + 'static,
) -> LogoutAttack {
    posted(name, breaks, move |scene, genuine| LogoutSent::form_of(&genuine, &change(scene, &genuine.signed_xml()?)?))
}

/// Somebody else's request, by nobody signed, around `inside`.
fn forged(scene: &LogoutScene, inside: &str) -> Result<String> {
    let forged = scene.genuine().with(|one| {
        one.id = random_id();
        one.name_id = Some(NameId::email("victim@acme.example"));
        one.extra = inside.to_owned();
    });
    forged.to_xml()
}

fn forms() -> Vec<LogoutAttack> {
    vec![
        posted("unsigned", Rule::Unsigned, |_, genuine| LogoutSent::form(&genuine.with(|one| one.signing = None))),
        posted("a foreign key", Rule::Signature, |scene, genuine| {
            LogoutSent::form(&genuine.with(|one| one.signing = Some(Signing::with(scene.foreign.clone()))))
        }),
        posted("signed by SHA-1", Rule::SignatureAlgorithm, |_, genuine| {
            let weakly = |signing: Signing| signing.algorithm(SignatureAlgorithm::RsaSha1);
            LogoutSent::form(&genuine.with(|one| one.signing = one.signing.take().map(weakly)))
        }),
        posted("signed by HMAC with the public key", Rule::SignatureAlgorithm, |_, genuine| {
            let keyed = |signing: Signing| signing.algorithm(SignatureAlgorithm::HmacSha256WithPublicKey);
            LogoutSent::form(&genuine.with(|one| one.signing = one.signing.take().map(keyed)))
        }),
        posted("the message twice", Rule::Binding, |scene, genuine| {
            let LogoutSent::Form(mut fields) = LogoutSent::form(&genuine)? else { unreachable!("it is a form") };
            fields.insert(0, ("SAMLRequest".to_owned(), BASE64_STANDARD.encode(forged(scene, "")?)));
            Ok(LogoutSent::Form(fields))
        }),
        altered("the subject changed after signing", Rule::Signature, |_, xml| {
            replaced(xml, "</saml:NameID>", "x</saml:NameID>")
        }),
        altered("the session taken away after signing", Rule::Signature, |scene, xml| {
            let session = format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", scene.session_index);
            replaced(xml, &session, "")
        }),
        altered("a comment in the subject", Rule::Document, |_, xml| {
            replaced(xml, "</saml:NameID>", "<!-- -->x</saml:NameID>")
        }),
        altered("a DOCTYPE", Rule::Document, |_, xml| Ok(format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{xml}"))),
        altered("two subjects", Rule::Structure, |_, xml| {
            replaced(xml, "<saml:NameID", "<saml:NameID>victim@acme.example</saml:NameID><saml:NameID")
        }),
        altered("wrapped in Extensions of a forged one", Rule::Structure, |scene, xml| {
            forged(scene, &format!("<samlp:Extensions>{xml}</samlp:Extensions>"))
        }),
        altered("its signature moved into a forged one, which holds it", Rule::Structure, |scene, xml| {
            let (signature, rest) = super::without_signature(xml)?;
            forged(scene, &format!("{signature}<samlp:Extensions>{rest}</samlp:Extensions>"))
        }),
        altered("in an Object of the signature of a forged one", Rule::Structure, |scene, xml| {
            let (signature, rest) = super::without_signature(xml)?;
            let holding =
                replaced(&signature, "</ds:Signature>", &format!("<ds:Object>{rest}</ds:Object></ds:Signature>"))?;
            forged(scene, &holding)
        }),
        altered("a forged one under the same ID", Rule::Structure, |scene, xml| {
            let forged = forged(scene, &format!("<samlp:Extensions>{xml}</samlp:Extensions>"))?;
            let id =
                forged.split_once(" ID=\"").and_then(|(_, rest)| rest.split_once('"')).context("an ID")?.0.to_owned();
            replaced(&forged, &id, &scene.id)
        }),
        altered("an answer sent as a request", Rule::Structure, |scene, _| {
            LogoutBuilder::response(&scene.idp, &scene.slo_url, "_r", &scene.key, scene.now).signed_xml()
        }),
    ]
}

type Bend = fn(&mut LogoutBuilder, &LogoutScene);

/// Well signed by the trusted key, by both bindings, and meaning the wrong thing.
fn said(name: &str, breaks: Rule, bend: Bend) -> [LogoutAttack; 2] {
    let bent = move |scene: &LogoutScene| scene.genuine().with(|one| bend(one, scene));
    let by_redirect = queried(name, breaks, move |scene, _| bent(scene).query());
    let by_post = LogoutAttack {
        name: format!("by POST: {name}"),
        class: 15,
        breaks,
        attack: Box::new(move |scene| LogoutSent::form(&bent(scene))),
        twin: Box::new(|scene| LogoutSent::form(&scene.genuine())),
    };
    [LogoutAttack { class: 15, ..by_redirect }, by_post]
}

fn meanings() -> Vec<LogoutAttack> {
    let bends: Vec<(&str, Rule, Bend)> = vec![
        ("over", Rule::Expired, |one, scene| one.not_on_or_after = Some(scene.now - Duration::minutes(10))),
        ("issued an hour ago", Rule::Expired, |one, scene| {
            one.not_on_or_after = None;
            one.issue_instant = scene.now - Duration::hours(1);
        }),
        ("issued in the future", Rule::NotYetValid, |one, scene| one.issue_instant = scene.now + Duration::minutes(10)),
        ("SAML 1.1", Rule::Version, |one, _| one.version = "1.1".to_owned()),
        ("another issuer", Rule::Issuer, |one, _| one.issuer = Some("https://evil.example".into())),
        ("no issuer", Rule::Issuer, |one, _| one.issuer = None),
        ("another destination", Rule::Destination, |one, scene| {
            one.destination = Some(scene.slo_url.replace("/slo", "/acs"));
        }),
        ("no destination", Rule::Destination, |one, _| one.destination = None),
        ("no subject", Rule::NameId, |one, _| one.name_id = None),
        ("an empty subject", Rule::NameId, |one, _| one.name_id = Some(NameId::email(" "))),
        ("a subject of 300 characters", Rule::NameId, |one, _| one.name_id = Some(NameId::email(&"a".repeat(300)))),
        ("markup in the subject", Rule::Structure, |one, _| {
            one.name_id = Some(NameId { value: Value::Xml("<b>ada</b>".to_owned()), ..NameId::email("") });
        }),
        ("an empty session", Rule::NameId, |one, _| one.session_indexes = vec![String::new()]),
        ("a subject that is encrypted for somebody else", Rule::Decryption, |one, scene| {
            one.encryption = Some(Encryption::to(scene.foreign.certificate().clone()));
        }),
        ("an element nobody knows", Rule::Structure, |one, _| one.extra = "<samlp:Force/>".to_owned()),
    ];
    let mut all: Vec<LogoutAttack> =
        bends.into_iter().flat_map(|(name, breaks, bend)| said(name, breaks, bend)).collect();
    all.push(queried("no time of issue", Rule::Time, |scene, genuine| {
        let instant = format!(" IssueInstant=\"{}\"", xs_date_time(scene.now));
        genuine.query_of(&replaced(&genuine.to_xml()?, &instant, "")?)
    }));
    all.push(queried("an end that is no time", Rule::Time, |scene, genuine| {
        let end = xs_date_time(scene.now + Duration::minutes(5));
        genuine.query_of(&replaced(&genuine.to_xml()?, &end, "tomorrow")?)
    }));
    all
}
