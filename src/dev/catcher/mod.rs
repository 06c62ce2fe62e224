//! Catches the mails of the demo: a mail server on loopback that takes everything and passes nothing on, and a page
//! that shows what it took, with links that can be followed.
//!
//! | file | holds |
//! |---|---|
//! | `smtp.rs` | the dialogue, by smtp-proto's grammar |
//! | `mailbox.rs` | what was taken, newest first, kept in files over a restart |
//! | `pages.rs` | the list, one mail, its HTML in a frame that may run nothing, and the same as JSON |
//!
//! Invariants: it listens on loopback and answers to no other name; a mail's HTML runs no script and sends nothing to
//! anybody.

mod mailbox;
mod pages;
mod smtp;

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use tokio::task::JoinHandle;

use crate::clock::Clock;

use mailbox::Mailbox;

/// A running catcher. It ends when this is dropped.
pub struct Catcher {
    smtp_port: u16,
    page_port: u16,
    tasks: [JoinHandle<()>; 2],
}

impl Catcher {
    /// Listens on these ports, or on free ones where they are taken or 0. With a folder, mails outlive us.
    pub fn start(smtp_port: u16, page_port: u16, folder: Option<PathBuf>, clock: Clock) -> anyhow::Result<Self> {
        let mailbox = Arc::new(Mailbox::open(folder).context("opening the folder of caught mails")?);
        let (smtp, page) = (bind(smtp_port)?, bind(page_port)?);
        let (smtp_port, page_port) = (smtp.local_addr()?.port(), page.local_addr()?.port());
        let smtp = tokio::net::TcpListener::from_std(smtp)?;
        let page = tokio::net::TcpListener::from_std(page)?;
        let routes = pages::routes(mailbox.clone());
        let tasks = [
            tokio::spawn(smtp::serve(smtp, mailbox, clock)),
            tokio::spawn(async move {
                if let Err(error) = pages::serve(page, routes).await {
                    tracing::error!(%error, "the page of caught mails ended");
                }
            }),
        ];
        Ok(Self { smtp_port, page_port, tasks })
    }

    /// For `mail.url`.
    pub fn smtp_url(&self) -> String {
        format!("smtp+plain://127.0.0.1:{}", self.smtp_port)
    }

    /// Where the mails are shown.
    pub fn page_url(&self) -> String {
        format!("http://localhost:{}", self.page_port)
    }

    /// The ports, to be asked for again at the next start.
    pub const fn ports(&self) -> (u16, u16) {
        (self.smtp_port, self.page_port)
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("listening for the mails of the demo")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
