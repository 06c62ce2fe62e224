//! What codes are worth to somebody, without using them: for pages that show a code before it is redeemed.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::{Bearer, Code, Hidden, Verdict},
    store_redeem as store,
    text::CodeText,
};
use crate::{
    audit::{self, Actor, NewEvent},
    clients::ClientFacts,
    entropy::Entropy,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
    learners::EmailAddress,
};

/// Who shows the codes; nobody is signed in where `learner` is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor<'a> {
    pub learner: Option<LearnerId>,
    pub verified_email: Option<&'a EmailAddress>,
}

/// One code, judged.
#[derive(Debug, Clone)]
pub struct Checked {
    pub text: CodeText,
    pub verdict: Verdict,
    /// What it grants; empty where the verdict tells nothing.
    pub sublicenses: Vec<SublicenseId>,
    /// The code's id, for the audit trail.
    id: Option<String>,
}

/// Judges codes, one answer for each, in the order given. Writes nothing and takes nothing: seats are not asked for.
pub async fn check(
    conn: &mut PgConnection,
    client: &ClientFacts,
    codes: &[CodeText],
    who: Visitor<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Checked>, Fault> {
    let keys: Vec<String> = codes.iter().map(|code| code.key().to_owned()).collect();
    let found = store::find(conn, client.id, &keys).await?;
    let mut redeemed = Vec::new();
    let mut must_verify_first = client.verify_email_first;
    if let Some(learner) = who.learner {
        let pairs: Vec<_> = found.iter().map(|code| (code.id, learner)).collect();
        redeemed = store::standing(conn, client.id, &pairs).await?;
        if must_verify_first {
            must_verify_first = store::with_identity(conn, client.id, &[learner.uuid()]).await?.is_empty();
        }
    }
    let judge = |text: &CodeText| {
        let Some(code) = found.iter().find(|code| code.key == text.key()) else {
            let verdict = Verdict::NotValid(Hidden::Unknown);
            return Checked { text: text.clone(), verdict, sublicenses: Vec::new(), id: None };
        };
        let bearer = Bearer {
            verified_email: who.verified_email,
            has_redeemed: redeemed.iter().any(|(id, _)| *id == code.id),
            must_verify_first,
        };
        let verdict = code.judge(bearer, now);
        Checked { text: text.clone(), verdict, sublicenses: shown(code, verdict), id: Some(code.shown()) }
    };
    Ok(codes.iter().map(judge).collect())
}

fn shown(code: &Code, verdict: Verdict) -> Vec<SublicenseId> {
    match verdict {
        Verdict::NotValid(_) => Vec::new(),
        Verdict::Good
        | Verdict::WaitsForAddress
        | Verdict::AlreadyUsedByYou
        | Verdict::Expired
        | Verdict::UsedUp
        | Verdict::NotYet(_) => code.sublicenses.clone(),
    }
}

/// The reason code of a verdict that lets nothing through.
pub(super) const fn reason(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Good | Verdict::WaitsForAddress | Verdict::AlreadyUsedByYou => None,
        Verdict::Expired => Some("codes.expired"),
        Verdict::UsedUp => Some("codes.used_up"),
        Verdict::NotYet(_) => Some("codes.not_yet"),
        Verdict::NotValid(hidden) => Some(hidden.as_str()),
    }
}

/// Leaves the true reason of each refused code in the audit trail, never its text. Call it where somebody sent codes and
/// none of them led to a redemption; [`super::redeem`] does so by itself.
pub async fn note_refusals(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    checked: &[Checked],
    actor: Actor,
    reference: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let refused = checked.iter().filter_map(|checked| {
        let reason = reason(checked.verdict)?;
        Some(NewEvent {
            client: Some(client),
            at: now,
            action: "code.refused",
            actor,
            target: checked.id.clone(),
            reason: Some(reason),
            reference,
            facts: json!({}),
            values: None,
        })
    });
    audit::record_many(conn, entropy, refused.collect()).await
}
