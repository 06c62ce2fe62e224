//! Configuration as it was typed. Every key is listed here and in `config/README.md`; a key that is not is refused.

use std::path::Path;

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::settings::ConfigError;

const DEFAULTS: &str = include_str!("../../config/default.toml");

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub server: Server,
    pub database: Database,
    pub redis: Redis,
    pub secrets: Secrets,
    pub outbound: Outbound,
    pub login: Login,
    pub mail: Mail,
    pub accounts: Accounts,
    pub imports: Imports,
    pub limits: Limits,
    pub logs: Logs,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: String,
    pub operator_listen: Option<String>,
    pub public_origin: String,
    pub tls_certificate: Option<String>,
    pub tls_key: Option<String>,
    pub tls_hosts: Option<String>,
    pub trusted_proxies: Vec<String>,
    pub request_timeout_s: u64,
    pub drain_notice_s: u64,
    pub drain_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub url: SecretString,
    pub migrate_url: Option<SecretString>,
    pub pooler: String,
    pub max_connections: u32,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    pub url: SecretString,
    pub sentinel_password: Option<SecretString>,
    pub ca_file: Option<String>,
    pub key_prefix: String,
    pub timeout_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub sealing_keys: Vec<SecretString>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    pub allowed_networks: Vec<String>,
    pub allow_plain_http: bool,
    pub timeout_ms: u64,
    pub max_bytes: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub attempt_ttl_s: u64,
    pub verify_threads: usize,
    pub verify_queue: usize,
    pub claims_days: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub url: SecretString,
    pub ca_file: Option<String>,
    pub from: Option<String>,
    pub hello_name: Option<String>,
    pub connections: usize,
    pub timeout_s: u64,
    pub max_attempts: i32,
    pub keep_days: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    pub hash_memory_kib: u32,
    pub hash_passes: u32,
    pub hash_threads: usize,
    pub hash_queue: usize,
    pub confirm_hours: u32,
    pub reset_minutes: u32,
    pub provisional_days: u32,
    pub free_tries: u32,
    pub free_tries_per_address: u32,
    pub mails_per_day: u32,
    pub mails_per_address: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imports {
    pub max_rows: u32,
    pub max_bytes: usize,
    pub at_once_per_client: u32,
    pub upload_timeout_s: u64,
    pub rows_days: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub sign_in_per_address: String,
    pub sign_in_per_client: String,
    pub api_per_token: String,
    pub refused_records_per_connection: String,
    pub code_failures_per_learner: String,
    pub code_failures_per_address: String,
    pub code_failures_per_client: String,
    pub sign_ups_per_address: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    pub format: String,
    pub filter: String,
}

/// Reads the built-in defaults, then `file` where given, then the environment.
pub fn load(file: Option<&Path>) -> Result<Raw, ConfigError> {
    layers(file)?.extract().map_err(|error| ConfigError::Unreadable(error.to_string()))
}

/// The layers, not yet read as configuration.
pub(super) fn layers(file: Option<&Path>) -> Result<Figment, ConfigError> {
    let mut layers = Figment::from(Toml::string(DEFAULTS));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigError::NoFile(path.display().to_string()));
        }
        layers = layers.merge(Toml::file_exact(path));
    }
    Ok(layers.merge(Env::prefixed("USHER__").split("__")))
}
