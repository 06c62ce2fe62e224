//! The dialogue with the server that takes our mails, over lettre's connection: which answer means what, and which
//! connections may be used again.
//!
//! lettre's own pool is not used: it takes a connection back in the middle of a dialogue when a time limit ends it, and
//! the answers of the next mail are then those of the one before.

use std::{
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailParameter},
        response::Response,
    },
};
use secrecy::ExposeSecret;

use crate::{
    config::{MailSettings, SmtpSecurity, SmtpServer},
    fault::Fault,
};

/// A connection is not used again after so many mails: servers count them, too.
const MAILS_PER_CONNECTION: u32 = 100;
/// Nor when it lay idle for so long: many servers hang up after a minute.
const IDLE: Duration = Duration::from_secs(20);

/// What the server made of a mail. The codes are ours, `smtp.550`, with the enhanced status code where it gave one; its
/// words are not kept, for they often repeat the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is in the server's hands now.
    Taken,
    /// Not now. It may even have been taken, when the connection broke before we were told.
    Later { code: String, reached: bool },
    /// There is no such recipient.
    Unknown { code: String },
    /// Refused for another reason, for good.
    Refused { code: String },
}

/// A mail as it goes out.
pub(super) struct Letter {
    pub from: Address,
    pub to: Address,
    pub bytes: Vec<u8>,
}

/// The way to the server.
pub struct Carrier {
    server: Option<SmtpServer>,
    tls: Option<TlsParameters>,
    hello: ClientId,
    timeout: Duration,
    idle: Mutex<Vec<Line>>,
}

struct Line {
    connection: AsyncSmtpConnection,
    mails: u32,
    since: Instant,
}

/// Where in the dialogue an answer came: it decides what the answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connect,
    Sender,
    Recipient,
    Content,
}

