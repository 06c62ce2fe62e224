//! The invite's page: what it shows in each case, and its words.

use askama::Template;
use axum::{http::StatusCode, response::Response};
use secrecy::{ExposeSecret, SecretString};

use super::super::{
    accept::{self, NotAccepted},
    enter::NotEntered,
    store_accept::Offered,
};
use crate::{
    accounts::{Weak, clean_name},
    app::App,
    claims::Role,
    clients::Site,
    connections::ConnectionSummary,
    fault::Fault,
    http::{
        assets,
        page::{self, AdvicePage, Brand},
        text::{self, Advice},
    },
};

/// Whose page it is, and the link that it came by.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub site: &'a Site,
    pub token: &'a str,
}

/// How whoever is there may go on.
pub(super) enum Way {
    Accepted {
        signed_in: bool,
    },
    None,
    OneClick {
        person: String,
    },
    /// Somebody else is signed in.
    Other {
        person: String,
        may_accept: bool,
    },
    /// The address has an account: its password.
    Account {
        also: Vec<ConnectionSummary>,
    },
    /// Name and a new password.
    New {
        also: Vec<ConnectionSummary>,
    },
    Sso {
        also: Vec<ConnectionSummary>,
    },
}

impl Way {
    const fn is_sso(&self) -> bool {
        matches!(self, Self::Sso { .. })
    }

    /// Whether a form of the page leads to an identity provider.
    fn leads_out(&self) -> bool {
        match self {
            Self::Sso { also } | Self::New { also } | Self::Account { also } => !also.is_empty(),
            Self::Accepted { .. } | Self::None | Self::OneClick { .. } | Self::Other { .. } => false,
        }
    }

    /// Whether the whole address is shown: to whoever holds the link and nobody else's session, it is their own.
    const fn shows_address(&self) -> bool {
        !matches!(self, Self::Other { .. })
    }
}

/// What is wrong with what was typed, and what was typed.
#[derive(Default)]
pub(super) struct Wrong {
    names: Option<(String, String)>,
    first_name: Option<&'static str>,
    last_name: Option<&'static str>,
    password: Option<String>,
}

impl Wrong {
    /// What is missing.
    pub fn of(first_name: &str, last_name: &str, password: &SecretString, has_account: bool) -> Self {
        let missing = |name: &str| clean_name(name).is_empty() && !has_account;
        Self {
            names: Some((clean_name(first_name), clean_name(last_name))),
            first_name: missing(first_name).then_some(text::invites::NAME_MISSING),
            last_name: missing(last_name).then_some(text::invites::NAME_MISSING),
            password: password.expose_secret().is_empty().then(|| text::invites::PASSWORD_MISSING.to_owned()),
        }
    }

    pub const fn is_any(&self) -> bool {
        self.first_name.is_some() || self.last_name.is_some() || self.password.is_some()
    }

    /// What to correct, where correcting helps.
    pub fn after(error: &NotEntered, first_name: &str, last_name: &str) -> Option<(StatusCode, Self)> {
        let (status, password) = match error {
            NotEntered::Weak(weak) => (StatusCode::UNPROCESSABLE_ENTITY, weakness(*weak).to_owned()),
            NotEntered::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, text::invites::PASSWORD_WRONG.to_owned()),
            NotEntered::Wait(wait) => (StatusCode::TOO_MANY_REQUESTS, text::invites::wait(wait.as_secs().div_ceil(60))),
            NotEntered::Suspended | NotEntered::Taken | NotEntered::NotAccepted(_) | NotEntered::Fault(_) => {
                return None;
            }
        };
        let names = Some((clean_name(first_name), clean_name(last_name)));
        Some((status, Self { names, password: Some(password), ..Self::default() }))
    }
}

const fn weakness(weak: Weak) -> &'static str {
    match weak {
        Weak::TooShort => text::invites::PASSWORD_SHORT,
        Weak::TooLong => text::invites::PASSWORD_LONG,
        Weak::Guessable => text::invites::PASSWORD_GUESSABLE,
    }
}

