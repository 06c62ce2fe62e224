//! The SAML IdP as a browser meets it.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::sign::{KeyKind, SignatureAlgorithm, shared};
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;

const ACS: &str = "http://127.0.0.1:9/saml/con_1/acs";

fn redirect_query(attributes: &str) -> String {
    let xml = format!(
        "<samlp:AuthnRequest xmlns:samlp=\"{PROTOCOL_NS}\" xmlns:saml=\"{ASSERTION_NS}\" ID=\"_r1\" Version=\"2.0\" \
         AssertionConsumerServiceURL=\"{ACS}\" {attributes}><saml:Issuer>http://127.0.0.1:9/sp</saml:Issuer>\
         </samlp:AuthnRequest>"
    );
    let mut deflater = DeflateEncoder::new(Vec::new(), Compression::default());
    deflater.write_all(xml.as_bytes()).unwrap();
    let message = BASE64_STANDARD.encode(deflater.finish().unwrap());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("SAMLRequest", &message).append_pair("RelayState", "deep link");
    query.finish()
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

fn hidden(html: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    let rest = html.split(&marker).nth(1).unwrap_or_else(|| panic!("no field {name} in {html}"));
    rest.split('"').next().unwrap().to_owned()
}

async fn post(browser: &reqwest::Client, url: String, body: String, cookie: &str) -> reqwest::Response {
    let request = browser.post(url).header("content-type", "application/x-www-form-urlencoded");
    request.header("cookie", cookie).body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_person_signs_in_once_and_is_known_afterwards() {
    let idp = SamlIdp::start(Options::default()).await.unwrap();
    let browser = browser();
    let sso = format!("{}?{}", idp.sso_url(), redirect_query(""));
    let page = browser.get(&sso).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Zoë Müller"));
    let body = format!("flow={}&username=zoe", hidden(&page, "flow"));
    let answer = post(&browser, format!("{}/login", idp.base_url()), body, "").await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = answer.text().await.unwrap();
    assert!(page.contains(&format!("action=\"{ACS}\"")));
    assert_eq!(hidden(&page, "RelayState"), "deep link");
    let xml = String::from_utf8(BASE64_STANDARD.decode(hidden(&page, "SAMLResponse")).unwrap()).unwrap();
    assert!(xml.contains("Müller") && xml.contains("InResponseTo=\"_r1\""));

    let again = browser.get(&sso).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    assert!(again.contains("SAMLResponse"));
    let forced = format!("{}?{}", idp.sso_url(), redirect_query("ForceAuthn=\"true\""));
    let forced = browser.get(&forced).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    assert!(forced.contains("name=\"flow\""), "ForceAuthn asks again");
}

#[tokio::test]
async fn an_answer_is_signed_as_the_behaviour_says() {
    let key = shared(KeyKind::P256, "elliptic IdP").unwrap();
    let options = Options { key: Some(key), ..Options::default() };
    let idp = SamlIdp::start(options).await.unwrap();
    let url = format!("{}?{}", idp.sso_url(), redirect_query(""));
    for (sign, signatures) in [(Sign::Response, 1), (Sign::Assertion, 1), (Sign::Both, 2), (Sign::Nothing, 0)] {
        idp.behave(|behaviour| behaviour.sign = sign);
        let form = idp.sign_in(&url, "ada").await.unwrap();
        let xml = String::from_utf8(BASE64_STANDARD.decode(form.saml_response).unwrap()).unwrap();
        assert_eq!(xml.matches("<ds:Signature ").count(), signatures);
        assert_eq!(xml.contains(SignatureAlgorithm::EcdsaSha256.uri()), signatures > 0);
    }
    assert_eq!(idp.requests().len(), 4);
}

#[tokio::test]
async fn an_application_elsewhere_is_not_answered() {
    let idp = SamlIdp::start(Options::default()).await.unwrap();
    let request = AuthnRequest {
        id: "_r1".into(),
        issuer: "https://evil.example".into(),
        acs_url: Some("https://evil.example/acs".into()),
        ..AuthnRequest::default()
    };
    let form = BASE64_STANDARD.encode(format!(
        "<samlp:AuthnRequest xmlns:samlp=\"{PROTOCOL_NS}\" ID=\"_r1\" AssertionConsumerServiceURL=\"{}\">\
         <Issuer xmlns=\"{ASSERTION_NS}\">{}</Issuer></samlp:AuthnRequest>",
        request.acs_url.unwrap(),
        request.issuer
    ));
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("SAMLRequest", &form);
    let answer = post(&browser(), idp.sso_url(), body.finish(), "").await;
    assert_eq!(answer.status(), 400);
}
