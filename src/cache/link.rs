//! The way to Redis: one server, the primary that Sentinels name, or a Cluster. Each connects when first used, tells a
//! loss at once rather than waiting for it to pass, and finds its servers again by itself.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{RedisServers, RedisSettings};

/// Pauses between tries on one node of a Cluster, in milliseconds; after so many it is told.
const CLUSTER_PAUSES: (u64, u64) = (20, 200);
const CLUSTER_TRIES: u32 = 2;

/// A connection shared by everybody; cheap to clone.
#[derive(Clone)]
pub(super) enum Link {
    Single(ConnectionManager),
    Sentinel(Found<MultiplexedConnection>),
    Cluster(Found<ClusterConnection>),
}

impl Link {
    pub(super) fn new(settings: &RedisSettings) -> RedisResult<Self> {
        let certificates = match &settings.ca_file {
            Some(file) => Some(TlsCertificates { client_tls: None, root_cert: Some(std::fs::read(file)?) }),
            None => None,
        };
        let timeout = settings.timeout;
        match &settings.servers {
            RedisServers::Single(url) => single(url, certificates, timeout).map(Self::Single),
            RedisServers::Sentinel { sentinels, primary, server } => {
                let client = sentinel(sentinels, primary, server, settings, certificates)?;
                Ok(Self::Sentinel(by_sentinel(client, timeout)))
            }
            RedisServers::Cluster(urls) => cluster(urls, certificates, timeout).map(Self::Cluster),
        }
    }
}

fn single(url: &SecretString, tls: Option<TlsCertificates>, timeout: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(timeout))
        .set_connection_timeout(Some(timeout))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(20))
        .set_max_delay(Duration::from_millis(200));
    let client = match tls {
        Some(tls) => Client::build_with_tls(url.expose_secret(), tls)?,
        None => Client::open(url.expose_secret())?,
    };
    ConnectionManager::new_lazy_with_config(client, config)
}

fn sentinel(
    sentinels: &[String],
    primary: &str,
    server: &SecretString,
    settings: &RedisSettings,
    tls: Option<TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let addresses: Vec<ConnectionAddr> = sentinels
        .iter()
        .map(|url| Ok(url.as_str().into_connection_info()?.addr().clone()))
        .collect::<RedisResult<_>>()?;
    let server = server.expose_secret().into_connection_info()?;
    let is_tls = matches!(server.addr(), ConnectionAddr::TcpTls { .. });
    let redis = server.redis_settings();
    let mut builder = SentinelClientBuilder::new(addresses, primary, SentinelServerType::Master)?;
    builder = builder.set_client_to_redis_db(redis.db());
    if let Some(user) = redis.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = redis.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(password) = &settings.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose_secret());
    }
    if is_tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        if let Some(tls) = tls {
            builder = builder.set_client_to_redis_certificates(tls.clone()).set_client_to_sentinel_certificates(tls);
        }
    }
    builder.build()
}

fn by_sentinel(client: SentinelClient, timeout: Duration) -> Found<MultiplexedConnection> {
    let client = Arc::new(tokio::sync::Mutex::new(client));
    let find = move || {
        let client = client.clone();
        let search = async move {
            let config =
                AsyncConnectionConfig::new().set_response_timeout(Some(timeout)).set_connection_timeout(Some(timeout));
            client.lock().await.get_async_connection_with_config(&config).await
        };
        search.boxed()
    };
    // The one that was the primary answers no more, or answers that it is none any longer.
    let is_lost = |error: &RedisError| {
        let demoted = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown, ServerErrorKind::BusyLoading];
        error.is_io_error()
            || error.is_unrecoverable_error()
            || demoted.into_iter().any(|kind| error.kind() == ErrorKind::Server(kind))
    };
    Found::new(find, is_lost, timeout)
}

fn cluster(
    urls: &[SecretString],
    tls: Option<TlsCertificates>,
    timeout: Duration,
) -> RedisResult<Found<ClusterConnection>> {
    let (shortest, longest) = CLUSTER_PAUSES;
    let mut builder = ClusterClientBuilder::new(urls.iter().map(ExposeSecret::expose_secret))
        .connection_timeout(timeout)
        .response_timeout(timeout)
        .overall_response_timeout(Some(timeout))
        .retries(CLUSTER_TRIES)
        .min_retry_wait(shortest)
        .max_retry_wait(longest);
    if let Some(tls) = tls {
        builder = builder.certs(tls);
    }
    let client = Arc::new(builder.build()?);
    let find = move || {
        let client = client.clone();
        async move { client.get_async_connection().await }.boxed()
    };
    // A node that is away is the library's to find again; only when it knows none any more do we begin anew.
    let is_lost = |error: &RedisError| error.kind() == ErrorKind::ClusterConnectionNotFound;
    Ok(Found::new(find, is_lost, timeout))
}

type Finding<C> = Shared<BoxFuture<'static, RedisResult<C>>>;

/// A connection that is looked for when first used, and again once it is lost. Whoever asks while it is looked for waits
/// for the same search.
pub(super) struct Found<C>(Arc<Search<C>>);

struct Search<C> {
    find: Box<dyn Fn() -> BoxFuture<'static, RedisResult<C>> + Send + Sync>,
    is_lost: fn(&RedisError) -> bool,
    timeout: Duration,
    current: Mutex<Option<Finding<C>>>,
}

impl<C> Clone for Found<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Clone + Send + 'static> Found<C> {
    fn new(
        find: impl Fn() -> BoxFuture<'static, RedisResult<C>> + Send + Sync + 'static,
        is_lost: fn(&RedisError) -> bool,
        timeout: Duration,
    ) -> Self {
        Self(Arc::new(Search { find: Box::new(find), is_lost, timeout, current: Mutex::default() }))
    }

    fn current(&self) -> Finding<C> {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || {
            let (search, limit) = ((self.0.find)(), self.0.timeout);
            let late = || RedisError::from((ErrorKind::Io, "nobody said in time where Redis is"));
            let bounded = async move { tokio::time::timeout(limit, search).await.unwrap_or_else(|_| Err(late())) };
            bounded.boxed().shared()
        };
        current.get_or_insert_with(begin).clone()
    }

    fn forget(&self, finding: &Finding<C>) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|held| held.ptr_eq(finding)) {
            *current = None;
        }
    }

    async fn run<T>(&self, send: impl AsyncFnOnce(C) -> RedisResult<T>) -> RedisResult<T> {
        let finding = self.current();
        let connection = finding.clone().await.inspect_err(|_| self.forget(&finding))?;
        send(connection).await.inspect_err(|error| {
            if (self.0.is_lost)(error) {
                self.forget(&finding);
            }
        })
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Sentinel(found) => {
                async move { found.run(async |mut to| to.req_packed_command(cmd).await).await }.boxed()
            }
            Self::Cluster(found) => {
                async move { found.run(async |mut to| to.req_packed_command(cmd).await).await }.boxed()
            }
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Sentinel(found) => {
                let send =
                    async move |mut to: MultiplexedConnection| to.req_packed_commands(pipeline, offset, count).await;
                async move { found.run(send).await }.boxed()
            }
            Self::Cluster(found) => {
                let send = async move |mut to: ClusterConnection| to.req_packed_commands(pipeline, offset, count).await;
                async move { found.run(send).await }.boxed()
            }
        }
    }

    fn get_db(&self) -> i64 {
        0
    }
}