/// `GET /{client}/invites/{token}`
#[derive(Template)]
#[template(path = "invite.html", config = "src/http/askama.toml")]
struct InvitePage<'a> {
    brand: Brand<'a>,
    way: &'a Way,
    wrong: &'a Wrong,
    first_name: &'a str,
    last_name: &'a str,
    /// The invited address; masked where somebody else is signed in.
    invited: String,
    sublicenses: Vec<&'a str>,
    is_manager: bool,
    until: String,
    action: String,
    token: &'a str,
}

/// Shows an invite; `offered` is absent where nothing is left to offer.
pub(super) fn show(
    app: &App,
    look: &Look<'_>,
    status: StatusCode,
    offered: Option<&Offered>,
    way: &Way,
    wrong: &Wrong,
) -> Response {
    let site = look.site;
    let invited = offered.map(|offered| match way.shows_address() {
        true => offered.email.clone(),
        false => accept::mask(&offered.email),
    });
    let typed = wrong.names.as_ref();
    // Somebody else who is signed in reads nobody's name or address.
    let person = offered.filter(|_| way.shows_address());
    let first_name = typed.map(|names| &names.0).or(person.map(|person| &person.first_name));
    let last_name = typed.map(|names| &names.1).or(person.map(|person| &person.last_name));
    let offers = |id| offered.is_some_and(|offered| offered.sublicenses.contains(id));
    let until = offered.map(|offered| text::day_and_time(offered.expires_at.with_timezone(&site.time_zone)));
    let page = InvitePage {
        brand: site.brand(),
        way,
        wrong,
        first_name: first_name.map(String::as_str).unwrap_or_default(),
        last_name: last_name.map(String::as_str).unwrap_or_default(),
        invited: invited.unwrap_or_default(),
        sublicenses: site.sublicenses.iter().filter(|part| offers(&part.id)).map(|part| part.name.as_str()).collect(),
        is_manager: offered.is_some_and(|offered| offered.role == Role::Manager),
        until: until.unwrap_or_default(),
        action: site.path(&format!("/invites/{}/accept", look.token)),
        token: look.token,
    };
    let mut response = page::render(status, &page);
    if way.leads_out() {
        page::allow_forms_out(app, &mut response);
    }
    response
}

/// Says why there is nothing to accept, and what to do.
pub(super) fn gone(look: &Look<'_>, status: StatusCode, advice: &Advice) -> Response {
    let own = look.site.path(&format!("/invites/{}", look.token));
    let retry = advice.retry.then_some(own.as_str());
    page::render(status, &AdvicePage { brand: look.site.brand(), advice, message: None, reference: None, retry })
}

/// The page of a refusal that no correction helps; `Err` where there is none: the machinery failed, or the invite's own
/// page says it.
pub(super) fn answer_of(error: NotEntered) -> Result<(StatusCode, &'static Advice), Option<Fault>> {
    Ok(match error {
        NotEntered::Suspended => (StatusCode::FORBIDDEN, &text::refused::SUSPENDED),
        NotEntered::Taken => (StatusCode::CONFLICT, &text::invites::TAKEN),
        NotEntered::NotAccepted(refused) => match refused {
            NotAccepted::Suspended => (StatusCode::FORBIDDEN, &text::refused::SUSPENDED),
            NotAccepted::Blocked => (StatusCode::FORBIDDEN, &text::invites::BLOCKED),
            NotAccepted::SeatsFull(_) => (StatusCode::CONFLICT, &text::invites::SEATS_FULL),
            NotAccepted::Over => (StatusCode::GONE, &text::invites::NOTHING_LEFT),
            NotAccepted::Unproved { .. } => (StatusCode::CONFLICT, &text::invites::UNPROVED),
            NotAccepted::OtherAddress { .. } | NotAccepted::NotOpen(_) => return Err(None),
            NotAccepted::Fault(fault) => return Err(Some(fault)),
        },
        NotEntered::Weak(_) | NotEntered::Wrong | NotEntered::Wait(_) => return Err(None),
        NotEntered::Fault(fault) => return Err(Some(fault)),
    })
}
