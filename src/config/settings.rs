//! Configuration that the program may rely on: parsed, checked, with units in the types.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{AccountsSettings, MailSettings, RedisSettings, raw::Raw};

/// What is wrong with the configuration, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {0} does not exist; name one with --config, or leave the option out")]
    NoFile(String),
    #[error("the configuration does not read: {0}")]
    Unreadable(String),
    #[error("{key}: {problem}")]
    Invalid { key: &'static str, problem: String },
}

/// How many of something within a time, with a burst of the same number: `60/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

#[derive(Debug, Clone)]
pub struct TlsSettings {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The folder of the pairs for clients' own hosts.
    pub hosts: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub operator_listen: Option<SocketAddr>,
    /// Scheme, host and port that every link, entity ID and redirect URI begins with; no path.
    pub public_origin: Url,
    pub tls: Option<TlsSettings>,
    pub trusted_proxies: Vec<IpNet>,
    pub request_timeout: Duration,
    /// How long `/readyz` says no before new requests are no longer taken.
    pub drain_notice: Duration,
    /// How long requests in progress may then take.
    pub drain: Duration,
}

impl ServerSettings {
    /// Whether browsers reach us over https, so that cookies may be `Secure` and `__Host-`.
    pub fn is_https(&self) -> bool {
        self.public_origin.scheme() == "https"
    }

    /// The origin without a trailing slash, such as `https://learn.example`.
    pub fn origin(&self) -> &str {
        self.public_origin.as_str().trim_end_matches('/')
    }

    /// The origin of a client's own host: scheme and port are those of the public origin.
    pub fn origin_of(&self, host: &str) -> String {
        let port = self.public_origin.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", self.public_origin.scheme())
    }
}

/// What stands between us and PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or what keeps a session for each of our connections, or carries prepared statements along.
    None,
    /// What hands each transaction to another server, and knows nothing of prepared statements.
    Transaction,
}

#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    pub url: SecretString,
    pub migrate_url: SecretString,
    pub pooler: Pooler,
    pub max_connections: u32,
    pub acquire_timeout: Duration,
    pub statement_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct OutboundSettings {
    /// Networks that may be reached although they are not public, such as loopback in development.
    pub allowed_networks: Vec<IpNet>,
    pub allow_plain_http: bool,
    pub timeout: Duration,
    pub max_bytes: usize,
}

#[derive(Debug, Clone)]
pub struct LoginSettings {
    pub attempt_ttl: Duration,
    pub verify_threads: usize,
    pub verify_queue: usize,
    pub claims_days: u32,
}

#[derive(Debug, Clone)]
pub struct LimitSettings {
    pub sign_in_per_address: Rate,
    pub sign_in_per_client: Rate,
    pub api_per_token: Rate,
    pub refused_records_per_connection: Rate,
    pub code_failures_per_learner: Rate,
    pub code_failures_per_address: Rate,
    pub code_failures_per_client: Rate,
    pub sign_ups_per_address: Rate,
}

#[derive(Debug, Clone)]
pub struct ImportSettings {
    pub max_rows: u32,
    pub max_bytes: usize,
    pub at_once_per_client: u32,
    pub upload_timeout: Duration,
    pub rows_days: u32,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub json: bool,
    pub filter: String,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub redis: RedisSettings,
    pub sealing_keys: Vec<SecretString>,
    pub outbound: OutboundSettings,
    pub login: LoginSettings,
    pub mail: MailSettings,
    pub accounts: AccountsSettings,
    pub imports: ImportSettings,
    pub limits: LimitSettings,
    pub logs: LogSettings,
}

pub(super) fn invalid(key: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { key, problem: problem.into() }
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| invalid(key, format!("`{text}` is not an address and port such as 127.0.0.1:8080")))
}

fn networks(key: &'static str, texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|_| invalid(key, format!("`{text}` is not a network such as 10.0.0.0/8"))))
        .collect()
}

pub(super) fn rate(key: &'static str, text: &str) -> Result<Rate, ConfigError> {
    let parsed = text.split_once('/').and_then(|(count, per)| {
        let count: u32 = count.trim().parse().ok()?;
        let (number, unit) = per.trim().split_at(per.trim().len().checked_sub(1)?);
        let number: u64 = number.parse().ok()?;
        let seconds = match unit {
            "s" => number,
            "m" => number.checked_mul(60)?,
            "h" => number.checked_mul(3600)?,
            _ => return None,
        };
        (count > 0 && seconds > 0).then_some(Rate { count, per: Duration::from_secs(seconds) })
    });
    parsed.ok_or_else(|| invalid(key, format!("`{text}` is not a rate such as 60/1m")))
}

fn origin(text: &str) -> Result<Url, ConfigError> {
    let key = "server.public_origin";
    let url = Url::parse(text).map_err(|_| invalid(key, "write a whole origin such as https://learn.example"))?;
    let bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !bare || url.host_str().is_none() {
        return Err(invalid(key, "write scheme, host and port only, such as https://learn.example"));
    }
    Ok(url)
}

