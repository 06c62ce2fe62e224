//! A TCP proxy before PostgreSQL or Redis that can be made to fail as servers do.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Passing,
    /// Every connection is closed and new ones are closed at once, as when a server is down.
    Cut,
    /// Connections stay open and nothing moves, as when a server hangs or a network loses everything.
    Stalled,
}

/// The proxy. It begins by letting everything through.
pub struct Flaky {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    accepting: JoinHandle<()>,
}

impl Flaky {
    /// A proxy before the server that `url` names.
    pub async fn before(url: &str, default_port: u16) -> Self {
        let url = Url::parse(url).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(default_port));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Passing));
        let accepting = tokio::spawn({
            let mode = mode.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (mode, target) = (mode.subscribe(), target.clone());
                    tokio::spawn(pass(client, target, mode));
                }
            }
        });
        Self { address, mode, accepting }
    }

    /// `url` with this proxy in place of its server.
    pub fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// The server goes away: connections end, new ones end at once.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// The server stops answering: connections stay, nothing moves.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// The server is back. What stalled moves on.
    pub fn restore(&self) {
        self.mode.send_replace(Mode::Passing);
    }
}

impl Drop for Flaky {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, target: String, mut mode: watch::Receiver<Mode>) {
    let mut cut = mode.clone();
    let relay = async {
        // While stalled, not even the connection to the server is made.
        if mode.wait_for(|mode| *mode == Mode::Passing).await.is_err() {
            return;
        }
        let Ok(server) = TcpStream::connect(target).await else { return };
        let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
        // Either side's end is the end.
        tokio::select! {
            () = copy(client_in, server_out, mode.clone()) => {}
            () = copy(server_in, client_out, mode.clone()) => {}
        }
    };
    tokio::select! {
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
        () = relay => {}
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if mode.wait_for(|mode| *mode == Mode::Passing).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
