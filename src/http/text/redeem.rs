//! Words around codes: the box, what became of each code, and the form of whoever is new.

use super::{Advice, advice};

pub const TITLE: &str = "Use a code";
pub const LEAD: &str =
    "A code opens learning for you. Type it as you got it: upper and lower case, dashes and blanks do not matter.";
pub const BOX: &str = "Code";
pub const BOX_HINT: &str = "Several codes? One per line.";
pub const SUBMIT: &str = "Use code";
pub const HAVE_A_CODE: &str = "Have a code?";
pub const ANOTHER: &str = "Use another code";
pub const GOOD: &str = "Your code is good";
pub const GOOD_SEVERAL: &str = "Your codes are good";
pub const GIVES: &str = "Opens";
pub const CONFIRM_LEAD: &str = "Nothing is used up until you press the button.";
pub const CONFIRM: &str = "Open it for me";
pub const BACK: &str = "Back to your learning";
pub const NOT_YOU: &str = "Not you? Sign out first";

pub const BY_ORGANISATION: &str = "Sign in with your organisation";
pub const SSO_ONLY: &str = "Your organisation signs you in. The code goes along.";
pub const BY_ACCOUNT: &str = "New here? Tell us who you are";
pub const BY_ACCOUNT_OR: &str = "Or tell us who you are";
pub const FIRST_NAME: &str = "First name";
pub const LAST_NAME: &str = "Last name";
pub const EMAIL: &str = "Email address";
pub const EMAIL_HINT: &str = "We send a link there to confirm that it is yours.";
pub const PASSWORD: &str = "Choose a password";
pub const PASSWORD_HINT: &str = "Several unrelated words make a good one.";
pub const CREATE: &str = "Get access";
pub const MEMBER: &str = "Already a member? Sign in, and the code comes along";
pub const NO_WAY: &str = "Nobody can sign in here at the moment. Keep your code, and ask your administrator.";

pub const NAME_MISSING: &str = "Enter your name, up to 200 letters.";
pub const EMAIL_INVALID: &str = "Enter a whole email address, such as name@company.com.";
pub const CHECK_FIELDS: &str = "Something is missing";
pub const CHECK_FIELDS_NEXT: &str = "Correct the marked fields below. Type the password once more: we keep none.";

/// What the box itself is told.
pub struct Trouble {
    pub title: &'static str,
    pub next: &'static str,
}

pub const EMPTY: Trouble =
    Trouble { title: "There is no code in the box", next: "Type or paste your code, then try again." };
pub const TOO_MANY: Trouble =
    Trouble { title: "That is too many at once", next: "Enter up to 20 codes at a time, one per line." };
pub const FORGOTTEN: Trouble = Trouble {
    title: "Please enter your code again",
    next: "We keep a code that was typed for two hours, and only in the browser in which it was typed.",
};
pub const SLOWED: &str = "Too many codes that do not work";

/// When to come back after too many wrong codes.
pub fn slowed(minutes: u64) -> String {
    let wait = if minutes <= 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    format!(
        "To keep codes safe from guessing, we look at no more for now. Nothing was used up. Wait {wait}, then try again, fewer codes at a time. If you have an account here, sign in first: then only your own tries count."
    )
}

