//! What the link in an invite's mail shows, and accepting there. Opening it changes nothing.

mod show;

use axum::{
    Form, Router,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;

use self::show::{Look, Way, Wrong, answer_of, gone, show};
use super::{
    accept::NotAccepted,
    enter::{self, NotEntered, Typed},
    link::Link,
    meet::{self, Doors, Met, Visitor},
    store_accept::Offered,
};
use crate::{
    accounts::{self, KNOWN_BROWSER},
    app::App,
    clients::{OpenSite, Site},
    fault::Fault,
    http::{ClientAddress, Problem, Reference, cookies, csrf, limits, text},
    ids::LearnerId,
    sessions::{self, SessionCookie},
};

/// The page and its form's target.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/{client}/invites/{token}", get(open))
        .route("/{client}/invites/{token}/accept", get(back).post(accept))
}

/// What the person typed and which button they pressed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Posted {
    step: String,
    first_name: String,
    last_name: String,
    password: SecretString,
}

/// One request of one client's page.
struct Asked {
    site: Site,
    token: String,
    now: DateTime<Utc>,
}

impl FromRequestParts<App> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let OpenSite(site) = OpenSite::from_request_parts(parts, app).await?;
        let token = Path::<(String, String)>::from_request_parts(parts, app).await;
        let Path((_, token)) = token.map_err(IntoResponse::into_response)?;
        Ok(Self { site, token, now: app.clock.now() })
    }
}

impl Asked {
    async fn meet(&self, app: &App) -> Result<Met, Fault> {
        let Some(link) = Link::read(&self.token) else { return Ok(Met::Unknown) };
        meet::meet(&mut *app.acquire().await?, self.site.id, &link, self.now).await
    }

    async fn session(&self, app: &App, cookie: &SessionCookie) -> Result<Option<LearnerId>, Fault> {
        let session = sessions::live(app, cookie, self.site.id, self.site.session_idle, self.now).await?;
        Ok(session.map(|session| session.learner))
    }

    fn look(&self) -> Look<'_> {
        Look { site: &self.site, token: &self.token }
    }

    /// The page of an open invite, for whoever holds its link.
    async fn offer(
        &self,
        app: &App,
        session: Option<LearnerId>,
        offered: &Offered,
        (status, wrong): (StatusCode, &Wrong),
    ) -> Result<Response, Problem> {
        let mut conn = app.acquire().await?;
        let way = match meet::visitor(&mut conn, self.site.id, session, offered).await? {
            Visitor::Invited(person) => Way::OneClick { person },
            Visitor::Somebody { person, may_accept } => Way::Other { person, may_accept },
            Visitor::Nobody => match meet::doors(&mut conn, &self.site, offered).await? {
                Doors::Sso(also) => Way::Sso { also },
                Doors::Password { has_account: true, also } => Way::Account { also },
                Doors::Password { has_account: false, also } => Way::New { also },
                Doors::None => Way::None,
            },
        };
        Ok(show(app, &self.look(), status, Some(offered), &way, wrong))
    }
}

async fn open(State(app): State<App>, asked: Asked, cookie: SessionCookie) -> Result<Response, Problem> {
    match asked.meet(&app).await? {
        Met::Open(offered) => {
            let session = asked.session(&app, &cookie).await?;
            asked.offer(&app, session, &offered, (StatusCode::OK, &Wrong::default())).await
        }
        met => over(&app, &asked, met, &cookie).await,
    }
}

/// The page of a link that leads to nothing that could be accepted.
async fn over(app: &App, asked: &Asked, met: Met, cookie: &SessionCookie) -> Result<Response, Problem> {
    let advice = match met {
        Met::Unknown => return Ok(gone(&asked.look(), StatusCode::NOT_FOUND, &text::invites::UNKNOWN)),
        Met::Accepted(_) | Met::Open(_) => {
            let way = Way::Accepted { signed_in: asked.session(app, cookie).await?.is_some() };
            return Ok(show(app, &asked.look(), StatusCode::OK, None, &way, &Wrong::default()));
        }
        Met::Replaced => &text::invites::REPLACED,
        Met::Expired => &text::invites::EXPIRED,
        Met::Revoked => &text::invites::REVOKED,
    };
    Ok(gone(&asked.look(), StatusCode::GONE, advice))
}

/// Whoever reloads the answer to the form by its address is shown the invite.
async fn back(asked: Asked) -> Result<Response, Problem> {
    let link = Link::read(&asked.token).ok_or_else(Problem::not_found)?;
    Ok(Redirect::to(&asked.site.path(&link.path())).into_response())
}

