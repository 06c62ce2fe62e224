//! The rules that every table keeps, asked of PostgreSQL itself: tenants apart, each row explained, and prepared
//! statements that fit.

use std::collections::BTreeSet;

use crate::{
    support::App,
    tidy::{files_below, nothing_wrong, read},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_table_is_keyed_by_client() {
    let app = App::start().await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text from information_schema.columns
         where table_schema = 'public' and table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    let tables: BTreeSet<&String> = columns.iter().map(|(table, _)| table).collect();
    let with_client: BTreeSet<&String> =
        columns.iter().filter(|(_, column)| column == "client_id").map(|(table, _)| table).collect();
    let mut problems = Vec::new();
    for table in &tables {
        if !with_client.contains(table) && !WITHOUT_CLIENT.contains(&table.as_str()) {
            problems.push(format!("{table}: a tenant table carries client_id"));
        }
    }
    let indexes: Vec<(String, String, String)> = sqlx::query_as(
        "select t.relname::text, i.relname::text, a.attname::text
         from pg_index x
         join pg_class t on t.oid = x.indrelid
         join pg_class i on i.oid = x.indexrelid
         join pg_namespace n on n.oid = t.relnamespace and n.nspname = 'public'
         join pg_attribute a on a.attrelid = t.oid and a.attnum = x.indkey[0]
         where x.indisunique and t.relname <> '_sqlx_migrations'",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    assert!(indexes.len() > 10, "the indexes were found");
    for (table, index, first) in &indexes {
        if first != "client_id" && !GLOBAL.contains(&table.as_str()) {
            problems.push(format!("{table}: the unique index {index} leads with {first}, not with client_id"));
        }
    }
    let uncommented: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
         where c.relkind = 'r' and c.relname <> '_sqlx_migrations' and obj_description(c.oid, 'pg_class') is null",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    problems.extend(uncommented.iter().map(|table| format!("{table}: says in a comment what a row is")));
    nothing_wrong(problems);
}

/// Tables that are found before any client is known, or that belong to none.
const GLOBAL: &[&str] = &[
    "clients",
    "slugs",
    "hosts",
    "connection_routes",
    "tokens",
    "idempotency_keys",
    "accounts",
    "replica_rings",
    "reseals",
];
/// Of those, the ones that no client owns.
const WITHOUT_CLIENT: &[&str] = &["clients", "idempotency_keys", "accounts", "replica_rings", "reseals"];

/// The one row that names two clients: whom a connection serves, and whose it is.
const ACROSS: &str = "connection_clients_connection_fkey";

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_between_tenant_tables_carries_the_client() {
    let app = App::start().await;
    // A foreign key to a table keyed by (client_id, …) names client_id first, so that no row can refer across clients.
    let foreign_keys: Vec<(String, String, String)> = sqlx::query_as(
        "select c.conname::text, f.relname::text, a.attname::text
         from pg_constraint c
         join pg_class f on f.oid = c.confrelid
         join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
         where c.contype = 'f'",
    )
    .fetch_all(&app.db)
    .await
    .unwrap();
    assert!(foreign_keys.len() > 10, "the foreign keys were found");
    let problems = foreign_keys
        .iter()
        .filter(|(name, to, first)| first != "client_id" && !GLOBAL.contains(&to.as_str()) && name != ACROSS)
        .map(|(name, to, first)| format!("{name}: refers to {to} by {first} first, not by client_id"))
        .collect();
    nothing_wrong(problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prepared_statements_fit_the_schema() {
    use sqlx::{Column, Executor, SqlSafeStr, Statement};

    let app = App::start().await;
    let files = files_below(".sqlx", "json");
    assert!(!files.is_empty(), "script/sqlx has written .sqlx");
    let mut problems = Vec::new();
    for file in files {
        let stored: serde_json::Value = serde_json::from_str(&read(&file)).unwrap();
        let text = stored["query"].as_str().unwrap().to_owned();
        let names = |list: &serde_json::Value| -> Vec<String> {
            let columns = list["columns"].as_array().unwrap().iter();
            columns.map(|column| column["name"].as_str().unwrap().to_owned()).collect()
        };
        match app.db.prepare(sqlx::AssertSqlSafe(text.clone()).into_sql_str()).await {
            Ok(statement) => {
                let found: Vec<String> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
                if found != names(&stored["describe"]) {
                    problems.push(format!("{}: its columns changed; run script/sqlx: {text}", file.display()));
                }
            }
            Err(error) => problems.push(format!("{}: {error}; run script/sqlx: {text}", file.display())),
        }
    }
    nothing_wrong(problems);
}
