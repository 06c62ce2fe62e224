//! The SAML IdP's routes and pages.

use super::{
    RESPONDER, ResponseBuilder, Status,
    idp::{App, PostForm, State, lock},
    request::AuthnRequest,
};
use crate::{pages, people::Person, sessions::IdpSession, xml::escape};
use anyhow::{Context, Result};
use axum::{
    Form, Router,
    extract::{RawQuery, Request, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(apps))
        .route("/open", post(open))
        .route("/metadata", get(metadata))
        .route("/sso", get(sso_redirect).post(sso_post))
        .route("/login", get(login_page).post(login))
        .merge(super::slo::routes())
        .route("/static/fixture.css", get(|Shared(idp): Shared<Arc<State>>| async move { pages::style(&idp.org) }))
        .route("/static/submit.js", get(|| async { pages::submit_script() }))
        .layer(from_fn_with_state(state.clone(), misbehave))
        .with_state(state)
}

/// Slow and failing answers, when a test asks for them.
async fn misbehave(Shared(idp): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let behaviour = lock(&idp.behaviour).clone();
    tokio::time::sleep(behaviour.delay).await;
    match behaviour.fail_with.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => (status, "the identity provider is out of order").into_response(),
        None => next.run(request).await,
    }
}

async fn metadata(Shared(idp): Shared<Arc<State>>) -> Response {
    match idp.metadata_xml() {
        Ok(xml) => ([(header::CONTENT_TYPE, "application/samlmetadata+xml")], xml).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn sso_redirect(Shared(idp): Shared<Arc<State>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let request = AuthnRequest::from_query(&query.unwrap_or_default());
    sso(&idp, &headers, request).await.unwrap_or_else(|error| refused(&idp, &error))
}

#[derive(Deserialize)]
struct SsoForm {
    #[serde(rename = "SAMLRequest")]
    request: String,
    #[serde(rename = "RelayState")]
    relay_state: Option<String>,
}

async fn sso_post(Shared(idp): Shared<Arc<State>>, headers: HeaderMap, Form(form): Form<SsoForm>) -> Response {
    let request = AuthnRequest::from_form(&form.request, form.relay_state.as_deref());
    sso(&idp, &headers, request).await.unwrap_or_else(|error| refused(&idp, &error))
}

async fn sso(idp: &State, headers: &HeaderMap, request: Result<AuthnRequest>) -> Result<Response> {
    let request = request?;
    idp.accept(&request).await?;
    match idp.sessions.of(headers) {
        Some(session) if !request.force_authn => posted(idp, &idp.answer_to(&request, &session).await?),
        None if request.is_passive => posted(idp, &no_passive(idp, &request)?),
        _ => {
            let application = request.issuer.clone();
            let flow = idp.wait_for_sign_in(request);
            Ok(pages::login(&idp.org, &[("flow", &flow)], None, &application))
        }
    }
}

/// Core 3.2.2.2: the answer to IsPassive when nobody is signed in.
fn no_passive(idp: &State, request: &AuthnRequest) -> Result<PostForm> {
    let acs_url = request.acs_url.clone().context("a passive request needs an ACS URL here")?;
    let key = lock(&idp.key).clone();
    let mut response =
        ResponseBuilder::new(&idp.entity_id, &request.issuer, &acs_url, &request.id, &key, crate::clock::now());
    response.status = Some(Status {
        code: RESPONDER.to_owned(),
        sub_code: Some("urn:oasis:names:tc:SAML:2.0:status:NoPassive".to_owned()),
        message: None,
    });
    response.sign_response = response.sign_assertion.take();
    let xml = response.sign_response(&response.response_around(""))?;
    let saml_response = super::BuiltResponse::from(xml).base64;
    Ok(PostForm { action: acs_url, saml_response, relay_state: request.relay_state.clone() })
}

#[derive(Deserialize)]
struct LoginForm {
    #[serde(default)]
    flow: String,
    username: String,
    #[serde(default)]
    groups: String,
}

async fn login_page(Shared(idp): Shared<Arc<State>>) -> Response {
    pages::login(&idp.org, &[], None, "your apps")
}

async fn login(Shared(idp): Shared<Arc<State>>, Form(form): Form<LoginForm>) -> Response {
    let Some(person) = idp.org.person(&form.username).map(|person| with_groups(person, &form.groups)) else {
        return pages::refusal(&idp.org, "Type a name.");
    };
    let (session, cookie) = idp.sessions.begin(person, crate::clock::now());
    let request = lock(&idp.waiting).remove(&form.flow);
    let response = match request {
        Some(request) => idp.answer_to(&request, &session).await.and_then(|form| posted(&idp, &form)),
        None => Ok(Redirect::to("/").into_response()),
    };
    with_cookie(response.unwrap_or_else(|error| refused(&idp, &error)), cookie)
}

fn with_groups(mut person: Person, typed: &str) -> Person {
    let groups: Vec<_> = typed.split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
    if !groups.is_empty() {
        person = person.groups(&groups);
    }
    person
}

async fn apps(Shared(idp): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let Some(session) = idp.sessions.of(&headers) else {
        return Redirect::to("/login").into_response();
    };
    let known: String = lock(&idp.apps).values().map(app_button).collect();
    let body = format!(
        "<p>Signed in as <strong>{}</strong>. <a href=\"/logout\">Sign out everywhere</a></p>\
         <form method=\"post\" action=\"/open\"><ul class=\"apps\">{known}</ul></form>\
         <form method=\"post\" action=\"/open\" class=\"other\"><label for=\"app\">Open another application: its metadata URL</label>\
         <input id=\"app\" name=\"app\" type=\"url\" required placeholder=\"http://127.0.0.1:8080/saml/con_…/metadata\">\
         <label for=\"relay\">RelayState</label><input id=\"relay\" name=\"relay_state\">\
         <button type=\"submit\">Open</button></form>",
        escape(&session.person.full_name()),
    );
    pages::page(&idp.org, "Your apps", &body)
}

fn app_button(app: &App) -> String {
    let id = escape(&app.entity_id);
    format!(
        "<li><button type=\"submit\" name=\"app\" value=\"{id}\"><span class=\"face\" aria-hidden=\"true\">▶</span>\
         <span><strong>{}</strong><br><small>{id}</small></span></button></li>",
        url::Url::parse(&app.acs_url).ok().and_then(|url| url.host_str().map(escape)).unwrap_or_default(),
    )
}

#[derive(Deserialize)]
struct OpenForm {
    app: String,
    relay_state: Option<String>,
}

async fn open(Shared(idp): Shared<Arc<State>>, headers: HeaderMap, Form(form): Form<OpenForm>) -> Response {
    let Some(session) = idp.sessions.of(&headers) else {
        return Redirect::to("/login").into_response();
    };
    open_app(&idp, &session, &form).await.unwrap_or_else(|error| refused(&idp, &error))
}

async fn open_app(idp: &State, session: &IdpSession, form: &OpenForm) -> Result<Response> {
    let known = lock(&idp.apps).get(&form.app).cloned();
    let app = match known {
        Some(app) => app,
        None => {
            anyhow::ensure!(crate::fetch::is_loopback(&form.app), "{} is not on this machine", form.app);
            let metadata = idp.sp_metadata(&form.app).await?;
            let acs_url = metadata.acs_urls.first().cloned().context("the metadata names no ACS")?;
            let app = App { entity_id: metadata.entity_id, acs_url };
            lock(&idp.apps).insert(app.entity_id.clone(), app.clone());
            app
        }
    };
    let any_acs = lock(&idp.behaviour).any_acs;
    anyhow::ensure!(any_acs || crate::fetch::is_loopback(&app.acs_url), "{} is not on this machine", app.acs_url);
    let relay_state = form.relay_state.as_deref().filter(|text| !text.is_empty());
    posted(idp, &idp.unsolicited(&app, session, relay_state).await?)
}

fn posted(idp: &State, form: &PostForm) -> Result<Response> {
    let mut fields = vec![("SAMLResponse", form.saml_response.as_str())];
    fields.extend(form.relay_state.as_deref().map(|state| ("RelayState", state)));
    Ok(pages::self_posting_form(&idp.org, &form.action, &fields))
}

pub(super) fn refused(idp: &State, error: &anyhow::Error) -> Response {
    pages::refusal(&idp.org, &format!("{error:#}"))
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
