//! The redeem page: the box, what each code is worth, and how to go on.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::visit::{Visit, box_with, plant};
use crate::{
    app::App,
    codes::{Checked, Verdict, kept::Kept, typed, words},
    connections,
    fault::Fault,
    http::{
        BrowserKey, assets,
        notice::Notice,
        page::{self, Brand},
        text,
    },
};

/// A code that may be redeemed, and what it opens.
#[derive(Debug, Clone)]
pub struct Line {
    pub code: String,
    pub opens: String,
}

/// A way to sign in that takes the codes along.
#[derive(Debug, Clone)]
pub struct CarryingWay {
    pub name: String,
    pub action: String,
}

/// The form of whoever is new, as it was filled in, and which fields to correct. A password is never shown again.
#[derive(Debug, Clone, Default)]
pub struct AccountForm {
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub first_name_wrong: bool,
    pub last_name_wrong: bool,
    pub email_wrong: bool,
    pub password_wrong: Option<String>,
}

impl AccountForm {
    pub const fn is_wrong(&self) -> bool {
        self.first_name_wrong || self.last_name_wrong || self.email_wrong || self.password_wrong.is_some()
    }
}

/// `GET,POST /{client}/redeem`
#[derive(Clone, Template)]
#[template(path = "redeem.html", config = "src/http/askama.toml")]
pub struct RedeemPage<'a> {
    pub brand: Brand<'a>,
    /// What is in the box.
    pub typed: &'a str,
    /// What is wrong with the request as a whole: a title and what to do.
    pub trouble: Option<(String, String)>,
    /// Codes that cannot be redeemed now, and why.
    pub bad: &'a [Notice],
    pub good: &'a [Line],
    /// The good ones as forms carry them.
    pub good_codes: &'a str,
    /// Who is signed in.
    pub person: Option<&'a str>,
    pub ways: &'a [CarryingWay],
    /// None where the client lets nobody in with a password.
    pub account: Option<&'a AccountForm>,
    /// Where members sign in; they come back to this page.
    pub sign_in: &'a str,
}

impl RedeemPage<'_> {
    /// Whether the box stands beside something more important.
    const fn box_is_aside(&self) -> bool {
        false
    }
}

/// What is to be shown.
#[derive(Default)]
pub(super) struct Show {
    pub typed: String,
    pub trouble: Option<(String, String)>,
    pub checked: Vec<Checked>,
    /// What was said of codes elsewhere, and of what is no code at all.
    pub notices: Vec<Notice>,
    pub account: AccountForm,
}

/// Renders the page for whoever is there.
pub(super) async fn show(app: &App, visit: &Visit, status: StatusCode, show: Show) -> Result<Response, Fault> {
    let site = &visit.site;
    let (browser, cookie) = BrowserKey::of(app, &visit.asked.headers);
    let is_good = |one: &&Checked| matches!(one.verdict, Verdict::Good | Verdict::WaitsForAddress);
    let good: Vec<&Checked> = show.checked.iter().filter(is_good).collect();
    let bad: Vec<Notice> =
        show.checked.iter().filter_map(|one| words::of_checked(one, site)).chain(show.notices).collect();
    let good_codes = typed::joined(good.iter().map(|one| &one.text));
    let good: Vec<Line> = good
        .into_iter()
        .map(|one| Line { code: one.text.as_str().to_owned(), opens: words::names(&one.sublicenses, site) })
        .collect();
    let ways = if good.is_empty() || visit.person.is_some() { Vec::new() } else { ways(app, visit).await? };
    let kept = Kept::new(good_codes.clone(), true, visit.now);
    let sign_in = match good.is_empty() {
        true => site.path("/login"),
        false => {
            let back = box_with(app, site, &browser, &kept);
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &back).finish();
            site.path(&format!("/login?{query}"))
        }
    };
    let page = RedeemPage {
        brand: site.brand(),
        typed: &show.typed,
        trouble: show.trouble,
        bad: &bad,
        good: &good,
        good_codes: &good_codes,
        person: visit.person.as_ref().map(|person| person.name.as_str()),
        ways: &ways,
        account: site.allows_passwords().then_some(&show.account),
        sign_in: &sign_in,
    };
    let mut response = page::render(status, &page);
    page::allow_forms_out(app, &mut response);
    plant(&mut response, cookie);
    Ok(response)
}

async fn ways(app: &App, visit: &Visit) -> Result<Vec<CarryingWay>, Fault> {
    let active = connections::for_landing(&mut *app.acquire().await?, visit.site.id).await?;
    let way = |connection: connections::ConnectionSummary| CarryingWay {
        action: visit.site.path(&format!("/login/{}", connection.id)),
        name: connection.name,
    };
    Ok(active.into_iter().map(way).collect())
}
