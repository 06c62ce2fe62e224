//! PostgreSQL: the pool, with or without a pooler in between, and the migrations. Statements live in each domain's
//! `store.rs`, never here.
//!
//! | asked for | is |
//! |---|---|
//! | [`Db::begin`] | a transaction; what writes more than one statement begins one |
//! | [`Db::acquire`] | a connection to read by; behind a pooler whatever it would write is refused |
//! | `&Db` | runs one statement, which commits by itself |
//!
//! Nothing relies on what a PostgreSQL session remembers. Behind a pooler in transaction mode, the next statement may
//! meet another server, or another program's prepared statements: there every statement runs inside a transaction, which
//! stays on one server, first forgets what others prepared, and brings its own time limit.

use std::{
    ops::{Deref, DerefMut},
    str::FromStr,
    time::Duration,
};

use futures_util::{
    TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, Connection, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr,
    Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::{
    config::{DatabaseSettings, Pooler},
    crypto,
};

/// A connection that has lain unused this long is asked whether it still lives before it is used. Each is asked when it
/// comes back to the pool anyway, so that asking more often would cost every request a round trip for nothing.
const STALE: Duration = Duration::from_secs(1);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// PostgreSQL as everybody asks for it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    /// Behind a pooler: what a transaction begins with.
    opening: Option<Opening>,
}

#[derive(Debug, Clone)]
struct Opening {
    writing: SqlStr,
    reading: SqlStr,
}

impl Opening {
    /// One message, so that it costs no round trip more than `begin` alone.
    fn new(limit: Duration) -> Self {
        let limit = limit.as_millis();
        let text = |begin: &str| {
            AssertSqlSafe(format!("{begin}; set local statement_timeout = {limit}; deallocate all")).into_sql_str()
        };
        Self { writing: text("begin"), reading: text("begin read only") }
    }
}

impl Db {
    /// A pool that connects when first used, so that a gateway starts while PostgreSQL is away and recovers by itself.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(settings.url.expose_secret())?.application_name("usher");
        let limit = settings.statement_timeout;
        let (options, opening) = match settings.pooler {
            Pooler::None => (options.options([("statement_timeout", limit.as_millis().to_string())]), None),
            // PgBouncer refuses start-up parameters that it cannot carry from one server to the next.
            Pooler::Transaction => {
                (options.extra_float_digits(None).statement_cache_capacity(0), Some(Opening::new(limit)))
            }
        };
        let pool = PgPoolOptions::new()
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
            .connect_lazy_with(options);
        Ok(Self { pool, opening })
    }

    /// A transaction; it rolls back unless it is committed.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        match &self.opening {
            None => self.pool.begin().await,
            Some(opening) => self.pool.begin_with(opening.writing.clone()).await,
        }
    }

    /// A connection to read by.
    pub async fn acquire(&self) -> Result<Reading, sqlx::Error> {
        Ok(match &self.opening {
            None => Reading::Own(self.pool.acquire().await?),
            Some(opening) => Reading::Pooled(self.pool.begin_with(opening.reading.clone()).await?),
        })
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection to read by. What it writes is refused behind a pooler, and commits by itself without one: begin a
/// transaction instead.
#[derive(Debug)]
pub enum Reading {
    Own(PoolConnection<Postgres>),
    Pooled(Transaction<'static, Postgres>),
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Pooled(transaction) => transaction,
        }
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Pooled(transaction) => transaction,
        }
    }
}

type Step = Either<PgQueryResult, PgRow>;

impl<'c> Executor<'c> for &'_ Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        if self.opening.is_none() {
            return self.pool.fetch_many(query);
        }
        let db = self.clone();
        let steps = async move {
            let mut transaction = db.begin().await?;
            let steps: Vec<Step> = transaction.fetch_many(query).try_collect().await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(stream::iter(steps.into_iter().map(Ok)))
        };
        Box::pin(stream::once(steps).try_flatten())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        if self.opening.is_none() {
            return self.pool.fetch_optional(query);
        }
        let db = self.clone();
        Box::pin(async move {
            let mut transaction = db.begin().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.describe(sql)
    }
}

/// What the migrations inside this program are, in a few letters: others wherever one of them differs.
pub fn migrations_digest() -> String {
    let checksums: Vec<u8> = MIGRATIONS.iter().flat_map(|one| one.checksum.iter().copied()).collect();
    crypto::sha256(&checksums).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
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
