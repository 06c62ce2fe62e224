//! Single logout at the IdP: a chain of applications that are told one after the other through the browser, and then a
//! page, or an answer to the application that began.

use super::{
    LogoutBuilder, NameId, PARTIAL_LOGOUT, POST_BINDING, QueryStyle, REDIRECT_BINDING, ReceivedLogout, SUCCESS,
    SamlIdp, Status,
    answer::refused,
    idp::{State, lock},
    metadata::IdpMetadata,
    request::{LogoutService, SpMetadata},
};
use crate::{
    pages,
    sign::{Encryption, Signing},
    xml::{escape, random_hex},
};
use anyhow::{Context, Result, ensure};
use axum::{
    Form, Router,
    extract::{RawQuery, State as Shared},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;
use std::sync::Arc;

/// How the IdP takes part in single logout.
#[derive(Clone, Debug)]
pub struct Slo {
    /// Bindings in its metadata; none of them, and it offers no single logout.
    pub redirect: bool,
    pub post: bool,
    /// Sends by POST where the application takes it, else by Redirect.
    pub sends_by_post: bool,
    pub style: QueryStyle,
    /// Publishes another address for answers.
    pub other_address_for_answers: bool,
    /// Names sessions of the subject, or none.
    pub says_session_index: bool,
    /// Encrypts the NameID for the application.
    pub encrypts: bool,
    /// What it answers, when not what happened.
    pub status: Option<Status>,
}

impl Default for Slo {
    fn default() -> Self {
        Self {
            redirect: true,
            post: true,
            sends_by_post: false,
            style: QueryStyle::default(),
            other_address_for_answers: false,
            says_session_index: true,
            encrypts: false,
            status: None,
        }
    }
}

impl Slo {
    pub(super) fn publish(&self, metadata: &mut IdpMetadata, base_url: &str) {
        let address = |path: &str| format!("{base_url}{path}");
        metadata.slo_redirect_url = self.redirect.then(|| address("/slo"));
        metadata.slo_post_url = self.post.then(|| address("/slo"));
        metadata.slo_response_url = self.other_address_for_answers.then(|| address("/slo/answers"));
    }
}

/// Somebody signed in to an application.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The application's entity ID.
    pub sp: String,
    pub username: String,
    pub name_id: NameId,
    pub session_index: String,
}

/// A logout under way.
pub(super) struct Chain {
    left: Vec<Participant>,
    /// The request that is out.
    awaits: String,
    asked: String,
    /// Applications that did not sign the person out.
    failed: Vec<String>,
    /// Who began, unless somebody did at the IdP.
    begun_by: Option<ReceivedLogout>,
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/logout", get(page).post(everywhere))
        .route("/slo", get(by_redirect).post(by_post))
        .route("/slo/answers", get(by_redirect).post(by_post))
}

async fn page(Shared(idp): Shared<Arc<State>>) -> Response {
    let body = "<p>Ends your session here and at every application that you opened.</p>\
                <form method=\"post\" action=\"/logout\"><button type=\"submit\">Sign out everywhere</button></form>";
    pages::page(&idp.org, "Sign out", body)
}

async fn everywhere(Shared(idp): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let index = idp.sessions.end(&headers).map(|session| session.index);
    let left = index.map(|index| idp.leaving(&index)).unwrap_or_default();
    idp.go_on(left, Vec::new(), None).await.unwrap_or_else(|error| refused(&idp, &error))
}

async fn by_redirect(Shared(idp): Shared<Arc<State>>, RawQuery(query): RawQuery) -> Response {
    let message = ReceivedLogout::from_query(&query.unwrap_or_default());
    idp.take(message).await.unwrap_or_else(|error| refused(&idp, &error))
}

#[derive(Deserialize)]
struct LogoutForm {
    #[serde(rename = "SAMLRequest")]
    request: Option<String>,
    #[serde(rename = "SAMLResponse")]
    response: Option<String>,
    #[serde(rename = "RelayState")]
    relay_state: Option<String>,
}

async fn by_post(Shared(idp): Shared<Arc<State>>, Form(form): Form<LogoutForm>) -> Response {
    let value = form.request.or(form.response).unwrap_or_default();
    let message = ReceivedLogout::from_form(&value, form.relay_state.as_deref());
    idp.take(message).await.unwrap_or_else(|error| refused(&idp, &error))
}

impl SamlIdp {
    /// Every logout message that has arrived, oldest first.
    #[must_use]
    pub fn logouts(&self) -> Vec<ReceivedLogout> {
        lock(&self.state.logouts).clone()
    }

    /// Everybody who was signed in to an application and not signed out again, oldest first.
    #[must_use]
    pub fn participants(&self) -> Vec<Participant> {
        lock(&self.state.participants).clone()
    }

    /// The logout request that ends this participation, to be bent further by a test.
    pub async fn logout_request(&self, participant: &Participant) -> Result<LogoutBuilder> {
        Ok(self.state.logout_request(participant).await?.0)
    }
}

impl State {
    /// Takes the applications of a session out of the list of participants.
    fn leaving(&self, index: &str) -> Vec<Participant> {
        let mut all = lock(&self.participants);
        let mut left: Vec<Participant> = all.extract_if(.., |one| one.session_index == index).collect();
        left.dedup_by(|one, other| one.sp == other.sp);
        left
    }

    async fn take(&self, message: Result<ReceivedLogout>) -> Result<Response> {
        let message = message?;
        lock(&self.logouts).push(message.clone());
        let metadata = self.sp_metadata(&message.issuer).await?;
        message.signature.verify(&message.xml, &metadata.signing)?;
        if message.is_request { self.asked(message).await } else { self.answered(message).await }
    }

