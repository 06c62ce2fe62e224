//! Where SAML identity providers send logout messages, by Redirect and by POST.

use axum::{
    Form, Router,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use super::{
    arrival::{Answer, Asked, find},
    logout::unknown,
    start::departing,
};
use crate::{
    app::App,
    http::{
        Problem, limits,
        page::{self, AdvicePage, Brand},
        text::{Advice, neutral},
    },
    login::{
        logout,
        saml::{SamlError, logout::Received},
        single_logout::{Heard, Unheard, hear},
    },
};

/// `GET,POST /saml/{connection}/slo`
pub fn routes() -> Router<App> {
    Router::new().route("/saml/{connection}/slo", get(by_redirect).post(by_post))
}

/// The query is taken as it stands in the address: its octets are what was signed.
async fn by_redirect(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    asked: Asked,
) -> Answer {
    take(&app, &id, &asked, || Received::from_query(query.as_deref().unwrap_or_default())).await
}

async fn by_post(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
    Form(fields): Form<Vec<(String, String)>>,
) -> Answer {
    take(&app, &id, &asked, || Received::from_form(&fields)).await
}

async fn take(app: &App, id: &str, asked: &Asked, read: impl FnOnce() -> Result<Received, SamlError>) -> Answer {
    let (connection, now) = (find(app, id).await?, app.clock.now());
    if connection.saml.is_none() {
        return Err(Problem::not_found());
    }
    // Without Redis nothing can be ended, and the answer says so; only who sends too much is turned away.
    if let Err(problem) = limits::of_address(app, asked.address).await
        && problem.status() == StatusCode::TOO_MANY_REQUESTS
    {
        return Err(problem);
    }
    let heard = match read() {
        Ok(received) => hear(app, &connection, received, &asked.reference, now).await,
        Err(error) => Err(error.into()),
    };
    match heard {
        Ok(Heard::Answer(departure)) => Ok(departing(app, Brand::default(), departure)),
        Ok(Heard::Back(path)) => Ok(Redirect::to(&path).into_response()),
        Ok(Heard::Over) => Ok(told(StatusCode::OK, &neutral::SIGNED_OUT, None)),
        Err(Unheard::NotAwaited) => {
            logout::refused(app, &connection, "logout.saml.not_awaited", &asked.reference, now).await?;
            Ok(unknown(asked))
        }
        Err(Unheard::Refused(code)) => {
            logout::refused(app, &connection, &code, &asked.reference, now).await?;
            Ok(told(StatusCode::BAD_REQUEST, &neutral::LOGOUT_REFUSED, Some(asked.reference.as_str())))
        }
        Err(Unheard::Fault(fault)) => Err(fault.into()),
    }
}

/// A page that belongs to no client: which of them the person uses is not known here.
fn told(status: StatusCode, advice: &Advice, reference: Option<&str>) -> Response {
    page::render(status, &AdvicePage { brand: Brand::default(), advice, message: None, reference, retry: None })
}
