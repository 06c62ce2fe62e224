//! The box and its answer.

use axum::{
    Form,
    extract::{Query, State, rejection::FormRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    account,
    page::{self, Show},
    visit::{Asked, Visit, enter, lead_to_box},
};
use crate::{
    app::App,
    audit::Actor,
    clients::Place,
    codes::{
        self, Checked, CodeOutcome, CodeResult, CodeText, RedeemOrder,
        kept::Kept,
        look::{look, look_again},
        typed::Typed,
        words,
    },
    http::{
        BrowserKey, Problem, csrf,
        guessing::{self, NotAdmitted},
        notice::{self, Notice},
        text::redeem as text,
    },
    ids::LearnerId,
};

/// What of a box is shown again.
const SHOWN: usize = 4000;

#[derive(Deserialize)]
pub(super) struct Handle {
    h: Option<String>,
}

/// What the forms of the page send.
#[derive(Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    codes: String,
    /// There where the form of whoever is new was sent.
    account: Option<String>,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub password: SecretString,
}

/// Codes that were read, and what was no code.
pub(super) struct Read {
    pub typed: String,
    pub codes: Vec<CodeText>,
    pub malformed: Vec<String>,
}

impl Read {
    /// The page with what the codes are worth.
    pub fn show(&self, checked: Vec<Checked>) -> Show {
        Show { typed: self.typed.clone(), checked, notices: self.malformed(), ..Show::default() }
    }

    fn malformed(&self) -> Vec<Notice> {
        self.malformed.iter().map(|typed| words::of_malformed(typed)).collect()
    }
}

fn read(typed: &str) -> Result<Read, Box<Show>> {
    let shown: String = typed.chars().take(SHOWN).collect();
    let trouble = |trouble: &text::Trouble| Some((trouble.title.to_owned(), trouble.next.to_owned()));
    match Typed::read(typed) {
        Typed::Some { codes, malformed } => Ok(Read { typed: shown, codes, malformed }),
        Typed::Empty => Err(Show { trouble: trouble(&text::EMPTY), ..Show::default() }.into()),
        Typed::TooMany => Err(Show { typed: shown, trouble: trouble(&text::TOO_MANY), ..Show::default() }.into()),
    }
}

/// `GET /{client}/redeem`
pub(super) async fn show(
    State(app): State<App>,
    place: Place,
    Query(handle): Query<Handle>,
    asked: Asked,
) -> Result<Response, Problem> {
    let visit = match enter(&app, &place, asked).await? {
        Ok(visit) => visit,
        Err(closed) => return Ok(closed),
    };
    let Some(handle) = handle.h else { return Ok(page::show(&app, &visit, StatusCode::OK, Show::default()).await?) };
    let browser = BrowserKey::read(&app, &visit.asked.headers);
    let kept = browser.and_then(|browser| Kept::open(&app, visit.site.id, &browser, &handle, visit.now));
    let Some(kept) = kept else {
        let trouble = Some((text::FORGOTTEN.title.to_owned(), text::FORGOTTEN.next.to_owned()));
        return Ok(page::show(&app, &visit, StatusCode::OK, Show { trouble, ..Show::default() }).await?);
    };
    let read = match read(&kept.typed) {
        Ok(read) => read,
        Err(trouble) => return Ok(page::show(&app, &visit, StatusCode::OK, *trouble).await?),
    };
    let looked = match kept.is_counted {
        true => look_again(&app, &visit.site, &read.codes, visit.asker(), visit.now).await,
        false => look(&app, &visit.site, &read.codes, visit.asker(), visit.now).await,
    };
    match looked {
        Ok(checked) => Ok(page::show(&app, &visit, StatusCode::OK, read.show(checked)).await?),
        Err(refused) => slowed(&app, &visit, read, refused).await,
    }
}

