//! The database and the Redis prefix of one test. Databases are copies of a template that holds the migrations, made
//! once for each state of them.

use std::thread;

use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection};
use usher::{
    config::{DatabaseSettings, Pooler},
    entropy::Entropy,
};

/// Any number: the name of the lock under which a template is made.
const TEMPLATE_LOCK: i64 = 0x7573_6865_7221;

/// A database and a Redis prefix that nobody else uses. Dropping it removes both.
pub struct Stage {
    pub database: String,
    pub postgres_url: String,
    pub redis_url: String,
    pub key_prefix: String,
}

fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run script/test, which starts private servers and sets it"))
}

impl Stage {
    pub async fn set() -> Self {
        let server_url = server("USHER_TEST_POSTGRES_URL");
        let template = template(&server_url).await;
        let database = format!("usher_it_{}", Entropy::default().unambiguous(12).to_lowercase());
        let mut connection = connect(&server_url, "postgres").await;
        connection
            .execute(sqlx::AssertSqlSafe(format!("create database {database} template {template}")))
            .await
            .unwrap();
        connection.close().await.unwrap();
        Self {
            postgres_url: format!("{server_url}/{database}"),
            redis_url: server("USHER_TEST_REDIS_URL"),
            key_prefix: format!("it-{}", &database["usher_it_".len()..]),
            database,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let (server_url, database) = (server("USHER_TEST_POSTGRES_URL"), self.database.clone());
        let (redis_url, pattern) = (self.redis_url.clone(), format!("{}:*", self.key_prefix));
        // A runtime of its own: the test's may be shutting down. Failure to tidy is not failure of the test.
        let removal = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = connect(&server_url, "postgres").await;
                let _ = connection
                    .execute(sqlx::AssertSqlSafe(format!("drop database if exists {database} with (force)")))
                    .await;
                let _ = forget(&redis_url, &pattern).await;
            });
        });
        let _ = removal.join();
    }
}

async fn connect(server_url: &str, database: &str) -> PgConnection {
    PgConnection::connect(&format!("{server_url}/{database}"))
        .await
        .unwrap_or_else(|error| panic!("PostgreSQL for the tests does not answer: {error}"))
}

/// The name of the template for the migrations inside this program, made when it is not there.
async fn template(server_url: &str) -> String {
    let name = format!("usher_template_{}", usher::db::migrations_digest());

    let mut connection = connect(server_url, "postgres").await;
    // One at a time, over all test processes: whoever comes second finds it made.
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await.unwrap();
    let found: Option<i32> = sqlx::query_scalar("select 1 from pg_database where datname = $1")
        .bind(&name)
        .fetch_optional(&mut connection)
        .await
        .unwrap();
    if found.is_none() {
        let unfinished = format!("{name}_unfinished");
        let run = async |connection: &mut PgConnection, text: String| {
            connection.execute(sqlx::AssertSqlSafe(text)).await.unwrap();
        };
        run(&mut connection, format!("drop database if exists {unfinished} with (force)")).await;
        run(&mut connection, format!("create database {unfinished}")).await;
        let url = SecretString::from(format!("{server_url}/{unfinished}"));
        usher::db::migrate(&DatabaseSettings {
            migrate_url: url.clone(),
            url,
            pooler: Pooler::None,
            max_connections: 1,
            acquire_timeout: std::time::Duration::from_secs(5),
            statement_timeout: std::time::Duration::from_secs(60),
        })
        .await
        .unwrap();
        run(&mut connection, format!("alter database {unfinished} rename to {name}")).await;
    }
    // Closing the connection releases the lock.
    connection.close().await.unwrap();
    name
}

pub(super) async fn forget(redis_url: &str, pattern: &str) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(redis_url)?.get_multiplexed_async_connection().await?;
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(1000)
            .query_async(&mut connection)
            .await?;
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
