//! The protocol's own addresses: where a sign-in starts, and where identity providers answer.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{FromRequestParts, Path, Query, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::refusal;
use crate::{
    app::App,
    clients::ClientFacts,
    connections::{ConnectionFacts, IdpInitiated},
    http::{
        ClientAddress, Problem, Reference, cookies, csrf, limits,
        page::{self, Brand, Field},
    },
    ids::ConnectionId,
    login::{
        attempt::{self, Attempt, BrowserKey, Pending},
        begin::{self, Departure, Wish},
        complete::{self, Return, SamlCourse, SignedIn},
        reason::{Reason, Stop},
        return_to, saml,
    },
    sessions::SessionToken,
};

/// Marks a form that our own page posted again.
const REPOSTED: &str = "reposted";
/// What an authorization response may hold (RFC 6749, 4.1.2; RFC 9207).
const ANSWER: [&str; 5] = ["state", "code", "iss", "error", "error_description"];
/// The longest of its values.
const ANSWER_BYTES: usize = 8 << 10;

/// Starts and returns of both protocols, SP metadata and public keys.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/{client}/login/{connection}", get(start))
        .route("/{client}/login/{connection}/continue", post(proceed))
        .route("/saml/{connection}/acs", post(saml_acs))
        .route("/oidc/{connection}/callback", get(oidc_query).post(oidc_form))
}

/// What every handler here asks of the request.
pub struct Asked {
    headers: HeaderMap,
    address: ClientAddress,
    reference: Reference,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            address: ClientAddress::from_request_parts(parts, state).await?,
            reference: Reference::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
        })
    }
}

/// A page, or a problem where there is no client to show a page of.
type Answer = Result<Response, Problem>;

#[derive(Deserialize)]
struct StartQuery {
    return_to: Option<String>,
    login_hint: Option<String>,
}

/// The connection of a path, and its client.
pub(super) async fn find(app: &App, id: &str) -> Result<Arc<ConnectionFacts>, Problem> {
    let id: ConnectionId = id.parse().map_err(|_| Problem::not_found())?;
    app.connections.find(app, id).await?.ok_or_else(Problem::not_found)
}

async fn client_of(app: &App, connection: &ConnectionFacts) -> Result<Arc<ClientFacts>, Problem> {
    Ok(app.clients.at_version(&app.db, connection.client_id, 0).await?)
}

