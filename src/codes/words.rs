//! What became of a code, in the words that its bearer reads.

use chrono::{DateTime, Utc};

use super::{Checked, CodeOutcome, CodeResult, Verdict};
use crate::{
    clients::ClientFacts,
    http::{
        notice::{Notice, Tone},
        text::{self, redeem as words},
    },
    ids::SublicenseId,
};

/// The names of sublicenses, in the client's order.
pub fn names(sublicenses: &[SublicenseId], client: &ClientFacts) -> String {
    let known = client.sublicenses.iter().filter(|one| sublicenses.contains(&one.id));
    words::names(&known.map(|one| one.name.as_str()).collect::<Vec<_>>())
}

fn moment(at: DateTime<Utc>, client: &ClientFacts) -> String {
    text::day_and_time(at.with_timezone(&client.time_zone))
}

/// What became of a code that somebody redeemed.
pub fn of_outcome(outcome: &CodeOutcome, client: &ClientFacts) -> Notice {
    let code = outcome.text.as_str();
    let (tone, (title, text)) = match &outcome.result {
        CodeResult::Redeemed { sublicenses } => (Tone::Good, words::redeemed(code, &names(sublicenses, client))),
        CodeResult::AlreadyHave => (Tone::Plain, words::already_have(code)),
        CodeResult::AlreadyUsedByYou => (Tone::Plain, words::already_used_by_you(code)),
        CodeResult::WaitsForAddress => (Tone::Plain, words::waits_for_address(code)),
        CodeResult::SeatsFull => (Tone::Warn, words::seats_full(code)),
        CodeResult::Expired => (Tone::Warn, words::expired(code)),
        CodeResult::UsedUp => (Tone::Warn, words::used_up(code)),
        CodeResult::NotYet(from) => (Tone::Warn, words::not_yet(code, &moment(*from, client))),
        CodeResult::Blocked => (Tone::Warn, words::blocked(code)),
        CodeResult::NotValid => (Tone::Warn, words::not_valid(code)),
    };
    Notice { tone, title, text }
}

/// What is wrong with a code that was only looked at; `None` where it may be redeemed.
pub fn of_checked(checked: &Checked, client: &ClientFacts) -> Option<Notice> {
    let code = checked.text.as_str();
    let (tone, (title, text)) = match checked.verdict {
        Verdict::Good | Verdict::WaitsForAddress => return None,
        Verdict::AlreadyUsedByYou => (Tone::Plain, words::already_used_by_you(code)),
        Verdict::Expired => (Tone::Warn, words::expired(code)),
        Verdict::UsedUp => (Tone::Warn, words::used_up(code)),
        Verdict::NotYet(from) => (Tone::Warn, words::not_yet(code, &moment(from, client))),
        Verdict::NotValid(_) => (Tone::Warn, words::not_valid(code)),
    };
    Some(Notice { tone, title, text })
}

/// What no code reads like.
pub fn of_malformed(typed: &str) -> Notice {
    let (title, text) = words::not_valid(typed);
    Notice { tone: Tone::Warn, title, text }
}
