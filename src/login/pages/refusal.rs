//! What a learner reads when a sign-in is refused, and the question before an unsolicited one is taken.

use axum::{http::StatusCode, response::Response};

use super::{confirm::ConfirmPage, elsewhere::ElsewherePage};
use crate::{
    clients::Site,
    connections::ConnectionFacts,
    http::{
        Reference,
        page::{self, AdvicePage, Field},
        text::{self, redeem, refused},
    },
    login::{
        identity::VerifiedIdentity,
        reason::{Advice, Reason},
        scene,
        trail::FixSide,
    },
};

/// The client's page that says why nobody was signed in, and what to do.
pub fn page(site: &Site, reason: &Reason, reference: &Reference) -> Response {
    if let Advice::Elsewhere(doors) = &reason.advice {
        let (brand, advice, reference) = (site.brand(), advice(reason), reference.as_str());
        return page::render(status(reason), &ElsewherePage { brand, advice, doors, reference });
    }
    let retry = site.path("");
    let message = Some(reason.message()).filter(|words| !words.is_empty());
    let page = AdvicePage {
        brand: site.brand(),
        advice: advice(reason),
        message,
        reference: Some(reference.as_str()),
        retry: Some(&retry),
    };
    page::render(status(reason), &page)
}

/// "Continue as X to Y": what the assertion says of the person, and a form that takes it by its handle.
pub fn confirm(site: &Site, connection: &ConnectionFacts, identity: &VerifiedIdentity, handle: &str) -> Response {
    let profile = scene::evaluate(connection, site, identity, false).profile;
    let word = |value: &Option<String>| value.clone().unwrap_or_default();
    let name = format!("{} {}", word(&profile.first_name.value), word(&profile.last_name.value));
    let email = profile.email.value.as_deref();
    let person = Some(name.trim()).filter(|name| !name.is_empty()).or(email).unwrap_or(identity.subject());
    let action = site.path(&format!("/login/{}/continue", connection.id));
    let fields = [Field { name: "handle", value: handle }];
    page::render(StatusCode::OK, &ConfirmPage { brand: site.brand(), person, email, action: &action, fields: &fields })
}

/// The words for a reason: its kind of advice decides, and a few codes have words of their own.
pub(crate) fn advice(reason: &Reason) -> &'static text::Advice {
    match reason.code {
        "login.saml.status" | "login.oidc.access_denied" | "login.oidc.refused" | "login.oidc.interaction_needed" => {
            return &refused::STOPPED_AT_IDP;
        }
        "login.oidc.unavailable" => return &refused::IDP_AWAY,
        "login.saml.unsolicited" => return &refused::UNSOLICITED,
        "login.learner.blocked" => return &refused::BLOCKED,
        "login.client.disabled" => return &refused::CLIENT_OFF,
        "login.client.missing" | "login.client.not_listed" => return &refused::NO_CLIENT,
        _ => {}
    }
    match &reason.advice {
        Advice::StartAgain => &refused::TOO_OLD,
        Advice::AllowCookies => &refused::NO_COOKIE,
        Advice::AskItDesk if reason.code.starts_with("login.link.") => &refused::EMAIL_TAKEN,
        Advice::AskItDesk if reason.side == FixSide::Idp => &refused::UNTRUSTED_ANSWER,
        Advice::AskItDesk => &refused::MISCONFIGURED,
        Advice::NotEntitled(_) => &refused::NOT_ENTITLED,
        Advice::AskForInvite => &refused::NO_ACCOUNT,
        Advice::SeatsFull => &refused::SEATS_FULL,
        Advice::AccessStopped => &refused::SUSPENDED,
        Advice::AccessEnded => &refused::ENDED,
        Advice::WayClosed => &refused::CONNECTION_OFF,
        Advice::InviteNotTaken(_) => &redeem::INVITE_NOT_TAKEN,
        Advice::CodesOpenNothing => &redeem::CODES_OPEN_NOTHING,
        Advice::Elsewhere(_) => &refused::ELSEWHERE,
    }
}

fn status(reason: &Reason) -> StatusCode {
    match &reason.advice {
        _ if reason.code == "login.oidc.unavailable" => StatusCode::BAD_GATEWAY,
        _ if reason.code == "login.saml.unsolicited" => StatusCode::FORBIDDEN,
        Advice::StartAgain | Advice::AllowCookies => StatusCode::BAD_REQUEST,
        Advice::AskItDesk
        | Advice::NotEntitled(_)
        | Advice::AskForInvite
        | Advice::SeatsFull
        | Advice::AccessStopped
        | Advice::AccessEnded
        | Advice::WayClosed
        | Advice::InviteNotTaken(_)
        | Advice::CodesOpenNothing
        | Advice::Elsewhere(_) => StatusCode::FORBIDDEN,
    }
}
