//! What the browser carries: state, nonce, PKCE, codes of others, `iss`, and error answers (security.md, 18 and 19).

use idp_fixtures::oidc::{Client, Endpoint, Faults};
use serde_json::json;
use usher::login::oidc::{Callback, ClientAuth, Handshake};

use super::setup::Setup;

fn set(parameters: &mut [(String, String)], name: &str, value: &str) {
    parameters.iter_mut().filter(|(known, _)| known == name).for_each(|(_, held)| value.clone_into(held));
}

fn value(parameters: &[(String, String)], name: &str) -> String {
    parameters.iter().find(|(known, _)| known == name).unwrap().1.clone()
}

#[tokio::test]
async fn an_answer_with_another_state_is_refused_before_the_code_is_used() {
    let setup = Setup::new().await;
    let handshake = Handshake::new(&setup.app.entropy);
    let honest = setup.parameters(&handshake, "grace");
    for state in [Handshake::new(&setup.app.entropy).state, format!("{} ", handshake.state), handshake.nonce.clone()] {
        let mut parameters = honest.clone();
        set(&mut parameters, "state", &state);
        let (outcome, _) = setup.finish(&handshake, parameters).await;
        assert_eq!(outcome.unwrap_err().code(), "login.oidc.state");
    }
    assert_eq!(setup.op.hits(Endpoint::Token), 0);
    setup.finish(&handshake, honest).await.0.unwrap();
}