    /// An application asks: the session here ends, then those at the other applications.
    async fn asked(&self, request: ReceivedLogout) -> Result<Response> {
        let (name_id, ..) = request.name_id.clone().context("the logout request names nobody")?;
        let mut left = Vec::new();
        for index in &request.session_indexes {
            let known = lock(&self.participants).iter().any(|one| {
                one.session_index == *index
                    && one.sp == request.issuer
                    && one.name_id.value.to_xml() == escape(&name_id)
            });
            ensure!(known, "the logout request names a session that is not theirs");
            self.sessions.end_index(index);
            left.extend(self.leaving(index));
        }
        left.retain(|one| one.sp != request.issuer);
        self.go_on(left, Vec::new(), Some(request)).await
    }

    async fn answered(&self, response: ReceivedLogout) -> Result<Response> {
        let handle = response.relay_state.clone().context("the answer comes without its RelayState")?;
        let chain = lock(&self.chains).remove(&handle).context("the answer fits no logout")?;
        ensure!(response.in_response_to.as_deref() == Some(&chain.awaits), "the answer is to another request");
        ensure!(response.issuer == chain.asked, "the answer is somebody else's");
        let mut failed = chain.failed;
        if response.status.first().map(String::as_str) != Some(SUCCESS) || response.status.len() > 1 {
            failed.push(chain.asked);
        }
        self.go_on(chain.left, failed, chain.begun_by).await
    }

    /// The next application, or the end.
    async fn go_on(
        &self,
        mut left: Vec<Participant>,
        mut failed: Vec<String>,
        begun_by: Option<ReceivedLogout>,
    ) -> Result<Response> {
        while let Some(next) = left.pop() {
            let Ok((request, service)) = self.logout_request(&next).await else {
                failed.push(next.sp);
                continue;
            };
            let handle = random_hex(16);
            let request = request.with(|request| request.relay_state = Some(handle.clone()));
            let chain = Chain { left, awaits: request.id.clone(), asked: next.sp, failed, begun_by };
            lock(&self.chains).insert(handle, chain);
            return self.sent(&request, &service);
        }
        match begun_by {
            Some(request) => self.answer(&request, &failed).await,
            None => Ok(self.told(&failed)),
        }
    }

    fn told(&self, failed: &[String]) -> Response {
        let failed: String = failed.iter().map(|sp| format!("<li>{}</li>", escape(sp))).collect();
        let again = "<p><a href=\"/login\">Sign in again</a></p>";
        match failed.as_str() {
            "" => pages::page(&self.org, "Signed out everywhere", again),
            some => {
                let body = format!("<p role=\"alert\">Still signed in at:</p><ul>{some}</ul>{again}");
                pages::page(&self.org, "Signed out, but not everywhere", &body)
            }
        }
    }

    async fn answer(&self, request: &ReceivedLogout, failed: &[String]) -> Result<Response> {
        let slo = lock(&self.behaviour).slo.clone();
        let service = slo.service(&self.sp_metadata(&request.issuer).await?)?;
        let destination = service.response_location.clone().unwrap_or_else(|| service.location.clone());
        let key = lock(&self.key).clone();
        let partly = Status { code: SUCCESS.to_owned(), sub_code: Some(PARTIAL_LOGOUT.to_owned()), message: None };
        let response = LogoutBuilder::response(&self.entity_id, &destination, &request.id, &key, crate::clock::now())
            .with(|one| {
                one.relay_state.clone_from(&request.relay_state);
                one.style = slo.style;
                one.status = slo.status.or_else(|| (!failed.is_empty()).then_some(partly)).or(one.status.take());
                one.signing = one.signing.take().map(|signing| self.as_behaved(signing));
            });
        self.sent(&response, &service)
    }

    fn as_behaved(&self, signing: Signing) -> Signing {
        match lock(&self.behaviour).algorithm {
            Some(algorithm) => signing.algorithm(algorithm),
            None => signing,
        }
    }

    /// The request for one application, and where it goes.
    pub async fn logout_request(&self, participant: &Participant) -> Result<(LogoutBuilder, LogoutService)> {
        let slo = lock(&self.behaviour).slo.clone();
        let metadata = self.sp_metadata(&participant.sp).await?;
        let service = slo.service(&metadata)?;
        let (key, name_id) = (lock(&self.key).clone(), participant.name_id.clone());
        let request = LogoutBuilder::request(&self.entity_id, &service.location, name_id, &key, crate::clock::now())
            .with(|one| {
                one.style = slo.style;
                one.signing = one.signing.take().map(|signing| self.as_behaved(signing));
                if slo.says_session_index {
                    one.session_indexes = vec![participant.session_index.clone()];
                }
                if slo.encrypts {
                    one.encryption = metadata.encryption.first().map(|to| Encryption::to(to.clone()));
                }
            });
        Ok((request, service))
    }

    fn sent(&self, message: &LogoutBuilder, service: &LogoutService) -> Result<Response> {
        if service.binding == REDIRECT_BINDING {
            return Ok(Redirect::to(&message.redirect_url()?).into_response());
        }
        let fields = message.fields()?;
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let action = message.destination.as_deref().context("a form needs a destination")?;
        Ok(pages::self_posting_form(&self.org, action, &fields))
    }
}

impl Slo {
    fn service(&self, metadata: &SpMetadata) -> Result<LogoutService> {
        let wanted = if self.sends_by_post { POST_BINDING } else { REDIRECT_BINDING };
        let found = metadata.slo.iter().find(|service| service.binding == wanted).or_else(|| metadata.slo.first());
        found.cloned().context("the application offers no single logout")
    }
}