/// `POST /{client}/redeem`
pub(super) async fn redeem(
    State(app): State<App>,
    place: Place,
    asked: Asked,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Response, Problem> {
    let visit = match enter(&app, &place, asked).await? {
        Ok(visit) => visit,
        Err(closed) => return Ok(closed),
    };
    if !csrf::is_same_origin(visit.site.origin(), &visit.asked.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "form.foreign", "Send this form from our own page."));
    }
    let Form(sent) = form.map_err(|rejection| {
        Problem::new(
            rejection.status(),
            "form.unreadable",
            "The form does not read. Reload the page and send it again.",
        )
    })?;
    let read = match read(&sent.codes) {
        Ok(read) => read,
        Err(trouble) => return Ok(page::show(&app, &visit, StatusCode::UNPROCESSABLE_ENTITY, *trouble).await?),
    };
    match &visit.person {
        Some(person) => {
            let order = RedeemOrder {
                client: visit.site.client().clone(),
                learner: person.learner,
                verified_email: person.verified_email.clone(),
                codes: read.codes.clone(),
                actor: Actor::Learner(person.learner),
                reference: Some(visit.asked.reference.to_string()),
                now: visit.now,
            };
            redeem_signed_in(&app, &visit, read, order).await
        }
        None if sent.account.is_some() => account::create(&app, visit, read, sent).await,
        None => match look(&app, &visit.site, &read.codes, visit.asker(), visit.now).await {
            Ok(_) => Ok(lead_to_box(&app, &visit.site, &visit.asked.headers, &read.typed, true, visit.now)),
            Err(refused) => slowed(&app, &visit, read, refused).await,
        },
    }
}

/// The learner who is signed in redeems: counted against guessing, committed together with others, one redirect.
async fn redeem_signed_in(app: &App, visit: &Visit, read: Read, order: RedeemOrder) -> Result<Response, Problem> {
    let learner = order.learner;
    let admitted = match guessing::admit(app, visit.source(), read.codes.len()).await {
        Ok(admitted) => admitted,
        Err(refused) => return slowed(app, visit, read, refused).await,
    };
    let outcomes = match read.codes.is_empty() {
        true => Ok(Vec::new()),
        false => codes::redeem(app, order).await,
    };
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(fault) => {
            guessing::settle(app, admitted, 0, 0).await?;
            return Err(fault.into());
        }
    };
    let count = |is: fn(&CodeResult) -> bool| outcomes.iter().filter(|outcome| is(&outcome.result)).count();
    let wrong = count(|result| matches!(result, CodeResult::NotValid));
    let used_up = count(|result| matches!(result, CodeResult::Redeemed { .. }));
    let settled = guessing::settle(app, admitted, wrong, used_up);
    if !outcomes.iter().any(|outcome| lands(&outcome.result)) {
        settled.await?;
        let notices = outcomes.iter().map(|one| words::of_outcome(one, &visit.site)).chain(read.malformed());
        let show = Show { notices: notices.collect(), typed: read.typed, ..Show::default() };
        return Ok(page::show(app, visit, StatusCode::UNPROCESSABLE_ENTITY, show).await?);
    }
    let (home, ()) = tokio::try_join!(home(app, visit, learner, &outcomes, read.malformed()), settled)?;
    Ok(Redirect::to(&home).into_response())
}

/// Whether the learner goes on to their home: they have what the code opens, or it is kept for them.
const fn lands(result: &CodeResult) -> bool {
    matches!(
        result,
        CodeResult::Redeemed { .. }
            | CodeResult::AlreadyHave
            | CodeResult::AlreadyUsedByYou
            | CodeResult::WaitsForAddress
    )
}

/// The learner's home, where they read what became of each code.
pub(super) async fn home(
    app: &App,
    visit: &Visit,
    learner: LearnerId,
    outcomes: &[CodeOutcome],
    more: Vec<Notice>,
) -> Result<String, crate::fault::Fault> {
    let notices: Vec<Notice> = outcomes.iter().map(|one| words::of_outcome(one, &visit.site)).chain(more).collect();
    let handle = notice::keep(app, visit.site.id, learner, &notices).await?;
    Ok(visit.site.path(&notice::dashboard(&handle)))
}

/// Nothing is looked at now: when to come back, with the box as it was.
pub(super) async fn slowed(app: &App, visit: &Visit, read: Read, refused: NotAdmitted) -> Result<Response, Problem> {
    let wait = match refused {
        NotAdmitted::Slowed(wait) => wait,
        NotAdmitted::Fault(fault) => return Err(fault.into()),
    };
    let minutes = wait.as_secs().div_ceil(60);
    let trouble = Some((text::SLOWED.to_owned(), text::slowed(minutes)));
    let show = Show { typed: read.typed, trouble, ..Show::default() };
    let mut response = page::show(app, visit, StatusCode::TOO_MANY_REQUESTS, show).await?;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
    Ok(response)
}
