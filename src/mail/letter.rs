//! Writes a mail out: its kind, its values and the client's look of now become HTML, plain text and headers.

use askama::Template;
use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    message::{Mailbox, MultiPart, header},
};

use super::{
    model::{MailKind, MailValues},
    queue::link_place,
    smtp::Letter,
    store_send::Claimed,
};
use crate::{
    app::App,
    clients::{ClientFacts, Site},
    fault::Fault,
    http::{
        page::Brand,
        text::{self, mail as words},
        theme::Color,
    },
};

/// What one line of a header may hold: more is cut, for servers refuse long ones.
const MAX_HEADER_TEXT: usize = 150;
const MAX_MESSAGE: usize = 5_000;
const MAX_OPENS: usize = 20;

/// Why a mail was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The recipient's address is none.
    NoAddress,
    Fault(Fault),
}

impl From<Fault> for Unwritten {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The colours of one client's mails, each readable on the one behind it.
struct Colors {
    accent: Color,
    on_accent: Color,
    accent_edge: Color,
    accent_text: Color,
    accent_soft: Color,
    hero_from: Color,
    hero_to: Color,
    on_hero: Color,
}

/// One mail as a person reads it.
#[derive(Template)]
#[template(path = "mail.html", config = "src/http/askama.toml")]
pub(super) struct MailPage<'a> {
    brand: Brand<'a>,
    colors: Colors,
    logo: Option<String>,
    words: words::Words,
    greeting: String,
    welcome: Option<&'a str>,
    opens: Vec<String>,
    message: Option<String>,
    link: Option<String>,
}

/// Writes a claimed mail.
pub(super) async fn write(app: &App, mail: &Claimed) -> Result<Letter, Unwritten> {
    let client = app.clients.at_version(&app.db, mail.client, mail.client_version).await?;
    // Where the client's pages are now, not where they were when the mail became due.
    let site = Site::of(app, &client);
    let link = open_link(app, mail)?.map(|path| site.url(&path));
    let values: MailValues = serde_json::from_value(mail.content.clone()).map_err(Fault::from)?;
    let page = MailPage::new(&site, mail.kind, &mail.name, values, link);
    let to = address(&mail.recipient).ok_or(Unwritten::NoAddress)?;
    let from = address(&app.settings.mail.from)
        .ok_or_else(|| Fault::Corrupt("mail.from is no address to write from".to_owned()))?;
    let bytes = page.message(&client, mail, from.clone(), to.clone())?;
    Ok(Letter { from, to, bytes })
}

/// The path of its link, below the client's site.
fn open_link(app: &App, mail: &Claimed) -> Result<Option<String>, Fault> {
    let Some(sealed) = &mail.link_sealed else { return Ok(None) };
    let path = app.sealer.open(&link_place(mail.client, mail.id), sealed)?;
    let path = std::str::from_utf8(&path).map_err(|_| Fault::Corrupt("a link is not text".to_owned()))?;
    Ok(Some(path.to_owned()))
}

/// An address with its domain in ASCII, which every server understands.
fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.rsplit_once('@')?;
    Address::new(local, idna::domain_to_ascii(domain).ok()?).ok()
}

impl<'a> MailPage<'a> {
    pub(super) fn new(site: &'a Site, kind: MailKind, name: &str, values: MailValues, link: Option<String>) -> Self {
        let brand = site.brand();
        let moment = |at: Option<DateTime<Utc>>| {
            let zone = site.time_zone;
            at.map(|at| words::moment(&text::day_and_time(at.with_timezone(&zone)), zone.name()))
        };
        let (until, at) = (moment(values.expires_at), moment(values.at));
        let (until, at, of) = (until.as_deref(), at.as_deref(), site.name.as_str());
        let is_invite = matches!(kind, MailKind::Invite | MailKind::InviteReminder);
        // Whoever signs up writes the name and any address beside it: a stranger's words are not carried to that address.
        let is_name_told = !matches!(kind, MailKind::ConfirmEmail | MailKind::AccountExists);
        let name = if is_name_told { one_line(name) } else { String::new() };
        Self {
            brand,
            colors: Colors::of(&brand),
            logo: site.branding.logo_url.as_deref().filter(|url| is_shown_in_mail(url)).map(|url| site.file_url(url)),
            words: match kind {
                MailKind::Invite => words::invite(of, until),
                MailKind::InviteReminder => words::invite_reminder(of, until),
                MailKind::ConfirmEmail => words::confirm_email(of, until),
                MailKind::PasswordReset => words::password_reset(of, until),
                MailKind::PasswordChanged => words::password_changed(of, at),
                MailKind::ChangeEmail => words::change_email(of, until),
                MailKind::EmailChanged => words::email_changed(of, values.new_email.as_deref(), at),
                MailKind::AccountExists => words::account_exists(of),
            },
            greeting: words::greeting(&name),
            welcome: brand.welcome_text.filter(|_| is_invite),
            opens: opens(values.sublicenses),
            message: values
                .message
                .map(|message| message.chars().take(MAX_MESSAGE).collect::<String>())
                .filter(|message| !message.trim().is_empty()),
            link,
        }
    }