fn server(raw: &Raw) -> Result<ServerSettings, ConfigError> {
    let listen = address("server.listen", &raw.server.listen)?;
    let public_origin = origin(&raw.server.public_origin)?;
    let trusted_proxies = networks("server.trusted_proxies", &raw.server.trusted_proxies)?;
    let tls = match (&raw.server.tls_certificate, &raw.server.tls_key) {
        (Some(certificate), Some(key)) => {
            let hosts = raw.server.tls_hosts.as_ref().map(PathBuf::from);
            Some(TlsSettings { certificate: certificate.into(), key: key.into(), hosts })
        }
        (None, None) if raw.server.tls_hosts.is_some() => {
            return Err(invalid(
                "server.tls_hosts",
                "name tls_certificate and tls_key too, for the public origin itself",
            ));
        }
        (None, None) => None,
        _ => return Err(invalid("server.tls_certificate", "name both tls_certificate and tls_key, or neither")),
    };
    if tls.is_none() && !listen.ip().is_loopback() && trusted_proxies.is_empty() {
        return Err(invalid(
            "server.listen",
            "plain http is served on loopback only; set tls_certificate and tls_key, or name the proxy in trusted_proxies",
        ));
    }
    let loopback_origin = public_origin.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    if public_origin.scheme() == "http" && !loopback_origin {
        return Err(invalid(
            "server.public_origin",
            "learners are served over https; plain http is for localhost only",
        ));
    }
    let operator_listen =
        raw.server.operator_listen.as_deref().map(|text| address("server.operator_listen", text)).transpose()?;
    Ok(ServerSettings {
        listen,
        operator_listen,
        public_origin,
        tls,
        trusted_proxies,
        request_timeout: Duration::from_secs(raw.server.request_timeout_s.clamp(1, 300)),
        drain_notice: Duration::from_secs(raw.server.drain_notice_s.min(300)),
        drain: Duration::from_secs(raw.server.drain_s.min(300)),
    })
}

impl TryFrom<Raw> for Settings {
    type Error = ConfigError;

    fn try_from(raw: Raw) -> Result<Self, ConfigError> {
        for (key, value) in [("database.url", &raw.database.url), ("redis.url", &raw.redis.url)] {
            if value.expose_secret().is_empty() {
                return Err(invalid(
                    key,
                    "is not set; give it in a file or as an environment variable (see config/README.md)",
                ));
            }
        }
        crate::crypto::Sealer::new(&raw.secrets.sealing_keys).map_err(|error| {
            invalid("secrets.sealing_keys", format!("{error} (make one with: usher keys generate)"))
        })?;
        let server = server(&raw)?;
        Ok(Self {
            mail: MailSettings::read(&raw.mail, &server)?,
            server,
            database: DatabaseSettings {
                migrate_url: raw.database.migrate_url.clone().unwrap_or_else(|| raw.database.url.clone()),
                url: raw.database.url,
                pooler: match raw.database.pooler.as_str() {
                    "none" => Pooler::None,
                    "transaction" => Pooler::Transaction,
                    other => {
                        return Err(invalid("database.pooler", format!("`{other}` is neither none nor transaction")));
                    }
                },
                max_connections: raw.database.max_connections.clamp(2, 1000),
                acquire_timeout: Duration::from_millis(raw.database.acquire_timeout_ms.clamp(50, 60_000)),
                statement_timeout: Duration::from_millis(raw.database.statement_timeout_ms.clamp(50, 600_000)),
            },
            redis: RedisSettings::read(&raw.redis)?,
            sealing_keys: raw.secrets.sealing_keys,
            outbound: OutboundSettings {
                allowed_networks: networks("outbound.allowed_networks", &raw.outbound.allowed_networks)?,
                allow_plain_http: raw.outbound.allow_plain_http,
                timeout: Duration::from_millis(raw.outbound.timeout_ms.clamp(100, 60_000)),
                max_bytes: raw.outbound.max_bytes.clamp(1024, 64 << 20),
            },
            login: LoginSettings {
                attempt_ttl: Duration::from_secs(raw.login.attempt_ttl_s.clamp(60, 3600)),
                verify_threads: raw.login.verify_threads.clamp(1, 256),
                verify_queue: raw.login.verify_queue.clamp(1, 100_000),
                claims_days: raw.login.claims_days.min(14),
            },
            accounts: AccountsSettings::read(&raw.accounts)?,
            imports: ImportSettings {
                max_rows: raw.imports.max_rows.clamp(1, 1_000_000),
                max_bytes: raw.imports.max_bytes.clamp(1024, 1 << 30),
                at_once_per_client: raw.imports.at_once_per_client.clamp(1, 100),
                upload_timeout: Duration::from_secs(raw.imports.upload_timeout_s.clamp(1, 3600)),
                rows_days: raw.imports.rows_days.clamp(1, 3650),
            },
            limits: LimitSettings {
                sign_in_per_address: rate("limits.sign_in_per_address", &raw.limits.sign_in_per_address)?,
                sign_in_per_client: rate("limits.sign_in_per_client", &raw.limits.sign_in_per_client)?,
                api_per_token: rate("limits.api_per_token", &raw.limits.api_per_token)?,
                refused_records_per_connection: rate(
                    "limits.refused_records_per_connection",
                    &raw.limits.refused_records_per_connection,
                )?,
                code_failures_per_learner: rate(
                    "limits.code_failures_per_learner",
                    &raw.limits.code_failures_per_learner,
                )?,
                code_failures_per_address: rate(
                    "limits.code_failures_per_address",
                    &raw.limits.code_failures_per_address,
                )?,
                code_failures_per_client: rate(
                    "limits.code_failures_per_client",
                    &raw.limits.code_failures_per_client,
                )?,
                sign_ups_per_address: rate("limits.sign_ups_per_address", &raw.limits.sign_ups_per_address)?,
            },
            logs: LogSettings {
                json: match raw.logs.format.as_str() {
                    "json" => true,
                    "text" => false,
                    other => return Err(invalid("logs.format", format!("`{other}` is neither json nor text"))),
                },
                filter: raw.logs.filter,
            },
        })
    }
}
