//! A mail server that does as a test tells it: takes mails, refuses them, keeps silent, hangs up, with or without TLS.
//! It blocks threads of its own, so that what a test waits for is the gateway alone.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use mail_parser::MessageParser;
use openssl::ssl::SslAcceptor;

use super::smtp_wire::{Wire, acceptor, address, content};

/// Where in the dialogue the script is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    Greeting,
    Sender,
    Recipient,
    /// The command, before the content.
    Data,
    /// After the content.
    End,
}

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Go,
    Say(&'static str),
    /// Says nothing any more, and keeps the connection.
    Silence,
    HangUp,
    /// Takes the mail and hangs up without saying so.
    TakeAndHangUp,
    /// Waits for [`Smtp::release`], then goes on.
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    None,
    /// After STARTTLS.
    Upgraded,
    FromTheStart,
}

type Script = dyn Fn(At, &str, usize) -> Step + Send + Sync;

/// A mail that the server took.
#[derive(Debug, Clone)]
pub struct Mail {
    pub envelope_from: String,
    pub envelope_to: String,
    pub raw: String,
    pub message_id: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Mail {
    fn read(envelope_from: &str, envelope_to: &str, raw: &[u8]) -> Self {
        let parsed = MessageParser::default().parse(raw).expect("a mail");
        Self {
            envelope_from: envelope_from.to_owned(),
            envelope_to: envelope_to.to_owned(),
            raw: String::from_utf8_lossy(raw).into_owned(),
            message_id: parsed.message_id().unwrap_or_default().to_owned(),
            subject: parsed.subject().unwrap_or_default().to_owned(),
            text: parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n"),
            html: parsed.body_html(0).unwrap_or_default().replace("\r\n", "\n"),
        }
    }

    /// A header as it was sent, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.raw.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

#[derive(Default)]
struct State {
    mails: Vec<Mail>,
    connections: usize,
    /// How often each place was reached, by recipient.
    counts: HashMap<(At, String), usize>,
    held: usize,
    is_released: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    script: Box<Script>,
    tls: Tls,
    login: Option<(&'static str, &'static str)>,
    acceptor: SslAcceptor,
}

/// The server.
pub struct Smtp {
    pub address: SocketAddr,
    /// The certificate that it shows, in PEM.
    pub certificate: String,
    shared: Arc<Shared>,
}

/// How a server differs from one that takes everything.
pub struct Options {
    tls: Tls,
    login: Option<(&'static str, &'static str)>,
    script: Box<Script>,
    address: String,
}

impl Options {
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Nobody gets in without this name and password.
    pub fn login(mut self, user: &'static str, password: &'static str) -> Self {
        self.login = Some((user, password));
        self
    }

    /// Asks `script` at every place, with the recipient as far as it is known, and how often it was asked that before.
    pub fn script(mut self, script: impl Fn(At, &str, usize) -> Step + Send + Sync + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// Listens here, and not on a free port.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address.to_string();
        self
    }

    pub fn start(self) -> Smtp {
        let listener = TcpListener::bind(&self.address).unwrap();
        let address = listener.local_addr().unwrap();
        let (certificate, acceptor) = acceptor();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            script: self.script,
            tls: self.tls,
            login: self.login,
            acceptor,
        });
        thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming().flatten() {
                    let shared = shared.clone();
                    // What a client does to the connection is its own affair.
                    thread::spawn(move || shared.converse(stream).ok());
                }
            }
        });
        Smtp { address, certificate, shared }
    }
}

impl Smtp {
    /// A server that takes everything, without TLS.
    pub fn start() -> Self {
        Self::with().start()
    }

    pub fn with() -> Options {
        Options { tls: Tls::None, login: None, script: Box::new(|_, _, _| Step::Go), address: "127.0.0.1:0".into() }
    }

    /// For `mail.url`, with `user:password@` where a login is wanted.
    pub fn url(&self, login: &str) -> String {
        let scheme = match self.shared.tls {
            Tls::None => "smtp+plain",
            Tls::Upgraded => "smtp",
            Tls::FromTheStart => "smtps",
        };
        format!("{scheme}://{login}localhost:{}", self.address.port())
    }

