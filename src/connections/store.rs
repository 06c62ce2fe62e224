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
    pub owner: ClientId,
    pub clients: Vec<ClientId>,
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
        r#"select c.client_id as "owner: ClientId", c.name, c.protocol, c.status, c.idp_initiated,
                  array(select l.client_id from connection_clients l where l.owner_id = c.client_id and l.connection_id = c.id
                        and l.position is not null order by l.position) as "clients!",
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
        owner: row.owner,
        clients: row.clients.into_iter().map(ClientId::from).collect(),
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
    clients: Vec<String>,
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
                clients: row.clients,
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
        r#"select c.client_id as "client_id: ClientId", c.id as "id: ConnectionId", name, protocol, preset, status,
                  array(select s.slug from connection_clients l join slugs s on s.client_id = l.client_id
                        where l.owner_id = c.client_id and l.connection_id = c.id and l.position is not null
                        order by l.position) as "clients!", domains, trusted_domains, idp_initiated, config, secret_sealed, clock_skew_s, jit_create, jit_update,
                  link_by_email, mapping_version, idp, idp_fetched_at, idp_valid_until, idp_refresh_at, idp_error,
                  version, created_at, updated_at
           from connections c where c.client_id = $1 and c.id = $2"#,
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
        r#"select c.client_id as "client_id: ClientId", c.id as "id: ConnectionId", name, protocol, preset, status,
                  array(select s.slug from connection_clients l join slugs s on s.client_id = l.client_id
                        where l.owner_id = c.client_id and l.connection_id = c.id and l.position is not null
                        order by l.position) as "clients!", domains, trusted_domains, idp_initiated, config - 'metadata_xml' as "config!", secret_sealed, clock_skew_s,
                  jit_create, jit_update, link_by_email, mapping_version, idp, idp_fetched_at, idp_valid_until,
                  idp_refresh_at, idp_error, version, created_at, updated_at
           from connections c where c.client_id = $1 and c.id > $2 order by c.id limit $3"#,
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

/// Writes a new connection and its route. Whom it serves and its mapping follow.
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

/// Locks a connection that is about to be deleted; its status, where it is there.
pub async fn lock(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<Option<Status>, Fault> {
    let status = sqlx::query_scalar!(
        "select status from connections where client_id = $1 and id = $2 for update",
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    status.map(|word| word.parse()).transpose()
}

/// Removes a connection, with its keys, mappings and identities.
pub async fn delete(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<(), Fault> {
    sqlx::query!("delete from connections where client_id = $1 and id = $2", client.uuid(), id.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Those of the domains that one of the clients has proved, or an operator vouched for.
pub async fn verified_among(
    conn: &mut PgConnection,
    clients: &[Uuid],
    domains: &[String],
) -> Result<Vec<String>, Fault> {
    Ok(sqlx::query_scalar!(
        "select domain from email_domains where client_id = any($1) and domain = any($2) and verified_at is not null
         for share",
        clients,
        domains,
    )
    .fetch_all(conn)
    .await?)
}

/// The active connections that a client's landing page offers, shared ones too, oldest first.
pub async fn for_landing(conn: &mut PgConnection, client: ClientId) -> Result<Vec<ConnectionSummary>, Fault> {
    let rows = sqlx::query!(
        r#"select n.id as "id: ConnectionId", n.name, n.protocol, n.preset, n.domains
           from connection_clients m
           join connections n on n.client_id = m.owner_id and n.id = m.connection_id
           where m.client_id = $1 and n.status = 'active' order by n.id limit $2"#,
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
