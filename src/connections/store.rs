//! SQL of connections.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    domains,
    model::{
        Connection, ConnectionSettings, ConnectionSummary, IdpInitiated, Jit, JitUpdate, Status, preset_from,
        protocol_from,
    },
};
use crate::{
    claims::Protocol,
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, ConnectionId},
};

/// Active connections that one client's pages offer; more than these nobody could choose from.
const OFFERED: i64 = 50;

/// What [`super::ConnectionFacts`] is read from.
pub struct FactsRow {
    pub id: ConnectionId,
    pub client_id: ClientId,
    pub name: String,
    pub protocol: Protocol,
    pub status: Status,
    pub idp_initiated: IdpInitiated,
    pub config: Value,
    pub secret_sealed: Option<Vec<u8>>,
    pub domains: Vec<String>,
    pub trusted_domains: Vec<String>,
    pub clock_skew_s: i32,
    pub jit: Jit,
    pub rules: Value,
    pub mapping_version: i32,
    pub idp: Option<Value>,
    pub idp_valid_until: Option<DateTime<Utc>>,
    pub version: i64,
}

/// Everything a sign-in relies on, in one query. The metadata as typed stays behind: it is large, and parsed already.
pub async fn facts(conn: &mut PgConnection, id: ConnectionId) -> Result<Option<FactsRow>, Fault> {
    let row = sqlx::query!(
        r#"select c.client_id as "client_id: ClientId", c.name, c.protocol, c.status, c.idp_initiated,
                  c.config - 'metadata_xml' as "config!", c.secret_sealed, c.domains, c.trusted_domains, c.clock_skew_s,
                  c.jit_create, c.jit_update, c.link_by_email, c.mapping_version, m.rules, c.idp, c.idp_valid_until,
                  c.version
           from connection_routes r
           join connections c on c.client_id = r.client_id and c.id = r.connection_id
           join mappings m on m.client_id = c.client_id and m.connection_id = c.id and m.version = c.mapping_version
           where r.connection_id = $1"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(FactsRow {
        id,
        client_id: row.client_id,
        name: row.name,
        protocol: protocol_from(&row.protocol)?,
        status: row.status.parse()?,
        idp_initiated: row.idp_initiated.parse()?,
        config: row.config,
        secret_sealed: row.secret_sealed,
        domains: row.domains,
        trusted_domains: row.trusted_domains,
        clock_skew_s: row.clock_skew_s,
        jit: Jit { create: row.jit_create, update: row.jit_update.parse()?, link_by_email: row.link_by_email },
        rules: row.rules,
        mapping_version: row.mapping_version,
        idp: row.idp,
        idp_valid_until: row.idp_valid_until,
        version: row.version,
    }))
}

