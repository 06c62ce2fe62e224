//! The learner's own page: by what they sign in, another password, another address, and the mail that confirms it.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{Asked, come_back, let_in, open, seconds, weak};
use crate::{
    accounts::{
        change::{self, ChangeError, Means, Own},
        confirm::Visit,
        passwords,
    },
    app::App,
    clients::{self, ClientFacts},
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
async fn signed_in(app: &App, client: &ClientFacts, cookie: &SessionCookie) -> Result<Result<Own, Response>, Problem> {
    let now = app.clock.now();
    let session = sessions::live(app, cookie, client.id, client.session_idle, now).await?;
    let own = match session {
        Some(session) => change::own(app, client.id, session.learner).await?,
        None => None,
    };
    let account = format!("/{}/account", client.slug);
    Ok(own.ok_or_else(|| {
        let start = return_to::kept(&format!("/{}", client.slug), Some(&account));
        Redirect::to(&start).into_response()
    }))
}

fn render(
    client: &ClientFacts,
    own: &Own,
    status: StatusCode,
    troubles: &Troubles,
    new_email: &str,
    notices: &[Notice],
) -> Response {
    let email = own.email.as_ref().map(EmailAddress::as_str);
    let (brand, is_first) = (Brand::of(client), client.verify_email_first);
    page::render(status, &AccountPage { brand, means: own.means, email, new_email, troubles, notices, is_first })
}

#[derive(Deserialize)]
struct Told {
    told: Option<String>,
}

async fn show(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(told): Query<Told>,
    cookie: SessionCookie,
) -> Result<Response, Problem> {
    let client = match clients::pages::open(&app, &slug).await? {
        Ok(client) => client,
        Err(closed) => return Ok(closed),
    };
    let own = match signed_in(&app, &client, &cookie).await? {
        Ok(own) => own,
        Err(to_sign_in) => return Ok(to_sign_in),
    };
    let notices = notice::take(&app, client.id, own.learner, told.told.as_deref()).await?;
    Ok(render(&client, &own, StatusCode::OK, &Troubles::default(), "", &notices))
}

/// The client and the learner of a form, or the answer to whoever may not send it.
async fn sender(
    app: &App,
    slug: &str,
    asked: &Asked,
    cookie: &SessionCookie,
) -> Result<Result<(Arc<ClientFacts>, Own), Response>, Problem> {
    let client = match open(app, slug).await? {
        Ok(client) => client,
        Err(closed) => return Ok(Err(closed)),
    };
    asked.posted(app, &client).await?;
    Ok(signed_in(app, &client, cookie).await?.map(|own| (client, own)))
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
    Path(slug): Path<String>,
    asked: Asked,
    cookie: SessionCookie,
    Form(typed): Form<NewPassword>,
) -> Result<Response, Problem> {
    let (client, own) = match sender(&app, &slug, &asked, &cookie).await? {
        Ok(sender) => sender,
        Err(answer) => return Ok(answer),
    };
    let now = app.clock.now();
    if !matches!(own.means, Means::Account(_)) {
        return Err(Problem::not_found());
    }
    let wrong = |why| Troubles { current_for_password: Some(why), ..Troubles::default() };
    if let Err(error) = change::ask_password(&app, &client, &asked.visitor(&app), &own, &typed.current, now).await {
        return refused(&client, &own, error, wrong, "");
    }
    let email = own.email.as_ref().map_or("", EmailAddress::as_str);
    let hints = passwords::hints(&own.first_name, &own.last_name, email, &client.name);
    if let Err(why) = passwords::judged(&app, &typed.password, hints).await? {
        let troubles = Troubles { password: Some(weak(why)), ..Troubles::default() };
        return Ok(render(&client, &own, StatusCode::UNPROCESSABLE_ENTITY, &troubles, "", &[]));
    }
    let hash = passwords::hash(&app, typed.password).await?;
    let replaces = asked.session(&app, client.id);
    let visit = Visit { client: &client, replaces: replaces.as_ref(), reference: asked.reference.as_str(), now };
    match change::change_password(&app, &visit, &own, &hash).await {
        Ok(session) => {
            let path = told(&app, &client, &own, words::own::PASSWORD_DONE, words::own::PASSWORD_DONE_NEXT).await?;
            Ok(let_in(&app, &client, &session, None, &path))
        }
        Err(error) => refused(&client, &own, error, wrong, ""),
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
    Path(slug): Path<String>,
    asked: Asked,
    cookie: SessionCookie,
    Form(typed): Form<NewEmail>,
) -> Result<Response, Problem> {
    let (client, own) = match sender(&app, &slug, &asked, &cookie).await? {
        Ok(sender) => sender,
        Err(answer) => return Ok(answer),
    };
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
            return Ok(render(&client, &own, StatusCode::UNPROCESSABLE_ENTITY, &troubles, typed.email.trim(), &[]));
        }
    };
    let wrong = |why| Troubles { current_for_email: Some(why), ..Troubles::default() };
    if let Err(error) = change::ask_password(&app, &client, &asked.visitor(&app), &own, &typed.current, now).await {
        return refused(&client, &own, error, wrong, email.as_str());
    }
    let visit = Visit { client: &client, replaces: None, reference: asked.reference.as_str(), now };
    match change::ask_change(&app, &visit, &own, &email).await {
        Ok(()) => {
            let path = told(&app, &client, &own, words::own::EMAIL_SENT, words::own::EMAIL_SENT_NEXT).await?;
            Ok(Redirect::to(&path).into_response())
        }
        Err(error) => refused(&client, &own, error, wrong, email.as_str()),
    }
}

