//! Every word of the mails. Plain words, as on the pages: what happened, what to do, and why this mail came.

/// The words of one mail. Texts with somebody's name in them are plain text; markup is the template's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    pub subject: String,
    /// What a list of mails shows beside the subject.
    pub preview: String,
    pub heading: String,
    pub lines: Vec<String>,
    pub button: &'static str,
    /// Below the button, smaller.
    pub after: Vec<String>,
    /// Why this mail came, and what happens to who does nothing.
    pub reason: String,
}

pub const COPY_LINK: &str = "If the button does not work, copy this address into your browser:";
pub const OPENS: &str = "It opens for you:";
pub const NEED_HELP: &str = "Need help? Write to";
pub const NO_REPLY: &str = "Nobody reads answers to this mail.";

/// The first line, to somebody whose name we were told by those who may say it.
pub fn greeting(name: &str) -> String {
    if name.is_empty() { "Hello,".to_owned() } else { format!("Hello {name},") }
}

/// A moment with its zone, such as `14 March 2027, 18:00 (Europe/Berlin)`.
pub fn moment(day_and_time: &str, zone: &str) -> String {
    format!("{day_and_time} ({zone})")
}

pub fn message_from(client: &str) -> String {
    format!("A message from {client}")
}

pub fn and_more(count: usize) -> String {
    format!("and {count} more")
}

fn once_until(until: Option<&str>) -> Vec<String> {
    match until {
        Some(until) => vec![format!("The link works once, until {until}.")],
        None => vec!["The link works once.".to_owned()],
    }
}

pub fn invite(client: &str, until: Option<&str>) -> Words {
    Words {
        subject: format!("You are invited to {client}"),
        preview: "Accept the invitation to get access.".to_owned(),
        heading: format!("You are invited to {client}"),
        lines: vec![format!("There is a place for you at {client}. Accept the invitation to get access.")],
        button: "Accept the invitation",
        after: once_until(until)
            .into_iter()
            .chain(["The invitation is for you alone: please do not pass it on.".to_owned()])
            .collect(),
        reason: format!(
            "You get this mail because {client} invited this address. If you do not know why, ignore it: nothing happens."
        ),
    }
}

pub fn invite_reminder(client: &str, until: Option<&str>) -> Words {
    Words {
        subject: format!("Your invitation to {client} is waiting"),
        preview: "Your place is still free. Accept the invitation to get access.".to_owned(),
        heading: "Your place is still free".to_owned(),
        lines: vec![format!("{client} invited you, and the invitation is still open. Accept it to get access.")],
        ..invite(client, until)
    }
}

pub fn confirm_email(client: &str, until: Option<&str>) -> Words {
    Words {
        subject: format!("Confirm your email address for {client}"),
        preview: "One step is left.".to_owned(),
        heading: "Confirm your email address".to_owned(),
        lines: vec![format!(
            "Somebody signed up at {client} with this address. If it was you, confirm that it is yours."
        )],
        button: "Confirm my address",
        after: once_until(until),
        reason: format!(
            "You get this mail because this address was given at {client}. If it was not you, ignore it: the address stays unconfirmed."
        ),
    }
}

pub fn password_reset(client: &str, until: Option<&str>) -> Words {
    Words {
        subject: format!("Set a new password for {client}"),
        preview: "You asked for a new password.".to_owned(),
        heading: "Set a new password".to_owned(),
        lines: vec![
            "Somebody asked for a new password for the account with this address. If it was you, set one now."
                .to_owned(),
        ],
        button: "Set a new password",
        after: once_until(until),
        reason: "If it was not you, ignore this mail: your password stays as it is.".to_owned(),
    }
}

pub fn password_changed(client: &str, at: Option<&str>) -> Words {
    let when = at.map(|at| format!(" on {at}")).unwrap_or_default();
    Words {
        subject: format!("Your password for {client} was changed"),
        preview: "If it was you, there is nothing to do.".to_owned(),
        heading: "Your password was changed".to_owned(),
        lines: vec![
            format!("The password of your account was changed{when}. If it was you, there is nothing to do."),
            "If it was not you, set a new password at once, and change the one of your mailbox too.".to_owned(),
        ],
        button: "It was not me",
        after: Vec::new(),
        reason: format!("You get this mail because your account is used at {client}."),
    }
}

pub fn change_email(client: &str, until: Option<&str>) -> Words {
    Words {
        subject: format!("Confirm your new email address for {client}"),
        preview: "Confirm it, and it is yours to sign in with.".to_owned(),
        heading: "Confirm your new email address".to_owned(),
        lines: vec![format!(
            "Somebody wants to use this address for their account at {client}. If it was you, confirm that it is yours."
        )],
        button: "Use this address",
        after: once_until(until),
        reason: "If it was not you, ignore this mail: nothing changes.".to_owned(),
    }
}

pub fn email_changed(client: &str, new_email: Option<&str>, at: Option<&str>) -> Words {
    let to = new_email.map(|address| format!(" to {address}")).unwrap_or_default();
    let when = at.map(|at| format!(" on {at}")).unwrap_or_default();
    Words {
        subject: format!("Your email address for {client} was changed"),
        preview: "If it was you, there is nothing to do.".to_owned(),
        heading: "Your email address was changed".to_owned(),
        lines: vec![
            format!("The address of your account was changed{to}{when}. You can no longer sign in with this one."),
            "If it was not you, tell your administrator or support at once.".to_owned(),
        ],
        button: "It was not me",
        after: Vec::new(),
        reason: format!("You get this mail because your account was used at {client} with this address."),
    }
}

pub fn account_exists(client: &str) -> Words {
    Words {
        subject: format!("You already have an account for {client}"),
        preview: "Sign in with it, no need to sign up again.".to_owned(),
        heading: "You already have an account".to_owned(),
        lines: vec![format!(
            "Somebody signed up at {client} with this address, which has an account already. If it was you, sign in with it."
        )],
        button: "Sign in",
        after: vec!["You forgot the password? The sign-in page helps you set a new one.".to_owned()],
        reason: "If it was not you, ignore this mail: nothing changes.".to_owned(),
    }
}
