//! The clients and connections that sign-ins are spread over: one made over the admin API as an admin would, the others
//! copies of its rows. No key is made for a copy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use idp_fixtures::{saml::metadata::IdpMetadata, sign::KeyPair};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use uuid::Uuid;

use crate::{
    Options,
    gateway::Deployment,
    people::{IDP, SSO},
};

/// A table, the columns that differ in a copy with their expressions, whom it is copied for, and which rows.
type Copy<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

const CONNECTIONS_PER_CLIENT: i32 = 5;
const ITEMS: usize = 8;

/// One connection that people can sign in by.
#[derive(Debug, Clone)]
pub struct Door {
    pub slug: String,
    pub client: String,
    pub connection: String,
}

/// Makes the database, empty, with its schema.
pub async fn create(options: &Options, deployment: &Deployment) -> Result<()> {
    let (server, name) = deployment.database_url.rsplit_once('/').context("a database URL")?;
    let mut conn = PgConnection::connect(&format!("{server}/postgres")).await.context("connecting to PostgreSQL")?;
    conn.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await?;
    conn.execute(AssertSqlSafe(format!("create database {name}"))).await?;
    deployment.command_output(options, &["migrate"]).await?;
    Ok(())
}

/// Fills it with `clients` clients; gives every connection. A gateway must be running.
pub async fn fill(options: &Options, deployment: &Deployment, clients: i32, key: &KeyPair) -> Result<Vec<Door>> {
    let token = deployment.command_output(options, &["token", "create", "--name", "bench"]).await?;
    let (client, connection) = template(&Api::new(deployment, &token)?, key).await?;
    let mut conn = PgConnection::connect(&deployment.database_url).await?;
    multiply(&mut conn, client, connection, clients).await?;
    let rows = conn
        .fetch_all("select s.slug, n.client_id, n.id from connections n join slugs s on s.client_id = n.client_id")
        .await?;
    let door = |row: &sqlx::postgres::PgRow| {
        let (client, connection): (Uuid, Uuid) = (row.get(1), row.get(2));
        Door {
            slug: row.get(0),
            client: format!("cli_{}", client.simple()),
            connection: format!("con_{}", connection.simple()),
        }
    };
    Ok(rows.iter().map(door).collect())
}

/// Calls of the admin API with an operator's token.
pub struct Api {
    client: Client,
    address: String,
    token: String,
}

impl Api {
    pub fn new(deployment: &Deployment, token: &str) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { client, address: deployment.origin(), token: token.to_owned() })
    }

    pub async fn send(&self, method: reqwest::Method, path: &str, body: Value) -> Result<Value> {
        let request = self.client.request(method, format!("{}/api/v1/clients{path}", self.address));
        let request = request.bearer_auth(&self.token).header("content-type", "application/json");
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.send(reqwest::Method::POST, path, body).await
    }
}

fn id_of(made: &Value) -> Result<Uuid> {
    let id = made["id"].as_str().and_then(|id| id.split_once('_')).context("an id")?.1;
    Ok(Uuid::parse_str(id)?)
}

/// A client with two sublicenses, content, and one SAML connection with a mapping of the usual size.
async fn template(api: &Api, key: &KeyPair) -> Result<(Uuid, Uuid)> {
    let client = api.post("", json!({ "slug": "bench-0", "name": "Bench 0" })).await?;
    let sales = api.post("/bench-0/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" })).await?;
    for number in 0..ITEMS {
        let mut item = json!({
            "title": format!("Course {number}: what every new colleague should know"),
            "description": "An introduction in three parts, with exercises and a short test at the end.",
            "url": format!("https://learn.bench.example/courses/{number}"), "audience": "client",
        });
        if number % 2 == 1 {
            item["audience"] = json!("sublicenses");
            item["sublicenses"] = json!([sales["id"]]);
        }
        api.post("/bench-0/content", item).await?;
    }
    let metadata = IdpMetadata::new(IDP, SSO, key).to_xml()?;
    let made = api
        .post(
            "/bench-0/connections",
            json!({ "name": "Bench SSO", "protocol": "saml", "status": "active", "saml": { "metadata_xml": metadata } }),
        )
        .await?;
    let rules = json!({
        "profile": {
            "email": "email", "first_name": "firstName", "last_name": "lastName", "external_id": "employeeNumber",
            "locale": "preferredLanguage",
            "attributes": { "department": "department", "title": "title", "country": { "expr": "claims.country | first | lower" } },
        },
        "require": [{ "that": { "claim": "groups", "contains": "cn=learning,ou=groups,dc=bench" },
                      "else": "You are not in the learning group. Ask your IT desk." }],
        "access": [
            { "when": { "claim": "groups", "contains": "cn=sales,ou=groups,dc=bench" }, "sublicenses": ["sales"] },
            { "when": { "expr": "email_domain == 'people.bench.example'" }, "sublicenses": ["main"] },
        ],
        "sync": "replace",
    });
    let path = format!("/bench-0/connections/{}/mapping", made["id"].as_str().context("an id")?);
    api.send(reqwest::Method::PUT, &path, rules).await?;
    Ok((id_of(&client)?, id_of(&made)?))
}

