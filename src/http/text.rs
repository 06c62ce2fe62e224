//! Every word that a learner reads, in one place, so that another language is another file of this shape. Plain words:
//! what happened, and what to do next.

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;

pub mod accounts;
pub mod invites;
pub mod mail;
pub mod redeem;

/// The language of this file, for the `lang` attribute.
pub const LANGUAGE: &str = "en";

pub const SIGN_IN: &str = "Sign in";
pub const SIGN_OUT: &str = "Sign out";
pub const CONTINUE: &str = "Continue";
pub const TRY_AGAIN: &str = "Try again";
pub const ABOUT: &str = "About this site";
pub const SKIP_TO_CONTENT: &str = "Skip to content";
pub const CONTACT_SUPPORT: &str = "Contact support";
pub const NEED_HELP: &str = "Need help?";
pub const WHAT_TO_DO: &str = "What you can do";

/// Words of the page with the ways to sign in.
pub mod landing {
    pub const LEAD: &str = "Sign in to your learning.";
    pub const FIND_BY_EMAIL: &str = "Sign in with your email address instead";
    pub const NO_WAY_IN: &str = "Sign-in is not set up yet";
    pub const SIGNED_IN: &str = "Go to your learning";
    pub const NO_WAY_IN_NEXT: &str =
        "Nobody can sign in here for now. Please come back later, or ask the people who sent you this link.";

    pub fn title(client: &str) -> String {
        format!("Sign in · {client}")
    }

    pub fn welcome(client: &str) -> String {
        format!("Welcome to {client}")
    }

    pub fn continue_with(connection: &str) -> String {
        format!("Continue with {connection}")
    }
}

/// Words of the e-mail-first page.
pub mod login {
    pub const HEADING: &str = "What is your email address?";
    pub const LEAD: &str = "We use it to find where your organisation signs you in.";
    pub const EMAIL: &str = "Work or school email";
    pub const INVALID: &str = "Enter a whole email address, such as name@company.com.";
    pub const UNKNOWN: &str = "We found no sign-in for this address";
    pub const UNKNOWN_NEXT: &str = "Check the spelling, or use the address that your organisation gave you. If it is right, choose your sign-in from the list, or ask your administrator.";
    pub const SEVERAL: &str = "Choose how you sign in";
    pub const ALL_WAYS: &str = "Back to all ways to sign in";
}

/// Words of the learner's home.
pub mod dashboard {
    pub const TITLE: &str = "Your learning";
    pub const ACCESS: &str = "Your access";
    pub const CONTENT: &str = "Your content";
    pub const ROLE_LEARNER: &str = "Learner";
    pub const ROLE_MANAGER: &str = "Manager";
    pub const NO_END: &str = "No end date";
    pub const ENDS_SOON: &str = "Ends soon";
    pub const FOR_EVERYONE: &str = "For everyone";
    pub const NO_ACCESS: &str = "You have no access right now";
    pub const NO_ACCESS_NEXT: &str =
        "Your access has ended or has not begun. Ask your administrator if you expected something here.";
    pub const NO_CONTENT: &str = "Nothing here yet";
    pub const NO_CONTENT_NEXT: &str = "Your courses appear here as soon as your organisation adds them.";
    pub const NO_EMAIL: &str = "No email address";
    pub const NO_NAME: &str = "Learner";

    pub fn greeting(first_name: &str) -> String {
        if first_name.is_empty() { "Hello".to_owned() } else { format!("Hello, {first_name}") }
    }

    pub fn lead(client: &str) -> String {
        format!("This is your learning at {client}.")
    }

    pub fn until(date: &str) -> String {
        format!("Until {date}")
    }
}

/// What the page after signing out says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedOut {
    /// What happened, in a few words.
    pub heading: &'static str,
    /// What that means, and what to do.
    pub lead: &'static str,
}

/// Words of the page after signing out.
pub mod signed_out {
    use super::SignedOut;

    pub const HERE: SignedOut = SignedOut {
        heading: "You are signed out here",
        lead: "On a shared computer, also sign out at your organisation and close the browser.",
    };
    pub const EVERYWHERE: SignedOut = SignedOut {
        heading: "You are signed out everywhere",
        lead: "You are signed out here and at your organisation. On a shared computer, close the browser too.",
    };
    pub const PARTLY: SignedOut = SignedOut {
        heading: "You are signed out here, but not everywhere",
        lead: "Your organisation could not sign you out of every application. Sign out of the others yourself, and on a shared computer close the browser.",
    };
    pub const UNANSWERED: SignedOut = SignedOut {
        heading: "You are signed out here",
        lead: "Your organisation did not say that it signed you out, too. Whoever uses this browser next could get in without a password: sign out there as well, or close the browser.",
    };
    pub const STILL_IN: &str = "You are still signed in";
    pub const STAY: &str = "Back to your learning";
    pub const AGAIN: &str = "Sign in again";
}

