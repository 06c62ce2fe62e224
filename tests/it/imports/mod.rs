//! Bulk import: files, dry runs, confirmations, and what survives.
//!
//! Tests work on imports by hand, so that they decide who does which batch when.

mod faults;
mod files;
mod people;
mod seats;
mod tenancy;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use usher::imports::Worker;

use crate::support::{Admin, App, Reply};

pub const BASE: &str = "/api/v1/clients/acme/imports";

/// The client `acme` with the sublicenses `main` and `sales`.
pub async fn acme(app: &App) -> Admin {
    let operator = app.operator().await;
    operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
    operator
        .post("/api/v1/clients/acme/sublicenses", json!({ "name": "Sales", "slug": "sales", "sku": "S-1" }))
        .await
        .ok();
    operator
}

/// Uploads a file as `text/csv`.
pub async fn send(app: &App, admin: &Admin, path: &str, csv: impl Into<Vec<u8>>, headers: &[(&str, &str)]) -> Reply {
    let mut request = http().post(app.url(path)).bearer_auth(&admin.token).body(csv.into());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "text/csv");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

/// Uploads a form: each part a field's name, a file's name where it is one, and its value.
pub async fn send_form(app: &App, admin: &Admin, parts: &[(&str, Option<&str>, &str)]) -> Reply {
    let mut body = String::new();
    for (name, file, value) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"\r\nContent-Type: text/csv")).unwrap_or_default();
        body.push_str(&format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"));
    }
    body.push_str("--edge--\r\n");
    let request = http()
        .post(app.url(BASE))
        .bearer_auth(&admin.token)
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(body);
    answer(request).await
}

fn http() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn answer(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Reply { status, headers, text: response.text().await.unwrap() }
}

/// Works on imports until there is nothing to do.
pub async fn work(app: &App) {
    let worker = Worker::new(app);
    while worker.turn(app).await.unwrap() {}
}

/// Uploads and checks a file; the import as it is then.
pub async fn checked(app: &App, admin: &Admin, query: &str, csv: &str) -> Value {
    let made = send(app, admin, &format!("{BASE}?{query}"), csv, &[]).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.text);
    work(app).await;
    show(admin, &made.json()).await
}

/// Confirms an import and does it; the import as it is then.
pub async fn confirmed(app: &App, admin: &Admin, import: &Value, choice: Value) -> Value {
    admin.post(&format!("{}/confirm", path(import)), choice).await.ok();
    work(app).await;
    show(admin, import).await
}

/// Uploads, checks, confirms the good rows and does them.
pub async fn imported(app: &App, admin: &Admin, query: &str, csv: &str) -> Value {
    let import = checked(app, admin, query, csv).await;
    confirmed(app, admin, &import, json!({ "rows": "good" })).await
}

pub async fn show(admin: &Admin, import: &Value) -> Value {
    admin.get(&path(import)).await.ok()
}

pub fn path(import: &Value) -> String {
    format!("{BASE}/{}", import["id"].as_str().unwrap())
}

/// Every row of an import.
pub async fn rows(admin: &Admin, import: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("{}/rows?limit=200{cursor}", path(import))).await.ok();
        rows.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// A file of so many people, named by a number.
pub fn people(numbers: std::ops::Range<usize>) -> String {
    let mut text = "email,first_name,last_name,external_id\n".to_owned();
    for number in numbers {
        text.push_str(&format!("p{number}@acme.example,Person,Nr {number},E-{number}\n"));
    }
    text
}

/// How many rows a statement finds.
pub async fn count(app: &App, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap()
}
