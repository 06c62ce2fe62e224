//! The pages of caught mails. They stand on an origin of their own, so that nothing in a mail is ever the gateway's.

use std::sync::Arc;

use askama::Template;
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::mailbox::{Caught, Mailbox, is_link};

const STYLE: &str = include_str!("../templates/mails.css");
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For the mail's own markup: pictures and inline styles; links open outside the frame. `sandbox` without
/// `allow-scripts` and `allow-same-origin` leaves it no power at all.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

#[derive(Template)]
#[template(path = "mails.html", config = "src/dev/askama.toml")]
struct ListPage {
    mails: Vec<Caught>,
}

#[derive(Template)]
#[template(path = "mail_caught.html", config = "src/dev/askama.toml")]
struct MailPage {
    mail: Caught,
    /// The plain text, cut into words that are links and what stands between them.
    pieces: Vec<Piece>,
}

struct Piece {
    text: String,
    is_link: bool,
}

#[derive(Template)]
#[template(path = "mail_missing.html", config = "src/dev/askama.toml")]
struct MissingPage;

pub(super) fn routes(mailbox: Arc<Mailbox>) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/mails.json", get(list_json))
        .route("/mails/{number}", get(show))
        .route("/mails/{number}/html", get(html))
        .route("/mails/{number}/raw", get(raw))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .fallback(async || missing())
        .layer(middleware::from_fn(guard))
        .with_state(mailbox)
}

pub(super) async fn serve(listener: TcpListener, routes: Router) -> std::io::Result<()> {
    axum::serve(listener, routes).await
}

/// Answers to loopback's names only, so that no website can have a browser read the mails by a name of its own that
/// leads here.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "localhost" | "127.0.0.1") {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let defaults = [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of caught mails did not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn missing() -> Response {
    page(StatusCode::NOT_FOUND, &MissingPage)
}

async fn list(State(mailbox): State<Arc<Mailbox>>) -> Response {
    page(StatusCode::OK, &ListPage { mails: mailbox.all() })
}

async fn list_json(State(mailbox): State<Arc<Mailbox>>) -> Json<Vec<Value>> {
    let mails = mailbox.all();
    let show = |mail: &Caught| {
        json!({
            "number": mail.number, "at": mail.at, "from": mail.from, "to": mail.to, "subject": mail.subject,
            "text": mail.text, "html": mail.html, "links": mail.links(),
        })
    };
    Json(mails.iter().map(show).collect())
}

async fn show(State(mailbox): State<Arc<Mailbox>>, Path(number): Path<u64>) -> Response {
    let Some(mail) = mailbox.find(number) else { return missing() };
    let words = mail.text.split_inclusive(char::is_whitespace).flat_map(|word| {
        let bare = word.trim_end();
        let rest = word.get(bare.len()..).unwrap_or_default();
        [Piece { text: bare.to_owned(), is_link: is_link(bare) }, Piece { text: rest.to_owned(), is_link: false }]
    });
    let pieces = words.collect();
    page(StatusCode::OK, &MailPage { mail, pieces })
}

async fn html(State(mailbox): State<Arc<Mailbox>>, Path(number): Path<u64>) -> Response {
    let Some(html) = mailbox.find(number).and_then(|mail| mail.html) else { return missing() };
    ([(header::CONTENT_SECURITY_POLICY, MAIL_POLICY)], Html(html)).into_response()
}

async fn raw(State(mailbox): State<Arc<Mailbox>>, Path(number): Path<u64>) -> Response {
    let Some(mail) = mailbox.find(number) else { return missing() };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], mail.raw).into_response()
}
