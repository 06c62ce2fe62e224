//! SQL of API tokens.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Permission;
use crate::{
    db::Db,
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, TokenId},
};

/// A token as stored, without its secret.
#[derive(Debug, Clone)]
pub(crate) struct TokenRow {
    pub id: TokenId,
    pub client: Option<ClientId>,
    pub name: String,
    pub scopes: Vec<Permission>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What a caller is checked against.
pub(crate) struct Credential {
    pub id: TokenId,
    pub client: Option<ClientId>,
    pub secret_hash: Vec<u8>,
    pub scopes: Vec<Permission>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

// A permission that a later release took away grants nothing.
fn permissions(texts: &[String]) -> Vec<Permission> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The token whose secret has this hash.
pub(crate) async fn find_credential(db: &Db, hash: &[u8; 32]) -> Result<Option<Credential>, Fault> {
    let row = sqlx::query!(
        "select id, client_id, secret_hash, scopes, expires_at, last_used_at, revoked_at
         from tokens where secret_hash = $1",
        hash.as_slice(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Credential {
        id: row.id.into(),
        client: row.client_id.map(ClientId::from),
        secret_hash: row.secret_hash,
        scopes: permissions(&row.scopes),
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    }))
}

/// Notes that a token was used.
pub(crate) async fn mark_used(db: &Db, token: TokenId, now: DateTime<Utc>) -> Result<(), Fault> {
    sqlx::query!("update tokens set last_used_at = $2 where id = $1", token.uuid(), now).execute(db).await?;
    Ok(())
}

/// The client that has this slug.
pub(crate) async fn client_by_slug(db: &Db, slug: &str) -> Result<Option<ClientId>, Fault> {
    let id = sqlx::query_scalar!("select client_id from slugs where slug = $1", slug).fetch_optional(db).await?;
    Ok(id.map(ClientId::from))
}

/// The client that has this id, if there is one.
pub(crate) async fn client_by_id(db: &Db, id: ClientId) -> Result<Option<ClientId>, Fault> {
    let id = sqlx::query_scalar!("select id from clients where id = $1", id.uuid()).fetch_optional(db).await?;
    Ok(id.map(ClientId::from))
}

/// Stores a new token.
pub(crate) async fn insert(conn: &mut PgConnection, token: &TokenRow, hash: &[u8; 32]) -> Result<(), Fault> {
    let scopes: Vec<String> = token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into tokens (id, client_id, name, secret_hash, scopes, created_at, created_by, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        token.id.uuid(),
        token.client.map(ClientId::uuid),
        token.name,
        hash.as_slice(),
        &scopes,
        token.created_at,
        token.created_by,
        token.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One page of tokens, newest last; of one client where given.
pub(crate) async fn list(db: &Db, client: Option<ClientId>, page: Page) -> Result<Vec<TokenRow>, Fault> {
    let after = page.after.unwrap_or(Uuid::nil());
    let rows = match client {
        Some(client) => {
            sqlx::query_as!(
                Stored,
                "select id, client_id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at
                 from tokens where client_id = $1 and id > $2 order by id limit $3",
                client.uuid(),
                after,
                page.fetch(),
            )
            .fetch_all(db)
            .await?
        }
        None => {
            sqlx::query_as!(
                Stored,
                "select id, client_id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at
                 from tokens where id > $1 order by id limit $2",
                after,
                page.fetch(),
            )
            .fetch_all(db)
            .await?
        }
    };
    Ok(rows.into_iter().map(Stored::row).collect())
}

/// One token.
pub(crate) async fn find(db: &Db, id: TokenId) -> Result<Option<TokenRow>, Fault> {
    let row = sqlx::query_as!(
        Stored,
        "select id, client_id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at
         from tokens where id = $1",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Stored::row))
}

/// A token that is revoked now, or was before.
pub(crate) struct Revoked {
    pub client: Option<ClientId>,
    pub is_new: bool,
}

/// Ends a token; `None` when there is none.
pub(crate) async fn revoke(conn: &mut PgConnection, id: TokenId, now: DateTime<Utc>) -> Result<Option<Revoked>, Fault> {
    let row = sqlx::query!("select client_id, revoked_at from tokens where id = $1 for update", id.uuid())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let is_new = row.revoked_at.is_none();
    if is_new {
        sqlx::query!("update tokens set revoked_at = $2 where id = $1", id.uuid(), now).execute(conn).await?;
    }
    Ok(Some(Revoked { client: row.client_id.map(ClientId::from), is_new }))
}

struct Stored {
    id: Uuid,
    client_id: Option<Uuid>,
    name: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    created_by: String,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl Stored {
    fn row(self) -> TokenRow {
        TokenRow {
            id: self.id.into(),
            client: self.client_id.map(ClientId::from),
            name: self.name,
            scopes: permissions(&self.scopes),
            created_at: self.created_at,
            created_by: self.created_by,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            revoked_at: self.revoked_at,
        }
    }
}
