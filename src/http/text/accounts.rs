//! Every word around accounts: passwords, proving an address, and the learner's own page.

use super::Advice;

pub const EMAIL: &str = "Email address";
pub const PASSWORD: &str = "Password";
pub const NEW_PASSWORD: &str = "New password";
pub const CURRENT_PASSWORD: &str = "Your current password";
pub const NEW_PASSWORD_HINT: &str = "At least 10 characters. Several unrelated words make a good one.";
pub const EMAIL_INVALID: &str = "Enter a whole email address, such as name@company.com.";
pub const PASSWORD_MISSING: &str = "Enter your password.";
pub const TOO_SHORT: &str = "This is too short. Use at least 10 characters.";
pub const TOO_LONG: &str = "This is too long. Use at most 128 characters.";
pub const GUESSABLE: &str = "This is easy to guess: it is common, or made of your name, your address or this site's name. Use several unrelated words.";
pub const WRONG_CURRENT: &str = "This is not your current password.";
pub const SLOWED: &str = "Please wait before the next try";

/// When to come back after too many wrong passwords.
pub fn slowed(wait_s: u64) -> String {
    let wait = match wait_s {
        0..=1 => "a second".to_owned(),
        2..=90 => format!("{wait_s} seconds"),
        more => format!("{} minutes", more.div_ceil(60)),
    };
    format!(
        "There were several wrong passwords. To keep accounts safe from guessing, we look at the next one in {wait}. If you do not remember yours, set a new one."
    )
}

/// Words of the sign-in with a password.
pub mod sign_in {
    pub const HEADING: &str = "Sign in with your password";
    pub const WRONG: &str = "Email address and password do not fit";
    pub const WRONG_NEXT: &str = "Check both. If you do not remember your password, set a new one. If you never had one here, sign in the way you did before.";
    pub const FORGOT: &str = "Forgot your password?";
    pub const OTHER_WAYS: &str = "Other ways to sign in";
    pub const WITH_PASSWORD: &str = "Sign in with a password";
}

/// Words of asking for a new password.
pub mod forgot {
    pub const HEADING: &str = "Set a new password";
    pub const LEAD: &str = "Tell us your email address. We send a link there with which you set a new password.";
    pub const SUBMIT: &str = "Send the link";
    pub const SENT: &str = "Look into your mailbox";
    pub const SENT_NEXT: &str = "The mail comes within a few minutes. If it does not, look among unwanted mail, check the spelling of the address, or sign in the way you did before: not everybody here has a password.";
    pub const BACK: &str = "Back to the sign-in";

    pub fn sent(email: &str) -> String {
        format!("If {email} has a password here, we have sent it a link.")
    }
}

/// Words of setting a new password by a link.
pub mod reset {
    pub const HEADING: &str = "Choose a new password";
    pub const SUBMIT: &str = "Set the password";
    pub const DONE: &str = "Your new password is set";
    pub const DONE_NEXT: &str = "You are signed out everywhere. Sign in with the new password.";

    pub fn lead(email: &str) -> String {
        format!("For {email}. You will be signed out everywhere, and then sign in with it.")
    }
}

/// Words of proving an address by a link.
pub mod confirm {
    pub const HEADING: &str = "Confirm your email address";
    pub const NEW_PASSWORD_LEAD: &str = "Choose the password that you sign in with from now on.";
    pub const SIGN_IN_LEAD: &str = "This address has a password already, from here or from another learning site of ours. Enter it, and everything comes together.";
    pub const YES_LEAD: &str = "After that, you sign in with your organisation.";
    pub const SUBMIT: &str = "Confirm";
    pub const FORGOT: &str = "Forgot that password?";
    pub const DONE: &str = "Your address is confirmed";
    pub const DONE_NEXT: &str = "From now on you sign in with it.";
    pub const YES_DONE_NEXT: &str = "Now sign in with your organisation.";

    pub fn address(email: &str) -> String {
        format!("Your address: {email}")
    }
}

