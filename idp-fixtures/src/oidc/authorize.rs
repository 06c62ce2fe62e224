//! The authorization endpoint and the pages of the OpenID provider.

use super::{
    clients::{Client, ClientAuth},
    faults::Endpoint,
    op::{Callback, State, lock},
    token::Grant,
};
use crate::{pages, sessions::IdpSession, xml::random_hex};
use axum::{
    Form,
    extract::{RawQuery, State as Shared},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

/// An authorization request.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorization {
    parameters: HashMap<String, String>,
}

impl Authorization {
    pub fn from_query(query: &str) -> Self {
        Self { parameters: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The client, when both it and its redirect URI are known; otherwise nothing may be sent back.
    pub fn client(&self, op: &State) -> Result<Client, String> {
        let id = self.get("client_id").ok_or("no client_id")?;
        let clients = lock(&op.clients);
        let client = clients.iter().find(|client| client.id == id).ok_or("unknown client")?;
        let redirect_uri = self.get("redirect_uri").ok_or("no redirect_uri")?;
        if !client.may_redirect_to(redirect_uri) {
            return Err(format!("{redirect_uri} is no redirect URI of this client"));
        }
        Ok(client.clone())
    }

    /// What is wrong with the request and may be told to the client.
    fn problem(&self, client: &Client) -> Option<(&'static str, &'static str)> {
        if self.get("response_type") != Some("code") {
            return Some(("unsupported_response_type", "only code is offered"));
        }
        if !self.get("scope").is_some_and(|scope| scope.split(' ').any(|word| word == "openid")) {
            return Some(("invalid_scope", "openid is missing"));
        }
        match (self.get("code_challenge"), self.get("code_challenge_method")) {
            (Some(_), Some("S256")) => None,
            (Some(_), _) => Some(("invalid_request", "only S256 is offered")),
            (None, _) if client.auth == ClientAuth::Public => Some(("invalid_request", "a public client needs PKCE")),
            (None, _) => None,
        }
    }

    /// Whether somebody who is signed in must sign in again (Core 3.1.2.1).
    fn wants_fresh_sign_in(&self, session: &IdpSession) -> bool {
        let asks =
            self.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|p| p == "login" || p == "select_account"));
        let max_age = self.get("max_age").and_then(|seconds| seconds.parse::<i64>().ok());
        asks || max_age.is_some_and(|age| (crate::clock::now() - session.signed_in_at).num_seconds() >= age)
    }
}

pub(super) async fn by_query(
    Shared(op): Shared<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    authorize(&op, &headers, Authorization::from_query(&query.unwrap_or_default())).await
}

pub(super) async fn by_form(Shared(op): Shared<Arc<State>>, headers: HeaderMap, body: String) -> Response {
    authorize(&op, &headers, Authorization::from_query(&body)).await
}

async fn authorize(op: &State, headers: &HeaderMap, asked: Authorization) -> Response {
    if let Some(failure) = op.visit(Endpoint::Authorize).await {
        return failure;
    }
    let client = match asked.client(op) {
        Ok(client) => client,
        Err(reason) => return pages::refusal(&op.org, &reason),
    };
    let refusal = lock(&op.behaviour).faults.refuse.clone();
    if let Some((error, description)) = refusal {
        return sent(op, &error_callback(op, &asked, &error, &description));
    }
    if let Some((error, description)) = asked.problem(&client) {
        return sent(op, &error_callback(op, &asked, error, description));
    }
    let session = op.sessions.of(headers).filter(|session| !asked.wants_fresh_sign_in(session));
    match session {
        Some(session) => sent(op, &callback_of(op, &asked, &session)),
        None if asked.get("prompt") == Some("none") => {
            sent(op, &error_callback(op, &asked, "login_required", "nobody is signed in"))
        }
        None => {
            let hint = asked.get("login_hint").map(str::to_owned);
            let flow = random_hex(16);
            lock(&op.waiting).insert(flow.clone(), asked);
            pages::login(&op.org, &[("flow", &flow)], hint.as_deref(), &client.id)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    flow: String,
    username: String,
    #[serde(default)]
    groups: String,
}

pub(super) async fn login_page(Shared(op): Shared<Arc<State>>) -> Response {
    pages::login(&op.org, &[], None, &op.org.name)
}

pub(super) async fn login(Shared(op): Shared<Arc<State>>, Form(form): Form<LoginForm>) -> Response {
    let Some(mut person) = op.org.person(&form.username) else {
        return pages::refusal(&op.org, "Type a name.");
    };
    let groups: Vec<_> = form.groups.split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
    if !groups.is_empty() {
        person = person.groups(&groups);
    }
    let (session, cookie) = op.sessions.begin(person, crate::clock::now());
    let asked = lock(&op.waiting).remove(&form.flow);
    let response = match asked {
        Some(asked) => sent(&op, &callback_of(&op, &asked, &session)),
        None => pages::page(&op.org, "Signed in", "<p><a href=\"/logout\">Sign out</a></p>"),
    };
    with_cookie(response, cookie)
}

/// The authorization response with a fresh code for this person.
pub(super) fn callback_of(op: &State, asked: &Authorization, session: &IdpSession) -> Callback {
    let code = random_hex(24);
    let text = |name: &str| asked.get(name).map(str::to_owned);
    let grant = Grant {
        session: session.clone(),
        client_id: text("client_id").unwrap_or_default(),
        redirect_uri: text("redirect_uri").unwrap_or_default(),
        scope: text("scope").unwrap_or_default(),
        nonce: text("nonce"),
        code_challenge: text("code_challenge"),
        acr: asked.get("acr_values").and_then(|values| values.split(' ').next()).map(str::to_owned),
        code: code.clone(),
    };
    lock(&op.codes).insert(code.clone(), grant);
    callback(op, asked, vec![("code".to_owned(), code)])
}

fn error_callback(op: &State, asked: &Authorization, error: &str, description: &str) -> Callback {
    let parameters =
        vec![("error".to_owned(), error.to_owned()), ("error_description".to_owned(), description.to_owned())];
    callback(op, asked, parameters)
}

fn callback(op: &State, asked: &Authorization, mut parameters: Vec<(String, String)>) -> Callback {
    let behaviour = lock(&op.behaviour).clone();
    parameters.extend(asked.get("state").map(|state| ("state".to_owned(), state.to_owned())));
    if behaviour.iss_parameter {
        parameters.push(("iss".to_owned(), op.issuer.clone()));
    }
    for (name, value) in &behaviour.faults.callback {
        parameters.retain(|(known, _)| known != name);
        parameters.extend(value.clone().map(|value| (name.clone(), value)));
    }
    Callback {
        redirect_uri: asked.get("redirect_uri").unwrap_or_default().to_owned(),
        form_post: asked.get("response_mode") == Some("form_post"),
        parameters,
    }
}

fn sent(op: &State, callback: &Callback) -> Response {
    if callback.form_post {
        let fields: Vec<_> = callback.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        return pages::self_posting_form(&op.org, &callback.redirect_uri, &fields);
    }
    Redirect::to(&callback.url()).into_response()
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