    /// What was taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.state.lock().unwrap().mails.clone()
    }

    /// The one mail to this address.
    #[track_caller]
    pub fn mail_to(&self, address: &str) -> Mail {
        let mut mails: Vec<Mail> = self.mails().into_iter().filter(|mail| mail.envelope_to == address).collect();
        assert_eq!(mails.len(), 1, "mails to {address}");
        mails.remove(0)
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }

    /// Waits until so many mails were taken.
    pub async fn taken(&self, count: usize) -> Vec<Mail> {
        self.wait(move |state| state.mails.len() >= count).await;
        self.mails()
    }

    /// Waits until a dialogue is held.
    pub async fn held(&self) {
        self.wait(|state| state.held > 0).await;
    }

    /// Lets everything go on that is held, and holds nothing any more.
    pub fn release(&self) {
        self.shared.state.lock().unwrap().is_released = true;
        self.shared.changed.notify_all();
    }

    async fn wait(&self, until: impl Fn(&State) -> bool + Send + 'static) {
        let shared = self.shared.clone();
        let waited = tokio::task::spawn_blocking(move || {
            let state = shared.state.lock().unwrap();
            !shared
                .changed
                .wait_timeout_while(state, Duration::from_secs(20), |state| !until(state))
                .unwrap()
                .1
                .timed_out()
        });
        assert!(waited.await.unwrap(), "the mail server waited in vain; it has {} mails", self.mails().len());
    }
}

impl Shared {
    fn converse(&self, stream: TcpStream) -> io::Result<()> {
        {
            let mut state = self.state.lock().unwrap();
            state.connections += 1;
            self.changed.notify_all();
        }
        let encrypt = |stream| self.acceptor.accept(stream).map(Wire::Tls).map_err(io::Error::other);
        let mut wire = if self.tls == Tls::FromTheStart { encrypt(stream)? } else { Wire::Plain(stream) };
        if !self.step(&mut wire, At::Greeting, "", "220 smtp.test ESMTP")? {
            return Ok(());
        }
        let (mut from, mut to) = (String::new(), String::new());
        let mut is_in = self.login.is_none();
        loop {
            let line = wire.line()?;
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    wire.say("250-smtp.test")?;
                    if self.tls == Tls::Upgraded && matches!(wire, Wire::Plain(_)) {
                        wire.say("250-STARTTLS")?;
                    }
                    if self.login.is_some() {
                        wire.say("250-AUTH PLAIN LOGIN")?;
                    }
                    wire.say("250 8BITMIME")?;
                }
                "STARTTLS" => {
                    wire.say("220 go ahead")?;
                    let Wire::Plain(stream) = wire else { return Ok(()) };
                    wire = encrypt(stream)?;
                }
                "AUTH" => {
                    let plain = STANDARD.decode(rest.trim_start_matches("PLAIN ")).unwrap_or_default();
                    let (user, password) = self.login.unwrap_or_default();
                    is_in = plain == format!("\0{user}\0{password}").as_bytes();
                    wire.say(if is_in { "235 2.7.0 welcome" } else { "535 5.7.8 who are you" })?;
                }
                "MAIL" if !is_in => wire.say("530 5.7.0 say who you are")?,
                "MAIL" => {
                    from = address(rest);
                    if !self.step(&mut wire, At::Sender, "", "250 fine")? {
                        return Ok(());
                    }
                }
                "RCPT" => {
                    to = address(rest);
                    if !self.step(&mut wire, At::Recipient, &to, "250 fine")? {
                        return Ok(());
                    }
                }
                "DATA" => {
                    if !self.step(&mut wire, At::Data, &to, "354 go ahead")? {
                        return Ok(());
                    }
                    let content = content(&mut wire)?;
                    if !self.end(&mut wire, &from, &to, &content)? {
                        return Ok(());
                    }
                }
                "QUIT" => return wire.say("221 bye"),
                _ => wire.say("250 fine")?,
            }
        }
    }

    /// Does as the script says; whether the dialogue goes on.
    fn step(&self, wire: &mut Wire, at: At, to: &str, go: &str) -> io::Result<bool> {
        match self.ask(at, to) {
            Step::Go | Step::Hold => wire.say(go)?,
            Step::Say(text) => wire.say(text)?,
            Step::Silence => while wire.line().is_ok() {},
            Step::HangUp | Step::TakeAndHangUp => {
                wire.hang_up();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end(&self, wire: &mut Wire, from: &str, to: &str, content: &[u8]) -> io::Result<bool> {
        let step = self.ask(At::End, to);
        if matches!(step, Step::Go | Step::TakeAndHangUp | Step::Hold) {
            self.state.lock().unwrap().mails.push(Mail::read(from, to, content));
            self.changed.notify_all();
        }
        match step {
            Step::Go | Step::Hold => wire.say("250 2.0.0 taken")?,
            Step::Say(text) => wire.say(text)?,
            Step::Silence => while wire.line().is_ok() {},
            Step::HangUp | Step::TakeAndHangUp => {
                wire.hang_up();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ask(&self, at: At, to: &str) -> Step {
        let count = {
            let mut state = self.state.lock().unwrap();
            let count = state.counts.entry((at, to.to_owned())).or_default();
            *count += 1;
            *count - 1
        };
        let step = (self.script)(at, to, count);
        if step == Step::Hold {
            let mut state = self.state.lock().unwrap();
            state.held += 1;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |state| !state.is_released).unwrap());
        }
        step
    }
}
