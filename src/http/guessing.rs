//! Guessing codes: only wrong guesses are counted, in Redis, the same on every replica, and only the sources that fail are
//! slowed.
//!
//! Whom a request is judged by is what is hardest to come by anew. A signed-in learner is a record that a code, an invite
//! or an identity provider made, so they are judged by their own failures, whatever their address does: one bad neighbour
//! does not close an office. Whoever is not signed in is judged by their address, an IPv6 one by its /64, which is what
//! one subscriber has; cookies are free and count for nothing.
//!
//! | step | what |
//! |---|---|
//! | [`admit`] | before a code is looked at, one failure for each is taken from the budget of the learner or address: a thousand guesses sent at once are not looked at faster than one after the other |
//! | the codes are looked at | |
//! | [`settle`] | what was genuine is given back at once, and a code that was used up gives back one more: an office in which two hundred people redeem and ten mistype never runs dry, and what a guesser earns with a genuine code costs them that code |
//! | | what was wrong stays taken, and is counted at the wider sources too: a learner's address, the /48 around an IPv6 address, the client |
//!
//! Wider sources never refuse by themselves: whoever floods them would close the door for everybody. While one of them is
//! over its budget, the sources in it have a fifth of theirs. So a guesser with many addresses, many learners or a whole
//! IPv6 prefix is slowed to a fifth on each, and who has not failed there is let through all the same.
//!
//! What is left to a guesser, by the defaults: at one address forty guesses at once and then one every minute and a half,
//! 960 a day; with ten thousand addresses eight each and then as slowly, against the 2^60 codes that we generate. Answers that only the
//! holder of a genuine code gets (expired, used up, seats full) are no failures, and tell a guesser nothing sooner. Every
//! way to learn whether a code is genuine goes through here: the link, the box, the account form, the start of a sign-in
//! that carries codes. Without Redis nothing is looked at: 503.

use std::time::Duration;

use super::ClientAddress;
use crate::{
    app::App,
    cache::{Charge, Key},
    config::Rate,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// What is left of a budget while a wider source is over its own.
const STRICT_SHARE: u32 = 5;
/// A /48 holds many subscribers of a small provider, or one guesser with a whole site.
const SITE_SHARE: u32 = 8;

/// Who tries codes, and where.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub client: ClientId,
    /// Who is signed in.
    pub learner: Option<LearnerId>,
    pub address: ClientAddress,
}

/// Why codes are not looked at now.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// Too many failures; so long until there is room again.
    #[error("too many wrong codes")]
    Slowed(Duration),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Leave to look at so many codes. Settle it: what is not given back counts as failed.
#[must_use = "what is not settled counts as failed"]
#[derive(Debug)]
pub struct Admitted {
    source: Source,
    codes: u32,
}

type Budget = (Key, Rate);

fn own(app: &App, source: &Source) -> Budget {
    match source.learner {
        Some(learner) => {
            (Key::of_client(source.client, "guess-learner", learner), app.settings.limits.code_failures_per_learner)
        }
        None => of_address(app, source.address),
    }
}

fn of_address(app: &App, address: ClientAddress) -> Budget {
    (Key::global("guess-address", address.limit_unit()), app.settings.limits.code_failures_per_address)
}

/// The sources around the one that decides.
fn wider(app: &App, source: &Source) -> Vec<Budget> {
    let mut wider = vec![(Key::of_client(source.client, "guess", "all"), app.settings.limits.code_failures_per_client)];
    if source.learner.is_some() {
        wider.push(of_address(app, source.address));
    }
    if let Some(site) = source.address.site() {
        let rate = app.settings.limits.code_failures_per_address;
        let rate = Rate { count: rate.count.saturating_mul(SITE_SHARE), per: rate.per };
        wider.push((Key::global("guess-site", site), rate));
    }
    wider
}

async fn is_any_over(app: &App, budgets: &[Budget]) -> Result<bool, Fault> {
    let spent = budgets.iter().map(|(key, rate)| app.cache.count(key, *rate, 0));
    let spent = futures_util::future::try_join_all(spent).await?;
    Ok(spent.iter().zip(budgets).any(|(spent, (_, rate))| *spent >= rate.count))
}

/// Asks whether so many codes may be looked at now. One round trip; two once somebody has failed a while.
pub async fn admit(app: &App, source: Source, codes: usize) -> Result<Admitted, NotAdmitted> {
    let codes = u32::try_from(codes).unwrap_or(u32::MAX);
    let (key, rate) = own(app, &source);
    let spent = match app.cache.charge(&key, rate, codes).await.map_err(Fault::from)? {
        Charge::RetryAfter(wait) => return Err(NotAdmitted::Slowed(wait)),
        Charge::Taken(spent) => spent,
    };
    let strict = (rate.count / STRICT_SHARE).max(1);
    if spent > strict && is_any_over(app, &wider(app, &source)).await? {
        app.cache.count(&key, rate, -i64::from(codes)).await.map_err(Fault::from)?;
        return Err(NotAdmitted::Slowed(rate.per / rate.count.max(1) * (spent - strict)));
    }
    Ok(Admitted { source, codes })
}

/// Says what came of them: how many were wrong, and how many were used up by this request.
pub async fn settle(app: &App, admitted: Admitted, wrong: usize, used_up: usize) -> Result<(), Fault> {
    let Admitted { source, codes } = admitted;
    let wrong = u32::try_from(wrong).unwrap_or(u32::MAX).min(codes);
    let earned = i64::from(codes - wrong) + i64::try_from(used_up).unwrap_or(0);
    let own = [own(app, &source)].into_iter().filter(|_| earned > 0).map(|(key, rate)| (key, rate, -earned));
    let wider = if wrong == 0 { Vec::new() } else { wider(app, &source) };
    let wider = wider.into_iter().map(|(key, rate)| (key, rate, i64::from(wrong)));
    let counts = own.chain(wider).map(async |(key, rate, amount)| app.cache.count(&key, rate, amount).await);
    futures_util::future::try_join_all(counts).await?;
    Ok(())
}