impl Carrier {
    /// Reads the certificates; connects to nothing yet.
    pub fn new(settings: &MailSettings) -> Result<Self, Fault> {
        let hello = match settings.hello_name.parse() {
            Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_) => ClientId::Domain(settings.hello_name.clone()),
        };
        let tls = match &settings.server {
            Some(server) if server.security != SmtpSecurity::Plain => Some(tls(server)?),
            _ => None,
        };
        Ok(Self {
            server: settings.server.clone(),
            tls,
            hello,
            timeout: settings.timeout,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Whether there is a server at all.
    pub(super) const fn is_set_up(&self) -> bool {
        self.server.is_some()
    }

    /// Hands one mail over, within the time limit.
    pub(super) async fn hand_over(&self, letter: &Letter) -> Answer {
        let Some(server) = &self.server else {
            return Answer::Later { code: "smtp.no_server".into(), reached: false };
        };
        // On time-out the connection is dropped in the middle, and with it whatever would still be answered.
        match tokio::time::timeout(self.timeout, self.over_a_line(server, letter)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Later { code: "smtp.timeout".into(), reached: false },
        }
    }

    async fn over_a_line(&self, server: &SmtpServer, letter: &Letter) -> Answer {
        while let Some(line) = self.take_idle() {
            // A server may have hung up meanwhile. Before the content nothing was handed over, and a fresh line is tried.
            match self.speak(line, letter).await {
                Ok(answer) => return answer,
                Err((Stage::Content, broken)) => return answer(Stage::Content, &broken),
                Err(_) => {}
            }
        }
        match self.connect(server).await {
            Ok(line) => match self.speak(line, letter).await {
                Ok(answer) => answer,
                Err((stage, broken)) => answer(stage, &broken),
            },
            Err(error) => answer(Stage::Connect, &error.into()),
        }
    }

    /// The dialogue for one mail. What the server answered is an answer; a connection that broke is an error.
    async fn speak(&self, mut line: Line, letter: &Letter) -> Result<Answer, (Stage, Broken)> {
        let outcome = dialogue(&mut line.connection, letter).await;
        let Err((stage, broken)) = outcome else {
            line.mails += 1;
            self.put_back(line);
            return Ok(Answer::Taken);
        };
        let status = match &broken {
            Broken::Error(error) => error.status(),
            Broken::OutOfStep => None,
        };
        let Some(status) = status else { return Err((stage, broken)) };
        // 421: the server closes the connection (RFC 5321, section 3.8).
        if u16::from(status) != 421 && line.connection.command(Rset).await.is_ok() {
            self.put_back(line);
        }
        Ok(answer(stage, &broken))
    }

    async fn connect(&self, server: &SmtpServer) -> Result<Line, Error> {
        let place = (server.host.as_str(), server.port);
        let wrapped = self.tls.clone().filter(|_| server.security == SmtpSecurity::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(place, Some(self.timeout), &self.hello, wrapped, None).await?;
        if server.security == SmtpSecurity::StartTls
            && let Some(tls) = self.tls.clone()
        {
            // Refused where the server does not offer it: no password and no link goes out in the clear.
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some((user, password)) = &server.credentials {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(Line { connection, mails: 0, since: Instant::now() })
    }

    fn take_idle(&self) -> Option<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|line| line.since.elapsed() < IDLE);
        idle.pop()
    }

    fn put_back(&self, mut line: Line) {
        if line.mails < MAILS_PER_CONNECTION && !line.connection.has_broken() {
            line.since = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}

fn tls(server: &SmtpServer) -> Result<TlsParameters, Fault> {
    let start = |problem: String| Fault::Start(format!("mail.ca_file: {problem}"));
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(path) = &server.ca_file {
        let pem = std::fs::read(path).map_err(|error| start(error.to_string()))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| start(error.to_string()))?);
    }
    builder.build_rustls().map_err(|error| start(error.to_string()))
}

/// Why a dialogue did not come to its good end.
enum Broken {
    Error(Error),
    /// The server said yes to something that we had not asked: an answer was lost, or slipped in before TLS began.
    OutOfStep,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

async fn dialogue(connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), (Stage, Broken)> {
    let mut parameters = Vec::new();
    // RFC 6531: an address beyond ASCII is announced. A server that does not know it refuses it by itself.
    if !AsRef::<str>::as_ref(&letter.to).is_ascii()
        && connection.server_info().supports_feature(Extension::SmtpUtfEight)
    {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let sender = connection.command(Mail::new(Some(letter.from.clone()), parameters)).await;
    in_step(sender, 2).map_err(|broken| (Stage::Sender, broken))?;
    let recipient = connection.command(Rcpt::new(letter.to.clone(), Vec::new())).await;
    in_step(recipient, 2).map_err(|broken| (Stage::Recipient, broken))?;
    in_step(connection.command(Data).await, 3).map_err(|broken| (Stage::Content, broken))?;
    in_step(connection.message(&letter.bytes).await, 2).map_err(|broken| (Stage::Content, broken))
}

/// Whether a yes is the yes to what was asked: 3yz asks for the content, 2yz is the end of a command (RFC 5321, section
/// 4.2.1).
fn in_step(answer: Result<Response, Error>, first_digit: u16) -> Result<(), Broken> {
    if u16::from(answer?.code()) / 100 == first_digit { Ok(()) } else { Err(Broken::OutOfStep) }
}

/// What an answer, or its absence, means at this place in the dialogue.
fn answer(stage: Stage, broken: &Broken) -> Answer {
    let Broken::Error(error) = broken else {
        return Answer::Later { code: "smtp.out_of_step".into(), reached: false };
    };
    let Some(status) = error.status().map(u16::from) else {
        return Answer::Later { code: breakage(stage, error).into(), reached: false };
    };
    let enhanced = error.source().and_then(|text| enhanced_status(&text.to_string()));
    let code = match &enhanced {
        Some(enhanced) => format!("smtp.{status}.{enhanced}"),
        None => format!("smtp.{status}"),
    };
    let subject = enhanced.as_deref().and_then(|enhanced| enhanced.split('.').nth(1));
    match (status, stage) {
        // What concerns us and not the mail, such as a wrong password, is put right by an operator.
        (530 | 534 | 535 | 538, _) | (_, Stage::Connect) => Answer::Later { code, reached: false },
        (421, _) => Answer::Later { code, reached: false },
        (..=499, _) => Answer::Later { code, reached: true },
        // RFC 3463: x.1 and x.2 speak of the address and its mailbox, everything else of the mail or of us.
        (_, Stage::Recipient) if !matches!(subject, Some("3" | "4" | "5" | "6" | "7")) => Answer::Unknown { code },
        (_, Stage::Content) if matches!(subject, Some("1" | "2")) => Answer::Unknown { code },
        (_, Stage::Sender | Stage::Recipient | Stage::Content) => Answer::Refused { code },
    }
}

fn breakage(stage: Stage, error: &Error) -> &'static str {
    match stage {
        _ if error.is_tls() => "smtp.tls",
        Stage::Connect if error.is_client() => "smtp.not_offered",
        Stage::Connect => "smtp.unreachable",
        Stage::Sender | Stage::Recipient | Stage::Content => "smtp.broken_off",
    }
}

/// `5.1.1` at the start of what the server said (RFC 2034).
fn enhanced_status(text: &str) -> Option<String> {
    let word = text.split(|letter: char| letter.is_whitespace()).find(|word| !word.is_empty())?;
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(is_number)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_code_is_taken_from_what_a_server_says() {
        assert_eq!(enhanced_status("5.1.1 <ada@acme.example> is unknown").as_deref(), Some("5.1.1"));
        for text in ["", "no such user", "5.1 x", "5.1.1.1 x", "a.b.c x", "5..1 x", "5.1.12345 x", "ada@x 5.1.1"] {
            assert_eq!(enhanced_status(text), None, "{text}");
        }
    }
}