async fn accept(
    State(app): State<App>,
    asked: Asked,
    (from, reference): (ClientAddress, Reference),
    cookie: SessionCookie,
    headers: HeaderMap,
    Form(posted): Form<Posted>,
) -> Result<Response, Problem> {
    if !csrf::is_same_origin(asked.site.origin(), &headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    limits::sign_in(&app, from, asked.site.id).await?;
    let met = asked.meet(&app).await?;
    match (met, posted.step.as_str()) {
        (Met::Open(_), "sign_out") => sign_out(&app, &asked, &cookie).await,
        (Met::Open(offered) | Met::Accepted(offered), "me") => {
            as_signed_in(&app, &asked, &offered, &cookie, reference.as_str()).await
        }
        (Met::Open(offered) | Met::Accepted(offered), "password") => {
            let mark = cookies::read(&app, &headers, KNOWN_BROWSER).map(str::to_owned);
            let visitor = accounts::Visitor { address: from, mark };
            by_password(&app, &asked, &offered, (&cookie, &visitor), &posted, reference.as_str()).await
        }
        (Met::Open(offered), _) => {
            let session = asked.session(&app, &cookie).await?;
            asked.offer(&app, session, &offered, (StatusCode::UNPROCESSABLE_ENTITY, &Wrong::default())).await
        }
        (met, _) => over(&app, &asked, met, &cookie).await,
    }
}

/// Ends the session of whoever is signed in, and shows the invite again.
async fn sign_out(app: &App, asked: &Asked, cookie: &SessionCookie) -> Result<Response, Problem> {
    if let Some(token) = cookie.token(app, asked.site.id) {
        sessions::end(app, asked.site.id, &token).await?;
    }
    let gone = [(header::SET_COOKIE, cookies::unset(app, &cookies::session_name(asked.site.id)))];
    let again = asked.site.path(&format!("/invites/{}", asked.token));
    Ok((gone, Redirect::to(&again)).into_response())
}

async fn as_signed_in(
    app: &App,
    asked: &Asked,
    offered: &Offered,
    cookie: &SessionCookie,
    reference: &str,
) -> Result<Response, Problem> {
    let session = asked.session(app, cookie).await?;
    let Some(learner) = session else {
        return ended_or_offered(app, asked, offered, None).await;
    };
    match enter::in_session(app, asked.site.id, offered, learner, (reference, asked.now)).await {
        Ok(()) => Ok(to_dashboard(asked).into_response()),
        Err(NotEntered::NotAccepted(NotAccepted::OtherAddress { .. })) => {
            asked.offer(app, session, offered, (StatusCode::CONFLICT, &Wrong::default())).await
        }
        Err(error) => refuse(app, asked, offered, session, error).await,
    }
}

async fn by_password(
    app: &App,
    asked: &Asked,
    offered: &Offered,
    (cookie, visitor): (&SessionCookie, &accounts::Visitor),
    posted: &Posted,
    reference: &str,
) -> Result<Response, Problem> {
    let session = asked.session(app, cookie).await?;
    {
        let mut conn = app.acquire().await?;
        // A form that was left open while somebody else signed in asks again; one that was sent twice goes on.
        if let Visitor::Somebody { .. } = meet::visitor(&mut conn, asked.site.id, session, offered).await? {
            drop(conn);
            return ended_or_offered(app, asked, offered, session).await;
        }
        let doors = meet::doors(&mut conn, &asked.site, offered).await?;
        drop(conn);
        match doors {
            Doors::Sso(_) | Doors::None => return ended_or_offered(app, asked, offered, session).await,
            Doors::Password { has_account, .. } => {
                let wrong = Wrong::of(&posted.first_name, &posted.last_name, &posted.password, has_account);
                if wrong.is_any() && offered.status.is_open() {
                    return asked.offer(app, None, offered, (StatusCode::UNPROCESSABLE_ENTITY, &wrong)).await;
                }
            }
        }
    }
    let typed =
        Typed { first_name: &posted.first_name, last_name: &posted.last_name, password: posted.password.clone() };
    let entered = enter::with_password(app, &asked.site, offered, visitor, &typed, (reference, asked.now)).await;
    match entered {
        Ok(joined) => {
            let replaces = cookie.token(app, asked.site.id);
            let (learner, epoch) = (joined.learner, joined.epoch);
            let token = accounts::begin_session(app, &asked.site, learner, epoch, replaces.as_ref(), asked.now).await?;
            let session = cookies::set(app, &cookies::session_name(asked.site.id), token.expose(), None);
            Ok(([(header::SET_COOKIE, session)], to_dashboard(asked)).into_response())
        }
        Err(error) => match Wrong::after(&error, &posted.first_name, &posted.last_name) {
            Some((status, wrong)) if offered.status.is_open() => {
                asked.offer(app, None, offered, (status, &wrong)).await
            }
            Some(_) => over(app, asked, Met::Accepted(offered.clone()), cookie).await,
            None => refuse(app, asked, offered, None, error).await,
        },
    }
}

/// The invite as it is for whoever is there: accepted, or offered once more.
async fn ended_or_offered(
    app: &App,
    asked: &Asked,
    offered: &Offered,
    session: Option<LearnerId>,
) -> Result<Response, Problem> {
    if offered.status.is_open() {
        return asked.offer(app, session, offered, (StatusCode::CONFLICT, &Wrong::default())).await;
    }
    let way = Way::Accepted { signed_in: session.is_some() };
    Ok(show(app, &asked.look(), StatusCode::OK, None, &way, &Wrong::default()))
}

async fn refuse(
    app: &App,
    asked: &Asked,
    offered: &Offered,
    session: Option<LearnerId>,
    error: NotEntered,
) -> Result<Response, Problem> {
    if let NotEntered::NotAccepted(NotAccepted::NotOpen(_)) = error {
        // It was accepted or ended in this moment: what the link shows now is the answer.
        let met = asked.meet(app).await?;
        let way = Way::Accepted { signed_in: session.is_some() };
        return Ok(match met {
            Met::Accepted(_) => show(app, &asked.look(), StatusCode::OK, None, &way, &Wrong::default()),
            Met::Revoked => gone(&asked.look(), StatusCode::GONE, &text::invites::REVOKED),
            _ => gone(&asked.look(), StatusCode::GONE, &text::invites::EXPIRED),
        });
    }
    match answer_of(error) {
        Ok((status, advice)) => Ok(gone(&asked.look(), status, advice)),
        Err(None) => ended_or_offered(app, asked, offered, session).await,
        Err(Some(fault)) => Err(fault.into()),
    }
}

fn to_dashboard(asked: &Asked) -> Redirect {
    Redirect::to(&asked.site.path("/dashboard"))
}