async fn start(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(query): Query<StartQuery>,
    asked: Asked,
) -> Answer {
    let client = app.clients.by_slug(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    let connection = find(&app, &id).await?;
    // Another client's connection is no connection here (design, invariant 1).
    if connection.client_id != client.id {
        return Err(Problem::not_found());
    }
    limits::sign_in(&app, asked.address, client.id).await?;
    let return_to = return_to::checked(&client.slug, query.return_to.as_deref());
    let hint = query.login_hint.filter(|hint| hint.len() <= 254 && !hint.chars().any(char::is_control));
    depart(&app, &client, connection, &asked, return_to, hint.as_deref()).await
}

/// Sends the browser to the identity provider, with the cookie that binds the attempt to it.
async fn depart(
    app: &App,
    client: &ClientFacts,
    connection: Arc<ConnectionFacts>,
    asked: &Asked,
    return_to: Option<String>,
    login_hint: Option<&str>,
) -> Answer {
    let (browser, cookie) = browser_key(app, &asked.headers);
    let wish = Wish { return_to, login_hint, now: app.clock.now() };
    let departure = match begin::begin(app, connection, &browser, wish).await {
        Ok(departure) => departure,
        Err(stop) => return stopped(client, stop, &asked.reference),
    };
    let mut response = match departure {
        Departure::Redirect(url) => Redirect::to(url.as_str()).into_response(),
        Departure::Post { action, fields } => {
            let fields: Vec<Field<'_>> = fields.iter().map(|(name, value)| Field { name, value }).collect();
            page::post_to_idp(app, Brand::of(client), &action, &fields)
        }
    };
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The browser's stable cookie, made now where it has none.
fn browser_key(app: &App, headers: &HeaderMap) -> (BrowserKey, Option<HeaderValue>) {
    match BrowserKey::read(app, headers) {
        Some(key) => (key, None),
        None => {
            let (key, cookie) = BrowserKey::fresh(app);
            (key, Some(cookie))
        }
    }
}

/// A sign-in that stopped: the client's page with what to do, or a problem where the machinery failed.
fn stopped(client: &ClientFacts, stop: Stop, reference: &Reference) -> Answer {
    match stop {
        Stop::Fault(fault) => Err(fault.into()),
        Stop::Refused(reason) => Ok(refusal::page(client, &reason, reference)),
    }
}

#[derive(Deserialize)]
struct SamlForm {
    #[serde(rename = "SAMLResponse")]
    response: Option<String>,
    #[serde(rename = "RelayState")]
    relay_state: Option<String>,
    #[serde(default)]
    reposted: Option<String>,
}

async fn saml_acs(State(app): State<App>, Path(id): Path<String>, asked: Asked, Form(form): Form<SamlForm>) -> Answer {
    let connection = find(&app, &id).await?;
    if connection.saml.is_none() {
        return Err(Problem::not_found());
    }
    let browser = BrowserKey::read(&app, &asked.headers);
    let relay_state = form.relay_state.unwrap_or_default();
    let Some(value) = form.response else {
        let client = client_of(&app, &connection).await?;
        return Ok(refusal::page(&client, &Reason::malformed("The form holds no SAMLResponse."), &asked.reference));
    };
    // A post from the IdP's site comes without our SameSite=Lax cookie; the same post from our own page brings it.
    // Nothing is taken before.
    if browser.is_none() && !(form.reposted.is_some() && csrf::is_same_origin(&app, &asked.headers)) {
        limits::sign_in(&app, asked.address, connection.client_id).await?;
        let fields = [("SAMLResponse", value.as_str()), ("RelayState", &relay_state), (REPOSTED, "1")];
        return Ok(page::repost(&app, &format!("/saml/{id}/acs"), &fields.map(|(name, value)| Field { name, value })));
    }
    let response = match saml::decode_form_value(&value) {
        Ok(response) => response,
        Err(error) => {
            let client = client_of(&app, &connection).await?;
            let reason = Reason::protocol(error.code(), error.fix_side(), error.to_string());
            return Ok(refusal::page(&client, &reason, &asked.reference));
        }
    };
    let attempt = admitted(&app, &asked, &connection, browser.as_ref(), &relay_state).await?;
    let arrival = arrive(&app, connection, &asked);
    match attempt {
        Some(attempt) => {
            let done = complete::saml(&app, arrival.clone(), SamlCourse::Asked(attempt), response).await;
            landed(&app, &arrival.connection, &asked.reference, done).await
        }
        None if saml::answers_a_request(&response) => {
            let reason = if browser.is_none() { Reason::no_cookie() } else { Reason::attempt_unknown() };
            let done = complete::unmatched(&app, &arrival, reason).await;
            landed(&app, &arrival.connection, &asked.reference, done).await
        }
        None => unsolicited(&app, arrival, &asked, &relay_state, response, browser).await,
    }
}

/// Takes the attempt, in the same round trip in which the rates are counted. One that was taken while a rate was used up
/// is put back: nothing is lost, and the learner tries again.
async fn admitted(
    app: &App,
    asked: &Asked,
    connection: &ConnectionFacts,
    browser: Option<&BrowserKey>,
    handle: &str,
) -> Result<Option<Attempt>, Problem> {
    let client = connection.client_id;
    let taken = async {
        match browser {
            Some(browser) => attempt::take(app, client, connection.id, browser, handle).await,
            None => Ok(None),
        }
    };
    let (admission, taken) = tokio::join!(limits::of_address(app, asked.address), taken);
    let attempt = taken?;
    if let (Err(_), Some(browser), Some(attempt)) = (&admission, browser, &attempt) {
        attempt::remember(app, client, browser, handle, attempt).await?;
    }
    admission?;
    if attempt.is_none() {
        limits::of_client(app, client).await?;
    }
    Ok(attempt)
}

fn arrive(app: &App, connection: Arc<ConnectionFacts>, asked: &Asked) -> Return {
    let session = cookies::read(app, &asked.headers, &cookies::session_name(connection.client_id));
    Return {
        replaces: session.and_then(SessionToken::read),
        reference: asked.reference.clone(),
        now: app.clock.now(),
        connection,
    }
}

/// The end of a sign-in: in, or the client's page that says why not.
async fn landed(
    app: &App,
    connection: &ConnectionFacts,
    reference: &Reference,
    done: Result<SignedIn, Stop>,
) -> Answer {
    let signed_in = match done {
        Ok(signed_in) => signed_in,
        Err(stop) => return stopped(&*client_of(app, connection).await?, stop, reference),
    };
    let name = cookies::session_name(signed_in.client.id);
    let age = chrono::Duration::from_std(signed_in.client.session_absolute).ok();
    let mut response = Redirect::to(&signed_in.return_to).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookies::set(app, &name, signed_in.token.expose(), age));
    Ok(response)
}

/// A response that nobody asked for: refused, dropped for a request of our own, or held until the learner says yes.
async fn unsolicited(
    app: &App,
    arrival: Return,
    asked: &Asked,
    relay_state: &str,
    response: Vec<u8>,
    browser: Option<BrowserKey>,
) -> Answer {
    let client = client_of(app, &arrival.connection).await?;
    let deep_link = return_to::checked(&client.slug, Some(relay_state));
    match arrival.connection.idp_initiated {
        IdpInitiated::Off => {
            let done = complete::unmatched(app, &arrival, Reason::unsolicited()).await;
            landed(app, &arrival.connection, &asked.reference, done).await
        }
        IdpInitiated::Restart => depart(app, &client, arrival.connection, asked, deep_link, None).await,
        IdpInitiated::Accept => {
            let response: Arc<[u8]> = response.into();
            let identity = match complete::look_at_saml(app, &arrival, response.clone()).await {
                Ok(identity) => identity,
                Err(stop) => return stopped(&client, stop, &asked.reference),
            };
            let (browser, cookie) = match browser {
                Some(browser) => (browser, None),
                None => {
                    let (browser, cookie) = BrowserKey::fresh(app);
                    (browser, Some(cookie))
                }
            };
            let handle = app.entropy.token();
            let pending = Pending {
                connection: arrival.connection.id,
                received_at: arrival.now,
                response: response.to_vec(),
                return_to: deep_link,
            };
            attempt::hold(app, client.id, &browser, &handle, &pending).await?;
            let mut page = refusal::confirm(&client, &arrival.connection, &identity, &handle);
            if let Some(cookie) = cookie {
                page.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(page)
        }
    }
}

#[derive(Deserialize)]
struct ContinueForm {
    handle: String,
}

/// The learner's yes to an unsolicited sign-in.
async fn proceed(
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    asked: Asked,
    Form(form): Form<ContinueForm>,
) -> Answer {
    let client = app.clients.by_slug(&app.db, &slug).await?.ok_or_else(Problem::not_found)?;
    let connection = find(&app, &id).await?;
    if connection.client_id != client.id || !csrf::is_same_origin(&app, &asked.headers) {
        return Err(Problem::not_found());
    }
    limits::sign_in(&app, asked.address, client.id).await?;
    let pending = match BrowserKey::read(&app, &asked.headers) {
        Some(browser) => attempt::release(&app, client.id, &browser, &form.handle).await?,
        None => None,
    };
    let arrival = arrive(&app, connection, &asked);
    let done = match pending.filter(|pending| pending.connection == arrival.connection.id) {
        None => complete::unmatched(&app, &arrival, Reason::attempt_unknown()).await,
        Some(pending) if arrival.connection.idp_initiated != IdpInitiated::Accept => {
            drop(pending);
            complete::unmatched(&app, &arrival, Reason::unsolicited()).await
        }
        Some(pending) => {
            complete::saml(
                &app,
                arrival.clone(),
                SamlCourse::Unasked { return_to: pending.return_to, received_at: pending.received_at },
                pending.response,
            )
            .await
        }
    };
    landed(&app, &arrival.connection, &asked.reference, done).await
}

async fn oidc_query(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
    Query(answer): Query<Vec<(String, String)>>,
) -> Answer {
    oidc_callback(&app, &id, &asked, answer).await
}

async fn oidc_form(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
    Form(answer): Form<Vec<(String, String)>>,
) -> Answer {
    // As for SAML: form_post comes from the provider's site, without our cookie. Only what an authorization response
    // may hold is posted once more, each once, so that the page is no larger than an honest one.
    let is_reposted = answer.iter().any(|(name, _)| name == REPOSTED) && csrf::is_same_origin(&app, &asked.headers);
    if BrowserKey::read(&app, &asked.headers).is_none() && !is_reposted {
        let connection = find(&app, &id).await?;
        if connection.oidc.is_none() {
            return Err(Problem::not_found());
        }
        limits::sign_in(&app, asked.address, connection.client_id).await?;
        let known = |wanted: &'static str| {
            let found = answer.iter().find(|(name, _)| name == wanted);
            found.filter(|(_, value)| value.len() <= ANSWER_BYTES).map(|(_, value)| Field { name: wanted, value })
        };
        let mut fields: Vec<Field<'_>> = ANSWER.into_iter().filter_map(known).collect();
        fields.push(Field { name: REPOSTED, value: "1" });
        return Ok(page::repost(&app, &format!("/oidc/{id}/callback"), &fields));
    }
    oidc_callback(&app, &id, &asked, answer).await
}

async fn oidc_callback(app: &App, id: &str, asked: &Asked, answer: Vec<(String, String)>) -> Answer {
    let connection = find(app, id).await?;
    if connection.oidc.is_none() {
        return Err(Problem::not_found());
    }
    let state = answer.iter().find(|(name, _)| name == "state").map(|(_, value)| value.as_str()).unwrap_or_default();
    let browser = BrowserKey::read(app, &asked.headers);
    let attempt = admitted(app, asked, &connection, browser.as_ref(), state).await?;
    let arrival = arrive(app, connection, asked);
    let done = match attempt {
        Some(attempt) => complete::openid(app, arrival.clone(), attempt, answer).await,
        None if browser.is_none() => complete::unmatched(app, &arrival, Reason::no_cookie()).await,
        None => complete::unmatched(app, &arrival, Reason::attempt_unknown()).await,
    };
    landed(app, &arrival.connection, &asked.reference, done).await
}
