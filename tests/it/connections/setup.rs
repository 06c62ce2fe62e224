//! A client, and a server of documents that a test changes while it runs.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse};
use idp_fixtures::{
    saml::metadata::IdpMetadata,
    sign::{KeyKind, KeyPair, shared},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Admin, App};

pub const IDP: &str = "https://idp.example/saml";

/// A client `acme` with sublicenses `main` and `sales`.
pub async fn acme(app: &App) -> Admin {
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales" })).await.ok();
    operator
}

pub const CONNECTIONS: &str = "/api/v1/clients/acme/connections";

pub fn path(connection: &Value) -> String {
    format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap())
}

pub fn key(name: &str) -> KeyPair {
    shared(KeyKind::Rsa2048, name).unwrap()
}

/// Metadata of one identity provider with this key.
pub fn metadata(key: &KeyPair) -> IdpMetadata {
    IdpMetadata::new(IDP, "https://idp.example/sso", key)
}

/// A SAML connection from typed metadata; further fields are merged in.
pub fn saml(fields: Value) -> Value {
    let mut body = json!({
        "name": "Acme SSO",
        "protocol": "saml",
        "saml": { "metadata_xml": metadata(&key("first")).to_xml().unwrap() },
    });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Serves one document, and counts who asks.
pub struct Documents {
    pub url: String,
    served: Arc<Served>,
}

struct Served {
    answer: Mutex<(StatusCode, String)>,
    asked: AtomicUsize,
}

impl Documents {
    pub async fn serve(body: impl Into<String>) -> Self {
        let served = Arc::new(Served { answer: Mutex::new((StatusCode::OK, body.into())), asked: AtomicUsize::new(0) });
        let router = Router::new().fallback(answer).with_state(served.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metadata", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, served }
    }

    pub fn change(&self, body: impl Into<String>) {
        *self.served.answer.lock().unwrap() = (StatusCode::OK, body.into());
    }

    pub fn fail(&self, status: u16) {
        *self.served.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), String::new());
    }

    pub fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(served): State<Arc<Served>>) -> impl IntoResponse {
    served.asked.fetch_add(1, Ordering::SeqCst);
    served.answer.lock().unwrap().clone()
}

/// A connection whose metadata stands at `documents`.
pub async fn by_url(operator: &Admin, documents: &Documents) -> Value {
    let body = json!({ "name": "Acme SSO", "protocol": "saml", "saml": { "metadata_url": documents.url } });
    operator.post(CONNECTIONS, body).await.ok()
}