/// Words of the page that asks before it takes an unsolicited sign-in.
pub mod confirm {
    pub const LEAD: &str = "Your organisation sent you here signed in. Continue only if this is you.";
    pub const NOT_ME: &str = "This is not me";

    pub fn heading(person: &str, client: &str) -> String {
        format!("Continue as {person} to {client}?")
    }

    pub fn submit(person: &str) -> String {
        format!("Continue as {person}")
    }
}

/// Words of the page that carries a form on by itself.
pub mod forward {
    pub const TITLE: &str = "To your organisation and back";
    pub const LEAD: &str = "One moment. If nothing happens, press the button.";
}

/// Words of the reference that an admin finds again.
pub mod reference {
    pub const LABEL: &str = "Reference";
    pub const HINT: &str = "Give this to support: it leads them straight to what happened.";
    pub const COPY: &str = "Copy";
    pub const COPIED: &str = "Copied";
    pub const SUBJECT: &str = "Sign-in reference";
}

/// What a page says of something that did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What happened, in a few words.
    pub title: &'static str,
    /// What happened, in a sentence or two.
    pub happened: &'static str,
    /// What to do next, best first.
    pub next: &'static [&'static str],
    /// Whether trying again is offered.
    pub retry: bool,
}

const fn advice(title: &'static str, happened: &'static str, next: &'static [&'static str], retry: bool) -> Advice {
    Advice { title, happened, next, retry }
}

/// Sign-ins that were refused.
pub mod refused {
    use super::{Advice, advice};

    pub const TOO_OLD: Advice = advice(
        "This sign-in is no longer good",
        "It took too long, was already used, or began in another browser or tab.",
        &[
            "Try again: it starts a fresh sign-in.",
            "If it happens again, allow cookies for this site and close other sign-in tabs.",
        ],
        true,
    );
    pub const NO_COOKIE: Advice = advice(
        "Your browser keeps no cookies for us",
        "Without one we cannot tell that the sign-in is yours.",
        &["Allow cookies for this site, then try again.", "A private window or another browser may do, too."],
        true,
    );
    pub const STOPPED_AT_IDP: Advice = advice(
        "Your organisation did not sign you in",
        "Its sign-in page said no, or the sign-in was cancelled there.",
        &[
            "Try again and finish the sign-in there.",
            "If it says no again, ask your IT desk whether you may use this application.",
        ],
        true,
    );
    pub const UNTRUSTED_ANSWER: Advice = advice(
        "We could not accept the answer of your organisation",
        "Its sign-in answered in a way that we cannot trust, so nobody was signed in. You did nothing wrong.",
        &[
            "Try again once.",
            "If it happens again, send the reference below to your IT desk or to support: somebody has to correct a setting.",
        ],
        true,
    );
    pub const IDP_AWAY: Advice = advice(
        "Your organisation's sign-in does not answer",
        "We could not reach it just now.",
        &["Wait a minute, then try again.", "If it lasts, tell your IT desk."],
        true,
    );
    pub const MISCONFIGURED: Advice = advice(
        "This sign-in is not set up correctly",
        "A setting between us and your organisation is wrong or has run out. You did nothing wrong.",
        &["Send the reference below to your IT desk or to support."],
        false,
    );
    pub const NO_CLIENT: Advice = advice(
        "Your organisation does not say where you belong",
        "Its sign-in serves several organisations here, and what it says of you names none of them. You did nothing wrong.",
        &["Send the reference below to your IT desk: your account has to name your organisation."],
        false,
    );
    pub const ELSEWHERE: Advice = advice(
        "You belong somewhere else",
        "You signed in, but your account is of another organisation than this page. Nothing was changed here.",
        &["Continue below. You do not have to sign in again."],
        false,
    );
    /// The button to the organisation that is theirs.
    pub fn continue_to(name: &str) -> String {
        format!("Continue to {name}")
    }
    pub const CONNECTION_OFF: Advice = advice(
        "This way to sign in is switched off",
        "It is not in use, or was switched off a moment ago.",
        &["Go back and choose another way to sign in.", "If there is none, ask your administrator."],
        true,
    );
    pub const UNSOLICITED: Advice = advice(
        "Please begin on our page",
        "This sign-in did not start here, and your organisation asked us not to take such ones.",
        &["Try again: it starts the sign-in from our side."],
        true,
    );
    pub const NOT_ENTITLED: Advice = advice(
        "You are signed in, but have no access here",
        "Your organisation knows you. What it told us about you opens nothing here.",
        &["Ask your administrator or IT desk to give you access.", "Once they have, try again."],
        true,
    );
    pub const NO_ACCOUNT: Advice = advice(
        "There is no place for you here yet",
        "Your organisation signed you in, but new people are not let in this way.",
        &["Ask your administrator to add you or to invite you."],
        true,
    );
    pub const EMAIL_TAKEN: Advice = advice(
        "Your email address is already in use",
        "Somebody here already has this address, and we could not make sure that it is you.",
        &["Sign in the way you did before.", "If you never did, ask your administrator and give the reference below."],
        true,
    );
    pub const SUSPENDED: Advice = advice(
        "Your access is suspended",
        "An administrator has stopped your access.",
        &["Ask your administrator."],
        false,
    );
    pub const BLOCKED: Advice = advice(
        "Your access was removed",
        "An administrator has taken you off this programme, so signing in does not bring it back.",
        &["Ask your administrator to let you in again."],
        false,
    );
    pub const SEATS_FULL: Advice = advice(
        "All places are taken",
        "Your organisation has no free seat at the moment. Nothing was used up by your try.",
        &["Ask your administrator for a seat.", "Once there is one, try again."],
        true,
    );
    pub const ENDED: Advice = advice(
        "Access has ended",
        "The time for which you or your organisation had access is over.",
        &["Ask your administrator whether it will be renewed."],
        false,
    );
    pub const CLIENT_OFF: Advice = advice(
        "This learning site is closed",
        "It is switched off for the time being.",
        &["Ask your administrator."],
        false,
    );
}

