//! Listening: TLS with certificates that can be replaced while running (`certificates.rs`), HTTP/2, limits against slow
//! clients, and a stop that finishes what it has. Knows nothing of what is served.

mod certificates;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::atomic::Ordering,
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{app::App, config::ServerSettings, router};

/// A client has this long to send the head of a request (slow-header attacks).
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/2 peer that does not answer a ping for this long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the gateway could not listen, or stopped listening.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{key} = {address} is in use by another process; stop it, or choose another port")]
    Busy { key: &'static str, address: SocketAddr },
    #[error("cannot listen on {key} = {address}: {source}")]
    Listen { key: &'static str, address: SocketAddr, source: io::Error },
    #[error("server.tls_certificate {certificate} with server.tls_key {key} is not usable: {source}")]
    Tls { certificate: String, key: String, source: io::Error },
    #[error("the listener ended: {0}")]
    Ended(io::Error),
}

/// The sockets of one gateway, bound before anything else is tried, so that a busy port shows at once.
#[derive(Debug)]
pub struct Sockets {
    pub public: TcpListener,
    pub operator: Option<TcpListener>,
}

impl Sockets {
    /// Binds what the settings name.
    pub fn bind(settings: &ServerSettings) -> Result<Self, ServeError> {
        let operator = settings.operator_listen.map(|address| bind("server.operator_listen", address)).transpose()?;
        Ok(Self { public: bind("server.listen", settings.listen)?, operator })
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Busy { key, address },
        _ => ServeError::Listen { key, address, source },
    })
}

/// Serves until `stop`, then drains: `/readyz` turns 503 while requests are still taken, so that a load balancer can
/// look away; then nothing new is taken and what runs may finish.
pub async fn serve(app: App, sockets: Sockets, stop: CancellationToken) -> Result<(), ServeError> {
    let tls = match &app.settings.server.tls {
        Some(settings) => Some(RustlsConfig::from_config(certificates::load(settings)?)),
        None => None,
    };
    let (public, operator) = (Handle::new(), Handle::new());
    let mut listeners = JoinSet::new();
    listeners.spawn(listen(sockets.public, tls, public.clone(), router::public(&app)));
    if let Some(socket) = sockets.operator {
        listeners.spawn(listen(socket, None, operator.clone(), router::operator(&app)));
    }
    tokio::select! {
        () = stop.cancelled() => {}
        Some(ended) = listeners.join_next() => return Err(ServeError::Ended(reason(ended))),
    }

    let settings = &app.settings.server;
    app.draining.store(true, Ordering::Relaxed);
    tracing::info!(notice_s = settings.drain_notice.as_secs(), drain_s = settings.drain.as_secs(), "draining");
    tokio::time::sleep(settings.drain_notice).await;
    public.graceful_shutdown(Some(settings.drain));
    // The operator's listener answers to the end: the public one is waited for first.
    let _ended = listeners.join_next().await;
    operator.shutdown();
    while listeners.join_next().await.is_some() {}
    tracing::info!("stopped");
    Ok(())
}

fn reason(ended: Result<io::Result<()>, tokio::task::JoinError>) -> io::Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => io::Error::other("it stopped without being asked"),
        Err(error) => io::Error::other(error),
    }
}

async fn listen(
    socket: TcpListener,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    router: Router,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    // An answer is one small write: waiting to fill a packet would only delay it.
    let server = axum_server::from_tcp(socket)?.acceptor(NoDelayAcceptor::new());
    let mut server = server.handle(handle).first_request_timeout(HEAD_TIMEOUT);
    let builder = server.http_builder();
    builder.http1().header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 << 10);
    builder
        .http2()
        .keep_alive_interval(PING_TIMEOUT)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(128)
        .max_header_list_size(64 << 10);
    match tls {
        Some(config) => server.map(|inner| RustlsAcceptor::new(config).acceptor(inner)).serve(service).await,
        None => server.serve(service).await,
    }
}