async fn send_again(
    State(app): State<App>,
    Path(slug): Path<String>,
    asked: Asked,
    cookie: SessionCookie,
) -> Result<Response, Problem> {
    let (client, own) = match sender(&app, &slug, &asked, &cookie).await? {
        Ok(sender) => sender,
        Err(answer) => return Ok(answer),
    };
    let visit = Visit { client: &client, replaces: None, reference: asked.reference.as_str(), now: app.clock.now() };
    match change::send_again(&app, &visit, &own).await {
        Ok(()) => {
            let path = told(&app, &client, &own, words::own::SENT_AGAIN, words::own::SENT_AGAIN_NEXT).await?;
            Ok(Redirect::to(&path).into_response())
        }
        // Confirmed in another tab meanwhile: the page shows it.
        Err(error) => refused(&client, &own, error, |_| Troubles::default(), ""),
    }
}

/// The page again, with what was wrong.
fn refused(
    client: &ClientFacts,
    own: &Own,
    error: ChangeError,
    wrong: impl FnOnce(&'static str) -> Troubles,
    new_email: &str,
) -> Result<Response, Problem> {
    match error {
        ChangeError::Wrong => {
            let troubles = wrong(words::WRONG_CURRENT);
            Ok(render(client, own, StatusCode::UNPROCESSABLE_ENTITY, &troubles, new_email, &[]))
        }
        ChangeError::Wait(wait) => {
            let troubles = Troubles { slowed: Some(words::slowed(seconds(wait))), ..Troubles::default() };
            let page = render(client, own, StatusCode::TOO_MANY_REQUESTS, &troubles, new_email, &[]);
            Ok(come_back(page, wait))
        }
        ChangeError::NotOwn | ChangeError::Taken | ChangeError::Spent(_) => {
            Ok(Redirect::to(&format!("/{}/account", client.slug)).into_response())
        }
        ChangeError::Fault(fault) => Err(fault.into()),
    }
}

/// The page again, where this is told once.
async fn told(app: &App, client: &ClientFacts, own: &Own, title: &str, text: &str) -> Result<String, Problem> {
    let notices = [Notice { tone: Tone::Good, title: title.to_owned(), text: text.to_owned() }];
    let handle = notice::keep(app, client.id, own.learner, &notices).await?;
    Ok(format!("/{}/account?told={handle}", client.slug))
}
