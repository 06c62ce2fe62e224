//! The ID token's form, algorithm, header, key and signature (security.md, 16).

use std::time::Duration;

use idp_fixtures::oidc::{Endpoint, Faults, TokenSigning, jose::Algorithm};
use serde_json::json;
use tokio::net::TcpListener;
use usher::{clock::Clock, connections::IdTokenAlg};

use super::setup::{Setup, without_header};

fn signing(how: TokenSigning) -> Faults {
    Faults { signing: how, ..Faults::default() }
}

#[tokio::test]
async fn a_token_that_nobody_or_the_wrong_one_signed_is_refused() {
    let setup = Setup::new().await;
    for (how, code) in [
        (TokenSigning::None, "login.oidc.algorithm"),
        (TokenSigning::Hs256WithPublicKey, "login.oidc.algorithm"),
        (TokenSigning::Hs256WithClientSecret, "login.oidc.algorithm"),
        (TokenSigning::ForeignKey, "login.oidc.signature"),
        (TokenSigning::Corrupted, "login.oidc.signature"),
    ] {
        assert_eq!(setup.refused(signing(how.clone())).await, code, "{how:?}");
    }
    setup.let_in(signing(TokenSigning::Honest)).await;
}

#[tokio::test]
async fn an_algorithm_name_in_the_header_does_not_choose_how_the_signature_is_read() {
    let mut setup = Setup::new().await;
    setup.party.id_token_algs = vec![IdTokenAlg::Rs256, IdTokenAlg::Rs384, IdTokenAlg::Ps256, IdTokenAlg::Es256];
    for (name, code) in [
        // The key is published for RS256 alone.
        ("RS384", "login.oidc.unknown_key"),
        ("PS256", "login.oidc.unknown_key"),
        ("ES256", "login.oidc.unknown_key"),
        ("rs256", "login.oidc.algorithm"),
        ("nOnE", "login.oidc.algorithm"),
        ("HS256", "login.oidc.algorithm"),
        ("", "login.oidc.algorithm"),
    ] {
        assert_eq!(setup.refused(Faults::default().header("alg", json!(name))).await, code, "{name}");
    }
    for odd in [json!(null), json!(["RS256"]), json!({"RS256": true})] {
        assert_eq!(setup.refused(Faults::default().header("alg", odd)).await, "login.oidc.algorithm");
    }
    setup.let_in(Faults::default().header("alg", json!("RS256"))).await;
}

#[tokio::test]
async fn a_token_without_kid_is_refused_when_several_keys_fit() {
    let setup = Setup::new().await;
    let anonymous = |decoy_keys| without_header(Faults { decoy_keys, ..Faults::default() }, "kid");
    setup.let_in(anonymous(0)).await;
    setup.let_in(Faults { decoy_keys: 2, ..Faults::default() }).await;
    // Another connection, so that its keys are fetched anew.
    let setup = Setup::new().await;
    assert_eq!(setup.refused(anonymous(1)).await, "login.oidc.ambiguous_key");
}

#[tokio::test]
async fn keys_that_the_token_brings_along_are_ignored() {
    let setup = Setup::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let theirs = format!("http://{}/jwks", listener.local_addr().unwrap());
    let jwk = setup.op.signing_key().unwrap().jwk().unwrap();
    for (name, value) in [
        ("jku", json!(theirs)),
        ("x5u", json!(theirs)),
        ("jwk", jwk),
        ("x5c", json!([setup.op.signing_key().unwrap().pair.certificate_base64().unwrap()])),
    ] {
        let with = |how| signing(how).header(name, value.clone());
        assert_eq!(setup.refused(with(TokenSigning::ForeignKey)).await, "login.oidc.signature", "{name}");
        setup.let_in(with(TokenSigning::Honest)).await;
    }
    let asked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(asked.is_err(), "nobody asks where a token says that its key lies");
}

#[tokio::test]
async fn headers_that_change_what_a_token_means_are_refused() {
    let setup = Setup::new().await;
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("cty", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!(5)),
        ("kid", json!(7)),
        ("kid", json!(null)),
        ("kid", json!("k".repeat(2000))),
    ] {
        assert_eq!(
            setup.refused(Faults::default().header(name, value.clone())).await,
            "login.oidc.header",
            "{name} {value}"
        );
    }
    for (name, value) in [("typ", json!("jwt")), ("typ", json!("application/JWT")), ("something", json!("else"))] {
        setup.let_in(Faults::default().header(name, value)).await;
    }
    setup.let_in(without_header(Faults::default(), "typ")).await;
}

#[tokio::test]
async fn a_token_that_is_no_signed_jwt_is_refused() {
    let setup = Setup::new().await;
    let honest = setup.op.signing_key().unwrap().token(json!({"sub": "grace"}).as_object().unwrap()).unwrap();
    let (input, signature) = honest.rsplit_once('.').unwrap();
    for (token, code) in [
        ("x".to_owned(), "login.oidc.malformed"),
        ("...".to_owned(), "login.oidc.malformed"),
        ("a.b.c.d.e".to_owned(), "login.oidc.encrypted"),
        (format!("{input}.{signature}="), "login.oidc.malformed"),
        (format!("{input}.{signature}\n"), "login.oidc.malformed"),
        (format!("{input}."), "login.oidc.signature"),
        (format!(" {honest}"), "login.oidc.malformed"),
        (String::new(), "login.oidc.no_id_token"),
        // Signed and well-formed, and says almost nothing.
        (honest.clone(), "login.oidc.issuer"),
    ] {
        let faults = Faults { id_token: Some(token.clone()), ..Faults::default() };
        assert_eq!(setup.refused(faults).await, code, "{token:?}");
    }
    setup.let_in(Faults::default()).await;
}

#[tokio::test]
async fn a_key_of_the_right_name_and_the_wrong_kind_is_not_used() {
    let mut setup = Setup::with(Algorithm::Es256, Clock::system()).await;
    setup.party.id_token_algs = vec![IdTokenAlg::Es256, IdTokenAlg::Es384, IdTokenAlg::EdDsa];
    setup.let_in(Faults::default()).await;
    for name in ["ES384", "EdDSA"] {
        assert_eq!(
            setup.refused(Faults::default().header("alg", json!(name))).await,
            "login.oidc.unknown_key",
            "{name}"
        );
    }
    assert_eq!(setup.refused(Faults::default().header("kid", json!("another"))).await, "login.oidc.unknown_key");
    assert!(setup.op.hits(Endpoint::Jwks) <= 2, "an unknown name makes us ask once more and not again and again");
}
