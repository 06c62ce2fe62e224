//! The learner's own page: by what they sign in, another password, another address, and the mail that confirms it.

use askama::Template;
use axum::{
    Form, Router,
    extract::{FromRequestParts, Query, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{Asked, PasswordSite, come_back, let_in, seconds, weak};
use crate::{
    accounts::{
        change::{self, ChangeError, Means, Own},
        confirm::Visit,
        passwords,
    },
    app::App,
    clients::{OpenSite, Site},
    http::{
        Problem, assets,
        notice::{self, Notice, Tone},
        page::{self, Brand},
        return_to,
        text::{self, accounts as words},
    },
    learners::EmailAddress,
    sessions::{self, SessionCookie},
};

/// What is wrong with what was typed, each in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    pub current_for_password: Option<&'static str>,
    pub password: Option<&'static str>,
    pub current_for_email: Option<&'static str>,
    pub email: Option<&'static str>,
    pub slowed: Option<String>,
}

/// `GET /{client}/account`
#[derive(Template)]
#[template(path = "account.html", config = "src/http/askama.toml")]
pub struct AccountPage<'a> {
    pub brand: Brand<'a>,
    pub means: Means,
    pub email: Option<&'a str>,
    /// The new address that was typed.
    pub new_email: &'a str,
    pub troubles: &'a Troubles,
    pub notices: &'a [Notice],
    /// Whether access waits for the proof of the address.
    pub is_first: bool,
}

impl AccountPage<'_> {
    fn has_account(&self) -> bool {
        matches!(self.means, Means::Account(_))
    }

    fn is_provisional(&self) -> bool {
        self.means == Means::Provisional
    }
}

/// The page and its forms.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/{client}/account", get(show))
        .route("/{client}/account/password", post(change_password))
        .route("/{client}/account/email", post(change_email))
        .route("/{client}/account/confirm", post(send_again))
}

/// Who is signed in, or where to sign in.
async fn signed_in(app: &App, site: &Site, cookie: &SessionCookie) -> Result<Result<Own, Response>, Problem> {
    let now = app.clock.now();
    let session = sessions::live(app, cookie, site.id, site.session_idle, now).await?;
    let own = match session {
        Some(session) => change::own(app, site.id, session.learner).await?,
        None => None,
    };
    Ok(own.ok_or_else(|| {
        let start = return_to::kept(&site.path(""), Some(&site.path("/account")));
        Redirect::to(&start).into_response()
    }))
}

fn render(
    site: &Site,
    own: &Own,
    status: StatusCode,
    troubles: &Troubles,
    new_email: &str,
    notices: &[Notice],
) -> Response {
    let email = own.email.as_ref().map(EmailAddress::as_str);
    let (brand, is_first) = (site.brand(), site.verify_email_first);
    page::render(status, &AccountPage { brand, means: own.means, email, new_email, troubles, notices, is_first })
}

#[derive(Deserialize)]
struct Told {
    told: Option<String>,
}

async fn show(
    State(app): State<App>,
    OpenSite(site): OpenSite,
    Query(told): Query<Told>,
    cookie: SessionCookie,
) -> Result<Response, Problem> {
    let own = match signed_in(&app, &site, &cookie).await? {
        Ok(own) => own,
        Err(to_sign_in) => return Ok(to_sign_in),
    };
    let notices = notice::take(&app, site.id, own.learner, told.told.as_deref()).await?;
    Ok(render(&site, &own, StatusCode::OK, &Troubles::default(), "", &notices))
}

/// Whoever sent a form of this page: the site, the learner, and what else is asked of the request. Whoever may not send it
/// is answered here.
struct Sender {
    site: Site,
    own: Own,
    asked: Asked,
}

impl FromRequestParts<App> for Sender {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let PasswordSite(site) = PasswordSite::from_request_parts(parts, app).await?;
        let Ok(asked) = Asked::from_request_parts(parts, app).await;
        let Ok(cookie) = SessionCookie::from_request_parts(parts, app).await;
        asked.posted(app, &site).await.map_err(IntoResponse::into_response)?;
        let own = signed_in(app, &site, &cookie).await.map_err(IntoResponse::into_response)??;
        Ok(Self { site, own, asked })
    }
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(default)]
    current: SecretString,
    #[serde(default)]
    password: SecretString,
}

