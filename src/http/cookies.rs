//! The few cookies, each `HttpOnly`, host-only, `SameSite=Lax`, and over https `Secure` with the `__Host-` prefix, so
//! that neither a sub-domain nor plain http can plant one (RFC 6265bis, section 4.1.3).

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::Duration;

use crate::{app::App, ids::ClientId};

/// The name under which a cookie travels.
fn full_name(app: &App, name: &str) -> String {
    if app.settings.server.is_https() { format!("__Host-{name}") } else { name.to_owned() }
}

/// The session cookie of one client: two clients in two tabs both work.
pub fn session_name(client: ClientId) -> String {
    format!("usher_{client}")
}

/// The stable cookie that binds a browser's attempts to it.
pub const BROWSER: &str = "usher_browser";

/// Reads a cookie's value. A name that comes twice is not believed at all.
pub fn read<'h>(app: &App, headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let wanted = full_name(app, name);
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(found, value)| (found == wanted).then_some(value));
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// A `Set-Cookie` value. `value` is ours and made of token characters. Without `max_age` the cookie goes when the browser closes.
pub fn set(app: &App, name: &str, value: &str, max_age: Option<Duration>) -> HeaderValue {
    let secure = if app.settings.server.is_https() { "; Secure" } else { "" };
    let age = max_age.map(|age| format!("; Max-Age={}", age.num_seconds())).unwrap_or_default();
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", full_name(app, name));
    HeaderValue::from_str(&text).expect("names and values of our cookies are ASCII tokens")
}

/// A `Set-Cookie` value that removes the cookie.
pub fn unset(app: &App, name: &str) -> HeaderValue {
    set(app, name, "", Some(Duration::zero()))
}