/// A name, or several, as one reads them: `Sales`, `Sales and Main`, `Sales, Main and Safety`.
pub fn names(names: &[&str]) -> String {
    match names {
        [] => "Nothing".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub fn signed_in_as(person: &str) -> String {
    format!("You are signed in as {person}.")
}

/// A title and what to do next, for one code.
pub type Told = (String, String);

fn told(title: &str, text: String) -> Told {
    (title.to_owned(), text)
}

pub fn redeemed(code: &str, opened: &str) -> Told {
    (format!("{opened}: open for you now"), format!("Your code {code} has been used."))
}

pub fn already_have(code: &str) -> Told {
    told(
        "You have this already",
        format!("The code {code} gives you nothing more, so it was not used up. You can pass it on."),
    )
}

pub fn already_used_by_you(code: &str) -> Told {
    told("You have used this code", format!("What {code} opens is open for you. It was not used a second time."))
}

pub fn waits_for_address(code: &str) -> Told {
    told(
        "Confirm your email address",
        format!("We keep the code {code} for you. It works as soon as you open the link that we mailed you."),
    )
}

pub fn seats_full(code: &str) -> Told {
    told(
        "All places are taken",
        format!(
            "The code {code} is genuine and was not used up. Ask your administrator for a place, then try it again."
        ),
    )
}

pub fn expired(code: &str) -> Told {
    told("This code has expired", format!("The time of {code} is over. Ask whoever gave it to you for a new one."))
}

pub fn used_up(code: &str) -> Told {
    told(
        "This code is used up",
        format!("{code} has been used as often as it may be. Ask whoever gave it to you for another."),
    )
}

pub fn not_yet(code: &str, from: &str) -> Told {
    told("This code is not good yet", format!("{code} works from {from} on. Keep it until then."))
}

pub fn blocked(code: &str) -> Told {
    told(
        "Your access was removed",
        format!(
            "An administrator took you off what {code} opens. Ask them to let you in again; the code was not used up."
        ),
    )
}

pub fn not_valid(code: &str) -> Told {
    told(
        "This code does not work",
        format!(
            "{code} is no code that works here for you. Check each letter and digit, or ask whoever gave it to you."
        ),
    )
}

pub const PASSWORD_GUESSABLE: &str =
    "This password is easy to guess. Add a word or two that have nothing to do with you or each other.";

pub fn password_short(least: usize) -> String {
    format!("Choose at least {least} characters. Several unrelated words make a good password.")
}

pub fn password_long(most: usize) -> String {
    format!("Choose at most {most} characters.")
}

// An invite that went through a sign-in.

pub const INVITE_NOT_OPEN: &str = "The invitation was used, withdrawn or has expired. Ask for a new one.";
pub const INVITE_BLOCKED: &str = "An administrator has stopped your access. Ask them to let you in again.";
pub const INVITE_FULL: &str =
    "There is no free place at the moment. Ask your administrator for one; the invitation stays good.";
pub const INVITE_OVER: &str = "What the invitation offered has ended. Ask whoever invited you.";

pub fn invite_of_another(invited: &str, own: Option<&str>) -> String {
    match own {
        Some(own) => format!(
            "The invitation is for {invited}, and you signed in as {own}. Sign in with the invited address, or ask for an invitation to yours."
        ),
        None => format!(
            "The invitation is for {invited}, and your organisation told us no address of yours. Ask your administrator."
        ),
    }
}

pub fn invite_unproved(invited: &str) -> String {
    format!(
        "The invitation is for {invited}. Your organisation says that this is your address, but we cannot be sure yet. Ask your administrator to vouch for its domain."
    )
}

pub fn invite_accepted(opened: &str) -> Told {
    (format!("{opened}: open for you now"), "Your invitation has been accepted.".to_owned())
}

pub fn invite_not_accepted(why: &str) -> Told {
    told("The invitation was not accepted", why.to_owned())
}

/// A refused sign-in that brought an invite.
pub const INVITE_NOT_TAKEN: Advice = advice(
    "The invitation does not open this for you",
    "Your organisation signed you in, but the invitation could not be accepted. Nothing was used up.",
    &["Do what the message above says.", "If you are not sure, ask whoever invited you."],
    true,
);

/// A refused sign-in that brought codes.
pub const CODES_OPEN_NOTHING: Advice = advice(
    "Your code opens nothing for you",
    "Your organisation signed you in, but neither your code nor your organisation opens anything here. Nothing was used up.",
    &["Check the code, and enter it again.", "Ask whoever gave it to you, or your administrator."],
    true,
);
