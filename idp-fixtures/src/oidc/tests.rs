//! The provider as a relying party meets it; tokens are verified by jsonwebtoken, which did not make them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{jose::Algorithm, *};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Map, Value, json};

const CALLBACK: &str = "http://127.0.0.1:9/oidc/con_1/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn authorize_url(op: &OidcOp, client: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", client)
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("scope", "openid profile")
        .append_pair("state", "s1")
        .append_pair("nonce", "n1")
        .append_pair("code_challenge", CHALLENGE)
        .append_pair("code_challenge_method", "S256");
    format!("{}/authorize?{}", op.issuer(), query.finish())
}

async fn exchange(op: &OidcOp, code: &str, verifier: &str, more: &[(&str, &str)]) -> (u16, Map<String, Value>) {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("code_verifier", verifier)
        .extend_pairs(more);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(format!("{}/token", op.issuer())).body(body.finish()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn id_token_holds(op: &OidcOp, token: &str) -> Result<Map<String, Value>, jsonwebtoken::errors::Error> {
    let keys = crate::fetch::text(&format!("{}/jwks", op.issuer())).await.unwrap();
    let keys: JwkSet = serde_json::from_str(&keys).unwrap();
    let header = decode_header(token)?;
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["usher-public"]);
    validation.set_issuer(&[op.issuer()]);
    Ok(decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation)?.claims)
}

fn code_of(op: &OidcOp) -> String {
    let callback = op.sign_in(&authorize_url(op, "usher-public"), "grace").unwrap();
    callback.parameters.iter().find(|(name, _)| name == "code").unwrap().1.clone()
}

#[tokio::test]
async fn every_algorithm_makes_tokens_that_verify() {
    let all = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"];
    for name in all {
        let algorithm = Algorithm::named(name).unwrap();
        let op = OidcOp::start(Options { algorithm, ..Options::default() }).await.unwrap();
        let (status, tokens) = exchange(&op, &code_of(&op), VERIFIER, &[("client_id", "usher-public")]).await;
        assert_eq!(status, 200, "{tokens:?}");
        let token = tokens["id_token"].as_str().unwrap();
        let claims = id_token_holds(&op, token).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(claims["nonce"], "n1");
        assert_eq!(claims["groups"], json!(["engineering", "learning"]));
    }
}

#[tokio::test]
async fn a_code_is_used_once_and_with_its_verifier_only() {
    let op = OidcOp::start(Options::default()).await.unwrap();
    let public = [("client_id", "usher-public")];
    assert_eq!(exchange(&op, &code_of(&op), "another-verifier", &public).await.0, 400);
    let code = code_of(&op);
    let stranger = [("client_id", "usher"), ("client_secret", "wrong")];
    assert_eq!(exchange(&op, &code, VERIFIER, &stranger).await.0, 401);
    assert_eq!(exchange(&op, &code, VERIFIER, &public).await.0, 200);
    assert_eq!(exchange(&op, &code, VERIFIER, &public).await.0, 400);
}

#[tokio::test]
async fn faults_bend_what_they_name() {
    let op = OidcOp::start(Options::default()).await.unwrap();
    op.fault(Faults::default().claim("nonce", json!("other")).callback("iss", Some("https://evil.example")));
    let callback = op.sign_in(&authorize_url(&op, "usher-public"), "grace").unwrap();
    assert!(callback.url().contains("iss=https%3A%2F%2Fevil.example"));
    let (_, tokens) = exchange(&op, &code_of(&op), VERIFIER, &[("client_id", "usher-public")]).await;
    let claims = id_token_holds(&op, tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["nonce"], "other");
    for signing in [TokenSigning::ForeignKey, TokenSigning::Corrupted] {
        op.fault(Faults { signing, ..Faults::default() });
        let (_, tokens) = exchange(&op, &code_of(&op), VERIFIER, &[("client_id", "usher-public")]).await;
        assert!(id_token_holds(&op, tokens["id_token"].as_str().unwrap()).await.is_err());
    }
    op.fault(Faults::default().failing(Endpoint::Discovery, Failure::Status(503)));
    assert!(crate::fetch::text(&format!("{}/.well-known/openid-configuration", op.issuer())).await.is_err());
    assert_eq!(op.hits(Endpoint::Discovery), 1);
}
