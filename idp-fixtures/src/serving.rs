//! A fixture's HTTP server: loopback only, gone when its handle is dropped.

use anyhow::{Context, Result};
use axum::Router;
use std::time::Duration;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Where a fixture will listen, bound before its pages know their own address.
pub struct Bound {
    listener: TcpListener,
    port: u16,
}

impl Bound {
    /// Takes a loopback port; 0 takes any free one.
    pub async fn loopback(port: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("cannot listen on port {port}"))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until the returned handle is dropped or stopped.
    #[must_use]
    pub fn serve(self, router: Router) -> Running {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let until = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = axum::serve(self.listener, router).with_graceful_shutdown(until).await {
                tracing::error!(%error, "the fixture stopped serving");
            }
        });
        Running { stop, task }
    }
}

/// A serving fixture.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops listening and waits (a second at most) for requests under way.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.task.abort();
    }
}
