//! Where SAML identity providers answer, asked or not, and the learner's yes to an answer that nobody asked for.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Redirect},
    routing::post,
};
use serde::Deserialize;

use super::{
    arrival::{Answer, Asked, admitted, arrive, find, find_for, landed, site_of, unmatched},
    refusal,
    start::{Leaving, depart},
};
use crate::{
    app::App,
    clients::Site,
    connections::{ConnectionFacts, IdpInitiated},
    http::{
        Problem, csrf, limits,
        page::{self, Field},
    },
    ids::ClientId,
    login::{
        attempt::{self, BrowserKey, Pending},
        complete::{self, Return, SamlCourse, Seen},
        reason::Reason,
        return_to, saml,
    },
};

/// Marks a form that our own page posted again.
pub(super) const REPOSTED: &str = "reposted";

/// The assertion consumer, and the yes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/saml/{connection}/acs", post(saml_acs))
        .route("/{client}/login/{connection}/continue", post(proceed))
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
        limits::sign_in(&app, asked.address, connection.owner).await?;
        let arrival = arrive(&app, connection, &asked);
        return unmatched(
            &app,
            &arrival,
            arrival.connection.owner,
            Reason::malformed("The form holds no SAMLResponse."),
        )
        .await;
    };
    // A post from the IdP's site comes without our SameSite=Lax cookie; the same post from our own page brings it.
    // Nothing is taken before.
    if browser.is_none()
        && !(form.reposted.is_some() && csrf::is_same_origin(app.settings.server.origin(), &asked.headers))
    {
        limits::sign_in(&app, asked.address, connection.owner).await?;
        let fields = [("SAMLResponse", value.as_str()), ("RelayState", &relay_state), (REPOSTED, "1")];
        return Ok(page::repost(&app, &format!("/saml/{id}/acs"), &fields.map(|(name, value)| Field { name, value })));
    }
    let response = match saml::decode_form_value(&value) {
        Ok(response) => response,
        Err(error) => {
            limits::sign_in(&app, asked.address, connection.owner).await?;
            let reason = Reason::protocol(error.code(), error.fix_side(), error.to_string());
            let arrival = arrive(&app, connection, &asked);
            return unmatched(&app, &arrival, arrival.connection.owner, reason).await;
        }
    };
    let attempt = admitted(&app, &asked, &connection, browser.as_ref(), &relay_state).await?;
    let arrival = arrive(&app, connection, &asked);
    match attempt {
        Some(attempt) => {
            let done = complete::saml(&app, &arrival, SamlCourse::Asked(Box::new(attempt)), response).await;
            landed(&app, &asked.reference, done).await
        }
        None if saml::answers_a_request(&response) => {
            let reason = if browser.is_none() { Reason::no_cookie() } else { Reason::attempt_unknown() };
            unmatched(&app, &arrival, arrival.connection.owner, reason).await
        }
        None => unsolicited(&app, arrival, &asked, &relay_state, response, browser).await,
    }
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
    match arrival.connection.idp_initiated {
        IdpInitiated::Off => unmatched(app, &arrival, arrival.connection.owner, Reason::unsolicited()).await,
        IdpInitiated::Restart => {
            let (site, connection) = (site_of(app, arrival.connection.owner).await?, arrival.connection);
            let (return_of, return_to) = deep_link(app, &connection, relay_state).await?.unzip();
            // Where the client's people are at home, so that the sign-in ends there.
            let home = Site::of(app, site.client());
            if home.host().is_some() && !connection.is_shared() {
                let start = home.path(&format!("/login/{}", connection.id));
                // There, the whole host is the client's.
                let link = return_to.map(|link| if link.starts_with('/') { link } else { format!("/{link}") });
                let start = return_to::kept(&start, link.as_deref());
                return Ok(Redirect::to(&start).into_response());
            }
            let claims_choose = connection.is_shared();
            let leaving = Leaving { claims_choose, return_to, return_of, ..Leaving::default() };
            depart(app, &site, connection, asked, leaving).await
        }
        IdpInitiated::Accept => {
            let response: Arc<[u8]> = response.into();
            let Seen { connection, identity, client } =
                match complete::look_at_saml(app, &arrival, response.clone()).await {
                    Ok(seen) => seen,
                    Err(stopped) => return landed(app, &asked.reference, Err(stopped)).await,
                };
            let site = site_of(app, client).await?;
            let return_to = site.return_to(Some(relay_state)).map(|address| site.within(&address));
            let (browser, cookie) = match browser {
                Some(browser) => (browser, None),
                None => {
                    let (browser, cookie) = BrowserKey::fresh(app);
                    (browser, Some(cookie))
                }
            };
            let handle = app.entropy.token();
            let pending = Pending {
                connection: connection.id,
                client,
                received_at: arrival.now,
                response: response.to_vec(),
                return_to,
            };
            attempt::hold(app, connection.owner, &browser, &handle, &pending).await?;
            let mut page = refusal::confirm(&site, &connection, &identity, &handle);
            if let Some(cookie) = cookie {
                page.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(page)
        }
    }
}

/// The page that an identity provider's `RelayState` leads to, and whose it is: on a shared connection its first segment
/// says so, and the claims have the last word.
async fn deep_link(
    app: &App,
    connection: &ConnectionFacts,
    relay_state: &str,
) -> Result<Option<(ClientId, String)>, Problem> {
    let site = if connection.is_shared() {
        let slug = relay_state.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
        match app.clients.by_slug(&app.db, slug).await? {
            Some(client) if connection.serves(client.id) => Site::on_base(app, &client),
            _ => return Ok(None),
        }
    } else {
        site_of(app, connection.owner).await?
    };
    Ok(site.return_to(Some(relay_state)).map(|address| (site.id, site.within(&address))))
}

#[derive(Deserialize)]
struct ContinueForm {
    handle: String,
}

/// The learner's yes to an unsolicited sign-in.
async fn proceed(
    State(app): State<App>,
    site: Site,
    Path((_, id)): Path<(String, String)>,
    asked: Asked,
    Form(form): Form<ContinueForm>,
) -> Answer {
    let connection = find_for(&app, site.id, &id).await?;
    if !csrf::is_same_origin(site.origin(), &asked.headers) {
        return Err(Problem::not_found());
    }
    limits::sign_in(&app, asked.address, site.id).await?;
    let pending = match BrowserKey::read(&app, &asked.headers) {
        Some(browser) => attempt::release(&app, connection.owner, &browser, &form.handle).await?,
        None => None,
    };
    let arrival = arrive(&app, connection, &asked);
    let Some(pending) = pending.filter(|one| one.connection == arrival.connection.id && one.client == site.id) else {
        return unmatched(&app, &arrival, site.id, Reason::attempt_unknown()).await;
    };
    if arrival.connection.idp_initiated != IdpInitiated::Accept {
        return unmatched(&app, &arrival, site.id, Reason::unsolicited()).await;
    }
    let course =
        SamlCourse::Unasked { client: pending.client, return_to: pending.return_to, received_at: pending.received_at };
    let done = complete::saml(&app, &arrival, course, pending.response).await;
    landed(&app, &asked.reference, done).await
}
