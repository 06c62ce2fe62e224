//! Configuration: `config/default.toml`, then a file, then the environment (`USHER__SECTION__KEY`).
//!
//! | step | file | from → to |
//! |---|---|---|
//! | read | `raw.rs` | layers → what was typed; unknown keys are refused |
//! | check | `settings.rs`, `accounts.rs`, `cache.rs`, `mail.rs` | what was typed → what the program may rely on |
//! | show | `show.rs` | layers → every key with its source, secrets left out |

mod accounts;
mod cache;
mod mail;
mod raw;
mod settings;
mod show;

pub use accounts::AccountsSettings;
pub use cache::{RedisServers, RedisSettings};
pub use mail::{MailSettings, SmtpSecurity, SmtpServer};
pub use raw::{Raw, load};
pub use settings::{
    ConfigError, DatabaseSettings, ImportSettings, LimitSettings, LogSettings, LoginSettings, OutboundSettings, Pooler,
    Rate, ServerSettings, Settings, TlsSettings,
};
pub use show::show;
