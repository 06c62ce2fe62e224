//! Where a sign-in starts: by link, or by a form that sends codes or an invite along.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::arrival::{Answer, Asked, arrive, find_for, unmatched};
use crate::{
    app::App,
    clients::{ClientFacts, Site},
    codes::{
        self, CodeText, Verdict,
        look::{Asker, look},
        typed::Typed,
    },
    connections::ConnectionFacts,
    http::{
        Problem,
        browser_key::is_token,
        csrf,
        guessing::{NotAdmitted, Source},
        limits,
        page::{self, Brand, Field},
    },
    ids::ClientId,
    invites,
    login::{
        attempt::BrowserKey,
        begin::{self, Departure, Wish},
        brought::Carried,
        reason::{Reason, Stop},
        ticket::{self, Handover, Home},
    },
};

/// `GET,POST /{client}/login/{connection}`
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/login/{connection}", get(start).post(start_carrying))
}

#[derive(Deserialize)]
struct StartQuery {
    return_to: Option<String>,
    login_hint: Option<String>,
    /// What the client's own host sent over.
    from: Option<String>,
}

async fn start(
    State(app): State<App>,
    site: Site,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<StartQuery>,
    asked: Asked,
) -> Answer {
    let connection = find_for(&app, site.id, &id).await?;
    if let Some(handle) = query.from.filter(|_| site.host().is_none()) {
        return start_over(&app, &site, connection, &asked, &handle).await;
    }
    limits::sign_in(&app, asked.address, site.id).await?;
    let return_to = site.return_to(query.return_to.as_deref()).map(|address| site.within(&address));
    let hint = query.login_hint.filter(|hint| hint.len() <= 254 && !hint.chars().any(char::is_control));
    leave(&app, &site, connection, &asked, Leaving { return_to, login_hint: hint.as_deref(), ..Leaving::default() })
        .await
}

#[derive(Deserialize)]
struct StartForm {
    #[serde(default)]
    codes: String,
    /// The secret of an invite's link.
    invite: Option<String>,
}