#[tokio::test]
async fn an_answer_that_does_not_read_is_refused() {
    let setup = Setup::new().await;
    let pairs =
        |text: &str| -> Vec<(String, String)> { url::form_urlencoded::parse(text.as_bytes()).into_owned().collect() };
    for text in [
        "",
        "code=c",
        "state=s",
        "state=&code=c",
        "state=s&code=",
        "state=s&state=s&code=c",
        "state=s&code=c&code=d",
        "state=s&code=c&error=access_denied",
        "state=s&code=c&iss=a&iss=b",
    ] {
        assert_eq!(Callback::read(pairs(text)).unwrap_err().code(), "login.oidc.callback", "{text}");
    }
    let long = format!("state=s&code={}", "c".repeat(9000));
    assert_eq!(Callback::read(pairs(&long)).unwrap_err().code(), "login.oidc.callback");
    let known = Callback::read(pairs("state=s&code=c&session_state=x&session_state=y&scope=openid")).unwrap();
    assert_eq!(known.state(), "s");
    assert_eq!(setup.op.hits(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_token_with_another_nonce_or_none_is_refused() {
    let setup = Setup::new().await;
    let other = Handshake::new(&setup.app.entropy).nonce;
    for nonce in [json!(other), json!(""), json!(null), json!(["x"]), json!(5)] {
        assert_eq!(setup.refused(Faults::default().claim("nonce", nonce)).await, "login.oidc.nonce");
    }
    assert_eq!(setup.refused(Faults::default().without_claim("nonce")).await, "login.oidc.nonce");
    setup.let_in(Faults::default()).await;
}

#[tokio::test]
async fn a_code_of_somebody_elses_sign_in_is_refused_with_pkce_and_by_the_nonce_without() {
    let setup = Setup::new().await;
    let (mine, theirs) = (Handshake::new(&setup.app.entropy), Handshake::new(&setup.app.entropy));
    let injected = || {
        let mut parameters = setup.parameters(&mine, "grace");
        set(&mut parameters, "code", &value(&setup.parameters(&theirs, "sam"), "code"));
        parameters
    };
    let (outcome, _) = setup.finish(&mine, injected()).await;
    assert_eq!(outcome.unwrap_err().code(), "login.oidc.token_refused");
    setup.op.fault(Faults { ignore_pkce: true, ..Faults::default() });
    let (outcome, _) = setup.finish(&mine, injected()).await;
    assert_eq!(outcome.unwrap_err().code(), "login.oidc.nonce");
    setup.op.fault(Faults::default());
    let (outcome, _) = setup.finish(&mine, setup.parameters(&mine, "grace")).await;
    assert_eq!(outcome.unwrap().subject(), "grace-7f3a");
}

#[tokio::test]
async fn a_challenge_that_was_taken_out_of_the_request_is_noticed() {
    let setup = Setup::new().await;
    let handshake = Handshake::new(&setup.app.entropy);
    let url = usher::login::oidc::authorization_url(&setup.party, &handshake, None).unwrap();
    let stripped: Vec<&str> = url.split('&').filter(|part| !part.starts_with("code_challenge")).collect();
    let parameters = setup.op.sign_in(&stripped.join("&"), "grace").unwrap().parameters;
    let (outcome, _) = setup.finish(&handshake, parameters).await;
    assert_eq!(outcome.unwrap_err().code(), "login.oidc.token_refused");
    let parameters = setup.op.sign_in(&url, "grace").unwrap().parameters;
    setup.finish(&handshake, parameters).await.0.unwrap();
}

#[tokio::test]
async fn a_code_of_another_connection_is_refused() {
    let mut setup = Setup::new().await;
    let handshake = Handshake::new(&setup.app.entropy);
    // The same provider and person, another redirect URI: another client's connection.
    let honest = setup.party.redirect_uri.clone();
    setup.party.redirect_uri = "http://localhost:8080/oidc/con_2/callback".into();
    let parameters = setup.parameters(&handshake, "grace");
    setup.party.redirect_uri = honest;
    let (outcome, _) = setup.finish(&handshake, parameters).await;
    assert_eq!(outcome.unwrap_err().code(), "login.oidc.token_refused");
    // And the same redirect URI, another client ID.
    setup.op.register(Client::with_secret("other-client", "other-secret"));
    setup.party.client_id = "other-client".into();
    let parameters = setup.parameters(&handshake, "grace");
    setup.party.client_id = "usher".into();
    let (outcome, _) = setup.finish(&handshake, parameters.clone()).await;
    assert_eq!(outcome.unwrap_err().code(), "login.oidc.client_authentication");
    setup.party.client_id = "other-client".into();
    setup.party.auth = ClientAuth::SecretBasic("other-secret".to_owned().into());
    setup.finish(&handshake, parameters).await.0.unwrap();
}

#[tokio::test]
async fn an_answer_that_names_no_issuer_or_another_is_refused_before_the_code_is_sent_anywhere() {
    let setup = Setup::new().await;
    let issuer = setup.op.issuer().to_owned();
    for iss in [None, Some(""), Some("https://evil.example"), Some(format!("{issuer}/").as_str())] {
        assert_eq!(setup.refused(Faults::default().callback("iss", iss)).await, "login.oidc.iss_parameter", "{iss:?}");
    }
    assert_eq!(setup.op.hits(Endpoint::Token), 0);
    setup.let_in(Faults::default().callback("iss", Some(&issuer))).await;
}

#[tokio::test]
async fn a_provider_that_does_not_announce_the_parameter_may_leave_it_out_and_not_lie() {
    let mut setup = Setup::new().await;
    setup.op.behave(|behaviour| behaviour.iss_parameter = false);
    setup.party = super::setup::party(&setup.app, &setup.op).await;
    assert!(!setup.party.provider.iss_parameter);
    setup.let_in(Faults::default()).await;
    let evil = Faults::default().callback("iss", Some("https://evil.example"));
    assert_eq!(setup.refused(evil).await, "login.oidc.iss_parameter");
}

#[tokio::test]
async fn an_error_answer_becomes_a_reason_and_nothing_of_it_is_echoed_raw() {
    let setup = Setup::new().await;
    let markup = "<script>alert(1)</script> \"grace@globex.example\" may not\r\n\u{202e}enter";
    for (error, code) in [
        ("access_denied", "login.oidc.access_denied"),
        ("login_required", "login.oidc.interaction_needed"),
        ("temporarily_unavailable", "login.oidc.unavailable"),
        ("invalid_scope", "login.oidc.refused"),
        ("<img src=x onerror=alert(1)>", "login.oidc.refused"),
    ] {
        setup.op.fault(Faults::default());
        let handshake = Handshake::new(&setup.app.entropy);
        let mut parameters = setup.parameters(&handshake, "grace");
        parameters.retain(|(name, _)| name != "code");
        parameters.push(("error".into(), error.into()));
        parameters.push(("error_description".into(), markup.into()));
        let (outcome, trail) = setup.finish(&handshake, parameters.clone()).await;
        let refusal = outcome.unwrap_err();
        assert_eq!(refusal.code(), code);
        let told = format!("{refusal} {}", serde_json::to_string(&trail).unwrap());
        assert!(!told.contains(['<', '>', '@', '\u{202e}', '\r']), "{told}");
        assert!(told.contains("may not enter"), "an admin reads what the provider said: {told}");
        // An error without the issuer, or of another one, is not even believed as an error.
        parameters.retain(|(name, _)| name != "iss");
        let (outcome, _) = setup.finish(&handshake, parameters).await;
        assert_eq!(outcome.unwrap_err().code(), "login.oidc.iss_parameter");
    }
    assert_eq!(setup.op.hits(Endpoint::Token), 0);
}
