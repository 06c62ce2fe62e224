//! The admin API, called without a network: a declarative file goes through the very checks, transactions and audit
//! events that a call over HTTP goes through.

use std::io;

use anyhow::{Context, bail};
use axum::{
    Router,
    body::{self, Body},
    http::{Method, Request, StatusCode, header},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tower::ServiceExt;
use tracing::{Dispatch, Level, instrument::WithSubscriber};

use crate::{app::App, crypto, ids::ConnectionId, router};

/// More than any answer of the API.
const LARGEST: usize = 64 << 20;

/// A caller of the admin API in this process.
pub struct Api {
    app: App,
    router: Router,
    token: SecretString,
    /// Where these calls log: a line for each would bury what the command says.
    log: Dispatch,
}

impl Api {
    pub fn new(app: &App, token: SecretString) -> Self {
        let log = tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(io::stderr).finish();
        Self { app: app.clone(), router: router::routes(app), token, log: Dispatch::new(log) }
    }

    /// Whether this is the client secret that a connection has. The API never shows it.
    pub async fn has_client_secret(&self, connection: &str, secret: &str) -> anyhow::Result<bool> {
        let id: ConnectionId = connection.parse().context("a connection has an id")?;
        let facts = self.app.connections.reload(&self.app, id).await?;
        let oidc = facts.as_ref().and_then(|facts| facts.oidc.as_ref());
        let stored = oidc.map(|oidc| oidc.client_secret(&self.app)).transpose()?.flatten();
        Ok(stored.is_some_and(|stored| crypto::same(stored.expose_secret().as_bytes(), secret.as_bytes())))
    }

    /// Reads; `None` when there is no such thing.
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let (status, answer) = self.call(Method::GET, path, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer)),
            status => Err(refusal(&format!("reading {path}"), status, &answer)),
        }
    }

    /// Every item of a list, page by page.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.find(&format!("{path}?limit=200{cursor}")).await?;
            let mut page = page.with_context(|| format!("there is no list at {path}"))?;
            if let Some(found) = page.get_mut("items").and_then(Value::as_array_mut) {
                items.append(found);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Changes something; `what` says it in words, for the error.
    pub async fn send(&self, what: &str, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.call(method, path, Some(body)).await?;
        if status.is_success() { Ok(answer) } else { Err(refusal(what, status, &answer)) }
    }

    /// Whether the token is let in.
    pub async fn is_let_in(&self) -> anyhow::Result<bool> {
        Ok(self.call(Method::GET, "/api/v1/clients?limit=1", None).await?.0.is_success())
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose_secret()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .with_context(|| format!("asking for {path}"))?;
        let answered = self.router.clone().oneshot(request).with_subscriber(self.log.clone()).await;
        let response = answered.unwrap_or_else(|never| match never {});
        let status = response.status();
        let bytes = body::to_bytes(response.into_body(), LARGEST).await.context("reading an answer")?;
        if bytes.is_empty() {
            return Ok((status, Value::Null));
        }
        match serde_json::from_slice(&bytes) {
            Ok(answer) => Ok((status, answer)),
            Err(_) => bail!("{path} answered {status} with something other than JSON"),
        }
    }
}

/// A problem of the API, in the words it has for people.
fn refusal(what: &str, status: StatusCode, problem: &Value) -> anyhow::Error {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut message = format!("{what}: {} ({}, {})", text(problem, "title"), status.as_u16(), text(problem, "code"));
    for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        message.push_str(&format!("\n  {}: {}", text(error, "pointer"), text(error, "detail")));
    }
    anyhow::anyhow!(message)
}
