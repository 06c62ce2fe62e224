//! Looking at codes on behalf of whoever sent them, under the limits on guessing: the only way in which a page learns what
//! a code is worth.

use chrono::{DateTime, Utc};

use super::{Checked, CodeText, Verdict, Visitor, check, note_refusals};
use crate::{
    app::App,
    audit::Actor,
    clients::ClientFacts,
    http::guessing::{self, NotAdmitted, Source},
    learners::EmailAddress,
};

/// Who asks, from where.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub source: Source,
    /// The learner's own address, where it is verified.
    pub verified_email: Option<&'a EmailAddress>,
    pub reference: &'a str,
}

/// Judges codes and counts the wrong ones.
pub async fn look(
    app: &App,
    client: &ClientFacts,
    codes: &[CodeText],
    asker: Asker<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Checked>, NotAdmitted> {
    let admitted = guessing::admit(app, asker.source, codes.len()).await?;
    let checked = look_again(app, client, codes, asker, now).await?;
    let wrong = checked.iter().filter(|one| matches!(one.verdict, Verdict::NotValid(_))).count();
    guessing::settle(app, admitted, wrong, 0).await?;
    if wrong > 0 {
        let actor = asker.source.learner.map_or(Actor::Anonymous, Actor::Learner);
        let mut tx = app.begin().await?;
        let reference = Some(asker.reference);
        note_refusals(&mut tx, &app.entropy, client.id, &checked, actor, reference, now).await?;
        app.commit(tx).await?;
    }
    Ok(checked)
}

/// Judges codes that were counted before.
pub async fn look_again(
    app: &App,
    client: &ClientFacts,
    codes: &[CodeText],
    asker: Asker<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Checked>, NotAdmitted> {
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    let who = Visitor { learner: asker.source.learner, verified_email: asker.verified_email };
    Ok(check(&mut *app.acquire().await?, client, codes, who, now).await?)
}
