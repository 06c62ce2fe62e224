//! Whoever is new: the form with name, address and password, sent together with the codes.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    page::{self, AccountForm},
    redeem::{Read, Sent, home, slowed},
    visit::{Visit, lead_to_box},
};
use crate::{
    accounts::{self, Weak, clean_name, passwords},
    app::App,
    codes::{
        Checked, Verdict,
        look::look,
        sign_up::{SignUp, SignUpError, sign_up},
        words,
    },
    fault::Fault,
    http::{
        BrowserKey, Problem, cookies, limits,
        page::{AdvicePage, render},
        text::{self, redeem as said},
    },
    learners::EmailAddress,
};

/// The longest name that is taken as typed.
const NAME_LENGTH: usize = 200;

/// Makes the learner, redeems, and lands: the same way whether or not anybody has the address. The password is hashed only
/// after a code has passed.
pub(super) async fn create(app: &App, visit: Visit, read: Read, sent: Sent) -> Result<Response, Problem> {
    let checked = match look(app, &visit.site, &read.codes, visit.asker(), visit.now).await {
        Ok(checked) => checked,
        Err(refused) => return slowed(app, &visit, read, refused).await,
    };
    let is_good = |one: &Checked| matches!(one.verdict, Verdict::Good | Verdict::WaitsForAddress);
    if !checked.iter().any(is_good) || !visit.site.allows_passwords() {
        // Says what is wrong with the codes, or leads to the client's own sign-in.
        return Ok(lead_to_box(app, &visit.site, &visit.asked.headers, &read.typed, true, visit.now));
    }
    let Some(browser) = BrowserKey::read(app, &visit.asked.headers) else { return Ok(no_cookie(&visit)) };
    let (form, email) = judge(app, &visit, &sent).await?;
    let Some(email) = email.filter(|_| !form.is_wrong()) else {
        let trouble = Some((said::CHECK_FIELDS.to_owned(), said::CHECK_FIELDS_NEXT.to_owned()));
        let show = page::Show { account: form, trouble, ..read.show(checked) };
        return Ok(page::show(app, &visit, StatusCode::UNPROCESSABLE_ENTITY, show).await?);
    };
    limits::sign_up(app, visit.asked.address).await?;
    let new = SignUp {
        client: visit.site.client().clone(),
        codes: checked.iter().filter(|one| is_good(one)).map(|one| one.text.clone()).collect(),
        first_name: form.first_name,
        last_name: form.last_name,
        email,
        password: sent.password,
        browser,
        reference: visit.asked.reference.to_string(),
    };
    let signed_up = match sign_up(app, &new, visit.now).await {
        Ok(signed_up) => signed_up,
        Err(SignUpError::Fault(fault)) => return Err(fault.into()),
        Err(SignUpError::OpensNothing(outcomes)) => {
            let notices = outcomes.iter().map(|one| words::of_outcome(one, &visit.site)).collect();
            let show = page::Show { notices, typed: read.typed, ..page::Show::default() };
            return Ok(page::show(app, &visit, StatusCode::UNPROCESSABLE_ENTITY, show).await?);
        }
    };
    let replaces = visit.session_token(app);
    let (learner, epoch) = (signed_up.learner, signed_up.session_epoch);
    let token = accounts::begin_session(app, &visit.site, learner, epoch, replaces.as_ref(), visit.now).await?;
    let others = checked.iter().filter(|one| !is_good(one)).filter_map(|one| words::of_checked(one, &visit.site));
    let home = home(app, &visit, learner, &signed_up.outcomes, others.collect()).await?;
    let age = chrono::Duration::from_std(visit.site.session_absolute).ok();
    let cookie = cookies::set(app, &cookies::session_name(visit.site.id), token.expose(), age);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&home)).into_response())
}

/// What is wrong with the fields, and the address where it is one.
async fn judge(app: &App, visit: &Visit, sent: &Sent) -> Result<(AccountForm, Option<EmailAddress>), Fault> {
    let is_name = |name: &str| !clean_name(name).is_empty() && name.trim().chars().count() <= NAME_LENGTH;
    let email = EmailAddress::parse(&sent.email);
    let hints = passwords::hints(&sent.first_name, &sent.last_name, &sent.email, &visit.site.name);
    let password_wrong = passwords::judged(app, &sent.password, hints).await?.err().map(weak);
    let short = |text: &str| text.chars().take(320).collect::<String>();
    let form = AccountForm {
        first_name: short(&sent.first_name),
        last_name: short(&sent.last_name),
        email: short(&sent.email),
        first_name_wrong: !is_name(&sent.first_name),
        last_name_wrong: !is_name(&sent.last_name),
        email_wrong: email.is_none(),
        password_wrong,
    };
    Ok((form, email))
}

fn weak(why: Weak) -> String {
    match why {
        Weak::TooShort => said::password_short(passwords::LEAST_LENGTH),
        Weak::TooLong => said::password_long(passwords::MOST_LENGTH),
        Weak::Guessable => said::PASSWORD_GUESSABLE.to_owned(),
    }
}

/// Without a cookie nobody could be signed in: told before anything is made.
fn no_cookie(visit: &Visit) -> Response {
    let retry = visit.site.path("/redeem");
    let page = AdvicePage {
        brand: visit.site.brand(),
        advice: &text::refused::NO_COOKIE,
        message: None,
        reference: None,
        retry: Some(&retry),
    };
    render(StatusCode::BAD_REQUEST, &page)
}