struct ConnectionRow {
    client_id: ClientId,
    id: ConnectionId,
    name: String,
    protocol: String,
    preset: String,
    status: String,
    domains: Vec<String>,
    trusted_domains: Vec<String>,
    idp_initiated: String,
    config: Value,
    secret_sealed: Option<Vec<u8>>,
    clock_skew_s: i32,
    jit_create: bool,
    jit_update: String,
    link_by_email: bool,
    mapping_version: i32,
    idp: Option<Value>,
    idp_fetched_at: Option<DateTime<Utc>>,
    idp_valid_until: Option<DateTime<Utc>>,
    idp_refresh_at: Option<DateTime<Utc>>,
    idp_error: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ConnectionRow> for Connection {
    type Error = Fault;

    fn try_from(row: ConnectionRow) -> Result<Self, Fault> {
        let protocol = protocol_from(&row.protocol)?;
        let (saml, oidc) = match protocol {
            Protocol::Saml => (Some(serde_json::from_value(row.config)?), None),
            Protocol::Oidc => (None, Some(serde_json::from_value(row.config)?)),
        };
        Ok(Self {
            id: row.id,
            client: row.client_id,
            settings: ConnectionSettings {
                name: row.name,
                protocol,
                preset: preset_from(&row.preset)?,
                status: row.status.parse()?,
                domains: row.domains,
                idp_initiated: row.idp_initiated.parse()?,
                saml,
                oidc,
                trusted_domains: row.trusted_domains,
                clients: Vec::new(),
                clock_skew_s: u16::try_from(row.clock_skew_s).unwrap_or(0),
                jit: Jit {
                    create: row.jit_create,
                    update: row.jit_update.parse::<JitUpdate>()?,
                    link_by_email: row.link_by_email,
                },
            },
            secret_sealed: row.secret_sealed,
            mapping_version: row.mapping_version,
            idp: row.idp,
            idp_fetched_at: row.idp_fetched_at,
            idp_valid_until: row.idp_valid_until,
            idp_refresh_at: row.idp_refresh_at,
            idp_error: row.idp_error,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// One connection of a client, whole.
pub async fn find(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<Option<Connection>, Fault> {
    let row = sqlx::query_as!(
        ConnectionRow,
        r#"select client_id as "client_id: ClientId", id as "id: ConnectionId", name, protocol, preset, status, domains,
                  trusted_domains, idp_initiated, config, secret_sealed, clock_skew_s, jit_create, jit_update,
                  link_by_email, mapping_version, idp, idp_fetched_at, idp_valid_until, idp_refresh_at, idp_error,
                  version, created_at, updated_at
           from connections where client_id = $1 and id = $2"#,
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Connection::try_from).transpose()
}

/// A page of a client's connections, without the metadata that was typed.
pub async fn list(conn: &mut PgConnection, client: ClientId, page: Page) -> Result<Vec<Connection>, Fault> {
    let rows = sqlx::query_as!(
        ConnectionRow,
        r#"select client_id as "client_id: ClientId", id as "id: ConnectionId", name, protocol, preset, status, domains,
                  trusted_domains, idp_initiated, config - 'metadata_xml' as "config!", secret_sealed, clock_skew_s,
                  jit_create, jit_update, link_by_email, mapping_version, idp, idp_fetched_at, idp_valid_until,
                  idp_refresh_at, idp_error, version, created_at, updated_at
           from connections where client_id = $1 and id > $2 order by id limit $3"#,
        client.uuid(),
        page.after.unwrap_or(Uuid::nil()),
        page.fetch(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Connection::try_from).collect()
}

/// What a connection is written with, besides its settings.
pub struct Written<'a> {
    pub client: ClientId,
    pub id: ConnectionId,
    pub settings: &'a ConnectionSettings,
    pub config: Value,
    pub secret_sealed: Option<&'a [u8]>,
    /// Whether the stored secret is replaced: one that is kept may just be sealed anew, under another key.
    pub secret_changed: bool,
    pub now: DateTime<Utc>,
}

/// Writes a new connection and its route. Its mapping follows.
pub async fn insert(conn: &mut PgConnection, new: &Written<'_>) -> Result<(), Fault> {
    let settings = new.settings;
    sqlx::query!(
        "insert into connections
           (client_id, id, name, protocol, preset, status, domains, trusted_domains, idp_initiated, config, secret_sealed,
            clock_skew_s, jit_create, jit_update, link_by_email, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)",
        new.client.uuid(),
        new.id.uuid(),
        settings.name,
        settings.protocol.as_str(),
        settings.preset.as_str(),
        settings.status.as_str(),
        &settings.domains,
        &settings.trusted_domains,
        settings.idp_initiated.as_str(),
        new.config,
        new.secret_sealed,
        i32::from(settings.clock_skew_s),
        settings.jit.create,
        settings.jit.update.as_str(),
        settings.jit.link_by_email,
        new.now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into connection_routes (connection_id, client_id) values ($1, $2)",
        new.id.uuid(),
        new.client.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes changed settings over the connection as it was at `version`; says whether it still was.
pub async fn update(conn: &mut PgConnection, changed: &Written<'_>, version: i64) -> Result<bool, Fault> {
    let settings = changed.settings;
    let done = sqlx::query!(
        "update connections set name = $4, preset = $5, status = $6, domains = $7, trusted_domains = $8,
                idp_initiated = $9, config = $10, secret_sealed = case when $17 then $11 else secret_sealed end,
                clock_skew_s = $12, jit_create = $13, jit_update = $14, link_by_email = $15, updated_at = $16,
                version = version + 1
         where client_id = $1 and id = $2 and version = $3",
        changed.client.uuid(),
        changed.id.uuid(),
        version,
        settings.name,
        settings.preset.as_str(),
        settings.status.as_str(),
        &settings.domains,
        &settings.trusted_domains,
        settings.idp_initiated.as_str(),
        changed.config,
        changed.secret_sealed,
        i32::from(settings.clock_skew_s),
        settings.jit.create,
        settings.jit.update.as_str(),
        settings.jit.link_by_email,
        changed.now,
        changed.secret_changed,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a connection that is not active, with its keys, mappings and identities; says whether it was there so.
pub async fn delete(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "delete from connections where client_id = $1 and id = $2 and status <> 'active'",
        client.uuid(),
        id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the access that a connection gave, and the sessions of whoever had it, when the connection goes; says how many
/// grants and how many learners. What granted it is gone, so that nothing else could end it later.
pub async fn end_access_of(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    now: DateTime<Utc>,
) -> Result<(u64, u64), Fault> {
    let source_ref = id.to_string();
    let learners = sqlx::query!(
        "update learners set session_epoch = session_epoch + 1, version = version + 1, updated_at = $3
         where client_id = $1 and id in
            (select learner_id from access_grants where client_id = $1 and source = 'sso' and source_ref = $2)",
        client.uuid(),
        source_ref,
        now,
    )
    .execute(&mut *conn)
    .await?;
    let grants = sqlx::query!(
        "update access_grants set ends_at = greatest(starts_at, $3), end_reason = 'connection_deleted'
         where client_id = $1 and source = 'sso' and source_ref = $2 and (ends_at is null or ends_at > $3)",
        client.uuid(),
        source_ref,
        now,
    )
    .execute(conn)
    .await?;
    Ok((grants.rows_affected(), learners.rows_affected()))
}

/// Those of the domains that the client has proved, or an operator vouched for.
pub async fn verified_among(
    conn: &mut PgConnection,
    client: ClientId,
    domains: &[String],
) -> Result<Vec<String>, Fault> {
    Ok(sqlx::query_scalar!(
        "select domain from email_domains where client_id = $1 and domain = any($2) and verified_at is not null
         for share",
        client.uuid(),
        domains,
    )
    .fetch_all(conn)
    .await?)
}

/// The active connections that a client's landing page offers, oldest first.
pub async fn for_landing(conn: &mut PgConnection, client: ClientId) -> Result<Vec<ConnectionSummary>, Fault> {
    let rows = sqlx::query!(
        r#"select id as "id: ConnectionId", name, protocol, preset, domains
           from connections where client_id = $1 and status = 'active' order by id limit $2"#,
        client.uuid(),
        OFFERED,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(ConnectionSummary {
            id: row.id,
            name: row.name,
            protocol: protocol_from(&row.protocol)?,
            preset: preset_from(&row.preset)?,
            domains: row.domains,
        })
    });
    read.collect()
}

/// The active connections that an e-mail leads to.
pub async fn for_email(
    conn: &mut PgConnection,
    client: ClientId,
    email: &str,
) -> Result<Vec<ConnectionSummary>, Fault> {
    Ok(domains::route(for_landing(conn, client).await?, email))
}