async fn change_password(
    State(app): State<App>,
    Sender { site, own, asked }: Sender,
    Form(typed): Form<NewPassword>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    if !matches!(own.means, Means::Account(_)) {
        return Err(Problem::not_found());
    }
    let wrong = |why| Troubles { current_for_password: Some(why), ..Troubles::default() };
    if let Err(error) = change::ask_password(&app, &site, &asked.visitor(&app), &own, &typed.current, now).await {
        return refused(&site, &own, error, wrong, "");
    }
    let email = own.email.as_ref().map_or("", EmailAddress::as_str);
    let hints = passwords::hints(&own.first_name, &own.last_name, email, &site.name);
    if let Err(why) = passwords::judged(&app, &typed.password, hints).await? {
        let troubles = Troubles { password: Some(weak(why)), ..Troubles::default() };
        return Ok(render(&site, &own, StatusCode::UNPROCESSABLE_ENTITY, &troubles, "", &[]));
    }
    let hash = passwords::hash(&app, typed.password).await?;
    let replaces = asked.session(&app, site.id);
    let visit = Visit { client: site.client(), replaces: replaces.as_ref(), reference: asked.reference.as_str(), now };
    match change::change_password(&app, &visit, &own, &hash).await {
        Ok(session) => {
            let path = told(&app, &site, &own, words::own::PASSWORD_DONE, words::own::PASSWORD_DONE_NEXT).await?;
            Ok(let_in(&app, &site, &session, None, &path))
        }
        Err(error) => refused(&site, &own, error, wrong, ""),
    }
}

#[derive(Deserialize)]
struct NewEmail {
    #[serde(default)]
    current: SecretString,
    #[serde(default)]
    email: String,
}

async fn change_email(
    State(app): State<App>,
    Sender { site, own, asked }: Sender,
    Form(typed): Form<NewEmail>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    if own.means == Means::SsoOnly {
        return Err(Problem::not_found());
    }
    let is_same = |email: &EmailAddress| own.email.as_ref().is_some_and(|held| held.key() == email.key());
    let email = match EmailAddress::parse(&typed.email) {
        Some(email) if !is_same(&email) => email,
        found => {
            let why = if found.is_some() { words::own::SAME_EMAIL } else { words::EMAIL_INVALID };
            let troubles = Troubles { email: Some(why), ..Troubles::default() };
            return Ok(render(&site, &own, StatusCode::UNPROCESSABLE_ENTITY, &troubles, typed.email.trim(), &[]));
        }
    };
    let wrong = |why| Troubles { current_for_email: Some(why), ..Troubles::default() };
    if let Err(error) = change::ask_password(&app, &site, &asked.visitor(&app), &own, &typed.current, now).await {
        return refused(&site, &own, error, wrong, email.as_str());
    }
    let visit = Visit { client: site.client(), replaces: None, reference: asked.reference.as_str(), now };
    match change::ask_change(&app, &visit, &own, &email).await {
        Ok(()) => {
            let path = told(&app, &site, &own, words::own::EMAIL_SENT, words::own::EMAIL_SENT_NEXT).await?;
            Ok(Redirect::to(&path).into_response())
        }
        Err(error) => refused(&site, &own, error, wrong, email.as_str()),
    }
}

async fn send_again(State(app): State<App>, Sender { site, own, asked }: Sender) -> Result<Response, Problem> {
    let visit =
        Visit { client: site.client(), replaces: None, reference: asked.reference.as_str(), now: app.clock.now() };
    match change::send_again(&app, &visit, &own).await {
        Ok(()) => {
            let path = told(&app, &site, &own, words::own::SENT_AGAIN, words::own::SENT_AGAIN_NEXT).await?;
            Ok(Redirect::to(&path).into_response())
        }
        // Confirmed in another tab meanwhile: the page shows it.
        Err(error) => refused(&site, &own, error, |_| Troubles::default(), ""),
    }
}

/// The page again, with what was wrong.
fn refused(
    site: &Site,
    own: &Own,
    error: ChangeError,
    wrong: impl FnOnce(&'static str) -> Troubles,
    new_email: &str,
) -> Result<Response, Problem> {
    match error {
        ChangeError::Wrong => {
            let troubles = wrong(words::WRONG_CURRENT);
            Ok(render(site, own, StatusCode::UNPROCESSABLE_ENTITY, &troubles, new_email, &[]))
        }
        ChangeError::Wait(wait) => {
            let troubles = Troubles { slowed: Some(words::slowed(seconds(wait))), ..Troubles::default() };
            let page = render(site, own, StatusCode::TOO_MANY_REQUESTS, &troubles, new_email, &[]);
            Ok(come_back(page, wait))
        }
        ChangeError::NotOwn | ChangeError::Taken | ChangeError::Spent(_) => {
            Ok(Redirect::to(&site.path("/account")).into_response())
        }
        ChangeError::Fault(fault) => Err(fault.into()),
    }
}

/// The page again, where this is told once.
async fn told(app: &App, site: &Site, own: &Own, title: &str, text: &str) -> Result<String, Problem> {
    let notices = [Notice { tone: Tone::Good, title: title.to_owned(), text: text.to_owned() }];
    let handle = notice::keep(app, site.id, own.learner, &notices).await?;
    Ok(site.path(&format!("/account?told={handle}")))
}
