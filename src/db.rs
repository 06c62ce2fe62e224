//! The PostgreSQL pool and the migrations. Statements live in each domain's `store.rs`, never here.

use std::{str::FromStr, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::config::DatabaseSettings;

/// A connection that has lain unused this long is asked whether it still lives before it is used. Each is asked when it
/// comes back to the pool anyway, so that asking more often would cost every request a round trip for nothing.
const STALE: Duration = Duration::from_secs(1);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// A pool that connects when first used, so that a gateway starts while PostgreSQL is away and recovers by itself.
pub fn pool(settings: &DatabaseSettings) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(settings.url.expose_secret())?
        .application_name("usher")
        .options([("statement_timeout", settings.statement_timeout.as_millis().to_string())]);
    Ok(PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .min_connections(0)
        .acquire_timeout(settings.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > STALE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

/// Applies what is missing of the migrations over the direct URL; does nothing when all are there.
pub async fn migrate(settings: &DatabaseSettings) -> Result<(), sqlx::migrate::MigrateError> {
    let pool = PgPoolOptions::new().max_connections(1).connect(settings.migrate_url.expose_secret()).await?;
    let outcome = MIGRATIONS.run(&pool).await;
    pool.close().await;
    outcome
}

/// The name of the constraint that refused a statement, for telling the caller in their own words.
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(database) => database.constraint(),
        _ => None,
    }
}

/// Whether the statement failed because PostgreSQL is away, overloaded or restarting, so that trying later may help.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        // What answers in PostgreSQL's place while it restarts, such as a proxy, speaks another protocol.
        | sqlx::Error::Protocol(_) => true,
        // Class 57: operator intervention (shutdown, crash, cannot connect now, timeout); 53: insufficient resources; 08: connection.
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| code.starts_with("57") || code.starts_with("53") || code.starts_with("08")),
        _ => false,
    }
}

/// Whether PostgreSQL chose this transaction to give way to another: a deadlock, or a serialization failure.
pub fn is_conflict(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| code == "40P01" || code == "40001"),
        _ => false,
    }
}
