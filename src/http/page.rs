//! What every page shares: the brand it wears, rendering, pages that belong to no client, and forms that send
//! themselves on. Pages work without scripts and hold no inline script or style.

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use url::Url;

use super::{
    Problem, assets, layers,
    text::{self, Advice},
    theme::Theme,
};
use crate::app::App;

/// How a client looks. Borrowed from the client's cached facts for the time of one page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Brand<'a> {
    /// What begins the address of each of the client's pages: `/acme`, or nothing on its own host.
    pub root: &'a str,
    pub name: &'a str,
    pub theme: Theme,
    pub logo_url: Option<&'a str>,
    pub background_url: Option<&'a str>,
    pub welcome_text: Option<&'a str>,
    pub footer: Option<&'a str>,
    pub support_email: Option<&'a str>,
    /// Where the client's own stylesheet is; it never holds more than decoration.
    pub stylesheet: Option<&'a str>,
}

impl Brand<'_> {
    /// Whether this is no client's brand: the page belongs to nobody.
    pub const fn is_neutral(&self) -> bool {
        self.name.is_empty()
    }

    /// The address of the client's first page.
    pub const fn home(&self) -> &str {
        if self.root.is_empty() { "/" } else { self.root }
    }

    /// The letter shown where there is no logo.
    pub fn initial(&self) -> String {
        self.name.chars().next().map(|first| first.to_uppercase().collect()).unwrap_or_default()
    }

    /// Where to write to, with the reference already in the subject.
    pub fn support_link(&self, reference: Option<&str>) -> Option<String> {
        let mut link = Url::parse(&format!("mailto:{}", self.support_email?)).ok()?;
        if let Some(reference) = reference {
            // A mailto URL knows no `+` for a blank (RFC 6068, section 5).
            let subject = format!("{} {reference}", text::reference::SUBJECT).replace(' ', "%20");
            link.set_query(Some(&format!("subject={subject}")));
        }
        Some(link.into())
    }
}

/// One field of a form that is sent on as it is.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// Something did not work: with a brand for a client's learner, without for a page that belongs to no client.
#[derive(Template)]
#[template(path = "advice.html", config = "src/http/askama.toml")]
pub struct AdvicePage<'a> {
    pub brand: Brand<'a>,
    pub advice: &'a Advice,
    /// What the client itself wrote for this case.
    pub message: Option<&'a str>,
    pub reference: Option<&'a str>,
    /// Where trying again leads; the page itself where absent and the advice allows it.
    pub retry: Option<&'a str>,
}

/// A form that a script sends at once, and a button where there is none.
#[derive(Template)]
#[template(path = "forward.html", config = "src/http/askama.toml")]
pub struct ForwardPage<'a> {
    pub brand: Brand<'a>,
    pub action: &'a str,
    pub fields: &'a [Field<'a>],
}

/// Renders `page`. A template fails only where formatting a value does, which none of ours can.
pub fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(body) => (status, [(header::CONTENT_TYPE, HTML)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page did not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The page, wearing no brand, for a [`Problem`] that a person meets in a browser.
pub fn of_problem(problem: &Problem, reference: &str) -> Response {
    let advice = match problem.status() {
        StatusCode::NOT_FOUND => &text::neutral::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS => &text::neutral::TOO_MANY,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY => {
            &text::neutral::UNAVAILABLE
        }
        status if status.is_server_error() => &text::neutral::INTERNAL,
        _ => &text::neutral::NOT_ALLOWED,
    };
    // An address that leads nowhere leaves nothing to look up.
    let reference = (problem.status() != StatusCode::NOT_FOUND).then_some(reference);
    render(problem.status(), &AdvicePage { brand: Brand::default(), advice, message: None, reference, retry: None })
}

/// Posts the same fields once more, to ourselves: a form that came from another site arrived without our cookies
/// (`SameSite=Lax`), this one brings them. The answer may lead on to an identity provider.
pub fn repost(app: &App, action: &str, fields: &[Field<'_>]) -> Response {
    forward(app, Brand::default(), action, fields)
}

/// Posts a request to an identity provider (SAML 2.0 Bindings, section 3.5).
pub fn post_to_idp(app: &App, brand: Brand<'_>, action: &Url, fields: &[Field<'_>]) -> Response {
    forward(app, brand, action.as_str(), fields)
}

fn forward(app: &App, brand: Brand<'_>, action: &str, fields: &[Field<'_>]) -> Response {
    let mut response = render(StatusCode::OK, &ForwardPage { brand, action, fields });
    allow_forms_out(app, &mut response);
    response
}

/// Lets the forms of this page lead to other sites. Browsers apply `form-action` to every redirect that follows a form
/// (CSP Level 3, 6.4.1), so a form whose answer leads on to an identity provider, which may redirect further, cannot
/// name its destinations one by one. Plain http only where development allows it outbound.
pub fn allow_forms_out(app: &App, response: &mut Response) {
    let forms = if app.settings.outbound.allow_plain_http {
        "form-action 'self' https: http:"
    } else {
        "form-action 'self' https:"
    };
    let policy = layers::CONTENT_SECURITY_POLICY.replace("form-action 'self'", forms);
    if let Ok(value) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, value);
    }
}

/// Whether the caller is a person in a browser rather than a program.
pub fn is_wanted(path: &str, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !path.starts_with("/api/") && accept.contains("text/html")
}
