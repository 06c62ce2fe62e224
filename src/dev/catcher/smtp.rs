//! The dialogue of the catcher: takes every mail for everybody.

use std::sync::Arc;

use smtp_proto::{
    Error, Request,
    request::receiver::{DataReceiver, RequestReceiver},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::mailbox::Mailbox;
use crate::clock::Clock;

/// The largest mail.
const MOST_BYTES: usize = 10 << 20;
/// The most recipients of one mail.
const MOST_RECIPIENTS: usize = 100;

pub(super) async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>, clock: Clock) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (mailbox, clock) = (mailbox.clone(), clock.clone());
                tokio::spawn(async move {
                    // Whoever breaks off has broken off.
                    let _ended = converse(stream, &mailbox, &clock).await;
                });
            }
            Err(error) => tracing::warn!(%error, "a mail's connection was not taken"),
        }
    }
}

#[derive(Default)]
struct Envelope {
    has_sender: bool,
    recipients: Vec<String>,
}

/// What an answer leads to.
enum Next {
    Command,
    Content,
    End,
}

async fn converse(mut stream: TcpStream, mailbox: &Mailbox, clock: &Clock) -> std::io::Result<()> {
    stream.write_all(b"220 usher-dev ESMTP\r\n").await?;
    let mut envelope = Envelope::default();
    let mut commands = RequestReceiver::default();
    let mut content: Option<(DataReceiver, Vec<u8>)> = None;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        let mut bytes = bytes.iter();
        while bytes.len() > 0 {
            if let Some((receiver, mail)) = &mut content {
                let is_whole = receiver.ingest(&mut bytes, mail);
                if mail.len() > MOST_BYTES {
                    return stream.write_all(b"552 5.3.4 too large\r\n").await;
                }
                if is_whole {
                    let kept = envelope.recipients.iter().try_for_each(|to| mailbox.keep(clock.now(), to, mail));
                    (content, envelope) = (None, Envelope::default());
                    let answer: &[u8] =
                        if kept.is_ok() { b"250 2.0.0 caught\r\n" } else { b"452 4.3.1 it could not be kept\r\n" };
                    stream.write_all(answer).await?;
                }
                continue;
            }
            let (answer, next) = match commands.ingest(&mut bytes) {
                Ok(request) => respond(request, &mut envelope),
                Err(Error::NeedsMoreData { .. }) => break,
                Err(Error::ResponseTooLong) => ("500 5.5.2 that line is too long", Next::End),
                Err(_) => ("500 5.5.1 that is not understood", Next::Command),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            match next {
                Next::Command => {}
                Next::Content => content = Some((DataReceiver::new(), Vec::new())),
                Next::End => return Ok(()),
            }
        }
    }
}

fn respond(request: Request<std::borrow::Cow<'_, str>>, envelope: &mut Envelope) -> (&'static str, Next) {
    match request {
        Request::Ehlo { .. } => {
            *envelope = Envelope::default();
            ("250-usher-dev\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES", Next::Command)
        }
        Request::Helo { .. } | Request::Rset => {
            *envelope = Envelope::default();
            ("250 2.0.0 fine", Next::Command)
        }
        Request::Mail { .. } => {
            *envelope = Envelope { has_sender: true, recipients: Vec::new() };
            ("250 2.1.0 fine", Next::Command)
        }
        Request::Rcpt { to } if envelope.has_sender && envelope.recipients.len() < MOST_RECIPIENTS => {
            envelope.recipients.push(to.address.into_owned());
            ("250 2.1.5 fine", Next::Command)
        }
        Request::Data if !envelope.recipients.is_empty() => ("354 go ahead, end with a dot", Next::Content),
        Request::Rcpt { .. } | Request::Data => ("503 5.5.1 not in this order", Next::Command),
        Request::Noop { .. } => ("250 2.0.0 fine", Next::Command),
        Request::Quit => ("221 2.0.0 bye", Next::End),
        _ => ("502 5.5.1 that is not offered", Next::Command),
    }
}