/// Copies the template's rows until there are so many clients, each with five connections.
async fn multiply(conn: &mut PgConnection, client: Uuid, connection: Uuid, clients: i32) -> Result<()> {
    conn.execute(AssertSqlSafe(format!(
        "create temporary table more_clients as
             select i, gen_random_uuid() as id, 'bench-' || i as slug from generate_series(1, {clients} - 1) i;
         create temporary table more_connections as
             select gen_random_uuid() as id, c.id as client_id from more_clients c, generate_series(1, {CONNECTIONS_PER_CLIENT})
             union all
             select gen_random_uuid(), '{client}' from generate_series(2, {CONNECTIONS_PER_CLIENT})"
    )))
    .await?;
    let of_client = format!("t.client_id = '{client}'");
    let of_connection = format!("t.connection_id = '{connection}'");
    let derived = "md5(m.id::text || t.id::text)::uuid";
    let per_client = "more_clients";
    let copies: [Copy<'_>; 9] = [
        ("clients", &[("id", "m.id"), ("name", "'Bench ' || m.i")], per_client, &format!("t.id = '{client}'")),
        ("slugs", &[("slug", "m.slug"), ("client_id", "m.id")], per_client, &of_client),
        ("email_domains", &[("client_id", "m.id")], per_client, &of_client),
        ("sublicenses", &[("client_id", "m.id"), ("id", derived)], per_client, &of_client),
        ("content_items", &[("client_id", "m.id"), ("id", derived)], per_client, &of_client),
        (
            "content_sublicenses",
            &[
                ("client_id", "m.id"),
                ("content_id", "md5(m.id::text || t.content_id::text)::uuid"),
                ("sublicense_id", "md5(m.id::text || t.sublicense_id::text)::uuid"),
            ],
            per_client,
            &of_client,
        ),
        (
            "connections",
            &[("client_id", "m.client_id"), ("id", "m.id")],
            "more_connections",
            &format!("t.id = '{connection}'"),
        ),
        (
            "connection_routes",
            &[("client_id", "m.client_id"), ("connection_id", "m.id")],
            "more_connections",
            &of_connection,
        ),
        ("mappings", &[("client_id", "m.client_id"), ("connection_id", "m.id")], "more_connections", &of_connection),
    ];
    for (table, changed, map, only) in copies {
        copy(conn, table, changed, map, only).await.with_context(|| format!("multiplying {table}"))?;
    }
    conn.execute("vacuum analyze").await?;
    Ok(())
}

/// `insert into TABLE select …` for each row of `map`, whatever columns the table has.
async fn copy(conn: &mut PgConnection, table: &str, changed: &[(&str, &str)], map: &str, only: &str) -> Result<()> {
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns
         where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER' order by ordinal_position",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await?;
    let value = |column: &String| {
        let found = changed.iter().find(|(name, _)| name == column);
        found.map_or_else(|| format!("t.{column}"), |(_, expression)| (*expression).to_owned())
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let statement = format!(
        "insert into {table} ({}) select {} from {table} t cross join {map} m where {only}",
        columns.join(", "),
        values.join(", ")
    );
    conn.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}
