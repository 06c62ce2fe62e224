//! Proving an address by the link that was mailed: opening it shows what it is for, the button does it.

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
    clients::{OpenSite, Site},
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

fn render(site: &Site, status: StatusCode, opened: &Opened, wrong: Option<&str>, slowed: Option<&str>) -> Response {
    let (email, sign_in_as) = (opened.email.as_str(), opened.sign_in_as.as_str());
    page::render(
        status,
        &ConfirmAddressPage { brand: site.brand(), asks: opened.asks, email, sign_in_as, wrong, slowed },
    )
}

async fn show(
    State(app): State<App>,
    OpenSite(site): OpenSite,
    Path((_, token)): Path<(String, String)>,
) -> Result<Response, Problem> {
    Ok(match confirm::look(&app, &site, &token, app.clock.now()).await? {
        Ok(opened) => render(&site, StatusCode::OK, &opened, None, None),
        Err(why) => spent(&site, why),
    })
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    password: SecretString,
}

async fn submit(
    State(app): State<App>,
    OpenSite(site): OpenSite,
    Path((_, token)): Path<(String, String)>,
    asked: Asked,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    asked.posted(&app, &site).await?;
    let now = app.clock.now();
    let opened = match confirm::look(&app, &site, &token, now).await? {
        Ok(opened) => opened,
        Err(why) => return Ok(spent(&site, why)),
    };
    let replaces = asked.session(&app, site.id);
    let visit = Visit { client: site.client(), replaces: replaces.as_ref(), reference: asked.reference.as_str(), now };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let credential = match opened.asks {
        Asks::Yes => Credential::None,
        Asks::NewPassword => {
            if let Err(why) = passwords::judged(&app, &typed.password, opened.hints.clone()).await? {
                return Ok(render(&site, unprocessable, &opened, Some(weak(why)), None));
            }
            Credential::New(passwords::hash(&app, typed.password).await?)
        }
        Asks::SignIn | Asks::Change => {
            let visitor = asked.visitor(&app);
            match check_password(&app, &visitor, &site, &opened.sign_in_as, &typed.password, now).await {
                Ok(account) => Credential::Account(account),
                Err(CheckError::Wrong) => {
                    return Ok(render(&site, unprocessable, &opened, Some(words::WRONG_CURRENT), None));
                }
                Err(CheckError::Wait(wait)) => {
                    let slowed = words::slowed(seconds(wait));
                    let page = render(&site, StatusCode::TOO_MANY_REQUESTS, &opened, None, Some(&slowed));
                    return Ok(come_back(page, wait));
                }
                Err(CheckError::Fault(fault)) => return Err(fault.into()),
            }
        }
    };
    match (opened.asks, credential) {
        (Asks::Change, Credential::Account(account)) => {
            changed(&app, &site, &opened, change::change_address(&app, &visit, &token, account).await).await
        }
        (_, credential) => match confirm::confirm(&app, &visit, &token, &credential).await {
            // Somebody made the account a moment ago: the page now asks for its sign-in.
            Err(ConfirmError::Prove(ProveError::AccountExists)) => {
                Ok(Redirect::to(&site.path(&format!("/confirm/{token}"))).into_response())
            }
            outcome => confirmed(&app, &site, outcome).await,
        },
    }
}

async fn confirmed(
    app: &App,
    site: &Site,
    outcome: Result<confirm::Confirmed, ConfirmError>,
) -> Result<Response, Problem> {
    let landing = site.path("");
    match outcome {
        Ok(done) => match done.session {
            Some(session) => {
                let home = told(app, site, done.learner, words::confirm::DONE, words::confirm::DONE_NEXT).await?;
                Ok(let_in(app, site, &session, None, &home))
            }
            None => Ok(Redirect::to(&landing).into_response()),
        },
        Err(ConfirmError::Spent(why)) => Ok(spent(site, why)),
        Err(ConfirmError::Prove(why)) => match why {
            ProveError::Over | ProveError::AccountExists => Ok(spent(site, super::Spent::Expired)),
            ProveError::Suspended => Ok(advice(site, StatusCode::FORBIDDEN, &text::refused::SUSPENDED, &landing)),
            ProveError::Taken => Ok(advice(site, StatusCode::CONFLICT, &words::ADDRESS_TAKEN, &landing)),
            ProveError::Fault(fault) => Err(fault.into()),
        },
        Err(ConfirmError::Fault(fault)) => Err(fault.into()),
    }
}

async fn changed(
    app: &App,
    site: &Site,
    opened: &Opened,
    outcome: Result<(LearnerId, crate::sessions::SessionToken), ChangeError>,
) -> Result<Response, Problem> {
    let landing = site.path("");
    match outcome {
        Ok((learner, session)) => {
            let home = told(app, site, learner, words::change::DONE, words::change::DONE_NEXT).await?;
            Ok(let_in(app, site, &session, None, &home))
        }
        Err(ChangeError::Taken) => Ok(advice(site, StatusCode::CONFLICT, &words::ADDRESS_TAKEN, &landing)),
        Err(ChangeError::Spent(why)) => Ok(spent(site, why)),
        Err(ChangeError::NotOwn) => Ok(spent(site, super::Spent::Expired)),
        Err(ChangeError::Wrong | ChangeError::Wait(_)) => {
            Ok(render(site, StatusCode::UNPROCESSABLE_ENTITY, opened, Some(words::WRONG_CURRENT), None))
        }
        Err(ChangeError::Fault(fault)) => Err(fault.into()),
    }
}

/// The learner's home, where this is told once.
async fn told(app: &App, site: &Site, learner: LearnerId, title: &str, text: &str) -> Result<String, Problem> {
    let notices = [Notice { tone: Tone::Good, title: title.to_owned(), text: text.to_owned() }];
    let handle = notice::keep(app, site.id, learner, &notices).await?;
    Ok(site.path(&notice::dashboard(&handle)))
}
