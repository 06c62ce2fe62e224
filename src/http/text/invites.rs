//! Every word of the invite's page: who invites to what, how to accept, and what to do where that is not possible.

use super::{Advice, advice};

pub const TITLE: &str = "Your invitation";
pub const OPENS: &str = "It opens for you:";
pub const AS_MANAGER: &str = "You will be a manager there.";
pub const SIGN_IN_LEAD: &str = "Your email address already has a sign-in. Enter its password to accept.";
pub const NEW_LEAD: &str = "Check your name and choose a password.";
pub const SSO_LEAD: &str = "Your organisation signs you in. Continue there to accept.";
pub const SSO_ALSO: &str = "Or accept with your organisation's sign-in";
pub const EMAIL: &str = "Email address";
pub const FIRST_NAME: &str = "First name";
pub const LAST_NAME: &str = "Last name";
pub const PASSWORD: &str = "Password";
pub const NEW_PASSWORD: &str = "Choose a password";
pub const PASSWORD_HINT: &str = "At least 10 characters. A few words that do not belong together are good.";
pub const FORGOT: &str = "Forgot the password?";
pub const ACCEPT: &str = "Accept the invitation";
pub const NOT_YOU_TITLE: &str = "Somebody else is signed in here";
pub const SWITCH: &str = "Sign out and continue";
pub const STAY: &str = "Stay signed in, and leave the invitation for now";
pub const NO_WAY_IN: &str = "This invitation cannot be accepted just now";
pub const NO_WAY_IN_NEXT: &str =
    "Sign-in is not set up here yet. Keep this link and try again later, or ask the people who invited you.";
pub const ACCEPTED: &str = "This invitation was accepted";
pub const ACCEPTED_LEAD: &str = "There is nothing left to do. Sign in to go to your learning.";
pub const ACCEPTED_SIGNED_IN: &str = "There is nothing left to do.";
pub const TO_LEARNING: &str = "Go to your learning";

pub const NAME_MISSING: &str = "Enter your name.";
pub const PASSWORD_MISSING: &str = "Enter a password.";
pub const PASSWORD_SHORT: &str = "Use at least 10 characters.";
pub const PASSWORD_LONG: &str = "Use at most 128 characters.";
pub const PASSWORD_GUESSABLE: &str =
    "This password is easy to guess. Add a word or two, and leave out your name and address.";
pub const PASSWORD_WRONG: &str = "This is not the password of this address. Check it and try again.";

pub fn heading(client: &str) -> String {
    format!("{client} invites you")
}

pub fn lead(first_name: &str, until: &str) -> String {
    let greeting = if first_name.is_empty() { String::new() } else { format!("Hello {first_name}. ") };
    format!("{greeting}You can accept until {until}.")
}

pub fn wait(minutes: u64) -> String {
    match minutes {
        0 | 1 => "Too many wrong passwords. Wait a minute, then try again.".to_owned(),
        minutes => format!("Too many wrong passwords. Wait {minutes} minutes, then try again."),
    }
}

pub fn signed_in_as(person: &str) -> String {
    format!("You are signed in as {person}.")
}

pub fn not_you(person: &str, invited: &str) -> String {
    format!("You are signed in as {person}, and this invitation is for {invited}.")
}

pub fn accept_as(person: &str) -> String {
    format!("Accept as {person}")
}

pub const UNKNOWN: Advice = advice(
    "We do not know this invitation link",
    "It may have been cut off when it was copied, or belong to another site.",
    &[
        "Open the link straight from the email, or copy all of it.",
        "If it still does not work, ask the people who invited you to send it again.",
    ],
    false,
);
pub const REPLACED: Advice = advice(
    "A newer invitation was sent",
    "The invitation was sent once more, and this older link no longer works.",
    &[
        "Open the link in the newest email.",
        "If you cannot find that email, look in your spam folder or ask the people who invited you to send it again.",
    ],
    false,
);
pub const EXPIRED: Advice = advice(
    "This invitation has run out",
    "It could be accepted for some days only, and they are over.",
    &["Ask the people who invited you to send it again. Your new link comes by email."],
    false,
);
pub const REVOKED: Advice = advice(
    "This invitation was taken back",
    "The people who sent it have withdrawn it.",
    &["If you think that is a mistake, ask the people who invited you."],
    false,
);
pub const NOTHING_LEFT: Advice = advice(
    "What this invitation opened is over",
    "It has ended or was removed since the invitation was sent.",
    &["Ask the people who invited you what there is for you now."],
    false,
);
pub const BLOCKED: Advice = advice(
    "An administrator has removed you from this",
    "What the invitation offers was closed to you since it was sent.",
    &["Ask the people who invited you, or your administrator."],
    false,
);
pub const SEATS_FULL: Advice = advice(
    "There is no place left",
    "All places are taken just now. Your invitation stays good.",
    &["Ask the people who invited you to make room, then open the link again."],
    true,
);
pub const TAKEN: Advice = advice(
    "Your email address is in use another way",
    "Somebody here has this address and signs in with another account.",
    &["Sign in the way you did before.", "If you never did, ask the people who invited you."],
    false,
);
pub const UNPROVED: Advice = advice(
    "We could not make sure that this is your address",
    "You are signed in with the address that was invited, and nobody has proved yet that it is yours.",
    &["Sign out, open the link in the invitation email again, and accept there."],
    false,
);
