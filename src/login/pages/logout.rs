//! Signing out: a button that posts, the way back from the identity provider, and the page that says how far it went.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::arrival::{Answer, Asked, find};
use crate::{
    app::App,
    clients::Site,
    http::{
        Problem, assets, cookies, csrf,
        page::{self, AdvicePage, Brand},
        text,
    },
    login::{
        attempt::BrowserKey,
        logout::{self, LoggedOut, Outcome, SigningOut},
    },
    sessions::{self, SessionCookie},
};

use super::start::departing;

/// After a logout, or before it where somebody comes by link: a link ends no session.
#[derive(Template)]
#[template(path = "signed_out.html", config = "src/http/askama.toml")]
pub struct SignedOutPage<'a> {
    pub brand: Brand<'a>,
    pub signed_in: bool,
    pub words: &'a text::SignedOut,
}

/// The words for an outcome; none is a logout that only had to end here.
pub const fn words(outcome: Option<Outcome>) -> &'static text::SignedOut {
    match outcome {
        Some(Outcome::Everywhere) => &text::signed_out::EVERYWHERE,
        Some(Outcome::Partly) => &text::signed_out::PARTLY,
        Some(Outcome::Unanswered) => &text::signed_out::UNANSWERED,
        None => &text::signed_out::HERE,
    }
}

/// The page, the button's target, and where OpenID providers send the browser back.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/{client}/logout", get(show).post(sign_out))
        .route("/oidc/{connection}/logged-out", get(logged_out))
}

#[derive(Deserialize)]
struct Told {
    told: Option<String>,
}

async fn show(
    State(app): State<App>,
    site: Site,
    Query(told): Query<Told>,
    cookie: SessionCookie,
    asked: Asked,
) -> Answer {
    let session = sessions::live(&app, &cookie, site.id, site.session_idle, app.clock.now()).await?;
    let browser = BrowserKey::read(&app, &asked.headers);
    let outcome = logout::outcome(&app, site.id, told.told.as_deref(), browser.as_ref()).await?;
    let page = SignedOutPage { brand: site.brand(), signed_in: session.is_some(), words: words(outcome) };
    let mut response = page::render(StatusCode::OK, &page);
    page::allow_forms_out(&app, &mut response);
    Ok(response)
}

async fn sign_out(State(app): State<App>, site: Site, cookie: SessionCookie, asked: Asked) -> Answer {
    if !csrf::is_same_origin(site.origin(), &asked.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    let (browser, planted) = BrowserKey::of(&app, &asked.headers);
    let out = SigningOut {
        site: &site,
        token: cookie.token(&app, site.id),
        browser: &browser,
        reference: &asked.reference,
        now: app.clock.now(),
    };
    let mut response = match logout::begin(&app, &out).await? {
        LoggedOut::Leaving(departure) => {
            let mut response = departing(&app, site.brand(), departure);
            // By it the page knows of a provider that never answered.
            response.headers_mut().extend(planted.map(|cookie| (header::SET_COOKIE, cookie)));
            response
        }
        LoggedOut::Locally => Redirect::to(&site.path("/logout")).into_response(),
    };
    let gone = cookies::unset(&app, &cookies::session_name(site.id));
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

/// OpenID Connect RP-Initiated Logout 1.0, section 3: the provider has ended its session, and gives our `state` back.
async fn logged_out(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(answer): Query<Vec<(String, String)>>,
    asked: Asked,
) -> Answer {
    let connection = find(&app, &id).await?;
    if connection.oidc.is_none() {
        return Err(Problem::not_found());
    }
    let mut states = answer.iter().filter(|(name, _)| name == "state").map(|(_, value)| value.as_str());
    let (Some(state), None) = (states.next(), states.next()) else { return Ok(unknown(&asked)) };
    let Some(pending) = logout::take(&app, &connection, state).await? else { return Ok(unknown(&asked)) };
    let path = logout::conclude(&app, &pending, state, Outcome::Everywhere).await?;
    Ok(Redirect::to(&path).into_response())
}

/// An answer that fits no pending logout: too late, used already, or nobody's.
pub(super) fn unknown(asked: &Asked) -> Response {
    let advice = &text::neutral::LOGOUT_UNKNOWN;
    let reference = Some(asked.reference.as_str());
    page::render(
        StatusCode::BAD_REQUEST,
        &AdvicePage { brand: Brand::default(), advice, message: None, reference, retry: None },
    )
}