/// Pages that belong to no client.
pub mod neutral {
    use super::{Advice, advice};

    pub const NOT_FOUND: Advice = advice(
        "There is nothing here",
        "The address leads nowhere. A letter may be missing or wrong.",
        &["Check the address, or open the link again from where you got it."],
        false,
    );
    pub const UNAVAILABLE: Advice = advice(
        "Back in a moment",
        "A part of our service is away. Nothing was lost and nothing was half done.",
        &["Wait a little, then try again."],
        true,
    );
    pub const INTERNAL: Advice = advice(
        "Something went wrong on our side",
        "It is not your doing. We have noted what happened.",
        &["Try again.", "If it happens again, give the reference below to support."],
        true,
    );
    pub const TOO_MANY: Advice = advice(
        "A little slower, please",
        "There were more requests than we take in a short time.",
        &["Wait a minute, then try again."],
        true,
    );
    pub const SIGNED_OUT: Advice = advice(
        "You are signed out here",
        "Your organisation asked us to end your session, and we did.",
        &["On a shared computer, close the browser."],
        false,
    );
    pub const LOGOUT_REFUSED: Advice = advice(
        "We could not accept this sign-out",
        "Your organisation's message came too late, came a second time, or is one that we cannot trust. If you were signed in here, you may still be.",
        &[
            "Open the learning site and sign out there.",
            "If it happens again, send the reference below to your IT desk: somebody has to correct a setting.",
        ],
        false,
    );
    pub const LOGOUT_UNKNOWN: Advice = advice(
        "This sign-out is over",
        "It took too long, or this page was opened before. You were signed out of the learning site before you left it.",
        &["On a shared computer, sign out at your organisation, too, and close the browser."],
        false,
    );
    pub const NOT_ALLOWED: Advice = advice(
        "This does not work this way",
        "The page was asked for in a way that it does not offer.",
        &["Go back, reload the page and try again."],
        false,
    );
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A day, such as `14 March 2027`.
pub fn day(at: DateTime<Tz>) -> String {
    let month = MONTHS.get(at.month0() as usize).copied().unwrap_or_default();
    format!("{} {month} {}", at.day(), at.year())
}

/// A day and the time on it, such as `14 March 2027, 18:00`.
pub fn day_and_time(at: DateTime<Tz>) -> String {
    format!("{}, {:02}:{:02}", day(at), at.hour(), at.minute())
}