/// Words of changing an address by a link.
pub mod change {
    pub const HEADING: &str = "Use your new email address";
    pub const SUBMIT: &str = "Use the new address";
    pub const DONE: &str = "Your new address is in use";
    pub const DONE_NEXT: &str = "Sign in with it from now on. You were signed out everywhere else.";

    pub fn lead(old: &str, new: &str) -> String {
        format!("You sign in with {old}. From now on it will be {new}. Enter your password to say that it is you.")
    }
}

/// Words of the learner's own page.
pub mod own {
    pub const TITLE: &str = "Your account";
    pub const BACK: &str = "Back to your learning";
    pub const SIGN_IN_WITH: &str = "You sign in with";
    pub const SSO: &str = "You sign in with your organisation. Name, address and password are changed there.";
    pub const NOT_CONFIRMED: &str = "Your email address is not confirmed yet";
    pub const NOT_CONFIRMED_NEXT: &str = "Open the link in the mail that we sent you. Until then you can sign in here, but nothing that needs a confirmed address.";
    pub const NOT_CONFIRMED_FIRST: &str =
        "Open the link in the mail that we sent you. Your access begins as soon as you have.";
    pub const SEND_AGAIN: &str = "Send the mail again";
    pub const SENT_AGAIN: &str = "A new mail is on its way";
    pub const SENT_AGAIN_NEXT: &str =
        "It comes within a few minutes. If it does not, look among unwanted mail. We send a few a day at most.";
    pub const CHANGE_PASSWORD: &str = "Change your password";
    pub const CHANGE_PASSWORD_LEAD: &str = "You stay signed in here and are signed out everywhere else.";
    pub const PASSWORD_SUBMIT: &str = "Change the password";
    pub const PASSWORD_DONE: &str = "Your password is changed";
    pub const PASSWORD_DONE_NEXT: &str = "You are signed out everywhere else.";
    pub const CHANGE_EMAIL: &str = "Change your email address";
    pub const CHANGE_EMAIL_LEAD: &str =
        "We send a link to the new address. It takes the place of the old one when you open it.";
    pub const CORRECT_EMAIL: &str = "Correct your email address";
    pub const CORRECT_EMAIL_LEAD: &str = "Mistyped? We send the link to the right one.";
    pub const NEW_EMAIL: &str = "New email address";
    pub const EMAIL_SUBMIT: &str = "Send the link";
    pub const EMAIL_SENT: &str = "Look into the new mailbox";
    pub const EMAIL_SENT_NEXT: &str = "We sent a link there. Your new address is in use once you have opened it.";
    pub const SAME_EMAIL: &str = "This is the address that you have.";
    pub const ACCOUNT: &str = "Account";
}

const fn advice(title: &'static str, happened: &'static str, next: &'static [&'static str], retry: bool) -> Advice {
    Advice { title, happened, next, retry }
}

pub const LINK_USED: Advice = advice(
    "This link was used already",
    "It works once. If you have just used it, it did what it was for.",
    &["Sign in.", "If you cannot, ask for a new password."],
    true,
);
pub const LINK_EXPIRED: Advice = advice(
    "This link is no longer good",
    "Its time is over, or a newer one took its place.",
    &["Use the newest mail that we sent you.", "Or try again: sign in, or ask for a new link there."],
    true,
);
pub const LINK_UNKNOWN: Advice = advice(
    "This link leads nowhere",
    "It may be cut off or very old, or belong to another learning site.",
    &["Open the link in the mail once more, or copy it whole.", "Or try again: sign in, or ask for a new link there."],
    true,
);
pub const NO_PASSWORDS: Advice = advice(
    "Nobody signs in with a password here",
    "Your organisation signs you in.",
    &["Go back and choose your organisation's sign-in."],
    true,
);
pub const ADDRESS_TAKEN: Advice = advice(
    "This address belongs to somebody already",
    "Another account has it, or another learner here.",
    &["Sign in with that address instead.", "If both are yours, ask your administrator."],
    true,
);