/// Starts with something to bring along. What is no code is left behind here, so that nobody guesses by signing in.
async fn start_carrying(
    State(app): State<App>,
    site: Site,
    Path((_, id)): Path<(String, String)>,
    asked: Asked,
    Form(form): Form<StartForm>,
) -> Answer {
    let connection = find_for(&app, site.id, &id).await?;
    if !csrf::is_same_origin(site.origin(), &asked.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    limits::sign_in(&app, asked.address, site.id).await?;
    let now = app.clock.now();
    let codes = match genuine(&app, &site, &asked, &form.codes).await? {
        Some(codes) => codes,
        None => return Ok(codes::pages::lead_to_box(&app, &site, &asked.headers, &form.codes, true, now)),
    };
    let mut leaving = Leaving { carried: Carried { codes, invite: None }, ..Leaving::default() };
    let invite = match form.invite.as_deref().filter(|token| is_token(token)) {
        Some(token) => {
            let Some(open) = invites::find_open(&mut *app.acquire().await?, site.id, token, now).await? else {
                // Its page says what became of it.
                return Ok(Redirect::to(&site.path(&format!("/invites/{token}"))).into_response());
            };
            leaving.carried.invite = Some(open.id);
            Some(open)
        }
        None => None,
    };
    leaving.login_hint = invite.as_ref().map(|invite| invite.email.as_str());
    leave(&app, &site, connection, &asked, leaving).await
}

/// Goes on with what the client's own host sent over. The rates were counted there.
async fn start_over(app: &App, site: &Site, connection: Arc<ConnectionFacts>, asked: &Asked, handle: &str) -> Answer {
    let over = ticket::take_over(app, site.id, connection.id, handle).await?;
    let Some(over) = over.filter(|over| site.has_host(&over.home.host)) else {
        limits::sign_in(app, asked.address, site.id).await?;
        return unmatched(app, &arrive(app, connection, asked), site.id, Reason::attempt_unknown()).await;
    };
    let Handover { home, return_to, carried, login_hint, .. } = over;
    let leaving =
        Leaving { return_to, login_hint: login_hint.as_deref(), carried, home: Some(home), ..Leaving::default() };
    depart(app, site, connection, asked, leaving).await
}

/// From the base origin to the identity provider; from a client's own host to the base origin first, which is the only one
/// that identity providers know.
async fn leave(
    app: &App,
    site: &Site,
    connection: Arc<ConnectionFacts>,
    asked: &Asked,
    leaving: Leaving<'_>,
) -> Answer {
    let Some(host) = site.host() else { return depart(app, site, connection, asked, leaving).await };
    let (browser, cookie) = BrowserKey::of(app, &asked.headers);
    let Leaving { return_to, login_hint, carried, .. } = leaving;
    let (home, login_hint) = (Home::new(host, &browser), login_hint.map(str::to_owned));
    let over = Handover { connection: connection.id, home, return_to, carried, login_hint };
    let handle = ticket::send_over(app, site.id, &over).await?;
    let address = Site::on_base(app, site.client()).url(&format!("/login/{}?from={handle}", connection.id));
    let mut response = Redirect::to(&address).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The codes of a form that are codes; `None` where there were some and none is.
async fn genuine(
    app: &App,
    client: &ClientFacts,
    asked: &Asked,
    typed: &str,
) -> Result<Option<Vec<CodeText>>, Problem> {
    let codes = match Typed::read(typed) {
        Typed::Empty => return Ok(Some(Vec::new())),
        Typed::TooMany => return Ok(None),
        Typed::Some { codes, .. } => codes,
    };
    let asker = Asker {
        source: Source { client: client.id, learner: None, address: asked.address },
        verified_email: None,
        reference: asked.reference.as_str(),
    };
    let checked = match look(app, client, &codes, asker, app.clock.now()).await {
        Ok(checked) => checked,
        Err(NotAdmitted::Slowed(wait)) => return Err(limits::slowed(wait)),
        Err(NotAdmitted::Fault(fault)) => return Err(fault.into()),
    };
    let known = checked.into_iter().filter(|one| !matches!(one.verdict, Verdict::NotValid(_)));
    let known: Vec<CodeText> = known.map(|one| one.text).collect();
    Ok((!known.is_empty()).then_some(known))
}

/// What goes along to the identity provider and back.
#[derive(Default)]
pub(super) struct Leaving<'a> {
    /// An identity provider began it on a connection of several clients: the claims are to say which.
    pub claims_choose: bool,
    /// An address of the site, as it is remembered.
    pub return_to: Option<String>,
    /// Whose address that is, where the claims choose.
    pub return_of: Option<ClientId>,
    pub login_hint: Option<&'a str>,
    pub carried: Carried,
    /// The client's own host that it began on.
    pub home: Option<Home>,
}

/// How the browser leaves.
pub(super) fn departing(app: &App, brand: Brand<'_>, departure: Departure) -> Response {
    match departure {
        Departure::Redirect(url) => Redirect::to(url.as_str()).into_response(),
        Departure::Post { action, fields } => {
            let fields: Vec<Field<'_>> = fields.iter().map(|(name, value)| Field { name, value }).collect();
            page::post_to_idp(app, brand, &action, &fields)
        }
    }
}

/// Sends the browser to the identity provider, with the cookie that binds the attempt to it.
pub(super) async fn depart(
    app: &App,
    site: &Site,
    connection: Arc<ConnectionFacts>,
    asked: &Asked,
    leaving: Leaving<'_>,
) -> Answer {
    let (browser, cookie) = BrowserKey::of(app, &asked.headers);
    let Leaving { claims_choose, return_to, return_of, login_hint, carried, home } = leaving;
    let client = (!claims_choose).then_some(site.id);
    let wish = Wish { client, return_to, return_of, carried, login_hint, home, now: app.clock.now() };
    let departure = match begin::begin(app, connection.clone(), &browser, wish).await {
        Ok(departure) => departure,
        Err(Stop::Fault(fault)) => return Err(fault.into()),
        Err(Stop::Refused(reason)) => {
            return unmatched(app, &arrive(app, connection, asked), site.id, reason).await;
        }
    };
    let mut response = departing(app, site.brand(), departure);
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
