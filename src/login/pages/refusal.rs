//! What a learner reads when a sign-in ends without a session, and the question before an unsolicited one is taken.

use axum::{http::StatusCode, response::Response};

use super::{brand_of, landing::ConfirmPage};
use crate::{
    clients::ClientFacts,
    connections::ConnectionFacts,
    http::{
        Reference,
        page::{self, AdvicePage, Field},
        text::{self, refused},
    },
    login::{
        finish,
        identity::VerifiedIdentity,
        reason::{Advice, Reason},
    },
};

/// The client's page for a refusal: what happened, what to do, and the reference that an admin finds the attempt by.
pub fn page(client: &ClientFacts, reason: &Reason, reference: &Reference) -> Response {
    let (status, advice): (StatusCode, &text::Advice) = match &reason.advice {
        Advice::StartAgain if reason.code == "login.saml.unsolicited" => (StatusCode::FORBIDDEN, &refused::UNSOLICITED),
        Advice::StartAgain => (StatusCode::BAD_REQUEST, &refused::TOO_OLD),
        Advice::AllowCookies => (StatusCode::BAD_REQUEST, &refused::TOO_OLD),
        Advice::AskItDesk => (StatusCode::FORBIDDEN, it_desk(reason.code)),
        Advice::NotEntitled(_) => (StatusCode::FORBIDDEN, &refused::NOT_ENTITLED),
        Advice::AskForInvite => (StatusCode::FORBIDDEN, &refused::NO_ACCOUNT),
        Advice::SeatsFull => (StatusCode::FORBIDDEN, &refused::SEATS_FULL),
        Advice::AccessStopped if reason.code == "login.learner.blocked" => (StatusCode::FORBIDDEN, &refused::BLOCKED),
        Advice::AccessStopped => (StatusCode::FORBIDDEN, &refused::SUSPENDED),
        Advice::AccessEnded => (StatusCode::FORBIDDEN, &refused::ENDED),
        Advice::WayClosed if reason.code == "login.client.disabled" => (StatusCode::FORBIDDEN, &refused::CLIENT_OFF),
        Advice::WayClosed => (StatusCode::FORBIDDEN, &refused::CONNECTION_OFF),
    };
    let message = match &reason.advice {
        Advice::NotEntitled(words) if !words.is_empty() => Some(words.as_str()),
        _ => None,
    };
    let retry = format!("/{}", client.slug);
    let page = AdvicePage {
        brand: brand_of(client),
        advice,
        message,
        reference: Some(reference.as_str()),
        retry: Some(&retry),
    };
    page::render(status, &page)
}

fn it_desk(code: &str) -> &'static text::Advice {
    match code {
        "login.link.untrusted_domain" | "login.link.off" | "login.link.other_subject" => &refused::EMAIL_TAKEN,
        "login.saml.metadata_expired" | "login.mapping.unknown_sublicense" => &refused::MISCONFIGURED,
        "login.saml.status" => &refused::STOPPED_AT_IDP,
        code if code.starts_with("login.oidc.") && code.contains("unavailable") => &refused::IDP_AWAY,
        _ => &refused::UNTRUSTED_ANSWER,
    }
}

/// "Continue as X to Y": who was verified, and a form whose yes is taken once.
pub fn confirm(
    client: &ClientFacts,
    connection: &ConnectionFacts,
    identity: &VerifiedIdentity,
    handle: &str,
) -> Response {
    let profile = finish::evaluate(connection, client, identity).profile;
    let email = profile.email.value.as_deref();
    let names = [profile.first_name.value.as_deref(), profile.last_name.value.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let person = if name.trim().is_empty() { email.unwrap_or(identity.subject()).to_owned() } else { name };
    let action = format!("/{}/login/{}/continue", client.slug, connection.id);
    let fields = [Field { name: "handle", value: handle }];
    let page = ConfirmPage { brand: brand_of(client), person: &person, email, action: &action, fields: &fields };
    page::render(StatusCode::OK, &page)
}