    /// The whole message: headers, plain text, HTML.
    fn message(&self, client: &ClientFacts, mail: &Claimed, from: Address, to: Address) -> Result<Vec<u8>, Fault> {
        let unwritable =
            |error: &dyn std::fmt::Display| Fault::Corrupt(format!("a mail does not come together: {error}"));
        let from_name = one_line(client.branding.email_from_name.as_deref().unwrap_or(&client.name));
        // The greeting's rule holds for the header too.
        let is_named = self.greeting != words::greeting("");
        let to_name = Some(one_line(&mail.name)).filter(|name| is_named && !name.is_empty());
        let mut builder = Message::builder()
            .from(Mailbox::new(Some(from_name), from))
            .to(Mailbox::new(to_name, to))
            .subject(one_line(&self.words.subject))
            // When it was due, at every try the same.
            .date(mail.created_at.into())
            .message_id(Some(mail.message_id.clone()))
            .header(AutoSubmitted)
            .header(AutoResponseSuppress);
        if let Some(support) = client.branding.support_email.as_deref().and_then(address) {
            builder = builder.reply_to(Mailbox::new(None, support));
        }
        let html = self.render().map_err(|error| unwritable(&error))?;
        let body = MultiPart::alternative_plain_html(self.plain(), html);
        let message = builder.multipart(body).map_err(|error| unwritable(&error))?;
        Ok(message.formatted())
    }

    /// The same words without markup; the link stands on a line of its own.
    pub(super) fn plain(&self) -> String {
        let mut parts = vec![self.words.heading.clone(), self.greeting.clone()];
        parts.extend(self.words.lines.iter().cloned());
        parts.extend(self.welcome.map(str::to_owned));
        if !self.opens.is_empty() {
            let names = self.opens.iter().map(|name| format!("- {name}"));
            parts.push([text::mail::OPENS.to_owned()].into_iter().chain(names).collect::<Vec<_>>().join("\n"));
        }
        if let Some(message) = &self.message {
            let quoted = message.lines().map(|line| format!("> {line}"));
            let from = format!("{}:", words::message_from(self.brand.name));
            parts.push([from].into_iter().chain(quoted).collect::<Vec<_>>().join("\n"));
        }
        if let Some(link) = &self.link {
            parts.push(format!("{}:\n{link}", self.words.button));
        }
        parts.extend(self.words.after.iter().cloned());
        parts.push("-- ".to_owned());
        parts.push(self.brand.name.to_owned());
        parts.extend(self.brand.footer.map(str::to_owned));
        parts.push(match self.brand.support_email {
            Some(address) => format!("{} {address}", words::NEED_HELP),
            None => words::NO_REPLY.to_owned(),
        });
        parts.push(self.words.reason.clone());
        let text = parts.join("\n\n").replace("-- \n\n", "-- \n");
        format!("{text}\n")
    }
}

impl Colors {
    fn of(brand: &Brand<'_>) -> Self {
        let tokens = brand.theme.tokens();
        let named = |name: &str| {
            tokens.iter().find(|(found, _)| *found == name).map_or(brand.theme.accent, |(_, color)| *color)
        };
        Self {
            accent: named("accent"),
            on_accent: named("on-accent"),
            accent_edge: named("accent-edge"),
            accent_text: named("accent-text"),
            accent_soft: named("accent-soft"),
            hero_from: named("hero-from"),
            hero_to: named("hero-to"),
            on_hero: named("on-hero"),
        }
    }
}

fn opens(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(MAX_OPENS);
    names.truncate(MAX_OPENS);
    if more > 0 {
        names.push(words::and_more(more));
    }
    names
}

/// Whether mail programs show such a picture: they show no SVG.
fn is_shown_in_mail(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    [".png", ".jpg", ".jpeg", ".gif"].iter().any(|ending| path.ends_with(ending))
}

/// Text for a header: no line breaks, which would begin another header, nothing that cannot be seen, and not too long.
fn one_line(text: &str) -> String {
    // Marks that turn the direction of what follows outlive the name they stand in.
    let is_unseen =
        |letter: char| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let seen: String = text.chars().map(|letter| if is_unseen(letter) { ' ' } else { letter }).collect();
    let line = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_HEADER_TEXT {
        return line;
    }
    line.chars().take(MAX_HEADER_TEXT - 1).chain(['…']).collect()
}

macro_rules! fixed_header {
    ($type:ident, $name:literal, $value:literal) => {
        #[derive(Clone)]
        struct $type;

        impl header::Header for $type {
            fn name() -> header::HeaderName {
                header::HeaderName::new_from_ascii_str($name)
            }

            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self)
            }

            fn display(&self) -> header::HeaderValue {
                header::HeaderValue::new(Self::name(), $value.to_owned())
            }
        }
    };
}

// RFC 3834, section 5: no machine answers us.
fixed_header!(AutoSubmitted, "Auto-Submitted", "auto-generated");
// The same for Exchange, which asks for its own.
fixed_header!(AutoResponseSuppress, "X-Auto-Response-Suppress", "All");

#[cfg(test)]
#[path = "letter_tests.rs"]
mod tests;
