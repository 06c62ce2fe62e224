//! Logout at the provider: RP-Initiated Logout 1.0 (`/logout` with parameters), a page with a button (without), and
//! Back-Channel Logout 1.0, by which every relying party of the session is told.

use super::{
    faults::bend,
    op::{State, lock},
    token::{Grant, sign, subject},
};
use crate::{pages, xml::random_hex};
use anyhow::{Context, Result};
use axum::{
    extract::{RawQuery, State as Shared},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, sync::Arc};
use url::Url;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A relying party that a session at the provider has signed somebody in to.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub client_id: String,
    pub redirect_uri: String,
    pub subject: String,
}

pub(super) async fn by_query(
    Shared(op): Shared<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = parameters(&query.unwrap_or_default());
    if asked.is_empty() { ask(&op, &asked) } else { end(&op, &headers, &asked).await }
}

pub(super) async fn by_form(Shared(op): Shared<Arc<State>>, headers: HeaderMap, body: String) -> Response {
    let mut asked = parameters(&body);
    asked.insert("yes".to_owned(), "1".to_owned());
    end(&op, &headers, &asked).await
}

fn parameters(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// Asks whether somebody wants to sign out: without a hint anybody's link could do it (RP-Initiated Logout, section 2).
fn ask(op: &State, asked: &HashMap<String, String>) -> Response {
    let fields: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let hidden = pages::hidden_fields(&fields);
    let body =
        format!("<form method=\"post\" action=\"/logout\">{hidden}<button type=\"submit\">Sign out</button></form>");
    pages::page(&op.org, "Sign out", &body)
}

async fn end(op: &State, headers: &HeaderMap, asked: &HashMap<String, String>) -> Response {
    let text = |name: &str| asked.get(name).map(String::as_str);
    let hint = match text("id_token_hint").map(|token| read_hint(op, token)).transpose() {
        Ok(hint) => hint,
        Err(error) => return pages::refusal(&op.org, &format!("{error:#}")),
    };
    let hinted = |name: &str| hint.as_ref().and_then(|hint| hint.get(name)).and_then(Value::as_str);
    let client_id = text("client_id").or_else(|| hinted("aud"));
    if hint.is_some() && hinted("aud") != client_id {
        return pages::refusal(&op.org, "The client_id is not the one of the id_token_hint.");
    }
    let client = lock(&op.clients).iter().find(|client| Some(client.id.as_str()) == client_id).cloned();
    let back = text("post_logout_redirect_uri");
    if back.is_some_and(|back| !client.is_some_and(|client| client.may_return_to(back))) {
        return pages::refusal(&op.org, "The post_logout_redirect_uri is not registered for this client.");
    }
    if hint.is_none() && text("yes").is_none() {
        return ask(op, asked);
    }
    let by_cookie = op.sessions.end(headers).map(|session| session.index);
    if let Some(sid) = hinted("sid").map(str::to_owned).or(by_cookie) {
        op.sessions.end_index(&sid);
        tell_everybody(op, &sid).await;
    }
    let Some(mut url) = back.and_then(|back| Url::parse(back).ok()) else {
        return pages::page(&op.org, "Signed out", "<p><a href=\"/login\">Sign in again</a></p>");
    };
    if let Some(state) = text("state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(url.as_str()).into_response()
}

/// An ID token of ours, whatever its end.
fn read_hint(op: &State, token: &str) -> Result<Map<String, Value>> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(token)?.claims;
    let ours = claims.get("iss").and_then(Value::as_str) == Some(op.issuer.as_str());
    ours.then_some(claims).context("the id_token_hint is another provider's")
}

/// Tells every relying party of a session that it is over; their answers' status codes.
pub(super) async fn tell_everybody(op: &State, sid: &str) -> Vec<u16> {
    let parties = lock(&op.parties).remove(sid).unwrap_or_default();
    let mut told = Vec::new();
    for party in parties {
        let client = lock(&op.clients).iter().find(|client| client.id == party.client_id).cloned();
        let Some(uri) = client.and_then(|client| client.backchannel_logout_uri) else { continue };
        // Such as `backchannel-logout`, beside the redirect URI.
        let Ok(uri) = Url::parse(&party.redirect_uri).and_then(|redirect| redirect.join(&uri)) else { continue };
        let Ok(token) = token(op, &party.client_id, Some(&party.subject), Some(sid)) else { continue };
        match crate::fetch::post_form(uri.as_str(), &[("logout_token", &token)]).await {
            Ok(status) => told.push(status),
            Err(error) => tracing::warn!("a relying party could not be told: {error:#}"),
        }
    }
    lock(&op.told).extend(&told);
    told
}

/// A logout token for a client, with whatever the faults bend.
pub(super) fn token(op: &State, client_id: &str, sub: Option<&str>, sid: Option<&str>) -> Result<String> {
    let faults = lock(&op.behaviour).faults.clone();
    let (key, now) = (op.signing_key()?, crate::clock::now().timestamp());
    let claims = json!({
        "iss": op.issuer, "aud": client_id, "iat": now, "exp": now + 120, "jti": random_hex(16),
        "events": { EVENT: {} },
    });
    let mut claims = claims.as_object().cloned().unwrap_or_default();
    claims.extend(sub.map(|sub| ("sub".to_owned(), json!(sub))));
    claims.extend(sid.map(|sid| ("sid".to_owned(), json!(sid))));
    bend(&mut claims, &faults.logout_claims);
    let mut header = key.header();
    header.insert("typ".to_owned(), json!("logout+jwt"));
    bend(&mut header, &faults.logout_header);
    let secret = lock(&op.clients).iter().find(|client| client.id == client_id).and_then(|client| client.secret());
    sign(&key, &header, &claims, &faults.logout_signing, &secret.unwrap_or_default())
}

/// Remembers that a session has signed somebody in to a relying party.
pub(super) fn remember(op: &State, grant: &Grant) {
    let behaviour = lock(&op.behaviour).clone();
    let party = Party {
        client_id: grant.client_id.clone(),
        redirect_uri: grant.redirect_uri.clone(),
        subject: subject(grant, &behaviour),
    };
    let mut signed_in = lock(&op.signed_in);
    if !signed_in.contains(&grant.session.index) {
        signed_in.push(grant.session.index.clone());
    }
    let mut parties = lock(&op.parties);
    let known = parties.entry(grant.session.index.clone()).or_default();
    known.retain(|one| (&one.client_id, &one.redirect_uri) != (&party.client_id, &party.redirect_uri));
    known.push(party);
}
