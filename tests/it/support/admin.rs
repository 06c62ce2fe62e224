//! API calls with a token.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::Value;

/// A caller of the admin API.
#[derive(Clone)]
pub struct Admin {
    client: Client,
    /// Scheme, host and port of where the gateway's replicas listen, which are asked by turns.
    bases: [String; 2],
    turn: Arc<AtomicUsize>,
    /// The host of the public origin, as browsers write it.
    host: String,
    pub token: String,
}

/// What the API answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Admin {
    pub fn new(address: SocketAddr, host: String, token: String) -> Self {
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let base = format!("http://{address}");
        Self { client, bases: [base.clone(), base], turn: Arc::default(), host, token }
    }

    /// Sends every second call to this replica.
    #[must_use]
    pub fn and_via(mut self, address: SocketAddr) -> Self {
        self.bases[1] = format!("http://{address}");
        self
    }

    /// The same by another HTTP client, to this origin.
    #[must_use]
    pub fn over(mut self, client: Client, origin: &str) -> Self {
        (self.client, self.bases) = (client, [origin.to_owned(), origin.to_owned()]);
        self
    }

    /// Any call. `path` is the whole path: `/api/v1/clients`.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Reply {
        let base = &self.bases[self.turn.fetch_add(1, Ordering::Relaxed) % 2];
        let mut request = self.client.request(method, format!("{base}{path}"));
        // A test may speak as if to another host.
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", &self.host);
        }
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None, &[]).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(&body), &[]).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PUT, path, Some(&body), &[]).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PATCH, path, Some(&body), &[]).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None, &[]).await
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The body of a call that went well; any other answer fails the test and shows itself.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The `code` of a problem with this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()["code"].as_str().unwrap_or_else(|| panic!("no code: {}", self.text)).to_owned()
    }
}
