//! A gateway on a free port of loopback, run by the same code as in production, with servers of its own.

use std::{
    net::{SocketAddr, TcpListener},
    ops::Deref,
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use usher::{
    admin::{self, NewToken, Permission},
    audit::Actor,
    clock::Clock,
    config::{self, Raw, Settings},
    entropy::Entropy,
    server::{self, ServeError, Sockets},
    telemetry,
};

use super::{Admin, Browser, Flaky, logs, servers::PgBouncer, stage::Stage};

type Change = Box<dyn Fn(&mut Raw) + Send>;

/// How a test's gateway differs from the plain one.
#[derive(Default)]
pub struct Options {
    clock: Clock,
    flaky: bool,
    twin: bool,
    settings: Option<Change>,
}

impl Options {
    /// The clock stands still at `start` until `app.clock.advance(…)`.
    pub fn clock_at(mut self, start: DateTime<Utc>) -> Self {
        self.clock = Clock::manual(start);
        self
    }

    /// Puts `app.postgres()` and `app.redis()` between the gateway and its servers.
    pub fn flaky(mut self) -> Self {
        self.flaky = true;
        self
    }

    /// Runs a second replica, and sends each request of a browser or an admin to the other one of the two.
    pub fn twin(mut self) -> Self {
        self.twin = true;
        self
    }

    /// Changes settings before they are checked.
    pub fn settings(mut self, change: impl Fn(&mut Raw) + Send + 'static) -> Self {
        self.settings = Some(Box::new(change));
        self
    }

    pub async fn start(self) -> App {
        let stage = Stage::set().await;
        let mut proxies = None;
        if self.flaky {
            proxies =
                Some((Flaky::before(&stage.postgres_url, 5432).await, Flaky::before(&stage.redis_url, 6379).await));
        }
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();

        let mut raw = config::load(Some(Path::new("config/dev.toml"))).unwrap();
        raw.server.listen = address.to_string();
        // `localhost` and not the number, so that fixture IdPs at 127.0.0.1 are another site, as in real life.
        raw.server.public_origin = format!("http://localhost:{}", address.port());
        raw.server.operator_listen = None;
        raw.database.url = stage.postgres_url.clone().into();
        raw.database.max_connections = 8;
        raw.redis.url = stage.redis_url.clone().into();
        raw.redis.key_prefix = stage.key_prefix.clone();
        raw.secrets.sealing_keys =
            vec![SecretString::from(format!("1:{}", STANDARD.encode(Entropy::default().bytes::<32>())))];
        if let Some((postgres, redis)) = &proxies {
            raw.database.url = postgres.url(&stage.postgres_url).into();
            raw.redis.url = redis.url(&stage.redis_url).into();
        }
        if let Some(change) = &self.settings {
            change(&mut raw);
        }
        // The whole suite may be run so, by hand: see tests/it/replicas/mod.rs.
        if let Ok(port) = std::env::var("USHER_TEST_PGBOUNCER_PORT")
            && raw.database.pooler == "none"
            && proxies.is_none()
        {
            PgBouncer::before(port.parse().unwrap(), &mut raw);
        }
        let mut app = App::run(raw, self.clock, socket, Arc::new(Shared { stage, proxies }));
        if self.twin || std::env::var_os("USHER_TEST_TWIN").is_some() {
            app.twin = Some(Box::new(app.replica()));
        }
        app
    }
}

/// What replicas have in common. The last one removes it.
struct Shared {
    stage: Stage,
    proxies: Option<(Flaky, Flaky)>,
}

/// A running gateway. Derefs to the application's own state.
pub struct App {
    state: usher::app::App,
    raw: Raw,
    /// Where it listens. Browsers use the public origin, which is `http://localhost:…` unless settings say otherwise.
    pub address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
    shared: Arc<Shared>,
    twin: Option<Box<App>>,
}

impl Deref for App {
    type Target = usher::app::App;

    fn deref(&self) -> &Self::Target {
        &self.state
    }
}

impl App {
    /// A gateway with the settings of `config/dev.toml` and the system's clock.
    pub async fn start() -> Self {
        Options::default().start().await
    }

    /// `App::with().clock_at(…).flaky().start().await`
    pub fn with() -> Options {
        Options::default()
    }

    fn run(raw: Raw, clock: Clock, socket: TcpListener, shared: Arc<Shared>) -> Self {
        let address = socket.local_addr().unwrap();
        let settings = Settings::try_from(raw.clone()).unwrap();
        logs::start();
        let state = usher::app::App::new(settings, clock, telemetry::detached_metrics()).unwrap();
        let stop = CancellationToken::new();
        let sockets = Sockets { public: socket, operator: None };
        let serving = tokio::spawn({
            let (state, stop) = (state.clone(), stop.clone());
            async move { server::serve(state, sockets, stop).await }
        });
        Self { state, raw, address, stop, serving, shared, twin: None }
    }

    /// The settings of a further replica that runs as a process of its own, as its environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let raw = &self.raw;
        let keys: Vec<&str> = raw.secrets.sealing_keys.iter().map(ExposeSecret::expose_secret).collect();
        let settings = [
            ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
            ("SERVER__PUBLIC_ORIGIN", self.origin().to_owned()),
            ("DATABASE__URL", raw.database.url.expose_secret().to_owned()),
            ("DATABASE__POOLER", raw.database.pooler.clone()),
            ("REDIS__URL", raw.redis.url.expose_secret().to_owned()),
            ("REDIS__KEY_PREFIX", raw.redis.key_prefix.clone()),
            ("SECRETS__SEALING_KEYS", format!("{keys:?}")),
            ("MAIL__URL", raw.mail.url.expose_secret().to_owned()),
            ("MAIL__FROM", raw.mail.from.clone().unwrap_or_default()),
        ];
        let set = settings.into_iter().filter(|(_, value)| !value.is_empty());
        set.map(|(name, value)| (format!("USHER__{name}"), value)).collect()
    }

    /// Another process of the same deployment: the same servers, keys, public origin and clock, its own caches and
    /// pools. Reach it with `Browser::via`.
    pub fn replica(&self) -> Self {
        self.replica_with(|_| {})
    }

    /// The same with other settings, as while a change of them is rolled out.
    pub fn replica_with(&self, change: impl FnOnce(&mut Raw)) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut raw = self.raw.clone();
        change(&mut raw);
        Self::run(raw, self.state.clock.clone(), socket, self.shared.clone())
    }

    /// The public origin, without a slash at its end.
    pub fn origin(&self) -> &str {
        self.state.settings.server.origin()
    }

    /// A URL of this gateway: `app.url("/acme")`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// A fresh browser.
    pub fn browser(&self) -> Browser {
        match &self.twin {
            Some(twin) => Browser::new().via(self).and_via(twin),
            None => Browser::new().via(self),
        }
    }

    /// An operator's API calls: every permission, bound to no client.
    pub async fn operator(&self) -> Admin {
        self.admin_with(None, Permission::ALL).await
    }

    /// API calls of one client's own token, with every permission. `client` is a slug or an id.
    pub async fn admin_of(&self, client: &str) -> Admin {
        self.admin_with(Some(client), Permission::ALL).await
    }

    /// API calls with exactly these permissions, bound to a client where one is named.
    pub async fn admin_with(&self, client: Option<&str>, scopes: &[Permission]) -> Admin {
        let now = self.state.clock.now();
        let client = match client {
            Some(name) => Some(admin::find_client(&self.state.db, name).await.unwrap().expect("the client is there")),
            None => None,
        };
        let new = NewToken { name: "a test".into(), client, scopes: scopes.to_vec(), expires_at: None };
        let mut transaction = self.state.db.begin().await.unwrap();
        let token = admin::create_token(&mut transaction, &self.state.entropy, Actor::System, new, None, now).await;
        transaction.commit().await.unwrap();
        self.admin(token.unwrap().secret.expose())
    }

    /// API calls with this token; the empty one sends none.
    pub fn admin(&self, token: impl Into<String>) -> Admin {
        let host = self.origin().split_once("://").map_or("", |(_, host)| host);
        let second = self.twin.as_ref().map_or(self.address, |twin| twin.address);
        Admin::new(self.address, host.to_owned(), token.into()).and_via(second)
    }

    /// An operator's API calls over TLS, by a client that trusts this gateway's certificate.
    pub async fn admin_over(&self, client: reqwest::Client) -> Admin {
        self.operator().await.over(client, self.origin())
    }

    /// The proxy before PostgreSQL, where the test asked for one.
    pub fn postgres(&self) -> &Flaky {
        &self.shared.proxies.as_ref().expect("started with App::with().flaky()").0
    }

    /// The proxy before Redis, where the test asked for one.
    pub fn redis(&self) -> &Flaky {
        &self.shared.proxies.as_ref().expect("started with App::with().flaky()").1
    }

    /// Redis restarts without its memory.
    pub async fn forget_redis(&self) {
        let redis = &self.raw.redis;
        super::stage::forget(redis.url.expose_secret(), &format!("{}:*", redis.key_prefix)).await.unwrap();
    }

    /// Drains and stops as on SIGTERM, and waits for the end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.serving).await.unwrap().unwrap();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
