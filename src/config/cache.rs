//! Where Redis is: one server, a primary that Sentinels name, or a Cluster.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    raw,
    settings::{ConfigError, invalid},
};

const KEY: &str = "redis.url";
const SENTINEL_PORT: u16 = 26379;

/// How Redis is reached. Every URL is of one server, with user, password and database where they were given.
#[derive(Debug, Clone)]
pub enum RedisServers {
    Single(SecretString),
    Sentinel {
        /// The Sentinels, without credentials.
        sentinels: Vec<String>,
        /// What they call the primary.
        primary: String,
        /// User, password, database and TLS of the servers that they name; the host of this URL means nothing.
        server: SecretString,
    },
    Cluster(Vec<SecretString>),
}

#[derive(Debug, Clone)]
pub struct RedisSettings {
    pub servers: RedisServers,
    pub sentinel_password: Option<SecretString>,
    /// What may vouch for the servers, in place of the authorities of the system.
    pub ca_file: Option<PathBuf>,
    pub key_prefix: String,
    pub timeout: Duration,
}

impl RedisSettings {
    pub(super) fn read(raw: &raw::Redis) -> Result<Self, ConfigError> {
        let prefix = &raw.key_prefix;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
        if prefix.is_empty() || !prefix.bytes().all(is_plain) {
            return Err(invalid("redis.key_prefix", "use letters, digits, -, _ and :"));
        }
        let servers = servers(raw.url.expose_secret())?;
        if raw.sentinel_password.is_some() && !matches!(servers, RedisServers::Sentinel { .. }) {
            return Err(invalid("redis.sentinel_password", "is for a redis.url with +sentinel"));
        }
        Ok(Self {
            servers,
            sentinel_password: raw.sentinel_password.clone(),
            ca_file: raw.ca_file.as_ref().map(PathBuf::from),
            key_prefix: prefix.clone(),
            timeout: Duration::from_millis(raw.timeout_ms.clamp(10, 60_000)),
        })
    }
}

fn servers(text: &str) -> Result<RedisServers, ConfigError> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    match (base, kind) {
        ("redis" | "rediss", "") | ("redis", "unix") => Ok(RedisServers::Single(text.to_owned().into())),
        ("redis" | "rediss", "cluster") => {
            let (userinfo, hosts, path) = parts(rest);
            if !path.trim_matches('/').is_empty() {
                return Err(invalid(KEY, "a Cluster has no databases: end it after the last host"));
            }
            let urls = hosts.into_iter().map(|host| one(base, userinfo, host, "").map(SecretString::from));
            urls.collect::<Result<_, _>>().map(RedisServers::Cluster)
        }
        ("redis" | "rediss", "sentinel") => {
            let (userinfo, hosts, path) = parts(rest);
            let (primary, database) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
            let is_name = !primary.is_empty() && primary.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?');
            if !is_name || !database.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(invalid(KEY, "after the Sentinels write what they call the primary: …:26379/mymaster"));
            }
            let sentinels = hosts.into_iter().map(|host| one(base, "", host, "").map(|url| with_port(&url)));
            Ok(RedisServers::Sentinel {
                sentinels: sentinels.collect::<Result<_, _>>()?,
                primary: primary.to_owned(),
                server: one(base, userinfo, "primary.invalid", database)?.into(),
            })
        }
        _ => Err(invalid(
            KEY,
            "write redis://, rediss:// or redis+unix:// for one server, redis+sentinel:// or redis+cluster:// for several",
        )),
    }
}

/// User and password with the sign behind them, the hosts, and the path.
fn parts(rest: &str) -> (&str, Vec<&str>, &str) {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (userinfo, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    (userinfo, hosts.split(',').collect(), path)
}

fn one(base: &str, userinfo: &str, host: &str, database: &str) -> Result<String, ConfigError> {
    let text = format!("{base}://{userinfo}{host}/{database}");
    let is_host = Url::parse(&text).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()));
    if is_host { Ok(text) } else { Err(invalid(KEY, "write hosts with commas between them: host:port,host:port")) }
}

fn with_port(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.to_owned() };
    if url.port().is_none() && url.set_port(Some(SENTINEL_PORT)).is_err() {
        return url.into();
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match servers(text) {
            Ok(RedisServers::Single(url)) => url.expose_secret().to_owned(),
            Ok(RedisServers::Cluster(urls)) => {
                urls.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>().join(" ")
            }
            Ok(RedisServers::Sentinel { sentinels, primary, server }) => {
                format!("{} {primary} {}", sentinels.join(" "), server.expose_secret())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_server_is_taken_as_written() {
        for url in ["redis://:pw@a:1/2", "rediss://a", "redis+unix:///run/redis.sock"] {
            assert_eq!(read(url), url);
        }
    }

    #[test]
    fn sentinels_share_the_credentials_of_what_they_name_and_have_a_port() {
        assert_eq!(
            read("rediss+sentinel://usher:p%40w@a,b:7,[::1]:8/mymaster/3"),
            "rediss://a:26379/ rediss://b:7/ rediss://[::1]:8/ mymaster rediss://usher:p%40w@primary.invalid/3"
        );
        assert!(read("redis+sentinel://a").contains("what they call the primary"));
        assert!(read("redis+sentinel://a/mymaster/x").contains("what they call the primary"));
    }

    #[test]
    fn nodes_of_a_cluster_share_credentials_and_have_no_database() {
        assert_eq!(read("redis+cluster://:pw@a:1,b:2"), "redis://:pw@a:1/ redis://:pw@b:2/");
        assert!(read("redis+cluster://a:1,b:2/3").contains("no databases"));
        assert!(read("redis+cluster://a:1,,b:2").contains("commas"));
        assert!(read("redis+cluster://").contains("commas"));
    }

    #[test]
    fn anything_else_is_refused() {
        for url in ["", "a:1", "http://a", "redis+replicas://a", "rediss+unix:///x"] {
            assert!(read(url).contains("write redis://"), "{url}");
        }
    }
}
