//! The token and userinfo endpoints.

use super::{
    clients::{ClientAuth, Presented},
    faults::{Endpoint, TokenSigning, bend},
    jose::{SigningKey, hmac_token, unsigned_token},
    logout,
    op::{Behaviour, State, lock},
};
use crate::{people::Person, sessions::IdpSession, sign::KeyPair, xml::random_hex};
use anyhow::{Context, Result, ensure};
use axum::{
    Json,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use openssl::hash::{MessageDigest, hash};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What a code, and later an access token, stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub session: IdpSession,
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub nonce: Option<String>,
    pub code_challenge: Option<String>,
    pub acr: Option<String>,
    pub code: String,
}

pub(super) async fn exchange(Shared(op): Shared<Arc<State>>, headers: HeaderMap, body: String) -> Response {
    if let Some(failure) = op.visit(Endpoint::Token).await {
        return failure;
    }
    let form: Map<String, Value> =
        url::form_urlencoded::parse(body.as_bytes()).map(|(name, value)| (name.into(), json!(value))).collect();
    let client_secret = match prove_client(&op, &headers, &form).await {
        Ok(secret) => secret,
        Err(error) => return refused(StatusCode::UNAUTHORIZED, "invalid_client", &error),
    };
    match redeem(&op, &form).and_then(|grant| tokens(&op, grant, &client_secret)) {
        Ok(tokens) => ([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, "invalid_grant", &error),
    }
}

/// Proves the sender and gives its secret, for the forgery that signs with it.
async fn prove_client(op: &State, headers: &HeaderMap, form: &Map<String, Value>) -> Result<String> {
    let presented = Presented::from_request(headers, form)?;
    let client = lock(&op.clients).iter().find(|client| client.id == presented.client_id).cloned();
    let client = client.context("unknown client")?;
    let token_endpoint = format!("{}/token", op.issuer);
    presented.prove(&client, &[&op.issuer, &token_endpoint]).await?;
    if let Some(assertion) = form.get("client_assertion").and_then(Value::as_str) {
        let mut seen = lock(&op.assertions_seen);
        ensure!(!seen.iter().any(|known| known == assertion), "the client assertion was used before");
        seen.push(assertion.to_owned());
    }
    let code = form.get("code").and_then(Value::as_str).unwrap_or_default();
    let owner = lock(&op.codes).get(code).map(|grant| grant.client_id.clone());
    ensure!(owner.is_none_or(|owner| owner == client.id), "the code belongs to another client");
    lock(&op.token_auth_methods).push(presented.method);
    Ok(match client.auth {
        ClientAuth::Secret(secret) => secret,
        ClientAuth::PrivateKeyJwt { .. } | ClientAuth::Public => String::new(),
    })
}

fn redeem(op: &State, form: &Map<String, Value>) -> Result<Grant> {
    let field = |name: &str| form.get(name).and_then(Value::as_str);
    ensure!(field("grant_type") == Some("authorization_code"), "only authorization_code is offered");
    let code = field("code").context("no code")?;
    let faults = lock(&op.behaviour).faults.clone();
    let mut codes = lock(&op.codes);
    let grant = if faults.reusable_codes { codes.get(code).cloned() } else { codes.remove(code) };
    let grant = grant.context("the code is unknown or was used before")?;
    ensure!(field("redirect_uri") == Some(grant.redirect_uri.as_str()), "another redirect_uri than at the start");
    if !faults.ignore_pkce {
        verify_pkce(grant.code_challenge.as_deref(), field("code_verifier"))?;
    }
    Ok(grant)
}

/// RFC 7636, 4.6; and a verifier without a challenge is a downgrade (OAuth 2.1, 7.5.2).
fn verify_pkce(challenge: Option<&str>, verifier: Option<&str>) -> Result<()> {
    let Some(challenge) = challenge else {
        ensure!(verifier.is_none(), "a code_verifier without a code_challenge");
        return Ok(());
    };
    let digest = hash(MessageDigest::sha256(), verifier.context("no code_verifier")?.as_bytes())?;
    ensure!(BASE64_URL_SAFE_NO_PAD.encode(digest) == challenge, "the code_verifier does not match");
    Ok(())
}

fn tokens(op: &State, grant: Grant, client_secret: &str) -> Result<Map<String, Value>> {
    let behaviour = lock(&op.behaviour).clone();
    let access_token = random_hex(32);
    let id_token = match &behaviour.faults.id_token {
        Some(forged) => forged.clone(),
        None => id_token(op, &grant, &behaviour, &access_token, client_secret)?,
    };
    let mut response = Map::new();
    response.insert("access_token".into(), json!(access_token));
    response.insert("token_type".into(), json!("Bearer"));
    response.insert("expires_in".into(), json!(3600));
    response.insert("scope".into(), json!(grant.scope));
    if !id_token.is_empty() {
        response.insert("id_token".into(), json!(id_token));
    }
    bend(&mut response, &behaviour.faults.token_response);
    logout::remember(op, &grant);
    lock(&op.access_tokens).insert(access_token, grant);
    Ok(response)
}

fn id_token(op: &State, grant: &Grant, behaviour: &Behaviour, access_token: &str, secret: &str) -> Result<String> {
    let key = op.signing_key()?;
    let now = crate::clock::now().timestamp();
    let mut claims = Map::new();
    if behaviour.claims_in_id_token {
        claims = profile(&grant.session.person, behaviour);
    }
    let fixed = json!({
        "iss": op.issuer,
        "sub": subject(grant, behaviour),
        "aud": grant.client_id,
        "iat": now,
        "exp": now + 300,
        "auth_time": grant.session.signed_in_at.timestamp(),
        "sid": grant.session.index,
        "at_hash": key.half_hash(access_token)?,
        "c_hash": key.half_hash(&grant.code)?,
        "acr": grant.acr.as_deref().unwrap_or("urn:fixture:password"),
        "amr": ["pwd"],
    });
    claims.extend(fixed.as_object().cloned().unwrap_or_default());
    claims.extend(grant.nonce.as_ref().map(|nonce| ("nonce".to_owned(), json!(nonce))));
    bend(&mut claims, &behaviour.faults.id_token_claims);
    let mut header = key.header();
    bend(&mut header, &behaviour.faults.id_token_header);
    sign(&key, &header, &claims, &behaviour.faults.signing, secret)
}

pub(super) fn sign(
    key: &SigningKey,
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    how: &TokenSigning,
    client_secret: &str,
) -> Result<String> {
    match how {
        TokenSigning::Honest => key.token_with_header(header, claims),
        TokenSigning::None => unsigned_token(claims),
        TokenSigning::Hs256WithPublicKey => hmac_token(header, claims, key.pair.public_key_pem()?.as_bytes()),
        TokenSigning::Hs256WithClientSecret => hmac_token(header, claims, client_secret.as_bytes()),
        TokenSigning::ForeignKey => {
            let pair = KeyPair::generate(key.algorithm.key_kind(), "foreign")?;
            let foreign = SigningKey { pair, ..key.clone() };
            foreign.token_with_header(header, claims)
        }
        TokenSigning::Corrupted => {
            let token = key.token_with_header(header, claims)?;
            let (input, signature) = token.rsplit_once('.').context("a token has dots")?;
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(signature)?;
            if let Some(byte) = bytes.get_mut(20) {
                *byte ^= 1;
            }
            Ok(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
        }
    }
}

pub(super) fn subject(grant: &Grant, behaviour: &Behaviour) -> String {
    behaviour.subject.clone().unwrap_or_else(|| grant.session.person.subject.clone())
}

/// The standard claims, `groups`, and whatever else the organisation keeps about a person.
fn profile(person: &Person, behaviour: &Behaviour) -> Map<String, Value> {
    if let Some(describe) = &behaviour.describe {
        return describe(person);
    }
    let claims = json!({
        "email": person.email,
        "email_verified": true,
        "name": person.full_name(),
        "given_name": person.first_name,
        "family_name": person.last_name,
        "preferred_username": person.username,
        "groups": person.groups,
    });
    let mut claims = claims.as_object().cloned().unwrap_or_default();
    claims.extend(person.extra.clone());
    claims
}

pub(super) async fn userinfo(Shared(op): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    if let Some(failure) = op.visit(Endpoint::Userinfo).await {
        return failure;
    }
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let grant = token.and_then(|token| lock(&op.access_tokens).get(token).cloned());
    let Some(grant) = grant else {
        let challenge = "Bearer error=\"invalid_token\"";
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    };
    let behaviour = lock(&op.behaviour).clone();
    let mut claims = Map::new();
    if behaviour.claims_in_userinfo {
        claims = profile(&grant.session.person, &behaviour);
    }
    claims.insert("sub".into(), json!(subject(&grant, &behaviour)));
    bend(&mut claims, &behaviour.faults.userinfo_claims);
    Json(claims).into_response()
}

fn refused(status: StatusCode, error: &str, reason: &anyhow::Error) -> Response {
    let body = json!({"error": error, "error_description": format!("{reason:#}")});
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
