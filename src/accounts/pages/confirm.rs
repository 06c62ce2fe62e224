//! Proving an address by the link that was mailed: opening it shows what it is for, the button does it.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{Asked, advice, come_back, let_in, seconds, spent, weak};
use crate::{
    accounts::{
        CheckError,
        change::{self, ChangeError},
        check_password,
        confirm::{self, Asks, ConfirmError, Opened, Visit},
        passwords,
        prove::{Credential, ProveError},
    },
    app::App,
    clients::{self, ClientFacts},
    http::{
        Problem, assets,
        notice::{self, Notice, Tone},
        page::{self, Brand},
        text::{self, accounts as words},
    },
    ids::LearnerId,
};

/// The question, and a form that says yes.
#[derive(Template)]
#[template(path = "confirm_address.html", config = "src/http/askama.toml")]
pub struct ConfirmAddressPage<'a> {
    pub brand: Brand<'a>,
    pub asks: Asks,
    pub email: &'a str,
    /// The address of the account that is asked for its password.
    pub sign_in_as: &'a str,
    /// What is wrong with the password.
    pub wrong: Option<&'a str>,
    pub slowed: Option<&'a str>,
}

impl ConfirmAddressPage<'_> {
    fn is_new_password(&self) -> bool {
        self.asks == Asks::NewPassword
    }

    fn is_sign_in(&self) -> bool {
        self.asks == Asks::SignIn
    }

    fn is_change(&self) -> bool {
        self.asks == Asks::Change
    }
}

/// The page and its form.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/confirm/{token}", get(show).post(submit))
}

fn render(
    client: &ClientFacts,
    status: StatusCode,
    opened: &Opened,
    wrong: Option<&str>,
    slowed: Option<&str>,
) -> Response {
    let (email, sign_in_as) = (opened.email.as_str(), opened.sign_in_as.as_str());
    page::render(
        status,
        &ConfirmAddressPage { brand: Brand::of(client), asks: opened.asks, email, sign_in_as, wrong, slowed },
    )
}

async fn show(State(app): State<App>, Path((slug, token)): Path<(String, String)>) -> Result<Response, Problem> {
    let client = match clients::pages::open(&app, &slug).await? {
        Ok(client) => client,
        Err(closed) => return Ok(closed),
    };
    Ok(match confirm::look(&app, &client, &token, app.clock.now()).await? {
        Ok(opened) => render(&client, StatusCode::OK, &opened, None, None),
        Err(why) => spent(&client, why),
    })
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    password: SecretString,
}

async fn submit(
    State(app): State<App>,
    Path((slug, token)): Path<(String, String)>,
    asked: Asked,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let client = match clients::pages::open(&app, &slug).await? {
        Ok(client) => client,
        Err(closed) => return Ok(closed),
    };
    asked.posted(&app, &client).await?;
    let now = app.clock.now();
    let opened = match confirm::look(&app, &client, &token, now).await? {
        Ok(opened) => opened,
        Err(why) => return Ok(spent(&client, why)),
    };
    let replaces = asked.session(&app, client.id);
    let visit = Visit { client: &client, replaces: replaces.as_ref(), reference: asked.reference.as_str(), now };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let credential = match opened.asks {
        Asks::Yes => Credential::None,
        Asks::NewPassword => {
            if let Err(why) = passwords::judged(&app, &typed.password, opened.hints.clone()).await? {
                return Ok(render(&client, unprocessable, &opened, Some(weak(why)), None));
            }
            Credential::New(passwords::hash(&app, typed.password).await?)
        }
        Asks::SignIn | Asks::Change => {
            let visitor = asked.visitor(&app);
            match check_password(&app, &visitor, &client, &opened.sign_in_as, &typed.password, now).await {
                Ok(account) => Credential::Account(account),
                Err(CheckError::Wrong) => {
                    return Ok(render(&client, unprocessable, &opened, Some(words::WRONG_CURRENT), None));
                }
                Err(CheckError::Wait(wait)) => {
                    let slowed = words::slowed(seconds(wait));
                    let page = render(&client, StatusCode::TOO_MANY_REQUESTS, &opened, None, Some(&slowed));
                    return Ok(come_back(page, wait));
                }
                Err(CheckError::Fault(fault)) => return Err(fault.into()),
            }
        }
    };
    match (opened.asks, credential) {
        (Asks::Change, Credential::Account(account)) => {
            changed(&app, &client, &opened, change::change_address(&app, &visit, &token, account).await).await
        }
        (_, credential) => match confirm::confirm(&app, &visit, &token, &credential).await {
            // Somebody made the account a moment ago: the page now asks for its sign-in.
            Err(ConfirmError::Prove(ProveError::AccountExists)) => {
                Ok(Redirect::to(&format!("/{}/confirm/{token}", client.slug)).into_response())
            }
            outcome => confirmed(&app, &client, outcome).await,
        },
    }
}

async fn confirmed(
    app: &App,
    client: &Arc<ClientFacts>,
    outcome: Result<confirm::Confirmed, ConfirmError>,
) -> Result<Response, Problem> {
    let landing = format!("/{}", client.slug);
    match outcome {
        Ok(done) => match done.session {
            Some(session) => {
                let home = told(app, client, done.learner, words::confirm::DONE, words::confirm::DONE_NEXT).await?;
                Ok(let_in(app, client, &session, None, &home))
            }
            None => Ok(Redirect::to(&landing).into_response()),
        },
        Err(ConfirmError::Spent(why)) => Ok(spent(client, why)),
        Err(ConfirmError::Prove(why)) => match why {
            ProveError::Over | ProveError::AccountExists => Ok(spent(client, super::Spent::Expired)),
            ProveError::Suspended => Ok(advice(client, StatusCode::FORBIDDEN, &text::refused::SUSPENDED, &landing)),
            ProveError::Taken => Ok(advice(client, StatusCode::CONFLICT, &words::ADDRESS_TAKEN, &landing)),
            ProveError::Fault(fault) => Err(fault.into()),
        },
        Err(ConfirmError::Fault(fault)) => Err(fault.into()),
    }
}

async fn changed(
    app: &App,
    client: &Arc<ClientFacts>,
    opened: &Opened,
    outcome: Result<(LearnerId, crate::sessions::SessionToken), ChangeError>,
) -> Result<Response, Problem> {
    let landing = format!("/{}", client.slug);
    match outcome {
        Ok((learner, session)) => {
            let home = told(app, client, learner, words::change::DONE, words::change::DONE_NEXT).await?;
            Ok(let_in(app, client, &session, None, &home))
        }
        Err(ChangeError::Taken) => Ok(advice(client, StatusCode::CONFLICT, &words::ADDRESS_TAKEN, &landing)),
        Err(ChangeError::Spent(why)) => Ok(spent(client, why)),
        Err(ChangeError::NotOwn) => Ok(spent(client, super::Spent::Expired)),
        Err(ChangeError::Wrong | ChangeError::Wait(_)) => {
            Ok(render(client, StatusCode::UNPROCESSABLE_ENTITY, opened, Some(words::WRONG_CURRENT), None))
        }
        Err(ChangeError::Fault(fault)) => Err(fault.into()),
    }
}

/// The learner's home, where this is told once.
async fn told(app: &App, client: &ClientFacts, learner: LearnerId, title: &str, text: &str) -> Result<String, Problem> {
    let notices = [Notice { tone: Tone::Good, title: title.to_owned(), text: text.to_owned() }];
    let handle = notice::keep(app, client.id, learner, &notices).await?;
    Ok(notice::dashboard(&client.slug, &handle))
}
