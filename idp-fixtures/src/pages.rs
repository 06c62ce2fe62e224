//! The pages of the fixture IdPs: sign in, my apps, signed out, errors, and the form that posts itself.
//! They work without JavaScript and hold no inline script or style.

use crate::{
    people::{Org, Person},
    xml::escape,
};
use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};

const STYLE: &str = include_str!("../static/fixture.css");
const SUBMIT: &str = include_str!("../static/submit.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:";

/// A whole page in the organisation's look.
#[must_use]
pub fn page(org: &Org, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · {org}</title><link rel=\"stylesheet\" href=\"/static/fixture.css\"></head><body>\
         <main><p class=\"org\"><span class=\"mark\" aria-hidden=\"true\">{mark}</span>{org}</p>\
         <h1>{title}</h1>{body}</main>\
         <footer>A demonstration identity provider. Nobody’s real password belongs here.</footer></body></html>",
        title = escape(title),
        org = escape(&org.name),
        mark = org.name.chars().next().unwrap_or('?'),
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Html(html)).into_response()
}

/// The sign-in page: everybody by one click, anybody else by typing. `hidden` goes back with the form.
#[must_use]
pub fn login(org: &Org, hidden: &[(&str, &str)], hint: Option<&str>, application: &str) -> Response {
    let hidden = hidden_fields(hidden);
    let people: String = org.people.iter().map(person_button).collect();
    let body = format!(
        "<p>to go on to <strong>{}</strong></p>\
         <form method=\"post\" action=\"/login\">{hidden}<ul class=\"people\">{people}</ul></form>\
         <form method=\"post\" action=\"/login\" class=\"other\">{hidden}\
         <label for=\"username\">Somebody else</label>\
         <input id=\"username\" name=\"username\" autocomplete=\"username\" placeholder=\"Mary Shelley\" value=\"{}\" required>\
         <label for=\"groups\">Groups, with commas between them</label>\
         <input id=\"groups\" name=\"groups\" placeholder=\"learning, sales\">\
         <button type=\"submit\">Sign in</button></form>",
        escape(application),
        escape(hint.unwrap_or_default()),
    );
    page(org, "Sign in", &body)
}

fn person_button(person: &Person) -> String {
    let groups = if person.groups.is_empty() { "no groups".to_owned() } else { person.groups.join(", ") };
    format!(
        "<li><button type=\"submit\" name=\"username\" value=\"{}\"><span class=\"face\" aria-hidden=\"true\">{}</span>\
         <span><strong>{}</strong><br>{}<br><small>{}</small></span></button></li>",
        escape(&person.username),
        escape(&person.initials()),
        escape(&person.full_name()),
        escape(&person.email),
        escape(&groups),
    )
}

/// A form that posts `fields` to `action` by an external script, or by its button.
#[must_use]
pub fn self_posting_form(org: &Org, action: &str, fields: &[(&str, &str)]) -> Response {
    let body = format!(
        "<form method=\"post\" action=\"{}\" id=\"onward\">{}<p>Taking you back …</p>\
         <button type=\"submit\">Continue</button></form><script src=\"/static/submit.js\" defer></script>",
        escape(action),
        hidden_fields(fields),
    );
    page(org, "One moment", &body)
}

/// Says what is wrong with a request that cannot be answered to its sender.
#[must_use]
pub fn refusal(org: &Org, reason: &str) -> Response {
    let body = format!("<p role=\"alert\">{}</p>", escape(reason));
    (StatusCode::BAD_REQUEST, page(org, "This request cannot be answered", &body)).into_response()
}

/// Hidden inputs.
#[must_use]
pub fn hidden_fields(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value)))
        .collect()
}

/// The stylesheet with the organisation's colour.
#[must_use]
pub fn style(org: &Org) -> Response {
    let css = format!(":root {{ --accent: {}; }}\n{STYLE}", org.accent);
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css).into_response()
}

/// The script that submits the self-posting form.
#[must_use]
pub fn submit_script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SUBMIT).into_response()
}
