//! The settings of mail: which server takes ours, and as whom we write.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{
    raw,
    settings::{ConfigError, ServerSettings, invalid},
};

/// How the connection to the server is kept from others' eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte (RFC 8314, section 3.3).
    Tls,
    /// TLS by STARTTLS, or no mail at all.
    StartTls,
    /// None; only on loopback.
    Plain,
}

/// The server that takes our mails.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    pub credentials: Option<(String, SecretString)>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Without one, mails wait.
    pub server: Option<SmtpServer>,
    /// The address that mails come from.
    pub from: String,
    /// Our own name in the dialogue.
    pub hello_name: String,
    pub connections: usize,
    /// For one mail, from connecting to the last answer.
    pub timeout: Duration,
    pub max_attempts: i32,
    pub keep_days: u32,
}

const URL: &str = "mail.url";
const FORM: &str = "write smtps://user:password@host:port, smtp://… for STARTTLS, or smtp+plain://… on loopback";

impl MailSettings {
    pub(super) fn read(raw: &raw::Mail, server: &ServerSettings) -> Result<Self, ConfigError> {
        let own_host = server.public_origin.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
        let from = raw.from.clone().unwrap_or_else(|| format!("no-reply@{own_host}"));
        // A host that is a number makes no address; `mail.from` must then be written where mail is sent.
        let is_usable = is_address(&from) || (raw.from.is_none() && raw.url.expose_secret().is_empty());
        if !is_usable {
            return Err(invalid("mail.from", "write one e-mail address in ASCII, such as no-reply@learn.example"));
        }
        let hello_name = raw.hello_name.clone().unwrap_or(own_host);
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
        if hello_name.is_empty() || hello_name.len() > 253 || !hello_name.bytes().all(is_name_byte) {
            return Err(invalid("mail.hello_name", "write a host name, such as learn.example"));
        }
        Ok(Self {
            server: smtp_server(raw)?,
            from,
            hello_name,
            connections: raw.connections.clamp(1, 256),
            timeout: Duration::from_secs(raw.timeout_s.clamp(1, 600)),
            max_attempts: raw.max_attempts.clamp(1, 100),
            keep_days: raw.keep_days.clamp(1, 3650),
        })
    }
}

fn is_address(text: &str) -> bool {
    text.is_ascii() && !text.contains(['"', '<', '>', ' ']) && email_address::EmailAddress::is_valid(text)
}

fn smtp_server(raw: &raw::Mail) -> Result<Option<SmtpServer>, ConfigError> {
    let text = raw.url.expose_secret();
    if text.is_empty() {
        return Ok(None);
    }
    // What was typed may hold a password: it is not shown.
    let url = Url::parse(text).map_err(|_| invalid(URL, FORM))?;
    let (security, port) = match url.scheme() {
        "smtps" => (SmtpSecurity::Tls, 465),
        "smtp" => (SmtpSecurity::StartTls, 587),
        "smtp+plain" => (SmtpSecurity::Plain, 25),
        _ => return Err(invalid(URL, FORM)),
    };
    // A scheme that browsers do not know leaves a number in a URL as text.
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| invalid(URL, FORM))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(URL, FORM));
    }
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if security == SmtpSecurity::Plain && !is_loopback {
        return Err(invalid(URL, "mail goes over TLS, smtps:// or smtp://; smtp+plain:// is for loopback only"));
    }
    if Host::parse(&host).is_err() && host.parse::<std::net::IpAddr>().is_err() {
        return Err(invalid(URL, FORM));
    }
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => Some((decode(user), SecretString::from(decode(password)))),
        _ => return Err(invalid(URL, "name both a user and a password, or neither")),
    };
    Ok(Some(SmtpServer {
        host,
        port: url.port().unwrap_or(port),
        security,
        credentials,
        ca_file: raw.ca_file.as_ref().map(PathBuf::from),
    }))
}

/// Undoes percent-encoding; a plus sign, which forms read as a blank, stays one.
fn decode(text: &str) -> String {
    let form = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
